package datasets

import (
	"context"
	"errors"
	"testing"
)

// All images that are no good are named at once, in the order of the items, with the reason that reading them would
// give.
func TestInspect(t *testing.T) {
	root := t.TempDir()
	jpg := string(readFixture(t, pictureDir+"/420.jpg"))
	png := string(readFixture(t, pictureDir+"/filtered.png"))
	writeFile(t, root, "a/good.jpg", jpg)
	writeFile(t, root, "a/cut.jpg", jpg[:len(jpg)/2])
	writeFile(t, root, "b/cut.png", png[:len(png)/2])
	writeFile(t, root, "b/text.png", "<html>")
	d := &Dataset{Root: root}
	for _, name := range []string{"b/cut.png", "a/good.jpg", "gone.jpg", "a/cut.jpg", "b/text.png"} {
		d.Train = append(d.Train, Item{Path: name})
	}
	d.Train = append(d.Train, Item{Class: "c", Data: []byte(png[:40])}, Item{Class: "c", Data: []byte(png)})
	e := asError(t, d.Inspect(t.Context(), d.Train), "b/cut.png: corrupt PNG image", "gone.jpg: there is no such file",
		"a/cut.jpg: corrupt JPEG image: file ends before the picture does", "b/text.png: unsupported image", `image 5 of class "c": corrupt PNG`)
	if e.Total != 5 {
		t.Errorf("%d faults: %v", e.Total, e)
	}
	if err := d.Inspect(t.Context(), d.Train[1:2]); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Inspect(ctx, d.Train); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
