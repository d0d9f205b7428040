package checkpoint

import (
	"fmt"
	"math"
)

// Activations as [Model.Activation] names them.
const (
	quickGELU = "quickgelu"
	gelu      = "gelu"
	tanhGELU  = "gelu-tanh"
)

// Settings are what a configuration says of a model that its tensors do not.
type Settings struct {
	Activation string         `json:"activation,omitempty"` // "quickgelu", "gelu" or "gelu-tanh"; "" if not said
	Vision     VisionSettings `json:"vision,omitzero"`
	Text       TextSettings   `json:"text,omitzero"`
}

// VisionSettings are those of an image encoder. Zero values are CLIP's, or not said.
type VisionSettings struct {
	Activation string  `json:"activation,omitempty"` // where the encoders have different ones; "" for Settings'
	Heads      int     `json:"heads,omitempty"`
	Eps        float64 `json:"eps,omitempty"`        // of layer norms
	ImageSize  int     `json:"image_size,omitempty"` // in pixels
	Pool       string  `json:"pool,omitempty"`       // "avg", "map" or "query", as package vit has them; "" for the class token
	PoolHeads  int     `json:"pool_heads,omitempty"` // of "query", and of "map" where it has others than the encoder
	NormLast   bool    `json:"norm_last,omitempty"`  // the last norm comes after pooling
	PostNorm   bool    `json:"post_norm,omitempty"`  // in blocks, norms are of what attention and MLP make
	Rotary     Rotary  `json:"rotary,omitzero"`
}

// Rotary are rotary positions in two dimensions, as package nn has them. The zero value is none.
type Rotary struct {
	Ref          int  `json:"ref"`
	Offset       int  `json:"offset,omitempty"`
	ColumnsFirst bool `json:"columns_first,omitempty"`
}

// TextSettings are those of a text encoder. Zero values are CLIP's, or not said.
type TextSettings struct {
	Activation string  `json:"activation,omitempty"` // where the encoders have different ones; "" for Settings'
	Heads      int     `json:"heads,omitempty"`
	Eps        float64 `json:"eps,omitempty"`
	Pool       string  `json:"pool,omitempty"` // "eos", "last" or "first", as package text has them; "" for the largest id
	EOS        int32   `json:"eos,omitempty"`  // of "eos"
	Full       bool    `json:"full,omitempty"` // no causal mask
	Pad        int32   `json:"pad,omitempty"`
	NoProj     bool    `json:"no_proj,omitempty"` // the encoder's feature need not be projected
	CLS        bool    `json:"cls,omitempty"`     // a token behind the text has its feature

	// Tokenizer names another tokenizer than CLIP's byte pairs; "" for that. Clean says what texts go through before it, as package text
	// has it, and StripSep that the id behind a text becomes 0.
	Tokenizer string `json:"tokenizer,omitempty"`
	Clean     string `json:"clean,omitempty"`
	StripSep  bool   `json:"strip_sep,omitempty"`
}

// Unusual are those settings that are not CLIP's own, without activation and heads, which every CLIP has: nothing, for most
// models.
func (s Settings) Unusual() Settings {
	usual := func(eps float64) float64 {
		if eps == 1e-5 {
			return 0
		}
		return eps
	}
	s.Activation = ""
	s.Vision.Heads, s.Vision.ImageSize, s.Vision.Eps = 0, 0, usual(s.Vision.Eps)
	s.Text.Heads, s.Text.Eps = 0, usual(s.Text.Eps)
	if s.Text.Pool != "eos" {
		s.Text.EOS = 0
	}
	if !s.Text.Full && s.Text.Pool != "last" {
		s.Text.Pad = 0
	}
	return s
}

// settings is what a model folder says beyond its weights.
type settings struct {
	Settings
	preprocess Preprocessing
	prepared   bool // preprocess is the folder's own, not the default
}

// fields reads one JSON object of a configuration: a reader for each key
// that matters. A value of null counts as absent, as in Python.
type fields map[string]func(*jsonReader) error

// read calls other for keys that are not listed.
func (f fields) read(r *jsonReader, other func(*jsonReader, string) error) error {
	return r.object(func(key string) error {
		if r.null() {
			return nil
		}
		if field := f[key]; field != nil {
			return entryFault(field(r), key)
		}
		return other(r, key)
	})
}

// skipUnknown skips a key that has no bearing on inference. Hugging Face writes
// dozens of them.
func skipUnknown(r *jsonReader, _ string) error { return r.skip() }

// refuseUnknown is for objects where every key can change the architecture.
func refuseUnknown(r *jsonReader, key string) error {
	return fault(Unsupported, "unknown model setting").in(key).at(r.base + int64(r.pos))
}

func skipField(r *jsonReader) error { return r.skip() }

// wantCount reads a number of heads, pixels or channels into to.
func wantCount(to *int) func(*jsonReader) error {
	return func(r *jsonReader) error {
		n, err := r.natural()
		if err != nil {
			return err
		}
		if n == 0 || n > 1<<20 {
			return r.unsupported("setting", "a number from 1 to 1048576", n)
		}
		*to = int(n)
		return nil
	}
}

func (r *jsonReader) unsupported(what string, want, got any) error {
	return fault(Unsupported, "%s", what).at(r.base+int64(r.pos)).wanted(want, got)
}

// wantText accepts one string.
func wantText(want string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.text()
		if err == nil && got != want {
			return r.unsupported("setting", quote(want), quote(got))
		}
		return err
	}
}

// wantBool accepts one truth value.
func wantBool(want bool) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.boolean()
		if err == nil && got != want {
			return r.unsupported("setting", want, got)
		}
		return err
	}
}

// wantNear accepts one number, within the rounding of its decimal spelling.
func wantNear(want float64) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.number()
		if err == nil && math.Abs(got-want) > 1e-6*want {
			return r.unsupported("setting", want, got)
		}
		return err
	}
}

// wantTriple reads three numbers, one a colour channel.
func wantTriple(to *[3]float64, positive bool) func(*jsonReader) error {
	return func(r *jsonReader) error {
		n := 0
		err := r.array(func(i int) error {
			v, err := r.number()
			if err != nil {
				return err
			}
			if i < 3 {
				to[i] = v
			}
			if math.Abs(v) > 1e3 || positive && v < 1e-6 {
				return r.unsupported("channel constant", "a moderate number", v)
			}
			n++
			return nil
		})
		if err == nil && n != 3 {
			return r.unsupported("channel constants", "three numbers", n)
		}
		return err
	}
}

// wantSquare reads a picture's size: one number, or height and width that agree,
// as an object or an array.
func wantSquare(to *int) func(*jsonReader) error {
	return func(r *jsonReader) error {
		var height, width int
		var err error
		switch r.peek() {
		case '{':
			err = fields{"height": wantCount(&height), "width": wantCount(&width)}.read(r, refuseUnknown)
		case '[':
			err = r.array(func(i int) error {
				switch i {
				case 0:
					return wantCount(&height)(r)
				case 1:
					return wantCount(&width)(r)
				}
				return r.unsupported("picture size", "two numbers", "more")
			})
		default:
			err = wantCount(&height)(r)
			width = height
		}
		if err == nil && (height == 0 || height != width) {
			return r.unsupported("picture size", "a square", fmt.Sprintf("%d by %d", height, width))
		}
		*to = height
		return err
	}
}
