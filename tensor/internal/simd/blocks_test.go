package simd

import (
	"fmt"
	"testing"

	"fewshot/tensor/internal/caches"
	"fewshot/tensor/internal/par"
)

// A block of A, the panel at work and the next one fit three quarters of an L2 cache, where a task may be as small as that.
func TestResidentTiles(t *testing.T) {
	defer func(s caches.Sizes) { cacheSizes = s }(cacheSizes)
	eachVariant(t, func(t *testing.T) {
		for _, c := range []struct {
			l2, shared, rows int // rows that a block of 768 of K has with AVX2
		}{{0, 1, 96}, {256 << 10, 1, 48}, {512 << 10, 1, 96}, {1 << 20, 1, 222}, {1 << 20, 2, 96}, {2 << 20, 1, 252}, {32 << 10, 16, 48}} {
			cacheSizes = caches.Sizes{L2: c.l2, SharedL2: c.shared}
			for _, k := range []int{16, 200, 768, 2048} {
				rows := active.residentTiles(k) * active.rows
				if bytes, share := 4*k*(rows+2*active.width), c.l2/c.shared*3/4; rows > leastRows && c.l2 > 0 && bytes > share || rows < leastRows-active.rows || rows > 256 {
					t.Errorf("L2 of %d bytes for %d, K %d: %d rows take %d bytes", c.l2, c.shared, k, rows, bytes)
				}
				if k == 768 && active.name == "avx2" && rows != c.rows {
					t.Errorf("L2 of %d bytes for %d: %d rows, want %d", c.l2, c.shared, rows, c.rows)
				}
			}
		}
		cacheSizes = caches.Sizes{SharedL2: 1, L3: 4 << 20}
		if n := active.blockColumns(768); n < 1024-active.width || n > 1024 {
			t.Errorf("with an L3 of 4 MB blocks of %d columns", n)
		}
	})
}

// Tiles lie one behind the other, cover all rows, and differ by a row at most, or are full but for the last.
func TestTilings(t *testing.T) {
	for rows := 1; rows < 100; rows++ {
		for _, height := range []int{1, 5, 6, 14} {
			even, whole := cutEvenly(rows, height), cutWhole(rows, height)
			for _, c := range []tiling{even, whole} {
				at := 0
				for i := range c.tiles {
					high, end := c.height(i)
					if c.row(i) != at || high < 1 || high > height || end <= i || end > c.tiles {
						t.Fatalf("%d rows by %d: tile %d of %+v: row %d, %d rows, the same to %d", rows, height, i, c, c.row(i), high, end)
					}
					if least := rows / c.tiles; c == even && (high < least || high > least+1) || c == whole && i < c.tiles-1 && high != height {
						t.Fatalf("%d rows by %d: tile %d of %+v has %d rows", rows, height, i, c, high)
					}
					at += high
				}
				if at != rows || c.row(c.tiles) != rows || c.tiles != ceil(rows, height) {
					t.Fatalf("%d rows by %d: %+v", rows, height, c)
				}
			}
		}
	}
}

// The bits of a product depend neither on the caches of the machine nor on how many workers there are.
func TestGemmSameBitsForAnyCaches(t *testing.T) {
	defer func(s caches.Sizes) { cacheSizes = s }(cacheSizes)
	one, three := par.New(1), par.New(3)
	defer one.Close()
	defer three.Close()
	eachVariant(t, func(t *testing.T) {
		for i, c := range []gemmCase{
			{m: 470, n: 90, k: 1000, batch: 1, transB: true, bias: true, add: another},
			{m: 500, n: 70, k: 1024, batch: 1, add: itself}, // rows are copied
			{m: 300, n: 100, k: 900, batch: 1, transA: true},
			{m: 60, n: 2100, k: 800, batch: 1, transB: true}, // blocks of columns, or stripes
		} {
			var want []float32
			for _, s := range []caches.Sizes{{SharedL2: 1}, {L2: 64 << 10, L3: 1 << 20, SharedL2: 1}, {L2: 4 << 20, L3: 1 << 30, SharedL2: 1}} {
				cacheSizes = s
				for _, p := range []*par.Pool{one, three} {
					g, b := c.args(newRand(uint64(i)))
					Gemm(p, g)
					if want == nil {
						want = b.dst.x
					}
					sameBits(t, fmt.Sprintf("%v with caches %+v", c, s), b.dst.x, want)
				}
			}
		}
	})
}
