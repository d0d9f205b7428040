package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"sync"

	"golang.org/x/image/bmp"

	"fewshot/datasets/internal/imaging/jpeg"
)

// format is one file format: how it is recognised and decoded.
type format struct {
	name  string
	magic []string // "?" stands for any byte
	// config reads the size from the header. decode decodes; it is only called with a size within the limits.
	config func(data []byte) (w, h int, err error)
	decode func(data []byte) (*RGB, error)
}

var formats = []format{
	{"JPEG", []string{"\xff\xd8\xff"}, jpegConfig, decodeJPEG},
	{"PNG", []string{"\x89PNG\r\n\x1a\n"}, stdConfig(png.DecodeConfig), decodePNG},
	{"GIF", []string{"GIF87a", "GIF89a"}, gifConfig, decodeGIF},
	{"WebP", []string{"RIFF????WEBP"}, webpConfig, decodeWebP},
	{"BMP", []string{"BM"}, stdConfig(bmp.DecodeConfig), decodeBMP},
	// Known, so that the refusal can name them.
	{name: "TIFF", magic: []string{"II*\x00", "MM\x00*"}},
	{name: "JPEG 2000", magic: []string{"\x00\x00\x00\x0cjP  ", "\xff\x4f\xff\x51"}},
	{name: "AVIF", magic: []string{"????ftypavif", "????ftypavis"}},
	{name: "HEIF", magic: []string{"????ftyp"}},
	{name: "JPEG XL", magic: []string{"\xff\x0a", "\x00\x00\x00\x0cJXL "}},
	{name: "PSD", magic: []string{"8BPS"}},
	{name: "PNM", magic: []string{"P4\n", "P5\n", "P6\n"}},
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

// large holds back the decoding of pictures above largePixels to one at a time, so that memory stays bounded however many
// workers meet such pictures at once.
var large sync.Mutex

const largePixels = 8_000_000

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
		return fail("", Unsupported, fmt.Sprintf("unknown format, file begins with %.16q; known are JPEG, PNG, GIF, WebP and BMP", data))
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
	if int64(w)*int64(h) > largePixels {
		large.Lock()
		defer large.Unlock()
	}
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
	if errors.Is(err, bmp.ErrUnsupported) {
		return Unsupported
	}
	return Corrupt
}

func stdConfig(config func(r io.Reader) (image.Config, error)) func(data []byte) (int, int, error) {
	return func(data []byte) (int, int, error) {
		c, err := config(bytes.NewReader(data))
		return c.Width, c.Height, err
	}
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

func decodePNG(data []byte) (*RGB, error) {
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if deep, ok := m.(*image.NRGBA64); ok && data[pngColorType] == pngGray {
		// Go makes colour of grey with a transparent value.
		return fromGray16(deep.Pix, deep.Stride, 8, deep.Rect.Dx(), deep.Rect.Dy()), nil
	}
	return fromImage(m)
}

// The colour type is the 26th byte of every PNG file.
const (
	pngColorType = 25
	pngGray      = 0
)

func decodeBMP(data []byte) (*RGB, error) {
	m, err := bmp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return fromImage(m)
}
