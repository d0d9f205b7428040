package synth

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestContactSheets writes upscaled contact sheets for people to look at into the folder named by SYNTH_SHEETS.
func TestContactSheets(t *testing.T) {
	dir := os.Getenv("SYNTH_SHEETS")
	if dir == "" {
		t.Skip("set SYNTH_SHEETS to a folder to write contact sheets")
	}
	from, _ := strconv.Atoi(os.Getenv("SYNTH_FROM"))
	captions, err := os.Create(filepath.Join(dir, "pairs.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer captions.Close()
	writeSheet(t, filepath.Join(dir, "pairs.png"), 10, 8, func(dst []uint8, i int) {
		fmt.Fprintf(captions, "%3d %s\n", i, Pair(dst, 1, uint64(from+i)))
	})
	writeSheet(t, filepath.Join(dir, "shapes.png"), 12, (len(shapes)+11)/12, func(dst []uint8, i int) {
		if i >= len(shapes) {
			return
		}
		c := canvasOf(dst)
		c.fill(&ink{fore: rgb{235, 235, 225}})
		o := object{shape: i, colour: colour(i % int(numColours)), x: centre, y: centre, radius: 19 * px}
		if i >= firstGlyph {
			o.bold = 2 * px
		}
		s := newSource(1, pairPaint, uint64(i))
		(&look{}).place(c, &o, &s, 0)
	})
	writeSheet(t, filepath.Join(dir, "surfaces.png"), 13, 4, func(dst []uint8, i int) {
		s := newSource(1, pairPaint, uint64(i))
		b := backdrop{scene: scene(i % 13), isScene: i < 26, texture: texture(i % 13), colour: colour(s.below(12)), second: colour(s.below(12))}
		g := b.open(&s, 0)
		canvasOf(dst).paint(&g)
	})
	for _, task := range Tasks() {
		for _, split := range splits {
			if n := task.Len(split); n > 0 && (split == "train" || strings.HasPrefix(split, "shift")) {
				columns := min(len(task.Classes), 18)
				rows := (2*len(task.Classes) + columns - 1) / columns
				writeSheet(t, filepath.Join(dir, task.Name+"-"+split+".png"), columns, max(rows, 4), func(dst []uint8, i int) {
					task.Item(dst, 1, split, i)
				})
			}
		}
	}
}

const zoom, gap = 2, 4

func writeSheet(t *testing.T, name string, columns, rows int, draw func(dst []uint8, i int)) {
	t.Helper()
	const cell = Size*zoom + gap
	m := image.NewNRGBA(image.Rect(0, 0, columns*cell, rows*cell))
	var pix [imageBytes]uint8
	for i := range columns * rows {
		draw(pix[:], i)
		for y := range Size * zoom {
			for x := range Size * zoom {
				k := (y/zoom*Size + x/zoom) * 3
				m.Set(i%columns*cell+x, i/columns*cell+y, color.NRGBA{pix[k], pix[k+1], pix[k+2], 255})
			}
		}
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
}
