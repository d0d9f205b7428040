package caches

import (
	"slices"
	"strings"
	"testing"
)

// The levels of a Zen 4 as CPUID gives them: data, instructions, unified, and a cache of eight cores; then none.
func TestCollect(t *testing.T) {
	levels := []level{
		{1 | 1<<5 | 1<<14, 7<<22 | 63, 63},
		{2 | 1<<5 | 1<<14, 7<<22 | 63, 63},
		{3 | 2<<5 | 1<<14, 7<<22 | 63, 2047},
		{3 | 3<<5 | 15<<14, 15<<22 | 63, 32767},
		{},
	}
	got := collect(func(i int) level { return levels[i] })
	if want := (Sizes{32 << 10, 1 << 20, 32 << 20, 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := collect(func(int) level { return level{} }); got != (Sizes{SharedL2: 1}) {
		t.Errorf("of no caches: %+v", got)
	}
}

// The caches of a Neoverse N1 as Linux gives them, and what is cut short, missing or no number.
func TestCollectFiles(t *testing.T) {
	const n1 = "Data 1 64K 0|Instruction 1 64K 0|Unified 2 1024K 0|Unified 3 32768K 0-63"
	for _, c := range []struct {
		name, caches string
		want         Sizes
	}{
		{"Neoverse N1", n1, Sizes{64 << 10, 1 << 20, 32 << 20, 1}},
		{"four cores with one L2", "Data 1 32K 0|Unified 2 1024K 0-2,7", Sizes{32 << 10, 1 << 20, 0, 4}},
		{"none", "", Sizes{SharedL2: 1}},
		{"no sizes", "Data 1  0|Unified 2 1M 0-|Unified 3 -5K 0", Sizes{SharedL2: 1}},
		{"a list the wrong way round", "Unified 2 512K 3-0", Sizes{L2: 512 << 10, SharedL2: 1}},
	} {
		got := collectFiles(func(cache int, name string) string {
			all := strings.Split(c.caches, "|")
			if cache >= len(all) {
				return ""
			}
			fields := strings.Split(all[cache], " ")
			i := slices.Index([]string{"type", "level", "size", "shared_cpu_list"}, name)
			if i >= len(fields) {
				return ""
			}
			return fields[i]
		})
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// Where the processor says something, it is possible.
func TestOf(t *testing.T) {
	t.Logf("%+v", Of)
	if Of.SharedL2 < 1 || Of.L2 != 0 && Of.L2 < Of.L1 || Of.L3 != 0 && Of.L3 < Of.L2 {
		t.Errorf("%+v", Of)
	}
}
