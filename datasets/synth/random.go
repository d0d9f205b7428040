package synth

import "fewshot/datasets/internal/philox"

// A purpose separates streams that share a seed: no two purposes ever see the same random numbers.
type purpose uint32

const (
	pairAlbum   purpose = iota // what the pre-training pairs of an album have in common
	pairContent                // what a pre-training pair shows and says
	pairPaint                  // how its pixels come out
	taskContent                // + 16·task number + split number: what a task's item shows
	taskPaint   = taskContent + 1<<16
)

// source is a stream of random numbers that depends on (seed, purpose, index) alone.
type source struct {
	key     [2]uint32
	counter [4]uint32 // block, index low, index high, purpose
	block   [4]uint32
	used    int
}

func newSource(seed uint64, p purpose, index uint64) source {
	return source{
		key:     [2]uint32{uint32(seed), uint32(seed >> 32)},
		counter: [4]uint32{0, uint32(index), uint32(index >> 32), uint32(p)},
		used:    4,
	}
}

func (s *source) bits() uint32 {
	if s.used == 4 {
		s.block = philox.Block(s.counter, s.key)
		s.counter[0]++
		s.used = 0
	}
	b := s.block[s.used]
	s.used++
	return b
}

// below returns a number in [0, n), 0 < n. Its bias is below n/2³², which no picture can show.
func (s *source) below(n int) int { return int(uint64(s.bits()) * uint64(n) >> 32) }

// between returns a number in [lo, hi], both ends included.
func (s *source) between(lo, hi int32) int32 { return lo + int32(s.below(int(hi-lo)+1)) }

// around returns a number in [-a, a].
func (s *source) around(a int32) int32 { return s.between(-a, a) }

// percent is true p times in a hundred.
func (s *source) percent(p int) bool { return s.below(100) < p }

// pick returns an index with probability proportional to its weight.
func (s *source) pick(weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	at := s.below(total)
	for i, w := range weights {
		if at < w {
			return i
		}
		at -= w
	}
	panic("synth: pick without weights")
}

// hash32 mixes a lattice point and a salt into 32 bits: the noise of textures and scenes, where a Philox block a
// pixel would cost more than the whole picture.
func hash32(x, y int32, salt uint32) uint32 {
	h := uint32(x)*0x9E3779B1 ^ uint32(y)*0x85EBCA77 ^ salt
	h ^= h >> 15
	h *= 0x2C1B3C6D
	h ^= h >> 12
	h *= 0x297A2D39
	return h ^ h>>15
}

// smooth is value noise in [0, 255]: hash32 at the corners of the lattice cell of (x, y), blended in between.
// Coordinates are in 1/256 of a cell.
func smooth(x, y int32, salt uint32) int32 {
	ix, iy, fx, fy := x>>8, y>>8, x&255, y&255
	corner := func(dx, dy int32) int32 { return int32(hash32(ix+dx, iy+dy, salt) >> 24) }
	top := corner(0, 0)<<8 + (corner(1, 0)-corner(0, 0))*fx
	bottom := corner(0, 1)<<8 + (corner(1, 1)-corner(0, 1))*fx
	return (top<<8 + (bottom-top)*fy) >> 16
}
