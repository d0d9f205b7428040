package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"slices"

	"golang.org/x/image/tiff"
)

// Tags of TIFF 6.0 that say what the pixels are.
const (
	tiffWidth        = 256
	tiffHeight       = 257
	tiffBits         = 258
	tiffCompression  = 259
	tiffPhotometric  = 262
	tiffFillOrder    = 266
	tiffOrientation  = 274
	tiffSamples      = 277
	tiffPlanar       = 284
	tiffFaxOptions   = 292
	tiffPredictor    = 317
	tiffExtraSamples = 338
	tiffSampleFormat = 339
)

// tiffMostValues is how many values one of these tags may have: one for each sample of a pixel, at most.
const tiffMostValues = 8

// tiffFile is the first picture of a file.
type tiffFile struct {
	tags map[uint16][]uint32
	more bool // pictures follow
}

var errTIFFTruncated = errors.New("file ends within its directory")

// parseTIFF reads the first directory.
func parseTIFF(data []byte) (*tiffFile, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	if len(data) < 8 {
		return nil, errTIFFTruncated
	}
	at := int64(order.Uint32(data[4:]))
	if at+2 > int64(len(data)) {
		return nil, errTIFFTruncated
	}
	n := int64(order.Uint16(data[at:]))
	if at+2+12*n+4 > int64(len(data)) {
		return nil, errTIFFTruncated
	}
	f := &tiffFile{tags: map[uint16][]uint32{}, more: order.Uint32(data[at+2+12*n:]) != 0}
	for i := range n {
		entry := data[at+2+12*i:][:12]
		tag, kind, count := order.Uint16(entry), order.Uint16(entry[2:]), order.Uint32(entry[4:])
		switch tag {
		case tiffWidth, tiffHeight, tiffBits, tiffCompression, tiffPhotometric, tiffFillOrder, tiffOrientation, tiffSamples,
			tiffPlanar, tiffFaxOptions, tiffPredictor, tiffExtraSamples, tiffSampleFormat:
		default:
			continue
		}
		size := map[uint16]int64{1: 1, 3: 2, 4: 4}[kind] // BYTE, SHORT, LONG
		if size == 0 || count > tiffMostValues {
			return nil, reason{Unsupported, fmt.Sprintf("tag %d has %d values of type %d", tag, count, kind)}
		}
		values := entry[8:]
		if total := size * int64(count); total > 4 {
			from := int64(order.Uint32(values))
			if from+total > int64(len(data)) {
				return nil, errTIFFTruncated
			}
			values = data[from:][:total]
		}
		all := make([]uint32, count)
		for i := range all {
			switch p := values[size*int64(i):]; kind {
			case 1:
				all[i] = uint32(p[0])
			case 3:
				all[i] = uint32(order.Uint16(p))
			case 4:
				all[i] = order.Uint32(p)
			}
		}
		f.tags[tag] = all
	}
	return f, nil
}

// first is the first value of a tag, or what its absence means.
func (f *tiffFile) first(tag uint16, absent uint32) int {
	if v := f.tags[tag]; len(v) > 0 {
		return int(v[0])
	}
	return int(absent)
}

