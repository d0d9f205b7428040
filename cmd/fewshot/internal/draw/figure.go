package draw

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"image/png"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"fewshot/nn/checkpoint"
)

// Figure is something to be drawn.
type Figure interface {
	size() (w, h vg.Length) // in points
	on(c vgdraw.Canvas)
}

// dpi of bitmaps: twice what a page is shown with, so that they stay sharp.
const dpi = 144

// Extensions are the endings of files that WriteFile knows.
var Extensions = []string{".svg", ".png"}

// CheckName refuses a file name that WriteFile does not know how to fill, before there is any work.
func CheckName(path string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg", ".png":
		return nil
	}
	return fmt.Errorf("%s: pictures are written as .svg or .png", path)
}

// WriteFile writes a figure, as its name's ending says: .svg or .png.
func WriteFile(path string, f Figure) error {
	if err := CheckName(path); err != nil {
		return err
	}
	write := SVG
	if strings.EqualFold(filepath.Ext(path), ".png") {
		write = PNG
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error { return write(w, f) })
}

// SVG writes a figure on white, as a document of its own.
func SVG(w io.Writer, f Figure) error {
	body, err := vector(f, paper)
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// PNG writes a figure on white, at twice the resolution of a page.
func PNG(w io.Writer, f Figure) error {
	width, height := f.size()
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(paper))
	f.on(vgdraw.New(c))
	return png.Encode(w, c.Image())
}

// Inline is a figure as an SVG element for an HTML page: no background, colours by CSS variables that [CSS] defines for light and
// dark pages, and a description for those who do not see it.
func Inline(f Figure, description string) (string, error) {
	body, err := vector(f, nil)
	if err != nil {
		return "", err
	}
	_, body, ok := bytes.Cut(body, []byte("<svg "))
	if !ok {
		return "", fmt.Errorf("draw: no picture came out")
	}
	w, h := f.size()
	s := string(body)
	_, s, _ = strings.Cut(s, ">")
	for _, v := range variables {
		s = strings.ReplaceAll(s, "fill:"+hex(v.light), "fill:var(--"+v.name+")")
		s = strings.ReplaceAll(s, "stroke:"+hex(v.light), "stroke:var(--"+v.name+")")
	}
	return fmt.Sprintf(`<svg class="figure" role="img" aria-label="%s" viewBox="0 0 %.5g %.5g" width="%.5g" height="%.5g" xmlns="http://www.w3.org/2000/svg" `+
		`xmlns:xlink="http://www.w3.org/1999/xlink">`, html.EscapeString(clean(description, 400)), w.Points(), h.Points(), w.Points()*4/3, h.Points()*4/3) + s, nil
}

// CSS defines the colours of Inline's pictures, for pages that are light or dark as their reader wants it.
func CSS() string {
	var light, dark strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&light, "--%s:%s;", v.name, hex(v.light))
		fmt.Fprintf(&dark, "--%s:%s;", v.name, hex(v.dark))
	}
	return ":root{" + light.String() + "}\n@media (prefers-color-scheme: dark){:root{" + dark.String() + "}}\n"
}

// vector is a figure as SVG, on a background if there is one.
func vector(f Figure, background color.Color) ([]byte, error) {
	w, h := f.size()
	s := vgsvg.New(w, h)
	c := vgdraw.New(s)
	if background != nil {
		c.SetColor(background)
		c.Fill(c.Rectangle.Path())
	}
	f.on(c)
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(fitted(b.Bytes()), []byte("data:image/jpg;"), []byte("data:image/png;")), nil
}

// written is a text of gonum's: its weight, its size, and what it says. In texts < is escaped.
var written = regexp.MustCompile(`<text ([^>]*)style="font-family:Liberation Sans;([^"]*font-weight:(normal|bold)[^"]*font-size:([0-9.]+)px[^"]*)">([^<]*)</text>`)

// fitted gives texts the width that they were placed by, for readers who do not have the font.
func fitted(svg []byte) []byte {
	return written.ReplaceAllFunc(svg, func(t []byte) []byte {
		m := written.FindSubmatch(t)
		size, err := strconv.ParseFloat(string(m[4]), 64)
		if err != nil {
			return t
		}
		s := style(vg.Length(size), ink)
		if string(m[3]) == "bold" {
			s = bold(vg.Length(size))
		}
		said := html.UnescapeString(string(m[5]))
		return fmt.Appendf(nil, `<text %stextLength="%.5g" lengthAdjust="spacingAndGlyphs" style="font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;%s">%s</text>`,
			m[1], s.Width(said).Points(), m[2], m[5])
	})
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }
