package simd

import "fewshot/tensor/internal/par"

// rimBytes is how much of images with their rim, and of cotangents, is in scratch memory at a time.
const rimBytes = 24 << 20

// weightGrad is the gradient of a convolution's weight in progress, with its scratch memory. It is used again.
//
// With images that have a zero behind each row, and a row of zeros behind each image, pixel (y, x) of the window is a
// matrix [pixels, C], for all windows over all images; the pixels of a row of the window overlap, so that the row is
// one matrix too, of Size·C columns whose rows are C apart. Cotangents lie alike, zeros where there is no window, and
// the gradient is a product for each row of the window.
type weightGrad struct {
	ConvShape
	x, ct         []float32
	rims, cts     []float32
	images, first int // of the chunk
	lanes, lane   int
	copyX, copyCT func(worker, lo, hi int)
}

var idleWeightGrads free[weightGrad]

// ConvWeightGrad is, for each lane k, dw[k,(i·Size+j)·C+c, o] = Σ_{n,y,x} x[n, y·Stride+i−p, x·Stride+j−p,
// c]·ct[k,n,y,x,o]. It reports whether it did: not without kernels. The bits of the result do not depend on the number
// of workers.
func ConvWeightGrad(p *par.Pool, dw, x, ct []float32, s ConvShape, lanes int) bool {
	if active == nil {
		return false
	}
	if s.N == 0 {
		clear(dw)
	}
	if s.N == 0 || len(dw) == 0 {
		return true
	}
	j := idleWeightGrads.take()
	if j.copyX == nil {
		j.copyX, j.copyCT = j.rim, j.spread
	}
	j.ConvShape, j.x, j.ct, j.lanes = s, x, ct, lanes
	wide, high := j.grid()
	most := max(1, rimBytes/(4*wide*high*max(s.C, s.O)))
	for j.first = 0; j.first < s.N; j.first += j.images {
		// Chunks are about equal, and depend on the shape alone.
		j.images = ceil(s.N-j.first, ceil(s.N-j.first, most))
		pixels := j.images * wide * high
		behind := (s.Size - 1) * (wide + 1) // the last window's reach
		j.rims, j.cts = grow(j.rims, (pixels+behind)*s.C), grow(j.cts, pixels*s.O)
		p.For(j.images*high, 1, j.copyX)
		clear(j.rims[pixels*s.C:][:behind*s.C])
		for j.lane = range lanes {
			p.For(j.images*high, 1, j.copyCT)
			for i := range s.Size {
				k := s.Size * s.C
				g := GemmArgs{Dst: dw[(j.lane*s.Size+i)*k*s.O:][:k*s.O], A: j.rims[i*wide*s.C:], B: j.cts, TransA: true,
					M: k, N: s.O, K: pixels, LDA: s.C, LDB: s.O, LDC: s.O, Batch: 1}
				if j.first > 0 {
					g.Add = g.Dst
				}
				takeGemm(p, active, &g).run(p) // whose check does not know of rows that overlap
			}
		}
	}
	j.x, j.ct = nil, nil
	idleWeightGrads.give(j)
	return true
}

// grid is the size of an image with its zeros. Before the first row, and before the first pixel of a row, they are
// those behind the last one.
func (j *weightGrad) grid() (wide, high int) { return j.W + (j.Size-1)/2, j.H + (j.Size-1)/2 }

// rim copies rows of images, each to where it is pixel (p, p) of the first window.
func (j *weightGrad) rim(_, lo, hi int) {
	wide, high := j.grid()
	rim := (j.Size - 1) / 2
	for r := lo; r < hi; r++ {
		n, y := r/high, r%high
		// Row y of the grid begins with the zeros: rim rows before the image, rim pixels before a row.
		row := j.rims[r*wide*j.C:][:wide*j.C]
		if y < rim {
			clear(row)
			continue
		}
		clear(row[:rim*j.C])
		copy(row[rim*j.C:], j.x[((j.first+n)*j.H+y-rim)*j.W*j.C:][:j.W*j.C])
	}
}

// spread copies rows of cotangents, each to where its windows begin.
func (j *weightGrad) spread(_, lo, hi int) {
	wide, high := j.grid()
	oh, ow := (j.H-1)/j.Stride+1, (j.W-1)/j.Stride+1
	for r := lo; r < hi; r++ {
		n, y := r/high, r%high
		row := j.cts[r*wide*j.O:][:wide*j.O]
		if y >= j.H || y%j.Stride != 0 {
			clear(row)
			continue
		}
		from := j.ct[(((j.lane*j.N+j.first+n)*oh+y/j.Stride)*ow)*j.O:][:ow*j.O]
		if j.Stride == 1 {
			clear(row[copy(row, from):])
			continue
		}
		clear(row)
		for x := range ow {
			copy(row[x*j.Stride*j.O:], from[x*j.O:][:j.O])
		}
	}
}
