package jpeg

// A progressive file whose last scans are missing lacks coefficients, or their low bits. libjpeg then estimates the first
// nine AC coefficients of a block where they are zero, from the DC coefficients of the 5x5 blocks around it. Which weights it
// does that with was changed in libjpeg-turbo 2.1, whose numbers these are.

// window weighs the DC coefficients of 5x5 blocks, row by row.
type window [25]int32

// transposed is a window for the coefficient that is its own with rows and columns exchanged.
func (w window) transposed() (t window) {
	for i, v := range w {
		t[i%5*5+i/5] = v
	}
	return t
}

// An estimate is a kernel for the coefficient at a position in zigzag order.
type estimate struct {
	at     int
	kernel window
}

// partly are the kernels where some AC coefficients are known: those of ITU-T T.81, K.8, on a larger window.
var partly = func() []estimate {
	horizontal := window{10: -7, 11: 50, 13: -50, 14: 7}
	curvature := window{10: -1, 11: 13, 12: -24, 13: 13, 14: -1}
	diagonal := window{
		0, -1, 0, 1, 0,
		-1, 10, 0, -10, 1,
		0, 0, 0, 0, 0,
		1, -10, 0, 10, -1,
		0, 1, 0, -1, 0,
	}
	return []estimate{{1, horizontal}, {2, horizontal.transposed()}, {3, curvature.transposed()}, {4, diagonal}, {5, curvature}}
}()

// alone are the kernels where none of the nine is known, and DC itself is smoothed.
var alone = func() []estimate {
	horizontal := window{
		-1, -1, 0, 1, 1,
		-3, 13, 0, -13, 3,
		-3, 38, 0, -38, 3,
		-3, 13, 0, -13, 3,
		-1, -1, 0, 1, 1,
	}
	curvature := window{
		0, 0, 0, 0, 0,
		0, 2, -5, 2, 0,
		1, 7, -14, 7, 1,
		0, 2, -5, 2, 0,
		0, 0, 0, 0, 0,
	}
	diagonal := window{
		-1, 0, 0, 0, 1,
		0, 9, 0, -9, 0,
		0, 0, 0, 0, 0,
		0, -9, 0, 9, 0,
		1, 0, 0, 0, -1,
	}
	third := window{6: 1, 8: -1, 11: 2, 13: -2, 16: 1, 18: -1}
	mixed := window{6: 1, 7: -3, 8: 1, 16: -1, 17: 3, 18: -1}
	mean := window{
		-2, -6, -8, -6, -2,
		-6, 6, 42, 6, -6,
		-8, 42, 152, 42, -8,
		-6, 6, 42, 6, -6,
		-2, -6, -8, -6, -2,
	}
	return []estimate{{1, horizontal}, {2, horizontal.transposed()}, {3, curvature.transposed()}, {4, diagonal}, {5, curvature},
		{6, third}, {7, mixed}, {8, mixed.transposed()}, {9, third.transposed()}, {0, mean}}
}()

// smoothed is how many coefficients in zigzag order take part.
const smoothed = 10

// canSmooth reports whether there is anything to estimate and to divide by.
func (d *decoder) canSmooth() bool {
	useful := false
	for i := range d.components {
		c := &d.components[i]
		for k := range smoothed {
			if c.quant[zigzag[k]] == 0 {
				return false
			}
			useful = useful || k > 0 && c.sent[k] != 0
		}
	}
	return d.progressive && useful
}

// smoothRow transforms row by of a component's blocks, which lies in MCU row m, with estimates in place of what is not known.
func (d *decoder) smoothRow(c *component, m, by int) {
	known := &c.sent
	if m > d.lastGood && d.scans > 1 {
		known = &c.before
	}
	kernels := alone
	for _, bit := range known[1:smoothed] {
		if bit != -1 {
			kernels = partly
		}
	}
	// The last row and column that are looked at are libjpeg's: it counts the rows of the last MCU row for itself.
	columns, rows := ceilDiv(c.width, 8), ceilDiv(c.height, 8)
	inMCU, y := c.v, by
	if m == d.mcuRows-1 {
		if by >= rows {
			return // padding that no pixel is made of
		}
		if inMCU = rows % c.v; inMCU == 0 {
			inMCU = c.v
		}
		y = m*inMCU + by - m*c.v
	}
	up, down := min(y, 2), min(inMCU*d.mcuRows-1-y, 2)
	dc := func(x, dx, dy int) int32 {
		x = min(max(x+dx, 0), columns-1)
		return int32(c.coefs[64*((by+min(max(dy, -up), down))*c.blocks+x)])
	}
	var around [25]int32
	for bx := range columns {
		for i := range around {
			around[i] = dc(bx, i%5-2, i/5-2)
		}
		block := [64]int16(c.coefs[64*(by*c.blocks+bx):])
		for i := range kernels {
			e := &kernels[i]
			at := zigzag[e.at]
			if e.at > 0 && (known[e.at] == 0 || block[at] != 0) {
				continue
			}
			block[at] = int16(e.predict(&around, int64(c.quant[0]), int64(c.quant[at]), known[e.at]))
		}
		c.transform(bx, by, &block)
	}
}

// predict gives the quantised coefficient: the weighted sum over 256, from DC's quantisation step to its own, rounded half
// away from zero. It stays below the lowest bit that is known.
func (e *estimate) predict(around *[25]int32, dcStep, step int64, bit int) int64 {
	sum := int64(0)
	for i, w := range e.kernel {
		sum += int64(w) * int64(around[i])
	}
	sum *= dcStep
	v := (max(sum, -sum) + step<<7) / (step << 8)
	if e.at > 0 && bit > 0 {
		v = min(v, 1<<bit-1)
	}
	if sum < 0 {
		return -v
	}
	return v
}
