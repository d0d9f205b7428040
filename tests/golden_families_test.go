package tests

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// A family's name may have slashes in it, as ViT-L/14 has.
var (
	_ = onGolden("family *", goldenFamily)
	_ = onGolden("family */*", goldenFamily)
	_ = onGolden("family */*/*", goldenFamily)
)

// familyCase is what the runner needs of a case.json; the rest describes how it was made.
type familyCase struct {
	Name, Family, Layout string
	Images, Texts        []string
	Tokenizer            string
	WeightsOf            string `json:"weights_of"`
	Pixels               string `json:"pixel_values"`
	Context              int    `json:"context_length"`
}

// otherFamilies are those that are refused, by a part of the case's family, with a word that the refusal has to have.
var otherFamilies = []struct{ family, word string }{
	{"qk_norm", "qk_norm"}, {"resize_mode longest", "longest"},
	{"scale_attn", "scale_"},
}

// goldenFamily compares a model of some family with what its own library computes: pixels, ids of texts where the
// tokenizer is CLIP's, and features before and after normalisation.
func goldenFamily(g *goldenCase) {
	var c familyCase
	if err := json.Unmarshal(g.Raw, &c); err != nil { // the many other keys are records of how it was made
		g.Fatal(err)
	}
	m, err := checkpoint.OpenModel(familyFolder(g, c))
	if errors.Is(err, checkpoint.Unsupported) {
		for _, other := range otherFamilies {
			if strings.Contains(c.Family, other.family) && strings.Contains(err.Error(), other.word) {
				g.Logf("refused: %v", err)
				g.Within("refused by name", 0, 0)
				return
			}
		}
	}
	if err != nil {
		g.Refuse("%v", err)
	}
	defer m.Close()
	expected, err := checkpoint.Open(g.Path(path.Join(g.Name, "expected.safetensors")))
	if err != nil {
		g.Fatal(err)
	}
	defer expected.Close()

	a, err := nn.ActivationNamed(m.Activation())
	if err != nil {
		g.Fatal(err)
	}
	w := nn.NewWeights(g.Dev, m)
	vc, err := vit.ConfigOf(m, vit.Known(m.Settings(), a))
	if err != nil {
		g.Refuse("%v", err)
	}
	tc, err := text.ConfigOf(m, text.Known(m.Settings(), a))
	if err != nil {
		g.Refuse("%v", err)
	}
	image, words := vit.New(w, vc), text.New(w, tc)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	if rest := slices.DeleteFunc(w.Unused(), func(s string) bool { return s == "logit_scale" }); len(rest) > 0 {
		g.Errorf("nobody asked for %q", rest)
	}

	pixels := familyPixels(g, c, m, vc.ImageSize)
	features := value(g.Dev, func(t *autograd.Tape) *autograd.Var {
		return image.Encode(t.Const(from(g.Dev, tensor.Compute, pixels, len(c.Images), 3, vc.ImageSize, vc.ImageSize)))
	})
	compareFamily(g, expected, "image", features, len(c.Images))

	ids := familyIDs(g, c, m, expected, tc)
	features = value(g.Dev, func(t *autograd.Tape) *autograd.Var { return words.Encode(t, ids) })
	compareFamily(g, expected, "text", features, len(ids))
}

// familyFolder is the model's folder, put together where its weights are another case's.
func familyFolder(g *goldenCase, c familyCase) string {
	dir := g.Path(path.Join(g.Name, c.Layout))
	if c.WeightsOf == "" {
		return dir
	}
	whole := g.TempDir()
	for _, from := range []string{g.Path(path.Join("cases", c.WeightsOf, c.Layout)), dir} {
		entries, err := os.ReadDir(from)
		if err != nil {
			g.Fatal(err)
		}
		for _, e := range entries {
			if from != dir && !strings.HasSuffix(e.Name(), ".safetensors") && !strings.HasSuffix(e.Name(), ".bin") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(from, e.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(whole, e.Name()), b, 0o666)
			}
			if err != nil {
				g.Fatal(err)
			}
		}
	}
	return whole
}

