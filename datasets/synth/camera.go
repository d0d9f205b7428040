package synth

// grade is an affine map of colours in Q8: output channel i is Σ_j grade[i][j]·channel j / 256 + grade[i][3].
type grade [3][4]int32

// gains multiplies each channel, in 1/256.
func gains(r, g, b int32) grade { return grade{{r, 0, 0, 0}, {0, g, 0, 0}, {0, 0, b, 0}} }

// then applies h after g.
func (g grade) then(h grade) (out grade) {
	for i := range out {
		for j := range out[i] {
			for k := range int32(3) {
				out[i][j] += h[i][k] * g[k][j]
			}
			out[i][j] >>= 8
		}
		out[i][3] += h[i][3]
	}
	return out
}

// contrast pulls colours towards a pivot (below 256) or away from it.
func contrast(c, pivot int32) grade {
	g := gains(c, c, c)
	for i := range g {
		g[i][3] = pivot - pivot*c>>8
	}
	return g
}

// desaturate blends towards grey by w/256.
func desaturate(w int32) (g grade) {
	luma := [3]int32{77, 150, 29}
	for i := range g {
		for j, l := range luma {
			g[i][j] = l * w >> 8
		}
		g[i][i] += 256 - w
	}
	return g
}

// negative turns light into dark.
func negative() grade { return grade{{-256, 0, 0, 255}, {0, -256, 0, 255}, {0, 0, -256, 255}} }

// spin blends every channel with the next one by w/256: red drifts to magenta, green to yellow, blue to cyan.
func spin(w int32) grade {
	return grade{{256 - w, w, 0, 0}, {0, 256 - w, w, 0}, {w, 0, 256 - w, 0}}
}

// camera is what happens to a finished picture on its way to the viewer, in the order of its fields.
type camera struct {
	soften   int   // passes of a 3×3 binomial blur
	mosaic   int32 // side of the blocks that are averaged, in pixels; 0 is none
	grade    grade
	vignette int32 // darkening of the corners, of 256
	lines    int32 // darkening of every second row, of 256
	noise    int32 // amplitude, in grey levels
}

func (c canvas) shoot(m *camera, salt uint32) {
	for range m.soften {
		c.soften()
	}
	if m.mosaic > 1 {
		c.mosaic(int(m.mosaic))
	}
	g := &m.grade
	i := 0
	for y := range int32(Size) {
		for x := range int32(Size) {
			v := c.get(i)
			r := (g[0][0]*v.r+g[0][1]*v.g+g[0][2]*v.b)>>8 + g[0][3]
			gr := (g[1][0]*v.r+g[1][1]*v.g+g[1][2]*v.b)>>8 + g[1][3]
			b := (g[2][0]*v.r+g[2][1]*v.g+g[2][2]*v.b)>>8 + g[2][3]
			v = rgb{r, gr, b}
			if m.vignette > 0 {
				dx, dy := 2*x-Size+1, 2*y-Size+1
				v = v.scale(256 - m.vignette*(dx*dx+dy*dy)/(2*Size*Size))
			}
			if m.lines > 0 && y&1 == 1 {
				v = v.scale(256 - m.lines)
			}
			if m.noise > 0 {
				h := hash32(x, y, salt)
				v.r += (int32(h&255) + int32(h>>24) - 255) * m.noise >> 8
				v.g += (int32(h>>8&255) + int32(h>>20&255) - 255) * m.noise >> 8
				v.b += (int32(h>>16&255) + int32(h>>4&255) - 255) * m.noise >> 8
			}
			c.set(i, v)
			i += 3
		}
	}
}

// soften convolves with (1 2 1)/4 along rows and columns; the picture's rim is repeated outwards.
func (c canvas) soften() {
	const row = 3 * Size
	var old [row]uint8
	for y := range Size {
		line := c[y*row : y*row+row]
		copy(old[:], line)
		for x := range row {
			l, r := max(x-3, x%3), min(x+3, row-3+x%3)
			line[x] = uint8((int32(old[l]) + 2*int32(old[x]) + int32(old[r]) + 2) >> 2)
		}
	}
	copy(old[:], c[:row])
	for y := range Size {
		line := c[y*row : y*row+row]
		below := c[min(y+1, Size-1)*row:][:row]
		for x := range line {
			v := line[x]
			line[x] = uint8((int32(old[x]) + 2*int32(v) + int32(below[x]) + 2) >> 2)
			old[x] = v
		}
	}
}

// mosaic averages blocks of side pixels.
func (c canvas) mosaic(side int) {
	for y0 := 0; y0 < Size; y0 += side {
		for x0 := 0; x0 < Size; x0 += side {
			y1, x1 := min(y0+side, Size), min(x0+side, Size)
			var sum rgb
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					v := c.get((y*Size + x) * 3)
					sum = rgb{sum.r + v.r, sum.g + v.g, sum.b + v.b}
				}
			}
			n := int32((y1 - y0) * (x1 - x0))
			mean := rgb{sum.r / n, sum.g / n, sum.b / n}
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					c.set((y*Size+x)*3, mean)
				}
			}
		}
	}
}
