package tests

import (
	"math"
	"strconv"
	"strings"

	"fewshot/tensor"
	"fewshot/vit"
)

var _ = onGolden("positions.json", goldenPositions)

// goldenPositions compares resized positions with open_clip's. The model they are of lies beside the file, as
// vit.safetensors; a grid's name may say that there is no antialias. Once more, as float32, they come out of the
// checkpoint that Resized makes.
func goldenPositions(g *goldenCase) {
	var want struct {
		From    int `json:"from_grid"`
		To      map[string]expected
		Float32 map[string]float64
	}
	g.Decode(&want)
	m := g.Model("vit.safetensors")
	const name = "visual.positional_embedding"
	shape, _ := m.Shape(name)
	values := make([]float32, tensor.Len(shape))
	if err := m.Read(name, values); err != nil {
		g.Fatal(err)
	}
	rows := make([]float64, len(values))
	for i, v := range values {
		rows[i] = float64(v)
	}
	for grid, w := range want.To {
		size, how, sharp := strings.Cut(grid, ", ")
		to, err := strconv.Atoi(size)
		if err != nil || sharp && how != "no antialias" {
			g.Refuse("a grid called %q", grid)
		}
		got := vit.ResizePositions(rows, 1, want.From, to, shape[1], !sharp)
		// Two sums of a few weights each, and those of the comparison over all.
		tol := slack * math.Sqrt(float64(len(got))) * 0x1p-53
		g.Within("positions "+grid, w.Apart(got), tol)
		if sharp {
			continue
		}
		conv, ok := m.Shape("visual.conv1.weight")
		if !ok {
			g.Fatal("no visual.conv1.weight")
		}
		src, err := vit.Resized(m, to*conv[3])
		if err != nil {
			g.Fatal(err)
		}
		now, _ := src.Shape(name)
		g.Equal("shape "+grid, tensor.Len(now), (1+to*to)*shape[1])
		rounded := make([]float32, tensor.Len(now))
		if err := src.Read(name, rounded); err != nil {
			g.Fatal(err)
		}
		for i, v := range rounded {
			got[i] = float64(v)
		}
		// Rounded once, to numbers of a few times their root mean square.
		g.Within("checkpoint "+grid, w.Apart(got), slack*0x1p-24+tol)
	}
}
