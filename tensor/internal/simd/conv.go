package simd

import "fewshot/tensor/internal/par"

// ConvShape is tensor.ConvShape: N images of H×W pixels with C channels, which are the last axis, to O channels.
type ConvShape struct{ N, H, W, C, O, Size, Stride int }

func (s ConvShape) outH() int { return (s.H-1)/s.Stride + 1 }
func (s ConvShape) outW() int { return (s.W-1)/s.Stride + 1 }

// A convolution is a product of windows and a matrix. The windows of neighbouring pixels in a row begin C·Stride
// numbers apart, and a row of a window, Size·C numbers, lies in memory as it is: to the tile kernel, windows are a
// matrix whose rows overlap. All it takes is a rim of zeros. So a task copies some rows of images, with the rim, into
// memory that stays in its core's L2 cache, and multiplies from there, a row of the window after the other.

const (
	// bandBytes is how much of images a task copies, about.
	bandBytes = 400 << 10

	// windowBytes is how much of a panel of the weight tiles read before they are done with the next part of the window.
	windowBytes = 160 << 10

	// convTasks is how finely work is cut at least, for each worker.
	convTasks = 8

	// strided is a distance of pixels, in numbers, from which multiples on they are set apart, as tiles of many rows
	// would find them in few sets of the L1 cache.
	strided = 256
)

// conv is a convolution in progress, with its scratch memory. It is used again.
type conv struct {
	ConvShape
	v                 *variant
	dst, x, add, bias []float32

	pixel int // distance of pixels in a band
	deep  int // numbers of a window that a tile takes at a time: those of a row, or of a pixel
	parts int // into which the window is cut

	bandRows, bands     int // rows of results of a task, and how many tasks these make
	bandImages          int // or images, where bands have several
	across              int // parts of the columns
	rows                []panels
	bandsBy             [][]float32 // by worker
	tasksFunc, packFunc func(worker, lo, hi int)
	w                   []float32
	transposed          bool // w is read as what gives the gradient
}

var idleConvs free[conv]

// Conv is dst[n,y,x,o] = Σ_{i,j,c} x[n, y·Stride+i−p, x·Stride+j−p, c]·w[(i·Size+j)·C+c, o] (+ add[n,y,x,o]) (+
// bias[o]), p = (Size−1)/2. It reports whether it did: without kernels it does not. The bits of the result do not
// depend on the number of workers.
func Conv(p *par.Pool, dst, x, w, add, bias []float32, s ConvShape) bool {
	if active == nil {
		return false
	}
	if len(dst) > 0 {
		convolve(p, dst, x, w, add, bias, s, false)
	}
	return true
}

// ConvGrad is dx[n,y,x,c] = Σ ct[n,v,u,o]·w[(i·Size+j)·C+c, o] over o and all windows (v,u) whose (i,j) is (y,x). It is
// a convolution itself, by the window turned around, where Stride is 1; of others it does none.
func ConvGrad(p *par.Pool, dx, ct, w []float32, s ConvShape) bool {
	if active == nil || s.Stride != 1 {
		return false
	}
	if len(dx) > 0 {
		s.C, s.O = s.O, s.C
		convolve(p, dx, ct, w, nil, nil, s, true)
	}
	return true
}

func convolve(p *par.Pool, dst, x, w, add, bias []float32, s ConvShape, transposed bool) {
	j := idleConvs.take()
	if j.tasksFunc == nil {
		j.tasksFunc, j.packFunc = j.tasks, j.pack
	}
	j.ConvShape, j.v, j.dst, j.x, j.w, j.add, j.bias, j.transposed = s, active, dst, x, w, add, bias, transposed
	j.plan(p.Workers())
	for len(j.rows) < s.Size {
		j.rows = append(j.rows, panels{})
	}
	for i := range s.Size {
		j.rows[i].reserve(ceil(s.O, j.v.width), s.Size*s.C*j.v.width)
	}
	p.For(s.Size*ceil(s.O, j.v.width), 1, j.packFunc)
	for len(j.bandsBy) < p.Workers() {
		j.bandsBy = append(j.bandsBy, nil)
	}
	for i := range j.bandsBy {
		j.bandsBy[i] = grow(j.bandsBy[i], j.bandLen())
	}
	p.For(j.bands*j.across, 1, j.tasksFunc)
	j.dst, j.x, j.w, j.add, j.bias = nil, nil, nil, nil, nil
	idleConvs.give(j)
}

// plan decides how the work is cut.
func (j *conv) plan(workers int) {
	j.pixel, j.deep = j.C, j.Size*j.C
	if j.C*j.Stride%strided == 0 {
		j.pixel, j.deep = j.C+padding/2, j.C
	}
	j.parts = 1
	if j.Size*j.Size*j.C*j.v.width*4 > windowBytes {
		j.parts = j.Size
	}
	// As many rows as fit, of one image or of several whole ones.
	row := 4 * j.wide() * j.pixel
	j.bandImages, j.bandRows = 1, (bandBytes/row-j.Size)/j.Stride+1
	if oh := j.outH(); j.bandRows >= oh {
		j.bandRows = oh
		j.bandImages = min(max(1, bandBytes/(row*j.bandHeight())), j.N)
		j.bands = ceil(j.N, j.bandImages)
	} else {
		j.bandRows = ceil(oh, ceil(oh, max(j.bandRows, 1)))
		j.bands = j.N * ceil(oh, j.bandRows)
	}
	j.across = min(ceil(convTasks*workers, j.bands), ceil(j.O, j.v.width))
}

