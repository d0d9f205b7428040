package jpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A FormatError says in what way the data is not a JPEG file.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// An UnsupportedError names a feature of JPEG that this decoder, or libjpeg as Pillow uses it, does not have.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) }

const errTruncated = FormatError("file ends before the picture does")

// Image is a decoded picture.
type Image struct {
	Width, Height int
	Pix           []byte // R, G, B, row by row
	Warning       string // what is amiss although libjpeg, and so this package, decodes it; usually empty
}

// Header is what the frame header tells.
type Header struct {
	Width, Height int
	Components    int
	Progressive   bool
}

// DecodeHeader reads up to the frame header, and decodes no samples. What it allocates does not depend on the size it reports.
func DecodeHeader(data []byte) (Header, error) {
	d := decoder{bits: bitReader{data: data}}
	if err := d.segments(true); err != nil {
		return Header{}, err
	}
	return d.header(), nil
}

// Decode decodes a file. It allocates in proportion to the size that DecodeHeader reports, whatever the length of the data:
// look at that first.
func Decode(data []byte) (*Image, error) {
	d := decoder{bits: bitReader{data: data}}
	if err := d.segments(false); err != nil {
		return nil, err
	}
	return &Image{d.width, d.height, d.pixels(), d.warning}, nil
}

// Whole reports whether markers lead from the start of a file to an end-of-image marker, with a frame and a scan on the way.
// Of the codes between them it knows nothing.
func Whole(data []byte) bool {
	d := decoder{bits: bitReader{data: data}}
	d.bits.pos = 2
	for frame, scan := false, false; ; {
		marker, _, err := d.nextMarker()
		switch {
		case err != nil || marker == soi:
			return false
		case marker == eoi:
			return frame && scan
		case marker == tem || rst0 <= marker && marker <= rst7:
			continue
		}
		p := d.bits.pos
		if p+2 > len(data) {
			return false
		}
		d.bits.pos = p + int(binary.BigEndian.Uint16(data[p:]))
		frame = frame || sof0 <= marker && marker <= sof2
		scan = scan || marker == sos
	}
}

// Marker codes (ITU-T T.81, table B.1).
const (
	tem   = 0x01
	sof0  = 0xC0 // baseline
	sof1  = 0xC1 // extended sequential
	sof2  = 0xC2 // progressive
	dht   = 0xC4
	jpg   = 0xC8
	dac   = 0xCC
	sof15 = 0xCF
	rst0  = 0xD0
	rst7  = 0xD7
	soi   = 0xD8
	eoi   = 0xD9
	sos   = 0xDA
	dqt   = 0xDB
	dri   = 0xDD
	app0  = 0xE0
	app14 = 0xEE
)

// maxScans bounds the work that a small file can ask for; a progressive file of ten scans is usual, and a full script of
// every coefficient and bit on its own is of no use to anyone.
const maxScans = 500

// decoder is the state of one decoding.
type decoder struct {
	bits            bitReader
	quant           [4]*[64]uint16   // natural order
	dc, ac          [4]*huffmanTable // nil where the file has defined none
	restartInterval int

	jfif           bool
	adobe          bool
	adobeTransform byte

	width, height    int
	progressive      bool
	components       []component // none before the frame header
	hMax, vMax       int
	mcuCols, mcuRows int

	scans    int
	buffered bool // coefficients are collected over several scans
	whole    bool // the one scan of a picture that is not buffered was read to its end, and much follows
	lastGood int  // MCU row up to which the last scan has data
	smooth   bool // scans are missing, and what they would have sent is estimated
	out      *renderer
	warning  string
}