// check refuses what x/image/tiff does not decode, and what it decodes otherwise than Pillow.
func (f *tiffFile) check() error {
	refuse := func(format string, args ...any) error { return reason{Unsupported, fmt.Sprintf(format, args...)} }
	compression := f.first(tiffCompression, 1)
	names := map[int]string{2: "CCITT run-length codes", 6: "old JPEG", 7: "JPEG", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard",
		50001: "WebP"}
	switch compression {
	case 1, 3, 4, 5, 8, 32946, 32773: // none, CCITT G3 and G4, LZW, Deflate under two numbers, PackBits
	default:
		if name, ok := names[compression]; ok {
			return refuse("compressed by %s", name)
		}
		return refuse("compression %d", compression)
	}
	if f.first(tiffPlanar, 1) != 1 {
		return refuse("colours in separate planes")
	}
	if f.first(tiffFillOrder, 1) != 1 {
		return refuse("bits in reverse order")
	}
	for _, format := range f.tags[tiffSampleFormat] {
		if format != 1 {
			return refuse("samples that are signed or floating-point numbers")
		}
	}
	depth := f.first(tiffBits, 1)
	for _, b := range f.tags[tiffBits] {
		if int(b) != depth {
			return refuse("samples of %d bits", f.tags[tiffBits])
		}
	}
	samples := f.first(tiffSamples, 1)
	if max(len(f.tags[tiffBits]), 1) != samples {
		return refuse("%d samples a pixel, %d with a number of bits", samples, len(f.tags[tiffBits]))
	}
	switch p := f.first(tiffPredictor, 1); {
	case p == 1:
	case p == 2 && depth >= 8 && (compression == 5 || compression == 8 || compression == 32946):
	default:
		return refuse("predictor %d with compression %d and %d bits", p, compression, depth)
	}
	if f.fax() && (depth != 1 || f.first(tiffFaxOptions, 0) != 0) {
		return refuse("fax codes of %d bits with options %d", depth, f.first(tiffFaxOptions, 0))
	}
	photometric, extra := f.first(tiffPhotometric, 0), f.first(tiffExtraSamples, 0)
	kinds := map[int]string{4: "a transparency mask", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
	known := false
	switch photometric {
	case 0:
		known = samples == 1 && (depth == 1 || depth == 8)
	case 1:
		known = samples == 1 && (depth == 1 || depth == 8 || depth == 16)
	case 2:
		known = samples == 3 && (depth == 8 || depth == 16) || samples == 4 && (extra == 2 && depth >= 8 || extra == 1 && depth == 8)
	case 3:
		known = samples == 1 && depth == 8
	default:
		if name, ok := kinds[photometric]; ok {
			return refuse("colours are %s", name)
		}
	}
	if !known {
		return refuse("%d samples of %d bits with photometric interpretation %d, extra sample %d", samples, depth, photometric, extra)
	}
	return nil
}

// fax reports whether the picture is in the codes of facsimile machines.
func (f *tiffFile) fax() bool { c := f.first(tiffCompression, 1); return c == 3 || c == 4 }

// turned reports whether the orientation exchanges width and height.
func (f *tiffFile) turned() bool { o := f.first(tiffOrientation, 1); return o >= 5 && o <= 8 }

func tiffConfig(data []byte) (w, h int, err error) {
	f, err := parseTIFF(data)
	if err != nil {
		return 0, 0, err
	}
	if w, h = f.first(tiffWidth, 0), f.first(tiffHeight, 0); f.turned() {
		w, h = h, w
	}
	return w, h, f.check()
}

// decodeTIFF decodes the first picture. Its orientation is applied: of all formats, Pillow does that with TIFF alone.
func decodeTIFF(data []byte) (*RGB, error) {
	f, err := parseTIFF(data)
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	m, err := tiff.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if m, ok := m.(*image.RGBA); ok && f.first(tiffSamples, 1) == 4 {
		unmultiply(m.Pix)
	}
	if m, ok := m.(*image.Gray); ok && f.fax() && f.first(tiffPhotometric, 0) == 1 {
		// libtiff takes the codes' white for 0, which then is black.
		for i := range m.Pix {
			m.Pix[i] = ^m.Pix[i]
		}
	}
	out, err := fromImage(m)
	if err != nil {
		return nil, err
	}
	if o := f.first(tiffOrientation, 1); o >= 2 && o <= 8 {
		out = out.orient(o)
	}
	if f.more {
		out.Warning = "several pictures; only the first is used"
	}
	return out, nil
}

// unmultiply divides colours by their alpha, cut to whole numbers. What is not there is black.
func unmultiply(pix []uint8) {
	for p := range slices.Chunk(pix, 4) {
		a := int(p[3])
		for ch := range 3 {
			if a == 0 {
				p[ch] = 0
			} else {
				p[ch] = uint8(min(int(p[ch])*255/a, 255))
			}
		}
	}
}

// orient turns and mirrors a picture from an orientation of Exif's, 2 to 8, to 1.
func (m *RGB) orient(o int) *RGB {
	out := NewRGB(m.W, m.H)
	if o >= 5 {
		out.W, out.H = m.H, m.W
	}
	for y := range out.H {
		for x := range out.W {
			// Where this pixel comes from.
			sx, sy := x, y
			if o >= 5 {
				sx, sy = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx = m.W - 1 - sx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy = m.H - 1 - sy
			}
			copy(out.Pix[3*(y*out.W+x):][:3], m.Pix[3*(sy*m.W+sx):])
		}
	}
	return out
}
