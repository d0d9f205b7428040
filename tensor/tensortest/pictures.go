package tensortest

import (
	"math"

	"fewshot/tensor"
)

var pictureCases = []testCase{
	{name: "AllocBytes", run: allocBytes},
	{name: "UploadBytes", run: uploadBytes},
	{name: "Resample", run: resample},
	{name: "Resample/store", run: store},
}

// allocBytes also frees, as alloc does.
func allocBytes(r *rig) {
	for _, n := range []int{1, 4099, 1 << 20} {
		r.variant("n=%d", n)
		b := r.be.AllocBytes(n)
		if b.N != n || b.Ptr == 0 && len(b.Host) != n {
			r.errorf("AllocBytes gave %d bytes, and a slice of %d", b.N, len(b.Host))
		}
		if s := b.From(n); s.N != 0 {
			r.errorf("the empty end of the memory has %d bytes", s.N)
		}
		r.be.FreeBytes(b)
	}
}

// rgb is a picture as the definitions see it.
type rgb struct {
	pix  []byte
	w, h int
}

// picture makes one of noise.
func (r *rig) picture(w, h int) rgb {
	m := rgb{make([]byte, 3*w*h), w, h}
	for i := range m.pix {
		m.pix[i] = byte(r.next() >> 32)
	}
	return m
}

// levels are numbers for the values of samples, none twice.
func (r *rig) levels() *operand {
	v := make([]float64, 3*256)
	for i := range v {
		v[i] = float64(i) / 128
	}
	return r.in(tensor.Full, v, 3, 256)
}

// identity is the filter that leaves n samples as they are.
func identity(n int) []int32 {
	var f []int32
	for i := range n {
		f = append(f, int32(i), 1, int32(3*n+i))
	}
	for range n {
		f = append(f, 1<<22)
	}
	return f
}

// blur is a filter from n samples to size: outputs look at up to most inputs each, spread out over all, with weights of
// either sign. Their absolute values add up to less than 1.9, so that no sum leaves 32 bits.
func (r *rig) blur(n, size, most int) []int32 {
	f := make([]int32, 3*size)
	for i := range size {
		count := min(n, most)
		from := (n - count) * i / max(size-1, 1)
		f[3*i], f[3*i+1], f[3*i+2] = int32(from), int32(count), int32(len(f))
		left := 1.9
		for range count {
			w := left * r.unit() * 0.6
			left -= w
			if r.next()%4 == 0 {
				w = -w
			}
			f = append(f, int32(w*(1<<22)))
		}
	}
	return f
}

// filtered is output i of a filter over samples that lie step apart.
func filtered(f []int32, i int, src []byte, step int) byte {
	sum := 0.0
	for k := range int(f[3*i+1]) {
		sum += float64(src[(int(f[3*i])+k)*step]) * float64(f[int(f[3*i+2])+k])
	}
	return byte(min(max(math.Floor(sum/(1<<22)+0.5), 0), 255))
}

// resampled is the definition of one image.
func resampled(m rgb, c tensor.Crop, size int, levels []float64) (want []num) {
	along := func(m rgb, left int) rgb {
		out := rgb{make([]byte, 3*size*m.h), size, m.h}
		for i := range out.pix {
			y, x, ch := i/3/size, i/3%size, i%3
			out.pix[i] = filtered(c.Columns, x, m.pix[3*(y*m.w+left)+ch:], 3)
		}
		return out
	}
	across := func(m rgb, top int) rgb {
		out := rgb{make([]byte, 3*m.w*size), m.w, size}
		for i := range out.pix {
			y, x := i/3/m.w, i%(3*m.w)
			out.pix[i] = filtered(c.Rows, y, m.pix[3*m.w*top+x:], 3*m.w)
		}
		return out
	}
	if c.RowsFirst {
		m = along(across(m, c.Top), c.Left)
	} else {
		m = across(along(m, c.Left), c.Top)
	}
	for ch := range 3 {
		for y := range size {
			for x := range size {
				if c.Flip {
					x = size - 1 - x
				}
				want = append(want, exact(levels[256*ch+int(m.pix[3*(size*y+x)+ch])]))
			}
		}
	}
	return want
}

// resamples checks Resample on crops of pictures.
func (r *rig) resamples(p *tensor.Pictures, pictures []rgb, crops []tensor.Crop, size int) {
	levels, dst := r.levels(), r.out(r.kind, len(crops), 3, size, size)
	tensor.Resample(dst.Tensor, levels.Tensor, p, crops)
	r.check("dst", dst, func() (want []num) {
		for _, c := range crops {
			want = append(want, resampled(pictures[c.Picture], c, size, levels.v)...)
		}
		return want
	})
}

