package datasets

import (
	"fmt"
	"image"
	"math"

	"fewshot/datasets/internal/imaging"
	"fewshot/datasets/internal/philox"
)

// ImageError tells why an image could not be decoded: its Name, its Format, and whether it is corrupt, unsupported or
// over the limits (its Kind).
type ImageError = imaging.Error

// The kinds of an ImageError.
const (
	ImageCorrupt     = imaging.Corrupt
	ImageUnsupported = imaging.Unsupported
	ImageLimit       = imaging.Limit
)

// Transform makes the pixels of a model's input from an image: Resize(Size, bicubic) of the shorter side,
// CenterCrop(Size), ToTensor, Normalize(Mean, Std), in the names of torchvision, whose results it reproduces bit for
// bit on images opened by Pillow and converted to RGB. For models that were trained on others, Resize is to another
// size than that of the crop, of both sides, or bilinear.
type Transform struct {
	Size      int        // width and height of the model's input
	Mean, Std [3]float32 // of R, G and B in units of the full range 0..1
	Resize    int        // what the shorter side is resized to before the crop, at least Size; 0 for Size
	Squash    bool       // both sides are resized to that: Resize((Size, Size)), whatever the proportions
	Bilinear  bool       // the filter of all resizing, training crops included; else bicubic
	// Pillow is the major version of Pillow whose resize is reproduced: 13, or 0, for today's, which filters across the
	// rows of a picture before it filters along them where that is less work; 12 for all before, which did not (12.2 and
	// 12.3 did with pictures over 100 times as tall as wide, and only with those). The two differ on pictures over twice
	// as tall as wide and on up to a third of all random crops.
	Pillow int
}

// CLIPTransform is the transform that all of OpenAI's CLIP models and most of open_clip's were trained with.
func CLIPTransform(size int) Transform {
	return Transform{
		Size: size,
		Mean: [3]float32{0.48145466, 0.4578275, 0.40821073},
		Std:  [3]float32{0.26862954, 0.26130258, 0.27577711},
	}
}

// Image decodes an encoded image (JPEG, PNG, GIF, WebP, BMP, TIFF or PNM, told by its content) and writes its pixels,
// [3, Size, Size], to dst. The name is for the error, which is an *ImageError.
func (t Transform) Image(dst []float32, name string, data []byte) error {
	return t.Preparer().Image(dst, name, data, imaging.DefaultLimits)
}

// ImageLimits bound what an encoded image may ask for, before anything is allocated for its pixels.
type ImageLimits = imaging.Limits

// A Preparer makes pixels of one image after the other, and keeps between them what all have in common. It is for one
// goroutine at a time.
type Preparer struct {
	transform Transform
	table     *normalization
	resizer   imaging.Resizer
	pix       []uint8 // [Size, Size, 3]
}

// Preparer is a new one for the transform.
func (t Transform) Preparer() *Preparer {
	return &Preparer{transform: t, table: t.table(), pix: make([]uint8, 3*t.Size*t.Size)}
}

// manyPixels is the size of pictures after which a Preparer gives back what memory they took.
const manyPixels = 4 << 20

// Image is [Transform.Image] within limits of the caller's, where images are not of files that somebody chose.
func (p *Preparer) Image(dst []float32, name string, data []byte, limits ImageLimits) error {
	m, err := imaging.Decode(name, data, limits)
	if err != nil {
		return err
	}
	p.transform.center(image.Pt(m.W, m.H)).resize(&p.resizer, p.pix, m)
	if int64(m.W)*int64(m.H) > manyPixels {
		p.resizer = imaging.Resizer{}
	}
	p.table.normalize(dst, p.pix, p.transform.Size, false)
	return nil
}

// CheckImage decodes an image and returns the *ImageError that reading it would give, or nil.
func CheckImage(name string, data []byte) error {
	_, err := imaging.Decode(name, data, imaging.DefaultLimits)
	return err
}

// normalization holds the normalised value of each sample value of each channel.
type normalization [3][256]float32

// table computes (v/255 − mean)/std in float32, each operation rounded, as PyTorch does.
func (t Transform) table() *normalization {
	n := new(normalization)
	for c := range n {
		for v := range n[c] {
			unit := float32(v) / 255
			n[c][v] = float32(unit-t.Mean[c]) / t.Std[c]
		}
	}
	return n
}

