package text

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// random is a nn.Source of normal numbers, of the size of CLIP's, for the encoder of some sizes.
type random map[string][]int

func newRandom(c Config) random {
	r := random{"token_embedding.weight": {c.Vocab, c.Width}, "positional_embedding": {c.Context, c.Width}, "text_projection": {c.Width, c.Embed},
		"ln_final.weight": {c.Width}, "ln_final.bias": {c.Width}}
	for i := range c.Layers {
		for name, shape := range map[string][]int{"ln_1.weight": {c.Width}, "ln_1.bias": {c.Width}, "ln_2.weight": {c.Width}, "ln_2.bias": {c.Width},
			"attn.in_proj_weight": {3 * c.Width, c.Width}, "attn.in_proj_bias": {3 * c.Width}, "attn.out_proj.weight": {c.Width, c.Width}, "attn.out_proj.bias": {c.Width},
			"mlp.c_fc.weight": {4 * c.Width, c.Width}, "mlp.c_fc.bias": {4 * c.Width}, "mlp.c_proj.weight": {c.Width, 4 * c.Width}, "mlp.c_proj.bias": {c.Width}} {
			r[fmt.Sprintf("transformer.resblocks.%d.%s", i, name)] = shape
		}
	}
	return r
}

func (r random) Names() []string { return slices.Sorted(maps.Keys(r)) }

func (r random) Shape(name string) ([]int, bool) { s, ok := r[name]; return s, ok }

func (r random) Read(name string, dst []float32) error {
	scale := 0.3
	if shape := r[name]; len(shape) == 2 {
		scale = 1 / math.Sqrt(float64(shape[1]))
	}
	key := tensor.NewKey(1).Name(name)
	for i := range dst {
		dst[i] = float32(scale * key.Normal(uint64(i)))
	}
	return nil
}