// wide is how many pixels a row of a band has, those of the rim included.
func (j *conv) wide() int { return j.W + j.Size - 1 }

// bandHeight is how many rows an image has in a band.
func (j *conv) bandHeight() int { return (j.bandRows-1)*j.Stride + j.Size }

// bandLen is how many numbers a band has, and as many behind it as a row of the window may reach beyond.
func (j *conv) bandLen() int {
	return j.bandImages*j.bandHeight()*j.wide()*j.pixel + padding
}

// pack fills panels of the weight, for one row of the window after the other: row (j, c) of a panel is pixel j of the window's row.
func (j *conv) pack(_, lo, hi int) {
	v, across := j.v, ceil(j.O, j.v.width)
	for t := lo; t < hi; t++ {
		i, p := t/across, t%across
		n := p * v.width
		cols := min(v.width, j.O-n)
		if !j.transposed {
			v.packRowsB(j.Size*j.C, 1, &j.w[i*j.Size*j.C*j.O+n], j.O, j.rows[i].at(p), j.rows[i].stride, cols)
			continue
		}
		for k := range j.Size {
			// w [O, C] of the pixel on the other side: O and C are those of the gradient.
			tap := (j.Size-1-i)*j.Size + j.Size - 1 - k
			v.packColsB(j.C, cols, &j.w[(tap*j.O+n)*j.C], j.C, &j.rows[i].x[p*j.rows[i].stride+k*j.C*v.width])
		}
	}
}

// tasks convolves bands, each with some of the columns.
func (j *conv) tasks(worker, lo, hi int) {
	for t := lo; t < hi; t++ {
		band, part := t/j.across, t%j.across
		p0, p1 := bounds(ceil(j.O, j.v.width), j.across, part, false)
		var n0, n1 int
		y0, y1 := 0, j.outH()
		if j.bandRows < y1 {
			per := ceil(j.outH(), j.bandRows)
			n0, y0 = band/per, band%per*j.bandRows
			n1, y1 = n0+1, min(y0+j.bandRows, y1)
		} else {
			n0, n1 = band*j.bandImages, min((band+1)*j.bandImages, j.N)
		}
		j.copy(j.bandsBy[worker], n0, n1, y0, y1)
		for p := p0; p < p1; p++ {
			for piece := range j.parts {
				for n := n0; n < n1; n++ {
					for y := y0; y < y1; y++ {
						j.row(j.bandsBy[worker], n-n0, y-y0, (n*j.outH()+y)*j.outW(), p, piece)
					}
				}
			}
		}
	}
}

// copy fills a band with what rows y0 to y1 of the results of images n0 to n1 are made of.
func (j *conv) copy(band []float32, n0, n1, y0, y1 int) {
	rim, wide, pixel := (j.Size-1)/2, j.wide(), j.pixel
	for n := n0; n < n1; n++ {
		for r := range (y1-y0-1)*j.Stride + j.Size {
			row := band[((n-n0)*j.bandHeight()+r)*wide*pixel:][:wide*pixel]
			y := y0*j.Stride + r - rim
			if y < 0 || y >= j.H {
				clear(row)
				continue
			}
			clear(row[:rim*pixel])
			clear(row[(rim+j.W)*pixel:])
			from := j.x[(n*j.H+y)*j.W*j.C:][:j.W*j.C]
			if pixel == j.C {
				copy(row[rim*pixel:], from)
				continue
			}
			for x := range j.W {
				copy(row[(rim+x)*pixel:][:j.C], from[x*j.C:])
			}
		}
	}
}

// row computes a row of results in panel p, from row y of the image'th in a band, for a piece of the window; at is its
// first pixel in dst.
func (j *conv) row(band []float32, image, y, at, p, piece int) {
	v, ow := j.v, j.outW()
	col := p * v.width
	cols := min(v.width, j.O-col)
	first, last := piece*j.Size/j.parts, (piece+1)*j.Size/j.parts
	for t := range ceil(ow, v.rows) {
		x0, x1 := part(ow, v.rows, t)
		c := &j.dst[(at+x0)*j.O+col]
		for i := first; i < last; i++ {
			from := ((image*j.bandHeight()+y*j.Stride+i)*j.wide() + x0*j.Stride) * j.pixel
			for k := 0; k < j.Size*j.C; k += j.deep {
				add, bias := c, (*float32)(nil)
				if i == 0 && k == 0 {
					if add = nil; len(j.add) > 0 {
						add = &j.add[(at+x0)*j.O+col]
					}
					if len(j.bias) > 0 {
						bias = &j.bias[col]
					}
				}
				v.tile(x1-x0, j.deep, &band[from+k/j.C*j.pixel], j.pixel*j.Stride, 1, &j.rows[i].x[p*j.rows[i].stride+k*v.width], c, j.O, add, bias, cols, nil, 0)
			}
		}
	}
}