// uploadBytes looks at bytes of a picture that is larger than what devices copy at a time.
func uploadBytes(r *rig) {
	const w, h, size = 1201, 1303, 5
	r.variant("%dx%d", w, h)
	pictures := []rgb{r.picture(w, h), r.picture(2, size), r.picture(w, h)}
	p := r.dev.NewPictures(1 << 30)
	defer p.Release()
	var crops []tensor.Crop
	for _, m := range pictures {
		n, ok := p.Add(m.pix, m.w, m.h)
		if !ok {
			r.errorf("no room for a picture")
			return
		}
		f := identity(min(m.w, size))
		if m.w < size {
			f = r.blur(m.w, size, 1)
		}
		for y := 0; y <= m.h-size; y += 59 {
			crops = append(crops, tensor.Crop{Picture: n, Left: (m.w - min(m.w, size)) * y / max(m.h-size, 1), Top: y, Columns: f, Rows: identity(size), RowsFirst: y%2 > 0})
		}
		crops = append(crops, tensor.Crop{Picture: n, Left: max(m.w-size, 0), Top: m.h - size, Columns: f, Rows: identity(size)})
	}
	r.resamples(p, pictures, crops, size)
}

func resample(r *rig) {
	pictures := []rgb{r.picture(1, 1), r.picture(3, 2), r.picture(37, 23), r.picture(200, 5), r.picture(4, 150), r.picture(67, 131), r.picture(2, 700)}
	p := r.dev.NewPictures(1 << 20)
	defer p.Release()
	for _, m := range pictures {
		p.Add(m.pix, m.w, m.h)
	}
	for _, size := range []int{1, 7, 32, 45, 65} {
		for _, n := range []int{0, 1, 9} {
			r.variant("%d images of %d", n, size)
			crops := make([]tensor.Crop, n)
			for i := range crops {
				number := (i + n + size) % len(pictures)
				m := pictures[number]
				// All of the picture, a corner, and one pixel of it.
				left, top, w, h := 0, 0, m.w, m.h
				if i%3 > 0 {
					left, top = (m.w-1)*i/n, (m.h-1)*(n-i)/n
					w, h = m.w-left, m.h-top
				}
				if i%3 > 1 {
					w, h = 1, 1
				}
				crops[i] = tensor.Crop{Picture: number, Left: left, Top: top, Columns: r.blur(w, size, 1+3*i), Rows: r.blur(h, size, 1+9*i), RowsFirst: i%4 > 1, Flip: i%2 > 0}
			}
			r.resamples(p, pictures, crops, size)
		}
	}
	r.variant("shapes")
	levels, dst := r.levels(), r.out(r.kind, 1, 3, 2, 2)
	f := identity(2)
	try := func(what string, dst, levels *tensor.Tensor, c ...tensor.Crop) {
		r.rejects("Resample"+what, func() { tensor.Resample(dst, levels, p, c) })
	}
	good := tensor.Crop{Picture: 2, Columns: f, Rows: f}
	beyond, before, unordered, short, empty := good, good, good, good, good
	beyond.Picture = len(pictures)
	before.Left = -1
	unordered.Columns = []int32{1, 1, 6, 0, 1, 7, 1 << 22, 1 << 22}
	short.Rows = []int32{0, 1, 6, 1, 2, 7, 1 << 22, 1 << 22}
	empty.Rows = []int32{0, 1, 6, 1, 0, 7, 1 << 22, 1 << 22}
	right, low := good, good
	right.Left, low.Top = 36, 22
	try(" of two crops to one image", dst.Tensor, levels.Tensor, good, good)
	try(" to four channels", dst.View(1, 1, 3, 4), levels.Tensor, good)
	try(" with levels for one channel", dst.Tensor, levels.Rows(0, 1), good)
	try(" of a picture that is not there", dst.Tensor, levels.Tensor, beyond)
	try(" left of the picture", dst.Tensor, levels.Tensor, before)
	try(" right of the picture", dst.Tensor, levels.Tensor, right)
	try(" below the picture", dst.Tensor, levels.Tensor, low)
	try(" with a filter that goes back", dst.Tensor, levels.Tensor, unordered)
	try(" with a filter that lacks a weight", dst.Tensor, levels.Tensor, short)
	try(" with a filter of nothing", dst.Tensor, levels.Tensor, empty)
	try(" with a filter for one output", dst.Tensor, levels.Tensor, tensor.Crop{Picture: 2, Columns: identity(1), Rows: f})
}

// store fills memory to its end, empties it, and fills it with others.
func store(r *rig) {
	const size = 3
	p := r.dev.NewPictures(10_000)
	f := identity(size)
	for round := range 3 {
		r.variant("round %d", round)
		var pictures []rgb
		var crops []tensor.Crop
		for {
			m := r.picture(20, 10+len(pictures)+round)
			n, ok := p.Add(m.pix, m.w, m.h)
			if !ok {
				break
			}
			pictures = append(pictures, m)
			crops = append(crops, tensor.Crop{Picture: n, Left: 1, Top: 2, Columns: f, Rows: f})
		}
		if p.Len() != len(pictures) || p.Len() < 5 || p.Bytes() > 10_000 {
			r.errorf("%d pictures were kept, the store says %d in %d bytes", len(pictures), p.Len(), p.Bytes())
		}
		r.resamples(p, pictures, crops, size)
		p.Clear()
		if p.Len() != 0 {
			r.errorf("%d pictures are left after Clear", p.Len())
		}
	}
	p.Release()
	if p.Bytes() != 0 {
		r.errorf("%d bytes are held after Release", p.Bytes())
	}
}