// familyPixels prepares the images as the folder says, and compares that with the library's, which it gives.
func familyPixels(g *goldenCase, c familyCase, m *checkpoint.Model, size int) []float64 {
	f, err := checkpoint.Open(g.Path(c.Pixels))
	if err != nil {
		g.Fatal(err)
	}
	defer f.Close()
	want := familyFloats(g, f, "pixel_values")
	p, _ := m.Preprocessing()
	if p, err = p.For(size); err != nil {
		g.Fatal(err)
	}
	t := datasets.Transform{Size: p.Size, Resize: p.Resize, Squash: p.Mode == checkpoint.ResizeSquash, Bilinear: p.Interpolation == checkpoint.Bilinear}
	for i := range 3 {
		t.Mean[i], t.Std[i] = float32(p.Mean[i]), float32(p.Std[i])
	}
	var got, all []float64
	all, want = want, nil
	for i, name := range c.Images {
		b, err := os.ReadFile(g.Path(path.Join("images", name)))
		if err != nil {
			g.Fatal(err)
		}
		one := make([]float32, 3*size*size)
		if err := t.Image(one, name, b); err != nil {
			g.Fatal(err)
		}
		n := len(one)
		theirs := all[i*n : (i+1)*n]
		if c.Layout == "transformers" && p.Mode == checkpoint.ResizeShortest && i != 2 {
			continue // transformers cuts the centre out a pixel elsewhere than torchvision, where margins are odd; c.png is square
		}
		for _, v := range one {
			got = append(got, float64(v))
		}
		want = append(want, theirs...)
	}
	g.Within("pixels", farthest(got, want), 1e-6) // a rounding of the normalisation
	return all
}

// familyIDs are the texts' ids as the library pads them, compared with our tokenizer's where it is CLIP's.
func familyIDs(g *goldenCase, c familyCase, m *checkpoint.Model, expected *checkpoint.File, tc text.Config) [][]int32 {
	raw, err := expected.ReadBytes("input_ids")
	if err != nil {
		g.Fatal(err)
	}
	info, _ := expected.Info("input_ids")
	ids := make([][]int32, info.Shape[0])
	for i := range ids {
		ids[i] = make([]int32, info.Shape[1])
		for j := range ids[i] {
			ids[i][j] = int32(binary.LittleEndian.Uint32(raw[4*(i*info.Shape[1]+j):]))
		}
	}
	tok := familyTokenizer(g, c, m)
	if tok == nil || tc.Pool == text.PoolEOS { // there ids are made up
		return ids
	}
	wrong := 0
	for i, s := range c.Texts {
		own, err := tok.Tokenize(s, tc.Context, true)
		if err != nil {
			g.Fatal(err)
		}
		want := ids[i]
		if pad, ok := tok.Pad(); ok {
			own = append(own, slices.Repeat([]int32{pad}, tc.Context-len(own))...)
		} else {
			want = want[:len(own)]
		}
		if !slices.Equal(own, want) {
			wrong++
			g.Errorf("%q: ids %v, want %v", s, own, want)
		}
	}
	g.Within("ids", float64(wrong), 0)
	return ids
}

// familyTokenizer is the model's own, or, where its folder has none, the set's that the case names; nil if ids are
// compared by nobody.
func familyTokenizer(g *goldenCase, c familyCase, m *checkpoint.Model) text.Tokenizer {
	v, settings := m.Vocabulary(), m.Settings().Text
	if settings.Tokenizer == "" {
		if c.Tokenizer != "clip" || v.Merges == "" {
			return nil
		}
		return g.tokenizer(tokenizerColumn{file: v.Merges})
	}
	clean := text.Cleaning(settings.Clean)
	if c.Name == "hf-siglip2" {
		clean = text.CleanNone // transformers leaves this one's texts as they are, though the model was trained on lower case
	}
	file := v.Tokenizer
	if file == "" && c.Tokenizer != "" {
		file = path.Join("tokenizers", c.Tokenizer, "tokenizer.json")
		if _, err := os.Stat(g.Path(file)); err != nil {
			return nil
		}
	}
	if file == "" {
		return nil
	}
	return g.tokenizer(tokenizerColumn{file: file, clean: clean, strip: settings.StripSep, config: v.Config})
}

func familyFloats(g *goldenCase, f *checkpoint.File, name string) []float64 {
	info, _ := f.Info(name)
	v := make([]float32, tensor.Len(info.Shape))
	if err := f.Read(name, v); err != nil {
		g.Fatal(err)
	}
	wide := make([]float64, len(v))
	for i := range v {
		wide[i] = float64(v[i])
	}
	return wide
}

// compareFamily compares features with those of the library, before normalisation and after it. The latter may be off
// by 5e-6 in float32, which is less than what any wrong variant makes of them; what is expected is rounded to float32.
func compareFamily(g *goldenCase, expected *checkpoint.File, what string, got []float64, n int) {
	allowed := 5e-6
	if g.Device == "ref" {
		allowed = 2e-7
	}
	want := familyFloats(g, expected, what+"_features")
	scale := norm(want) / math.Sqrt(float64(n))
	g.Within(what+"_features", farthest(got, want)/scale, allowed)
	var unit []float64
	for i := range n {
		row := got[i*len(got)/n : (i+1)*len(got)/n]
		for _, v := range row {
			unit = append(unit, v/norm(row))
		}
	}
	g.Within(what+"_embeds", farthest(unit, familyFloats(g, expected, what+"_embeds")), allowed)
}
