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

func (e *Error) Error() string {
	format := e.Format
	if format != "" {
		format += " "
	}
	return fmt.Sprintf("%s: %s %simage: %s", e.Name, e.Kind, format, e.Reason)
}

// Limits bound what a file may ask for. They are checked before anything is allocated for its pixels.
type Limits struct {
	FileBytes int64 // size of the encoded file
	Side      int   // width and height
	Pixels    int64 // width times height
}

// DefaultLimits admit every picture of the common data sets (the largest of ImageNet has 4288x2848 pixels, SUN397 has
// some of 20 megapixels) and keep what a hostile file of a few bytes can cost below 1 GiB.
var DefaultLimits = Limits{FileBytes: 64 << 20, Side: 16384, Pixels: 40_000_000}

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