// Levels gives the normalised value of each of the 256 sample values of each channel, [3, 256].
func (t Transform) Levels() []float32 {
	var levels []float32
	for _, channel := range t.table() {
		levels = append(levels, channel[:]...)
	}
	return levels
}

// normalize turns pixels [size, size, 3] into dst [3, size, size], mirrored left to right if flip is set.
func (n *normalization) normalize(dst []float32, pix []uint8, size int, flip bool) {
	if len(dst) != 3*size*size || len(pix) != len(dst) {
		panic(fmt.Sprintf("datasets: %d pixels and %d samples for an image of 3x%dx%d", len(dst), len(pix), size, size))
	}
	plane := size * size
	for y := range size {
		row := pix[3*size*y:][:3*size]
		r, g, b := dst[y*size:][:size], dst[plane+y*size:][:size], dst[2*plane+y*size:][:size]
		x, step := 0, 1
		if flip {
			x, step = size-1, -1
		}
		for ; len(row) >= 3; row = row[3:] {
			r[x], g[x], b[x] = n[0][row[0]], n[1][row[1]], n[2][row[2]]
			x += step
		}
	}
}

// Augment varies the training images: RandomResizedCrop(Size, Scale, Ratio, bicubic), then
// RandomHorizontalFlip(Flip), in the names and with the distributions of torchvision. It takes the place of Resize
// and CenterCrop.
type Augment struct {
	Scale [2]float64 // least and greatest area of the crop, as a share of the image's
	Ratio [2]float64 // least and greatest aspect ratio of the crop, width by height; drawn log-uniformly
	Flip  float64    // probability of mirroring left to right
}

// RandomResizedCrop is the usual augmentation with crops of at least minScale of the image's area, aspect ratios from
// 3/4 to 4/3 and flips of every second image. R-AMT trains with a minScale of 0.5, CoOp and its successors with 0.08.
func RandomResizedCrop(minScale float64) *Augment {
	return &Augment{Scale: [2]float64{minScale, 1}, Ratio: [2]float64{3. / 4, 4. / 3}, Flip: 0.5}
}

// What the random numbers of this package are for.
const (
	purposeShuffle philox.Purpose = 1 + iota
	purposeAugment
)

// uniform is the source of an augmentation's random numbers.
type uniform interface {
	Float64() float64 // in [0, 1)
	IntN(n int) int   // in [0, n)
}

// draw chooses the crop of a w×h image, and whether to flip it.
func (a *Augment) draw(u uniform, w, h int) (crop image.Rectangle, flip bool) {
	crop = a.crop(u, w, h)
	return crop, u.Float64() < a.Flip
}

// crop tries ten times to fit a crop of random area and aspect ratio into the image; if none fits, it takes the largest
// central crop whose ratio is within bounds.
func (a *Augment) crop(u uniform, w, h int) image.Rectangle {
	area := float64(w * h)
	logMin, logMax := math.Log(a.Ratio[0]), math.Log(a.Ratio[1])
	for range 10 {
		target := area * (a.Scale[0] + float64((a.Scale[1]-a.Scale[0])*u.Float64()))
		ratio := math.Exp(logMin + float64((logMax-logMin)*u.Float64()))
		cw := int(math.RoundToEven(math.Sqrt(target * ratio)))
		ch := int(math.RoundToEven(math.Sqrt(target / ratio)))
		if 0 < cw && cw <= w && 0 < ch && ch <= h {
			top := u.IntN(h - ch + 1)
			left := u.IntN(w - cw + 1)
			return image.Rect(left, top, left+cw, top+ch)
		}
	}
	cw, ch := w, h
	switch ratio := float64(w) / float64(h); {
	case ratio < a.Ratio[0]:
		ch = int(math.RoundToEven(float64(w) / a.Ratio[0]))
	case ratio > a.Ratio[1]:
		cw = int(math.RoundToEven(float64(h) * a.Ratio[1]))
	}
	// The image may be one pixel wide and its crop round to nothing.
	cw, ch = max(cw, 1), max(ch, 1)
	left, top := (w-cw)/2, (h-ch)/2
	return image.Rect(left, top, left+cw, top+ch)
}
