package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

// siglipFolder is a SigLIP of transformers' with random weights, and a tokenizer of 73 pieces.
var siglipFolder = once("siglip", func(dir string) error {
	const width, pieces, context = 24, 73, 24
	entry := func(name string, shape ...int) checkpoint.Entry {
		return checkpoint.Entry{Name: name, DType: checkpoint.F32, Shape: shape, Data: func(w io.Writer) error {
			key, b := tensor.NewKey(1).Name(name), []byte(nil)
			for i := range tensor.Len(shape) {
				x := (2*key.Uniform(uint64(i)) - 1) / math.Sqrt(width/2)
				switch {
				case strings.Contains(name, "norm") && strings.HasSuffix(name, "weight"):
					x++
				case strings.Contains(name, "embedding") || strings.HasSuffix(name, "probe"):
					x *= 4
				case name == "logit_scale":
					x = 3
				}
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
			}
			_, err := w.Write(b)
			return err
		}}
	}
	var all []checkpoint.Entry
	linear := func(name string, out, in int) {
		all = append(all, entry(name+".weight", out, in), entry(name+".bias", out))
	}
	norm := func(name string) { all = append(all, entry(name+".weight", width), entry(name+".bias", width)) }
	for _, tower := range []string{"vision_model.", "text_model."} {
		b := tower + "encoder.layers.0."
		for _, p := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
			linear(b+"self_attn."+p, width, width)
		}
		norm(b + "layer_norm1")
		norm(b + "layer_norm2")
		linear(b+"mlp.fc1", 2*width, width)
		linear(b+"mlp.fc2", width, 2*width)
	}
	all = append(all, entry("vision_model.embeddings.patch_embedding.weight", width, 3, 8, 8), entry("vision_model.embeddings.patch_embedding.bias", width),
		entry("vision_model.embeddings.position_embedding.weight", 16, width), entry("vision_model.head.probe", 1, 1, width),
		entry("vision_model.head.attention.in_proj_weight", 3*width, width), entry("vision_model.head.attention.in_proj_bias", 3*width),
		entry("text_model.embeddings.token_embedding.weight", pieces, width), entry("text_model.embeddings.position_embedding.weight", context, width),
		entry("logit_scale", 1), entry("logit_bias", 1))
	linear("vision_model.head.attention.out_proj", width, width)
	norm("vision_model.post_layernorm")
	norm("vision_model.head.layernorm")
	linear("vision_model.head.mlp.fc1", 2*width, width)
	linear("vision_model.head.mlp.fc2", width, 2*width)
	norm("text_model.final_layer_norm")
	linear("text_model.head", width, width)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	err := checkpoint.WriteFile(filepath.Join(dir, "model.safetensors"), func(w io.Writer) error { return checkpoint.WriteSafetensors(w, nil, all) })
	if err != nil {
		return err
	}
	spiece, err := os.ReadFile(filepath.Join("..", "..", "text", "subword", "testdata", "unigram.model"))
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{
		"config.json": fmt.Appendf(nil, `{"model_type": "siglip", "text_config": {"num_attention_heads": 3, "vocab_size": %d, "max_position_embeddings": %d},
			"vision_config": {"num_attention_heads": 3, "image_size": 32, "patch_size": 8}}`, pieces, context),
		"tokenizer_config.json": []byte(`{"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>"}`),
		"spiece.model":          spiece,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			return err
		}
	}
	return nil
})

// A SigLIP does what a CLIP does: it encodes texts by its own tokenizer, classifies, and trains masks, paths and contexts,
// whose files it reads again, to evaluate and to predict.
func TestSigLIP(t *testing.T) {
	model := siglipFolder(t)
	got := objects(t, must(t, "encode", "-model", model, "-json", "-text", "A Photo of a CAT.", "-text", "a photo of a cat", "-text", "写真"))
	if !slices.Equal(got[0].Tokens, []int32{4, 16, 6, 11, 4, 33, 1}) || !slices.Equal(got[2].Tokens, []int32{15, 2, 1}) || !slices.Equal(got[0].Feature, got[1].Feature) {
		t.Errorf("%+v", got)
	}
	data := []string{"-model", model, "-data", tinyData(t), "-dataset", "few", "-json"}
	with := func(name string, more ...string) []string { return slices.Concat([]string{name}, data, more) }
	zero := last[evalResult](t, must(t, with("zeroshot")...))
	paths, classes := testFiles(t)
	for method, kind := range map[string]string{"r-amt": "-mask", "clip-lora": "-tuned", "coop": "-tuned", "maple": "-tuned"} {
		dir := filepath.Join(t.TempDir(), "run")
		args := with("train", "-method", method, "-shots", "4", "-out", dir, "-batch-size", "8")
		switch method {
		case "r-amt":
			args = append(args, "-epochs", "3", "-lr", "1e-2")
		case "clip-lora":
			args = append(args, "-iterations", "6", "-lr", "1e-2")
		case "coop":
			args = append(args, "-epochs", "3", "-lr", "1e-2", "-context", "3", "-class-specific", "-position", "middle")
		case "maple":
			args = append(args, "-epochs", "3", "-lr", "1e-2", "-depth", "1")
		}
		r := last[run.Result](t, must(t, args...))
		if r.ZeroShot.Correct != zero.Test.Correct || r.Test == nil {
			t.Errorf("%s: %+v", method, r)
		}
		if s := r.Sparsity; method == "r-amt" && (s == nil || s.Off == 0 || s.Total != 2*4*24*24) { // the query's attention is masked too
			t.Errorf("sparsity %+v", s)
		}
		if e := last[evalResult](t, must(t, with("eval", kind, dir)...)); e.Test != *r.Test {
			t.Errorf("%s: eval says %+v, train %+v", method, e.Test, *r.Test)
		}
		right := 0
		for i, row := range predictions(t, must(t, append([]string{"predict", "-model", model, kind, dir}, paths...)...)) {
			if row[1] == classes[i] {
				right++
			}
		}
		if right != r.Test.Correct || len(paths) != r.Test.Images {
			t.Errorf("%s: predict has %d of %d right, train %+v", method, right, len(paths), *r.Test)
		}
	}
}

// Where a relative's tokenizer is not beside it, images are encoded, and texts ask for it by the names that there are.
func TestSigLIPWithoutTokenizer(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"model.safetensors", "config.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), read(t, filepath.Join(siglipFolder(t), name)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "encode", "-model", dir, images(t, 1)[0])
	if code, _, errw := cli(t, "encode", "-model", dir, "-text", "a star"); code != exitUsage || !strings.Contains(errw, "spiece.model") || !strings.Contains(errw, "-vocab") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	subword := filepath.Join("..", "..", "text", "subword", "testdata")
	got := objects(t, must(t, "encode", "-model", dir, "-vocab", filepath.Join(subword, "unigram.json"), "-json", "-text", "a photo of a cat"))
	if want := []int32{4, 16, 6, 11, 4, 33, 1}; !slices.Equal(got[0].Tokens, want) {
		t.Errorf("-vocab: %v, want %v", got[0].Tokens, want)
	}
	if code, _, errw := cli(t, "encode", "-model", dir, "-vocab", filepath.Join(subword, "bpe.json"), "-text", "a star"); code != exitFailed || !strings.Contains(errw, "another model's") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}
