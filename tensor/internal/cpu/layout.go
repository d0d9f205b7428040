package cpu

import "fewshot/tensor/internal/par"

// Fill is dst[i] = c.
func (k *Kernels[T]) Fill(dst []T, c float64) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		dst, c := dst[lo:hi], T(c)
		for i := range dst {
			dst[i] = c
		}
	})
}

// Convert is dst[i] = src[i], between formats.
func Convert[D, S Float](p *par.Pool, dst []D, src []S) {
	p.For(len(dst), Light, func(_, lo, hi int) {
		dst, src := dst[lo:hi], src[lo:hi]
		for i := range dst {
			dst[i] = D(src[i])
		}
	})
}

// Copy2D is dst[r·ldd+c] = src[r·lds+c] for r < rows, c < cols.
func (k *Kernels[T]) Copy2D(dst, src []T, rows, cols, ldd, lds int) {
	if cols == ldd && cols == lds { // one long row
		rows, cols = 1, rows*cols
	}
	k.pool.For(rows*cols, Light, func(_, lo, hi int) {
		for lo < hi {
			r, c := lo/cols, lo%cols
			n := min(cols-c, hi-lo)
			copy(dst[r*ldd+c:][:n], src[r*lds+c:][:n])
			lo += n
		}
	})
}

// Patches takes images [n,c,h,w] to rows [n, (h/p)·(w/p), c·p·p], in the order of a convolution weight.
func (k *Kernels[T]) Patches(dst, x []T, n, c, h, w, p int) {
	strip := c * p * w // one row of patches
	k.pool.For(n*(h/p), rowGrain(strip, Light), func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			img, py := t/(h/p), t%(h/p)
			to := dst[t*strip:][:strip]
			for px := range w / p {
				for ch := range c {
					from := x[((img*c+ch)*h+py*p)*w+px*p:]
					for y := range p {
						copy(to[:p], from[y*w:])
						to = to[p:]
					}
				}
			}
		}
	})
}

// Gather: dst row r = table row ids[r].
func (k *Kernels[T]) Gather(dst, table []T, ids []int32, width int) {
	k.pool.For(len(ids), rowGrain(width, Light), func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			copy(dst[r*width:(r+1)*width], table[int(ids[r])*width:])
		}
	})
}

// ScatterAdd: for each lane, dst row ids[r] += x row r, in the order of r; dst is [lanes, |table|]. Workers
// share out columns, so that no two meet.
func (k *Kernels[T]) ScatterAdd(dst, x []T, ids []int32, width, lanes int) {
	const cols = 64
	per := par.Chunks(width, cols)
	table := len(dst) / lanes
	k.pool.For(lanes*per, rowGrain(len(ids)*cols, Light), func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			lane, c := t/per, t%per*cols
			n := min(cols, width-c)
			for r, id := range ids {
				to := dst[lane*table+int(id)*width+c:][:n]
				for i, v := range x[(lane*len(ids)+r)*width+c:][:n] {
					to[i] += v
				}
			}
		}
	})
}
