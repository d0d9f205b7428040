package imaging

import (
	"errors"
	"fmt"
	"image/png"
	"sync"

	"golang.org/x/image/tiff"

	"fewshot/datasets/internal/imaging/jpeg"
)

// format is one file format: how it is recognised and decoded.
type format struct {
	name  string
	magic []string // "?" stands for any byte
	// config reads the size from the header. decode decodes; it is only called with a size within the limits.
	config func(data []byte) (w, h int, err error)
	decode func(data []byte) (*RGB, error)
	// whole reports whether the file goes on to its end, for Inspect. It costs little, and only looks at files whose config
	// is good. Formats without it are decoded.
	whole func(data []byte) bool
}

var formats = []format{
	{"JPEG", []string{"\xff\xd8\xff"}, jpegConfig, decodeJPEG, jpegWhole},
	{"PNG", []string{"\x89PNG\r\n\x1a\n"}, pngConfig, decodePNG, pngWhole},
	{"GIF", []string{"GIF87a", "GIF89a"}, gifConfig, decodeGIF, gifWhole},
	{"WebP", []string{"RIFF????WEBP"}, webpConfig, decodeWebP, webpWhole},
	{"BMP", []string{"BM"}, bmpConfig, decodeBMP, bmpWhole},
	{"TIFF", []string{"II*\x00", "MM\x00*"}, tiffConfig, decodeTIFF, nil},
	{"PNM", pnmMagic(), pnmConfig, decodePNM, pnmWhole},
	// Known, so that the refusal can name them.
	{name: "BigTIFF", magic: []string{"II+\x00", "MM\x00+"}},
	{name: "JPEG 2000", magic: []string{"\x00\x00\x00\x0cjP  ", "\xff\x4f\xff\x51"}},
	{name: "AVIF", magic: []string{"????ftypavif", "????ftypavis"}},
	{name: "HEIF", magic: []string{"????ftyp"}},
	{name: "JPEG XL", magic: []string{"\xff\x0a", "\x00\x00\x00\x0cJXL "}},
	{name: "PSD", magic: []string{"8BPS"}},
}

// Format names the format that a file's first bytes announce, as errors do, and whether it is decoded; or "".
func Format(head []byte) (name string, decoded bool) {
	if f := sniff(head); f != nil {
		return f.name, f.decode != nil
	}
	return "", false
}

// sniff finds the format by the first bytes: names lie. Oxford-IIIT Pet alone has GIF, PNG and BMP files named .jpg.
func sniff(data []byte) *format {
	for i := range formats {
		for _, m := range formats[i].magic {
			if hasMagic(data, m) {
				return &formats[i]
			}
		}
	}
	return nil
}

func hasMagic(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// reason is an error with a kind, for what happens inside the decoders; Decode completes it.
type reason struct {
	kind Kind
	text string
}

func (r reason) Error() string { return r.text }

// budget holds decoders back, so that the memory of all stays bounded however many workers meet large pictures at once: a
// picture that takes more than what is left of it waits until there is room, or until it is alone.
type budget struct {
	mu   sync.Mutex
	room *sync.Cond
	most int64
	used int64
}

func newBudget(most int64) *budget {
	b := &budget{most: most}
	b.room = sync.NewCond(&b.mu)
	return b
}

func (b *budget) take(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.used > 0 && b.used+n > b.most {
		b.room.Wait()
	}
	b.used += n
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.room.Broadcast()
}

var decoding = newBudget(1 << 30)

// pixelBytes is what decoders hold for a pixel at most: three bytes of RGB and, in a progressive JPEG file with colours in
// full, six of coefficients; eight bytes of 16-bit PNG and TIFF files, which become RGB in place if they are large.
const pixelBytes = 9

// largePixels is where pictures are converted in place, though their memory is then longer than their pixels. Tests lower it.
var largePixels = 8_000_000

// Decode decodes a picture of any supported format into the bytes of Pillow's Image.open(name).convert("RGB"). Alpha is
// dropped, not composited; orientation tags and colour profiles are ignored. The name is used in errors only. Every error is
// an *Error.
func Decode(name string, data []byte, limits Limits) (img *RGB, err error) {
	fail := func(format string, kind Kind, why string) (*RGB, error) {
		return nil, &Error{Name: name, Format: format, Kind: kind, Reason: why}
	}
	if int64(len(data)) > limits.FileBytes {
		return fail("", Limit, fmt.Sprintf("%d bytes; at most %d are read", len(data), limits.FileBytes))
	}
	if len(data) == 0 {
		return fail("", Corrupt, "file is empty")
	}
	f := sniff(data)
	if f == nil {
		return fail("", Unsupported, fmt.Sprintf("unknown format, file begins with %.16q; known are JPEG, PNG, GIF, WebP, BMP, TIFF and PNM", data))
	}
	if f.decode == nil {
		return fail(f.name, Unsupported, "convert it to PNG or JPEG")
	}

	// The decoders are meant to return errors. Should one panic all the same, one picture is lost and not the run.
	defer func() {
		if r := recover(); r != nil {
			img, err = fail(f.name, Corrupt, fmt.Sprintf("decoder failed: %v", r))
		}
	}()
	w, h, err := f.config(data)
	if err != nil {
		return fail(f.name, kindOf(err), err.Error())
	}
	if why := limits.check(w, h); why != "" {
		kind := Limit
		if w < 1 || h < 1 {
			kind = Corrupt
		}
		return fail(f.name, kind, why)
	}
	n := pixelBytes * int64(w) * int64(h)
	decoding.take(n)
	defer decoding.give(n)
	if img, err = f.decode(data); err != nil {
		return fail(f.name, kindOf(err), err.Error())
	}
	if img.W != w || img.H != h {
		return fail(f.name, Corrupt, fmt.Sprintf("header promises %dx%d pixels, data has %dx%d", w, h, img.W, img.H))
	}
	return img, nil
}

func kindOf(err error) Kind {
	var r reason
	if errors.As(err, &r) {
		return r.kind
	}
	if _, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return Unsupported
	}
	if _, ok := errors.AsType[png.UnsupportedError](err); ok {
		return Unsupported
	}
	if _, ok := errors.AsType[tiff.UnsupportedError](err); ok {
		return Unsupported
	}
	return Corrupt
}

func jpegConfig(data []byte) (w, h int, err error) {
	head, err := jpeg.DecodeHeader(data)
	return head.Width, head.Height, err
}

func decodeJPEG(data []byte) (*RGB, error) {
	m, err := jpeg.Decode(data)
	if err != nil {
		return nil, err
	}
	return &RGB{W: m.Width, H: m.Height, Pix: m.Pix, Warning: m.Warning}, nil
}
