package prompt

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// padded is a small model whose text encoder sees its padding, as SigLIP's: each position all others, read at the last;
// or at the end-of-text token. The tokenizer is one of package subword's.
func padded(t testing.TB, device, tokenizer string, pool text.Pool) *CLIP {
	t.Helper()
	m := rig(t, device)
	data, err := os.ReadFile(filepath.Join("..", "..", "text", "subword", "testdata", tokenizer))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := text.ReadTokenizer(text.TokenizerFile{Name: tokenizer, Data: data, Clean: text.CleanSigLIP})
	if err != nil {
		t.Fatal(err)
	}
	src := newRandom(tok.Size())
	src["positional_embedding"] = []int{28, width}
	src["text_projection.bias"] = []int{embed}
	pad, _ := tok.Pad()
	c, err := text.ConfigOf(src, text.Config{Activation: tensor.TanhGELU, Full: true, Pool: pool, Pad: pad, EOS: 1})
	if err != nil {
		t.Fatal(err)
	}
	vc, err := vit.ConfigOf(src, vit.Config{Activation: tensor.QuickGELU})
	if err != nil {
		t.Fatal(err)
	}
	w := nn.NewWeights(m.Device, src)
	m.Image, m.Text, m.Tokenizer = vit.New(w, vc), text.New(w, c), tok
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

func siglip(t testing.TB, device string) *CLIP {
	return padded(t, device, "unigram.model", text.PoolLast)
}

// Contexts that are the embeddings of words give the class features of a template of these words, wherever they stand,
// for each class the same or its own, and however many texts are in memory at a time.
func TestContextOfWordsIsTemplate(t *testing.T) {
	const words = "a photo a photo" // a token each
	templates := map[string]string{"end": words + " {}.", "middle": "a photo {} a photo.", "front": "{} a photo a photo."}
	for model, open := range map[string]func(device string) *CLIP{
		"CLIP":     func(device string) *CLIP { return rig(t, device) },
		"SigLIP":   func(device string) *CLIP { return siglip(t, device) },
		"SigLIP 2": func(device string) *CLIP { return padded(t, device, "bpe.json", text.PoolLast) },
		"at EOS":   func(device string) *CLIP { return padded(t, device, "unigram.model", text.PoolEOS) },
		"first":    func(device string) *CLIP { return padded(t, device, "wordpiece.json", text.PoolFirst) },
	} {
		// Some dozen roundings of sums over 64 numbers, in another order.
		for device, tol := range map[string]float64{"ref": 1e-12, "cpu": 1e-5} {
			m := open(device)
			for position, template := range templates {
				if model == "SigLIP 2" && position != "end" {
					continue // a word has another token where there is no space before it
				}
				c := newContext(4, position, false)
				start, err := m.start(&c, words, 1, "test")
				if err != nil {
					t.Fatal(err)
				}
				want, err := m.head(classes, template)
				if err != nil {
					t.Fatal(err)
				}
				for _, specific := range []bool{false, true} {
					c.specific = specific
					vectors := start.Value
					if specific {
						vectors = m.Device.New(tensor.Full, len(classes)*4, width)
						for i := range classes {
							tensor.Copy(vectors.Rows(4*i, 4*i+4), start.Value)
						}
					}
					prompts, shared, err := c.prompts(m, classes)
					if err != nil {
						t.Fatal(err)
					}
					for _, most := range []int{1, 45, chunkRows} {
						x := newTexts(m.Text, []family{{shared, prompts}}, most)
						got := frozen(m.Device, func(t *autograd.Tape) *autograd.Var { return autograd.L2Normalize(x.features(t, t.Const(vectors))) })
						g, w := got.Float64s(), want.Float64s()
						for i := range g {
							if d := math.Abs(g[i] - w[i]); !(d <= tol) {
								t.Fatalf("%s on %s, %s, class-specific %t, chunks of %d rows: number %d is %g, that of %q %g",
									model, device, position, specific, most, i, g[i], template, w[i])
							}
						}
						got.Release()
					}
				}
			}
		}
	}
}

// A tokenizer may have tokens for a name with its full stop, which are the name's then.
func TestNamesWithStop(t *testing.T) {
	m := padded(t, "ref", "bpe.json", text.PoolLast)
	m.Tokenizer = joining{m.Tokenizer}
	for _, position := range Positions() {
		prompts, _, err := newContext(2, position, false).prompts(m, []string{"u.s"})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]prompt{"end": {0, 1, -8, -2}, "middle": {0, -8, 1, -2}, "front": {-8, 0, 1, -2}}[position]
		if got := prompts[0][:4]; !slices.Equal(got, want) || len(prompts[0]) != m.Text.Context {
			t.Errorf("%s: %v, want %v", position, prompts[0], want)
		}
	}
}

// joining has a token for "u.s.", 7, and one for each letter otherwise.
type joining struct{ text.Tokenizer }

func (j joining) Encode(s string) (ids []int32, err error) {
	rest, joined := strings.CutSuffix(s, " u.s.")
	for range strings.ReplaceAll(rest, " ", "") {
		ids = append(ids, 9)
	}
	if joined {
		ids = append(ids, 7)
	}
	return ids, nil
}

func (j joining) Tokenize(s string, _ int, _ bool) ([]int32, error) {
	ids, err := j.Encode(s)
	return append(ids, 1), err
}

// Gradients of what is learned for an encoder that sees its padding are those of differences, along a random direction
// of each parameter.
func TestPaddedGradients(t *testing.T) {
	for _, name := range []string{"coop", "coop class-specific", "cocoop", "kgcoop", "maple", "promptsrc"} {
		m := siglip(t, "ref")
		l, err := methods()[name](m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		x, labels := batch(m.Device)
		tr := train.New(m.Device, l, tensor.NewKey(1), 0)
		loss := func() (float64, [][2]*tensor.Tensor) {
			s, g, err := tr.Gradients(context.Background(), x, labels)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return s.Loss, g
		}
		i := 0
		for _, group := range l.Groups() {
			for _, p := range group.Params {
				d := m.Device.New(tensor.Full, p.Value.Shape()...)
				tensor.Normal(d, tensor.NewKey(9).Name(p.Name))
				at := func(h float64) float64 {
					tensor.AXPY(p.Value, h, d)
					v, _ := loss()
					tensor.AXPY(p.Value, -h, d)
					return v
				}
				_, g := loss()
				var along, size float64
				direction := d.Float64s()
				for j, v := range g[i][0].Float64s() {
					along += v * direction[j]
					size += math.Abs(v * direction[j])
				}
				// The difference errs by h² of a third derivative, and by the loss's roundings, of about 1e-15, over h.
				// A larger h steps over kinks of ReLU.
				const h = 1e-6
				if got := (at(h) - at(-h)) / (2 * h); !(math.Abs(got-along) <= 1e-6*(size+1e-2)) || size == 0 {
					t.Errorf("%s, %s: the difference is %g, the gradient %g", name, p.Name, got, along)
				}
				i++
			}
		}
		tr.Release()
	}
}
