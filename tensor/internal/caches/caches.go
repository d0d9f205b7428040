// Package caches says how large the caches of the processor are: by CPUID on amd64, by what the kernel says on Linux on
// arm64, whose processors tell it to the kernel alone, and on Apple's by what their makers publish.
package caches

import (
	"strconv"
	"strings"
)

// Sizes are those of a processor's caches for data, in bytes.
type Sizes struct {
	L1, L2, L3 int // of each cache; 0 for none, or none known
	// SharedL2 is how many logical processors, at most, have one L2 cache together: 1, or 2 with hyperthreading, or a cluster of cores.
	SharedL2 int
}

// Of is those of the processor that the program began on. Where the processor does not say, they are 0, and SharedL2 is 1.
var Of = read()

// level is a cache as CPUID describes one: in leaf 4 by Intel, in leaf 0x8000001D by AMD (AMD64 Architecture Programmer's Manual,
// volume 3, appendix E.4.15).
type level struct{ eax, ebx, ecx uint32 }

// collect makes sizes of the levels that there are, up to the first that is none.
func collect(next func(i int) level) Sizes {
	const data, unified = 1, 3
	s := Sizes{SharedL2: 1}
	for i := range 8 {
		l := next(i)
		kind := l.eax & 31
		if kind == 0 {
			break
		}
		if kind != data && kind != unified {
			continue
		}
		ways, partitions, line := int(l.ebx>>22)+1, int(l.ebx>>12&1023)+1, int(l.ebx&4095)+1
		size := ways * partitions * line * (int(l.ecx) + 1)
		switch l.eax >> 5 & 7 {
		case 1:
			s.L1 = size
		case 2:
			s.L2, s.SharedL2 = size, int(l.eax>>14&4095)+1
		case 3:
			s.L3 = size
		}
	}
	return s
}

// collectFiles makes sizes of what Linux says of the caches of a processor: the contents of type, level, size and
// shared_cpu_list in a directory each, up to the first that is none
// (Documentation/ABI/testing/sysfs-devices-system-cpu). What cannot be read there is not known.
func collectFiles(file func(cache int, name string) string) Sizes {
	s := Sizes{SharedL2: 1}
	for i := range 8 {
		kind := file(i, "type")
		if kind == "" {
			break
		}
		if kind != "Data" && kind != "Unified" {
			continue
		}
		size := bytes(file(i, "size"))
		switch file(i, "level") {
		case "1":
			s.L1 = size
		case "2":
			s.L2, s.SharedL2 = size, max(1, count(file(i, "shared_cpu_list")))
		case "3":
			s.L3 = size
		}
	}
	return s
}

// bytes is a size as 64K; 0 for anything else.
func bytes(size string) int {
	digits, kilo := strings.CutSuffix(size, "K")
	n, err := strconv.Atoi(digits)
	if err != nil || !kilo || n < 0 || n > 1<<30 {
		return 0
	}
	return n << 10
}

// count is how many processors a list as 0-3,8 has; 0 if it is none.
func count(list string) (n int) {
	for item := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(item, "-")
		if !ranged {
			last = first
		}
		lo, err := strconv.Atoi(first)
		hi, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || hi < lo {
			return 0
		}
		n += hi - lo + 1
	}
	return n
}
