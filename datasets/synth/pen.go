package synth

// The pen makes parts. Its coordinates are percent of the unit box: x to the right, y down, both in [-100, 100];
// its angles are degrees, 0 to the right and 90 down.

func percentOf(v int32) int32 { return v * unit / 100 }

func points(xy []int32) []point {
	p := make([]point, len(xy)/2)
	for i := range p {
		p[i] = point{percentOf(xy[2*i]), percentOf(xy[2*i+1])}
	}
	return p
}

// area is a filled polygon.
func area(xy ...int32) part { return part{closed: true, points: points(xy)} }

// stroke is a polyline of half width w with round ends.
func stroke(w int32, xy ...int32) part { return part{points: points(xy), half: percentOf(w)} }

func disc(x, y, r int32) part { return part{points: points([]int32{x, y}), half: percentOf(r)} }

// sweep returns points on an ellipse from one angle to another, at most 12° apart.
func sweep(x, y, rx, ry, from, to int32) []point {
	steps := max(abs(to-from)/12, 1)
	p := make([]point, steps+1)
	for i := range p {
		a := degrees(from) + (degrees(to)-degrees(from))*int32(i)/steps
		p[i] = point{percentOf(x) + percentOf(rx)*cos(a)/one, percentOf(y) + percentOf(ry)*sin(a)/one}
	}
	return p
}

func oval(x, y, rx, ry int32) part { return part{closed: true, points: sweep(x, y, rx, ry, 0, 348)} }

// pie is the area between an arc and its chord.
func pie(x, y, rx, ry, from, to int32) part {
	return part{closed: true, points: sweep(x, y, rx, ry, from, to)}
}

// arc is a stroke along an ellipse.
func arc(w, x, y, rx, ry, from, to int32) part {
	return part{points: sweep(x, y, rx, ry, from, to), half: percentOf(w)}
}

// box is a rectangle given by two corners.
func box(x0, y0, x1, y1 int32) part { return area(x0, y0, x1, y0, x1, y1, x0, y1) }

// spokes is the closed line through n points at each of the given radii in turn, the first one straight up.
func spokes(n int32, radii ...int32) part {
	count := n * int32(len(radii))
	p := make([]point, count)
	for i := range p {
		a := int32(i)*turn/count - turn/4
		r := percentOf(radii[i%len(radii)])
		p[i] = point{r * cos(a) / one, r * sin(a) / one}
	}
	return part{closed: true, points: p}
}

// ringOf repeats a disc n times at distance d from the centre.
func ringOf(n, d, r int32) []part {
	p := make([]part, n)
	for i := range p {
		a := int32(i)*turn/n - turn/4
		p[i] = part{points: []point{{percentOf(d) * cos(a) / one, percentOf(d) * sin(a) / one}}, half: percentOf(r)}
	}
	return p
}

// gear has n square teeth and a hole.
func gear(n int32) []part {
	return []part{spokes(n, 96, 96, 70, 70), disc(0, 0, 28).cutting()}
}

// flower has n round petals.
func flower(n int32) []part {
	r := [...]int32{3: 46, 4: 42, 5: 38, 6: 34, 7: 30}[n]
	return append(append(ringOf(n, 96-r, r), disc(0, 0, 96-r)), disc(0, 0, 19).cutting())
}