// component is one colour plane.
type component struct {
	id            byte
	h, v          int // sampling factors
	tq            byte
	width, height int // in samples
	blocks        int // blocks in a row, including padding to whole MCUs
	blockRows     int
	quant         *[64]uint16 // as it was at the component's first scan
	up            upsampler
	pred          int32 // the last DC coefficient

	coefs []int16 // [blockRows][blocks][64], if collected
	// plane has the samples of one MCU row, and before them the last row of the one above: [1+8·v][stride].
	plane  []byte
	top    int // number of the first row in plane
	stride int // length of a row of plane, 8·blocks
	// sent is, for each coefficient in zigzag order, the lowest bit that has been sent, or -1; before is the same without
	// the component's last scan, and all 0 if that was the file's first, as libjpeg has it.
	sent, before [64]int
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// nextMarker skips to the next marker. It returns its code and where it begins, and leaves the position after it.
func (d *decoder) nextMarker() (code byte, at int, err error) {
	data, p := d.bits.data, d.bits.pos
	for {
		i := bytes.IndexByte(data[min(p, len(data)):], 0xFF)
		if i < 0 {
			return 0, 0, errTruncated
		}
		p += i
		at = p
		for p < len(data) && data[p] == 0xFF {
			p++
		}
		if p >= len(data) {
			return 0, 0, errTruncated
		}
		if data[p] != 0 {
			d.bits.pos = p + 1
			return data[p], at, nil
		}
	}
}

// segments reads the file marker by marker up to its end, or up to the frame header. A file whose picture is all there may
// lack the end marker if something else follows, such as the zeros that a camera or a disk pads it with: libjpeg has given
// all rows out by then. Files that just end are not told from truncated ones, by libjpeg either.
func (d *decoder) segments(headerOnly bool) error {
	err := d.markers(headerOnly)
	if err == errTruncated && d.whole {
		if d.warning == "" {
			d.warning = "there is no end-of-image marker"
		}
		return nil
	}
	return err
}

func (d *decoder) markers(headerOnly bool) error {
	data := d.bits.data
	if len(data) < 2 {
		return errTruncated
	}
	if data[0] != 0xFF || data[1] != soi {
		return FormatError("no start-of-image marker")
	}
	d.bits.pos = 2
	for {
		marker, _, err := d.nextMarker()
		if err != nil {
			return err
		}
		switch {
		case marker == eoi:
			return d.complete()
		case marker == soi:
			return FormatError("second start-of-image marker")
		case marker == tem || rst0 <= marker && marker <= rst7:
			continue // markers without a segment
		}
		p := d.bits.pos
		if p+2 > len(data) {
			return errTruncated
		}
		n := int(binary.BigEndian.Uint16(data[p:]))
		if n < 2 {
			return FormatError(fmt.Sprintf("segment 0x%02X of impossible length %d", marker, n))
		}
		if p+n > len(data) {
			return errTruncated
		}
		segment := data[p+2 : p+n]
		d.bits.pos = p + n

		switch {
		case marker == dht:
			err = d.defineHuffman(segment)
		case marker == dqt:
			err = d.defineQuantization(segment)
		case marker == dri:
			if len(segment) != 2 {
				return FormatError("restart interval of wrong length")
			}
			d.restartInterval = int(binary.BigEndian.Uint16(segment))
		case sof0 <= marker && marker <= sof2:
			if err = d.frame(marker, segment); err == nil && headerOnly {
				return nil
			}
		case marker == sof1+2:
			err = UnsupportedError("lossless JPEG")
		case sof0 <= marker && marker <= sof15 && marker != jpg && marker != dac:
			err = UnsupportedError("hierarchical or arithmetic-coded JPEG")
		case marker == sos:
			err = d.scan(segment)
		case marker == app0:
			d.jfif = d.jfif || bytes.HasPrefix(segment, []byte("JFIF\x00"))
		case marker == app14:
			if len(segment) >= 12 && bytes.HasPrefix(segment, []byte("Adobe")) {
				d.adobe, d.adobeTransform = true, segment[11]
			}
		}
		if err != nil {
			return err
		}
	}
}

// complete is asked at the end of the file whether every bit of every coefficient has been sent.
func (d *decoder) complete() error {
	if d.components == nil {
		return FormatError("no frame header")
	}
	missing := false
	for i := range d.components {
		c := &d.components[i]
		if c.sent[0] < 0 {
			return FormatError(fmt.Sprintf("component %d was not sent: scans are missing", c.id))
		}
		for _, bit := range c.sent {
			missing = missing || bit != 0
		}
	}
	if missing {
		d.smooth = d.canSmooth()
		d.warning = "scans are missing; the picture is coarse"
		if d.smooth {
			d.warning += ", and smoothed as libjpeg does"
		}
	}
	return nil
}

func (d *decoder) header() Header {
	return Header{d.width, d.height, len(d.components), d.progressive}
}
