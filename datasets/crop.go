package datasets

import (
	"cmp"
	"image"
	"math"

	"fewshot/datasets/internal/imaging"
	"fewshot/datasets/internal/philox"
)

// A Picture is a decoded image: W×H pixels in Pix, three bytes each.
type Picture = imaging.RGB

// A Crop says how an image of a batch is made of its item's picture, for those who keep pictures and make images
// where they are needed. It is all integers, so that everybody who does the sums gets the same pixels.
type Crop struct {
	// Left and Top are where in the picture the part begins that is looked at.
	Left, Top int
	// Columns and Rows are the filters that the part goes through, along its rows and across them, each to Size samples.
	// A filter has three numbers for each output sample, which are the first input sample, how many there are, and where
	// in the filter their weights begin; then come the weights, with 22 fractional bits. After each filter a sample is
	// rounded and clipped to 8 bits.
	Columns, Rows []int32
	// RowsFirst says that Rows is the first of the two filters; else Columns is.
	RowsFirst bool
	// Flip says that the result is mirrored left to right.
	Flip bool
	// Picture is the item's picture, if no batch so far has had it; else nil.
	Picture *Picture
}

// region is which part of a picture becomes which part of which larger image.
type region struct {
	crop      image.Rectangle // of the picture
	w, h      int             // that it is resized to
	window    image.Rectangle // of the resized crop; Size×Size
	rowsFirst bool            // the order of the passes
	kernel    imaging.Kernel
}

// region resizes the crop to w×h with the passes in the transform's order.
func (t Transform) region(crop image.Rectangle, w, h int, window image.Rectangle) region {
	r := region{crop: crop, w: w, h: h, window: window, rowsFirst: t.Pillow != 12 && imaging.RowsFirst(crop.Size(), image.Pt(w, h))}
	if t.Bilinear {
		r.kernel = imaging.Bilinear
	}
	return r
}

// center is the region of Resize and CenterCrop.
func (t Transform) center(m image.Point) region {
	edge := cmp.Or(t.Resize, t.Size)
	w, h := edge, edge
	// The longer side is cut to a whole number, not rounded.
	switch {
	case t.Squash:
	case m.X > m.Y:
		w = edge * m.X / m.Y
	default:
		h = edge * m.Y / m.X
	}
	left := int(math.RoundToEven(float64(w-t.Size) / 2))
	top := int(math.RoundToEven(float64(h-t.Size) / 2))
	return t.region(image.Rect(0, 0, m.X, m.Y), w, h, image.Rect(left, top, left+t.Size, top+t.Size))
}

// region chooses the part of an item's picture, of size m, that an epoch shows, and whether it is mirrored.
func (l *Loader) region(epoch uint32, index int, m image.Point) (r region, flip bool) {
	t, a := l.opt.Transform, l.opt.Augment
	if a == nil {
		return t.center(m), false
	}
	random := philox.NewStream(l.opt.Seed, purposeAugment, epoch, uint32(index))
	crop, flip := a.draw(&random, m.X, m.Y)
	return t.region(crop, t.Size, t.Size, image.Rect(0, 0, t.Size, t.Size)), flip
}

// resize writes the region's pixels, [Size, Size, 3].
func (r region) resize(with *imaging.Resizer, dst []uint8, m *imaging.RGB) {
	with.Kernel = r.kernel
	with.Resize(dst, m, r.crop, r.w, r.h, r.window, r.rowsFirst)
}

// filters makes a crop of the region, in the memory that c has.
func (r region) filters(f *imaging.Filters, c *Crop) {
	f.Kernel = r.kernel
	c.Left, c.Top = r.crop.Min.X, r.crop.Min.Y
	c.Columns = f.Make(c.Columns, r.crop.Dx(), r.w, r.window.Min.X, r.window.Max.X)
	c.Rows = f.Make(c.Rows, r.crop.Dy(), r.h, r.window.Min.Y, r.window.Max.Y)
	c.RowsFirst = r.rowsFirst
}
