package imaging

import (
	"encoding/binary"
	"hash/crc32"

	"fewshot/datasets/internal/imaging/jpeg"
)

// Inspect tells whether a file is sound as far as that can be seen without its pixels: its headers and size, and whether it
// goes on to its end. What looks cut off or odd is decoded, so that every error is one that [Decode] gives; the reverse does not
// hold. A file that passes may still have damaged codes.
func Inspect(name string, data []byte, limits Limits) error {
	if f := sniff(data); f != nil && f.whole != nil && int64(len(data)) <= limits.FileBytes {
		if f.sound(data, limits) {
			return nil
		}
	}
	_, err := Decode(name, data, limits)
	return err
}

// sound reports whether a file's header is within limits and the rest goes on to its end. A panic is for Decode to report.
func (f *format) sound(data []byte, limits Limits) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	w, h, err := f.config(data)
	return err == nil && limits.check(w, h) == "" && f.whole(data)
}

// pngWhole reports whether all chunks are there, with right checksums.
func pngWhole(data []byte) bool {
	picture := false
	for p := len(pngSignature); ; {
		kind, _, next := pngChunk(data, p)
		if next == 0 || crc32.ChecksumIEEE(data[p+4:next-4]) != binary.BigEndian.Uint32(data[next-4:]) {
			return false
		}
		picture = picture || kind == "IDAT"
		if kind == "IEND" {
			return picture
		}
		p = next
	}
}

// gifWhole reports whether all blocks of the first frame are there.
func gifWhole(data []byte) bool {
	f, err := parseGIF(data)
	if err != nil {
		return false
	}
	_, _, ok := subBlocks(f.data)
	return ok
}

// webpWhole reports whether the chunks fill the file.
func webpWhole(data []byte) bool {
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	if size < 4 || size+8 > int64(len(data)) {
		return false
	}
	for rest := data[12 : 8+size]; len(rest) > 0; {
		var ok bool
		if _, _, rest, ok = riffChunk(rest); !ok {
			return false
		}
	}
	return true
}

// bmpWhole reports whether all pixels are there.
func bmpWhole(data []byte) bool {
	f, err := parseBMP(data)
	return err == nil && f.whole()
}

// pnmWhole reports whether all samples are there, where they are not written as numbers.
func pnmWhole(data []byte) bool {
	f, err := parsePNM(data)
	if err != nil || f.plain() {
		return false
	}
	_, err = f.reader()
	return err == nil
}

func jpegWhole(data []byte) bool { return jpeg.Whole(data) }
