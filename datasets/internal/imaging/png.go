package imaging

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"io"
)

// The colour type is the 26th byte of every PNG file.
const (
	pngColorType = 25
	pngGray      = 0
)

const (
	pngSignature = "\x89PNG\r\n\x1a\n"
	pngEnd       = "\x00\x00\x00\x00IEND\xaeB`\x82"
)

// pngConfig reads the size. Where int has 32 bits, image/png does not say that of a picture whose bytes it cannot count; the header does,
// and has been read as far.
func pngConfig(data []byte) (w, h int, err error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err == png.UnsupportedError("dimension overflow") {
		size := data[len(pngSignature)+8:] // behind the length and the name of the first chunk
		return int(binary.BigEndian.Uint32(size)), int(binary.BigEndian.Uint32(size[4:])), nil
	}
	return c.Width, c.Height, err
}

// decodePNG decodes what Pillow does: of a file whose picture is all there, whatever comes after it does not matter.
func decodePNG(data []byte) (*RGB, error) {
	whole, repair := pngPicture(data)
	var r io.Reader = bytes.NewReader(whole)
	if repair != "" {
		r = io.MultiReader(r, bytes.NewReader([]byte(repair)))
	}
	m, err := png.Decode(r)
	if err != nil {
		return nil, err
	}
	var out *RGB
	if deep, ok := m.(*image.NRGBA64); ok && data[pngColorType] == pngGray {
		// Go makes colour of grey with a transparent value.
		out = NewRGB(deep.Rect.Dx(), deep.Rect.Dy())
		clampGray16(out.Pix, deep.Pix, deep.Stride, 8, out.W, out.H)
	} else if out, err = fromImage(m); err != nil {
		return nil, err
	}
	if repair != "" {
		out.Warning = "what follows the picture is damaged or missing"
	}
	return out, nil
}

// pngPicture is the part of a file up to the end of its picture's data, and what must follow to make a file of it; or the
// whole file and nothing, where it is sound after that or has no picture.
func pngPicture(data []byte) (whole []byte, repair string) {
	picture := false // the chunk before was part of it
	end := 0         // of the picture
	for p := len(pngSignature); ; {
		kind, body, next := pngChunk(data, p)
		last := len(data) - p // bytes
		switch {
		case picture && kind != "IDAT":
			end = p
		case kind == "IDAT" && next == 0 && last >= 8 && last-8 >= len(body) && len(body) > 0:
			// All of the chunk is there but for its checksum.
			p += 8 + len(body)
			sum := crc32.ChecksumIEEE(data[p-len(body)-4 : p])
			return data[:p], string(binary.BigEndian.AppendUint32(nil, sum)) + pngEnd
		}
		picture = kind == "IDAT"
		switch {
		case next == 0 || end > 0 && crc32.ChecksumIEEE(data[p+4:next-4]) != binary.BigEndian.Uint32(data[next-4:]):
			if end == 0 {
				return data, ""
			}
			return data[:end], pngEnd
		case kind == "IEND":
			return data, ""
		}
		p = next
	}
}

// pngChunk reads the chunk at p: its kind, its contents as far as they are there, and where the next one begins, or 0 if it
// is not all there.
func pngChunk(data []byte, p int) (kind string, body []byte, next int) {
	if len(data)-p < 8 {
		return "", nil, 0
	}
	kind = string(data[p+4 : p+8])
	size := binary.BigEndian.Uint32(data[p:])
	if int64(size) > int64(len(data)-p-8) {
		return kind, nil, 0
	}
	n := int(size)
	body = data[p+8:][:n]
	if next = p + 12 + n; next > len(data) {
		next = 0
	}
	return kind, body, next
}
