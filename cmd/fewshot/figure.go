package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"fewshot/datasets/synth"
	"fewshot/nn/checkpoint"
)

// Sizes of the figure, in pixels.
const (
	figMargin  = 16
	figThumbs  = 5             // examples a task
	figThumb   = synth.Size    // one example, as it is
	figBars    = 330           // 100 %
	figBar     = 13            // height of a bar
	figRow     = figThumb + 14 // one task
	figLabel   = 96            // task name
	figCaption = 40            // above the rows
)

var methodColours = []color.RGBA{{0x9a, 0xa0, 0xa6, 0xff}, {0x4c, 0x78, 0xa8, 0xff}, {0xe4, 0x57, 0x56, 0xff}, {0x54, 0xa2, 0x4b, 0xff}}

// writeFigure draws rows as a picture: for each task some test images, and each method's accuracy, averaged over seeds.
func writeFigure(path string, rows []demoResult, title string) error {
	var tasks, methods []string
	sums, n := map[[2]string]float64{}, map[[2]string]float64{}
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen["t"+r.Task] {
			tasks = append(tasks, r.Task)
		}
		if !seen["m"+r.Method] {
			methods = append(methods, r.Method)
		}
		seen["t"+r.Task], seen["m"+r.Method] = true, true
		k := [2]string{r.Task, r.Method}
		sums[k] += r.Accuracy
		n[k]++
	}
	width := 2*figMargin + figLabel + figThumbs*(figThumb+2) + 20 + figBars + 60
	m := image.NewRGBA(image.Rect(0, 0, width, 2*figMargin+figCaption+len(tasks)*figRow))
	draw.Draw(m, m.Bounds(), image.White, image.Point{}, draw.Src)
	text := func(x, y int, s string) {
		d := font.Drawer{Dst: m, Src: image.NewUniform(color.RGBA{0x20, 0x22, 0x24, 0xff}), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
		d.DrawString(s)
	}
	box := func(x, y, w, h int, c color.RGBA) {
		draw.Draw(m, image.Rect(x, y, x+w, y+h), image.NewUniform(c), image.Point{}, draw.Src)
	}
	text(figMargin, figMargin+8, title)
	x := figMargin
	for i, method := range methods {
		box(x, figMargin+18, 10, 10, methodColours[i%len(methodColours)])
		text(x+15, figMargin+28, method)
		x += 15 + 7*len(method) + 20
	}
	rgb := make([]uint8, synth.Size*synth.Size*3)
	for row, name := range tasks {
		y := figMargin + figCaption + row*figRow
		task, ok := synth.Lookup(name)
		if !ok {
			return fmt.Errorf("figure: no task %q", name)
		}
		text(figMargin, y+figThumb/2+4, name)
		x := figMargin + figLabel
		for i := range figThumbs {
			task.Item(rgb, worldSeed, "test", i*len(task.Classes)/figThumbs)
			for p := range synth.Size * synth.Size {
				m.SetRGBA(x+p%synth.Size, y+p/synth.Size, color.RGBA{rgb[3*p], rgb[3*p+1], rgb[3*p+2], 0xff})
			}
			x += figThumb + 2
		}
		x += 18
		for i, method := range methods {
			k := [2]string{name, method}
			a := sums[k] / max(n[k], 1)
			at := y + i*(figBar+3)
			box(x, at, int(a*figBars/100), figBar, methodColours[i%len(methodColours)])
			text(x+int(a*figBars/100)+5, at+figBar-2, fmt.Sprintf("%.1f", a))
		}
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error { return png.Encode(w, m) })
}
