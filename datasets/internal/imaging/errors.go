package imaging

import "fmt"

// Kind says what sort of thing is wrong with a file.
type Kind int

const (
	Corrupt     Kind = iota // the file is not what its first bytes promise
	Unsupported             // sound, for all we know, but of a format or variant that is not decoded
	Limit                   // larger than the limits allow
)

func (k Kind) String() string {
	switch k {
	case Corrupt:
		return "corrupt"
	case Unsupported:
		return "unsupported"
	case Limit:
		return "over the limit"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// An Error tells why a picture could not be decoded.
type Error struct {
	Name   string // of the file, as given to Decode
	Format string // "JPEG", "PNG", ...; empty where it is not known
	Kind   Kind
	Reason string
}

func (e *Error) Error() string { return e.Name + ": " + e.Fault() }

// Fault is the error without the file's name.
func (e *Error) Fault() string {
	format := e.Format
	if format != "" {
		format += " "
	}
	return fmt.Sprintf("%s %simage: %s", e.Kind, format, e.Reason)
}

// Limits bound what a file may ask for. They are checked before anything is allocated for its pixels.
type Limits struct {
	FileBytes int64 // size of the encoded file
	Side      int   // width and height
	Pixels    int64 // width times height
}

// DefaultLimits admit as many pixels as Pillow does before it takes a file for a bomb, which are twice the 89 478 485 that it
// warns of, and so the 48, 50 and 108 megapixels of telephones. Files have room for 85 megapixels that are not compressed.
var DefaultLimits = Limits{FileBytes: 256 << 20, Side: 1 << 20, Pixels: 178_956_970}

// check returns the reason why a picture is refused, or "".
func (l Limits) check(w, h int) string {
	switch {
	case w < 1 || h < 1:
		return fmt.Sprintf("%dx%d pixels", w, h)
	case w > l.Side || h > l.Side:
		return fmt.Sprintf("%dx%d pixels; at most %d on a side are decoded", w, h, l.Side)
	case int64(w)*int64(h) > l.Pixels:
		return fmt.Sprintf("%dx%d pixels; at most %d in all are decoded", w, h, l.Pixels)
	}
	return ""
}