func openDevice(t testing.TB, name string) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open(name, tensor.Options{Workers: 2, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func newEncoder(t testing.TB, dev *tensor.Device, c Config) *Encoder {
	t.Helper()
	w := nn.NewWeights(dev, newRandom(c))
	e := New(w, c)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return e
}

var tiny = Config{Context: 24, Vocab: 60, Width: 128, Layers: 3, Heads: 2, Embed: 32, Activation: tensor.QuickGELU}

const start, end = 58, 59

// prompts are texts that share beginnings of several lengths, or nothing but the start; one twice.
func somePrompts() [][]int32 {
	var all [][]int32
	for _, template := range [][]int32{{3, 4, 5, 6}, {3, 4, 9}, {7}, {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}} {
		for _, name := range [][]int32{{30}, {31, 32}, {33}, {31, 34, 35}, {31, 32}} {
			all = append(all, slices.Concat([]int32{start}, template, name, []int32{2, end}))
		}
	}
	return append(all, []int32{start, end}, []int32{start, 40, 41, end})
}

// A text's feature is, to the bit, what it is when it is computed alone and padded: nothing that is shared, left out,
// or beside it makes a difference.
func TestTextsTogetherAreTextsAlone(t *testing.T) {
	for _, device := range []string{"ref", "cpu"} {
		dev := openDevice(t, device)
		e := newEncoder(t, dev, tiny)
		tape := autograd.NoGrad(dev)
		prompts := somePrompts()
		together := e.Encode(tape, prompts).Value.Float64s()
		for i, ids := range prompts {
			padded := make([]int32, tiny.Context)
			copy(padded, ids)
			x := autograd.Reshape(e.Embeddings(tape, padded), 1, tiny.Context, tiny.Width)
			alone := e.EncodeEmbeddings(x, []int32{int32(len(ids) - 1)}).Value.Float64s()
			if got := together[i*tiny.Embed:][:tiny.Embed]; !slices.Equal(got, alone) {
				t.Errorf("%s: text %d: %v…, alone %v…", device, i, got[:3], alone[:3])
			}
		}
		tape.Release()
	}
}

// Gradients through a shared prefix are those through prefixes of each text's own.
func TestGradientsThroughPrefix(t *testing.T) {
	dev := openDevice(t, "ref")
	e := newEncoder(t, dev, tiny)
	lengths := []int{3, 1, 2, 3}
	const shared = 5
	rows := 0
	for _, n := range lengths {
		rows += n
	}
	prefix, rest := dev.New(tensor.Full, shared, tiny.Width), dev.New(tensor.Full, rows, tiny.Width)
	tensor.Normal(prefix, tensor.NewKey(1))
	tensor.Normal(rest, tensor.NewKey(2))
	cts := dev.New(tensor.Full, 2, len(lengths), tiny.Embed)
	tensor.Normal(cts, tensor.NewKey(3))
	gradients := func(f func(t *autograd.Tape, prefix, rest *autograd.Var) *autograd.Var) [2][]float64 {
		tape := autograd.NewTape(dev)
		defer tape.Release()
		g := autograd.Pullback(f(tape, tape.Leaf(prefix), tape.Leaf(rest)), cts)
		return [2][]float64{g.Of(prefix).Float64s(), g.Of(rest).Float64s()}
	}
	layout, where := Continued(shared, lengths)
	got := gradients(func(tape *autograd.Tape, prefix, rest *autograd.Var) *autograd.Var {
		order := make([]int32, rows)
		at := 0
		for i, n := range lengths {
			for j := range n {
				order[where[i]-shared+j] = int32(at + j)
			}
			at += n
		}
		return e.EncodeRows(e.Place(autograd.JoinTokens(prefix, autograd.TakeRows(rest, order)), layout), layout, nn.Prompts{})
	})
	want := gradients(func(tape *autograd.Tape, prefix, rest *autograd.Var) *autograd.Var {
		const length = shared + 3
		var texts []*autograd.Var
		var ends []int32
		at := 0
		for _, n := range lengths {
			var own []int32
			for j := range 3 { // what follows the end repeats it
				own = append(own, int32(at+min(j, n-1)))
			}
			texts = append(texts, prefix, autograd.TakeRows(rest, own))
			ends = append(ends, int32(shared+n-1))
			at += n
		}
		return e.EncodeEmbeddings(autograd.Reshape(autograd.JoinTokens(texts...), len(lengths), length, tiny.Width), ends)
	})
	for i, what := range []string{"prefix", "rest"} {
		largest := 0.0
		for _, v := range want[i] {
			largest = max(largest, math.Abs(v))
		}
		for j := range want[i] {
			// Sums of some ten thousand roundings, in another order.
			if d := math.Abs(got[i][j] - want[i][j]); !(d <= 1e-12*largest) {
				t.Fatalf("%s, element %d: %g, want %g", what, j, got[i][j], want[i][j])
			}
		}
	}
}

// Prompts that share a template cost the template's tokens once; nothing is padded.
func TestLayoutRows(t *testing.T) {
	for _, c := range []struct {
		texts [][]int32
		rows  int
	}{
		{[][]int32{{start, 1, 2, end}}, 4},
		{[][]int32{{start, 1, 2, end}, {start, 1, 2, end}}, 5},
		{[][]int32{{start, 1, 2, end}, {start, 1, 2, 3, end}, {start, 1, 2, 4, 5, end}}, 3 + 1 + 2 + 3},
		{[][]int32{{start, 1, 2, 3, 4, end}, {start, 9, end}, {start, 1, 2, 3, 5, end}, {start, 1, 2, 3, 6, end}}, (4 + 3*2) + 3},
		{somePrompts(), 5 + 4 + 2 + 12 + 4*19 + 2 + 4}, // the second template is not worth a prefix of a prefix
	} {
		l, ids := layoutOf(c.texts)
		if l.Rows() > c.rows || len(ids) != l.Rows() || len(l.Positions()) != l.Rows() {
			t.Errorf("%d texts: %d rows, %d ids, %d positions; want %d", len(c.texts), l.Rows(), len(ids), len(l.Positions()), c.rows)
		}
		for i, text := range c.texts {
			if at := l.ends[i]; ids[at] != end || int(l.positions[at]) != len(text)-1 {
				t.Errorf("text %d: its end is row %d, with id %d at position %d", i, at, ids[at], l.positions[at])
			}
		}
	}
}

// words is a tokenizer of single letters, for class names and templates of these.
func words(t testing.TB) *BPE {
	t.Helper()
	tok, err := ReadMerges("letters", strings.NewReader("#version: 0.2\na b\n"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func classifierRig(t testing.TB, device string) (*tensor.Device, *Encoder, *BPE) {
	dev, tok := openDevice(t, device), words(t)
	c := tiny
	c.Context, c.Vocab, c.Layers = 77, tok.Size(), 1
	return dev, newEncoder(t, dev, c), tok
}

var classNames = []string{"ab", "a b c", "dog", "x", "zebra crossing"}

var templateNames = []string{"a {}.", "one {}", "{} of a b c d e f", "a photo of {}.", "a photo of {}, ab."}

// A classifier is the mean of normalised features, normalised, whichever prompts are computed together.
func TestClassifierIsItsDefinition(t *testing.T) {
	dev, e, tok := classifierRig(t, "ref")
	for n := range len(templateNames) {
		templates := templateNames[:n+1]
		got, err := Classifier(context.Background(), e, tok, dev, classNames, templates, NormalizeFirst)
		if err != nil {
			t.Fatal(err)
		}
		for i, class := range classNames {
			mean := make([]float64, e.Embed)
			for _, template := range templates {
				ids, err := tok.Tokenize(strings.ReplaceAll(template, "{}", class), e.Context, false)
				if err != nil {
					t.Fatal(err)
				}
				tape := autograd.NoGrad(dev)
				for j, v := range autograd.L2Normalize(e.Encode(tape, [][]int32{ids})).Value.Float64s() {
					mean[j] += v
				}
				tape.Release()
			}
			length := 0.0
			for _, v := range mean {
				length += v * v
			}
			for j, v := range got.Index(i).Float64s() {
				if want := mean[j] / math.Sqrt(length); !(math.Abs(v-want) <= 1e-14) { // tens of roundings of numbers below 1
					t.Fatalf("%d templates, class %s, element %d: %.17g, want %.17g", len(templates), class, j, v, want)
				}
			}
		}
	}
}

// counted is a context that ends after it was asked a number of times.
type counted struct {
	context.Context
	left int
}

func (c *counted) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A classifier of many classes that nobody wants any more ends, before its work begins or in the midst of it.
func TestClassifierEnds(t *testing.T) {
	dev, e, tok := classifierRig(t, "cpu")
	many := make([]string, 400)
	for i := range many {
		many[i] = fmt.Sprintf("c%d", i)
	}
	for _, left := range []int{0, 300, 600} {
		if _, err := Classifier(&counted{context.Background(), left}, e, tok, dev, many, []string{"a {}."}, NormalizeFirst); err != context.Canceled {
			t.Errorf("ends when asked %d times: error %v", left, err)
		}
	}
}

// Eight times as many templates take the same memory.
func TestClassifierMemory(t *testing.T) {
	peak := func(templates int) int64 {
		dev, e, tok := classifierRig(t, "cpu")
		before := dev.PeakBytes()
		all := make([]string, templates)
		for i := range all {
			all[i] = fmt.Sprintf("%d %d {}", i, i%7)
		}
		c, err := Classifier(context.Background(), e, tok, dev, slices.Repeat(classNames, 8), all, NormalizeFirst)
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
		return dev.PeakBytes() - before
	}
	if few, many := peak(5), peak(40); many > few+few/4 {
		t.Errorf("%d bytes for 5 templates, %d for 40", few, many)
	}
}
