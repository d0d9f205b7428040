package checkpoint

import (
	"math"
	"math/bits"
)

// Limits. Real files stay far below: ViT-bigG-14 has some 1,200 tensors and a
// header of 160 kB, and the largest CLIP pickles are well under 1 MB.
const (
	maxHeader     = 16 << 20 // bytes of a safetensors header
	maxTensors    = 65536    // tensors of one file
	maxRank       = 8        // axes of one tensor
	maxName       = 256      // bytes of one tensor name
	maxMetadata   = 4096     // entries of __metadata__
	maxConfig     = 4 << 20  // bytes of a JSON file beside the weights
	maxShards     = 256      // files of one sharded model
	maxZipEntries = 8192     // entries of a zip archive
	maxZipName    = 1024     // bytes of one zip entry name
	maxDirectory  = 16 << 20 // bytes of a zip central directory
	maxPickle     = 8 << 20  // bytes of data.pkl
	maxSteps      = 1 << 19  // pickle instructions; a tensor takes about 45
	maxMemo       = 1 << 18  // memoised pickle values; a tensor takes about 10
	maxVisits     = 1 << 17  // values visited while naming a pickle's tensors
	maxDepth      = 64       // nesting of a pickle's or JSON file's values
)

// A size is a count of elements or bytes that remembers whether computing it
// overflowed. All arithmetic on numbers out of a file goes through it, so
// that no step of a chain (product, times item size, plus offset, running
// total) can wrap around unseen.
type size struct {
	n        uint64
	overflow bool
}

func sizeOf(n uint64) size { return size{n: n} }

func (s size) times(n uint64) size {
	hi, lo := bits.Mul64(s.n, n)
	return size{lo, s.overflow || hi != 0}
}

func (s size) plus(n uint64) size {
	sum, carry := bits.Add64(s.n, n, 0)
	return size{sum, s.overflow || carry != 0}
}

// int64 returns the value when no step overflowed and it fits a file offset.
func (s size) int64() (int64, bool) {
	if s.overflow || s.n > math.MaxInt64 {
		return 0, false
	}
	return int64(s.n), true
}

// int returns the value when no step overflowed and it fits a slice length.
func (s size) int() (int, bool) {
	if s.overflow || s.n > math.MaxInt {
		return 0, false
	}
	return int(s.n), true
}

// elements is the product of a shape's axes: 1 for a scalar.
func elements(shape []int) size {
	n := sizeOf(1)
	for _, d := range shape {
		if d < 0 {
			return size{overflow: true}
		}
		n = n.times(uint64(d))
	}
	return n
}
