package vit

import (
	"fmt"
	"math"
	"slices"

	"fewshot/nn"
)

// Positions of another grid, as open_clip's resize_pos_embed makes them: the grid of positions is an image of as many
// channels as they are wide, and is resized like one.

// ResizePositions resizes the positions of a from×from grid, behind so many rows that are not of the grid and stay, to
// a to×to grid, by bicubic interpolation in float64. With antialias, which is open_clip's default, it is Pillow's
// filter: a = −0.5, widened where the grid shrinks, and weights beyond the edge cut off. Without, a = −0.75, and what
// lies beyond the edge is the edge.
func ResizePositions(rows []float64, before, from, to, width int, antialias bool) []float64 {
	weights := bicubicWeights(from, to, antialias)
	across := make([]float64, from*to*width)
	out := make([]float64, (before+to*to)*width)
	copy(out, rows[:before*width])
	grid, resized := rows[before*width:], out[before*width:]
	for y := range from {
		for x, ws := range weights {
			for _, w := range ws {
				axpy(across[(y*to+x)*width:][:width], w.value, grid[(y*from+w.at)*width:])
			}
		}
	}
	for y, ws := range weights {
		for _, w := range ws {
			axpy(resized[y*to*width:][:to*width], w.value, across[w.at*to*width:])
		}
	}
	return out
}

func axpy(dst []float64, c float64, x []float64) {
	for i := range dst {
		dst[i] += float64(c * x[i])
	}
}

// weight is the share of an input in an output.
type weight struct {
	at    int
	value float64
}

// bicubicWeights are those of each of n outputs, of m inputs.
func bicubicWeights(m, n int, antialias bool) [][]weight {
	scale := float64(m) / float64(n)
	all := make([][]weight, n)
	for i := range all {
		if !antialias {
			centre := scale*(float64(i)+0.5) - 0.5
			first := int(math.Floor(centre))
			for j := first - 1; j <= first+2; j++ {
				all[i] = append(all[i], weight{min(max(j, 0), m-1), bicubic(float64(j)-centre, -0.75)})
			}
			continue
		}
		wide := max(scale, 1)
		centre := scale * (float64(i) + 0.5)
		first, last := max(int(centre-2*wide+0.5), 0), min(int(centre+2*wide+0.5), m)
		sum := 0.0
		for j := first; j < last; j++ {
			v := bicubic((float64(j)-centre+0.5)/wide, -0.5)
			sum += v
			all[i] = append(all[i], weight{j, v})
		}
		for k := range all[i] {
			all[i][k].value /= sum
		}
	}
	return all
}

// bicubic is Keys' kernel.
func bicubic(x, a float64) float64 {
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// Resized is a checkpoint whose image encoder takes images of the given size, in pixels: its positions are those of
// another grid, with antialias, and everything else is as it was. Of a ResNet they are the attention pool's, which
// open_clip leaves alone. It is src itself if the size is 0, or the model's own.
func Resized(src nn.Source, size int) (nn.Source, error) {
	if size == 0 {
		return src, nil
	}
	name, step, what := "visual.positional_embedding", 0, "patches of %d pixels"
	if conv, ok := src.Shape("visual.conv1.weight"); ok && len(conv) == 4 {
		step = conv[3]
	}
	_, resnet := src.Shape("visual.layer1.0.conv1.weight")
	if resnet {
		name, step, what = "visual.attnpool.positional_embedding", shrink, "steps of %d pixels, as the ResNet does"
	}
	have, ok := src.Shape(name)
	if !ok || len(have) != 2 || have[0] < 2 || step < 1 {
		return src, nil // there is nothing to resize, which whoever reads sizes will say better
	}
	before := 1 // the class token, or the mean
	if _, class := src.Shape("visual.class_embedding"); !class && !resnet {
		before = 0
	}
	from := int(math.Round(math.Sqrt(float64(have[0] - before))))
	switch {
	case from*from+before != have[0]:
		return src, nil
	case size < 1 || size > nn.MaxImage || size%step != 0:
		return nil, fmt.Errorf("images of %d pixels: the model cuts them into "+what+", so the size is a multiple of that, up to %d", size, step, nn.MaxImage)
	case size/step*(size/step)+1 > nn.MaxTokens:
		return nil, fmt.Errorf("images of %d pixels make %d tokens; models have up to %d", size, size/step*(size/step)+1, nn.MaxTokens)
	case size/step == from:
		return src, nil
	}
	return &resized{src, name, before, from, size / step, have[1]}, nil
}

// resized is a source with positions of another grid.
type resized struct {
	nn.Source
	name                    string
	before, from, to, width int
}

// Shape is that of the resized positions, or as before.
func (r *resized) Shape(name string) ([]int, bool) {
	if name == r.name {
		return []int{r.before + r.to*r.to, r.width}, true
	}
	return r.Source.Shape(name)
}

// Concurrent is what the source says of itself.
func (r *resized) Concurrent() bool {
	c, ok := r.Source.(interface{ Concurrent() bool })
	return ok && c.Concurrent()
}

// Read resizes the positions.
func (r *resized) Read(name string, dst []float32) error {
	if name != r.name {
		return r.Source.Read(name, dst)
	}
	v := make([]float32, (r.before+r.from*r.from)*r.width)
	if err := r.Source.Read(name, v); err != nil {
		return err
	}
	rows := slices.Grow([]float64(nil), len(v))
	for _, x := range v {
		rows = append(rows, float64(x))
	}
	for i, x := range ResizePositions(rows, r.before, r.from, r.to, r.width, true) {
		dst[i] = float32(x)
	}
	return nil
}
