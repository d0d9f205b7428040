package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	clipConfig = `{"model_type":"clip","vision_config":{},"text_config":{}}`
	openConfig = `{"model_cfg":{"embed_dim":4,"vision_cfg":{"width":64},"text_cfg":{}}}`
)

func TestHuggingFaceConfig(t *testing.T) {
	for _, c := range []struct {
		src        string
		activation string
		heads      [2]int
		kind       Kind
		text       string
	}{
		{clipConfig, "quickgelu", [2]int{12, 8}, 0, ""},
		{`{"model_type":"clip"}`, "quickgelu", [2]int{12, 8}, 0, ""},
		{`{"model_type":"clip","vision_config":null,"text_config":{"num_attention_heads":12,"bad_words_ids":null,"id2label":{"0":"a"}},"torch_dtype":"float32"}`, "quickgelu", [2]int{12, 12}, 0, ""},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu","num_attention_heads":16},"text_config":{"hidden_act":"gelu"}}`, "gelu", [2]int{16, 8}, 0, ""},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu"},"vision_config_dict":{"num_attention_heads":16},"text_config_dict":null}`, "quickgelu", [2]int{16, 8}, 0, ""},
		{`{"model_type":"clip_vision_model","hidden_act":"gelu","num_attention_heads":4,"layer_norm_eps":1e-05}`, "gelu", [2]int{4, 0}, 0, ""},

		{``, "", [2]int{}, Corrupt, "JSON"},
		{`{}`, "", [2]int{}, Unsupported, "model type"},
		{`{"model_type":"siglip"}`, "", [2]int{}, Unsupported, "siglip"},
		{`{"model_type":null}`, "", [2]int{}, Unsupported, "model type"},
		{`{"model_type":["clip"]}`, "", [2]int{}, Corrupt, "model_type"},
		{`{"model_type":"clip","model_type":"bert"}`, "", [2]int{}, Corrupt, "twice"},
		{clipConfig + "x", "", [2]int{}, Corrupt, "after"},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu"}}`, "", [2]int{}, Unsupported, "different activations"},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu_new"}}`, "", [2]int{}, Unsupported, "gelu_new"},
		{`{"model_type":"clip","vision_config":{"layer_norm_eps":1e-6}}`, "", [2]int{}, Unsupported, "layer_norm_eps"},
		{`{"model_type":"clip","vision_config":{"num_attention_heads":0}}`, "", [2]int{}, Unsupported, "num_attention_heads"},
		{`{"model_type":"clip","vision_config":{"num_attention_heads":-1}}`, "", [2]int{}, Corrupt, "num_attention_heads"},
		{`{"model_type":"clip","vision_config":[]}`, "", [2]int{}, Corrupt, "vision_config"},
	} {
		s, err := hfConfig([]byte(c.src))
		expectKind(t, inFile("config.json", err), c.kind, c.text)
		if err == nil && (s.activation != c.activation || [2]int{s.visionHeads, s.textHeads} != c.heads) {
			t.Errorf("%s: %+v", c.src, s)
		}
	}
}

func TestHuggingFacePreprocessor(t *testing.T) {
	for _, c := range []struct {
		src  string
		size int
		kind Kind
		text string
	}{
		{`{}`, 0, 0, ""},
		{`{"size":224,"crop_size":224,"resample":3,"do_resize":true,"feature_extractor_type":"CLIPFeatureExtractor"}`, 224, 0, ""},
		{`{"size":{"shortest_edge":336},"crop_size":{"height":336,"width":336},"do_convert_rgb":null}`, 336, 0, ""},
		{`{"size":{"shortest_edge":224}}`, 224, 0, ""},
		{`{"rescale_factor":0.00392156862745098,"do_rescale":true}`, 0, 0, ""},
		{`{"resample":2}`, 0, Unsupported, "resample"},
		{`{"do_center_crop":false}`, 0, Unsupported, "do_center_crop"},
		{`{"do_normalize":false}`, 0, Unsupported, "do_normalize"},
		{`{"size":{"height":224,"width":224}}`, 0, Unsupported, "height"},
		{`{"size":256,"crop_size":224}`, 0, Unsupported, "256"},
		{`{"crop_size":{"height":224,"width":225}}`, 0, Unsupported, "square"},
		{`{"crop_size":{"height":224}}`, 0, Unsupported, "square"},
		{`{"crop_size":[224,224,3]}`, 0, Unsupported, "two numbers"},
		{`{"rescale_factor":1}`, 0, Unsupported, "rescale_factor"},
		{`{"image_mean":[0.5,0.5]}`, 0, Unsupported, "three"},
		{`{"image_mean":[0.5,0.5,0.5,0.5]}`, 0, Unsupported, "three"},
		{`{"image_mean":[0.5,0.5,1e308]}`, 0, Unsupported, "moderate"},
		{`{"image_mean":[0.5,0.5,1e400]}`, 0, Limit, "float64"},
		{`{"image_mean":[0.5,0.5,NaN]}`, 0, Corrupt, "number"},
		{`{"image_std":[0.5,0,0.5]}`, 0, Unsupported, "moderate"},
		{`{"image_std":[0.5,-1,0.5]}`, 0, Unsupported, "moderate"},
		{`[]`, 0, Corrupt, "JSON"},
	} {
		p := OpenAIPreprocessing
		err := hfPreprocessor([]byte(c.src), &p)
		expectKind(t, inFile("preprocessor_config.json", err), c.kind, c.text)
		if err == nil && p.Size != c.size {
			t.Errorf("%s: %+v", c.src, p)
		}
	}
}

func TestOpenCLIPConfig(t *testing.T) {
	in := func(vision, text, model, preprocess string) string {
		return `{"model_cfg":{"embed_dim":512` + model + `,"vision_cfg":{"width":768` + vision + `},"text_cfg":{"heads":8` + text + `}},"preprocess_cfg":{"resize_mode":"shortest"` + preprocess + `}}`
	}
	for _, c := range []struct {
		src        string
		activation string
		heads      [2]int
		kind       Kind
		text       string
	}{
		{in("", "", "", ""), "gelu", [2]int{12, 8}, 0, ""},
		{in("", "", `,"quick_gelu":true`, ""), "quickgelu", [2]int{12, 8}, 0, ""},
		{in("", "", `,"quick_gelu":false`, ""), "gelu", [2]int{12, 8}, 0, ""},
		{in(`,"head_width":96,"layers":12,"timm_model_name":null`, "", "", ""), "gelu", [2]int{8, 8}, 0, ""},
		{in(`,"layers":[3,4,6,3]`, "", "", ""), "gelu", [2]int{384, 8}, 0, ""},
		{in(`,"image_size":[224,224]`, "", "", `,"size":[224,224],"mode":"RGB","interpolation":"bicubic","mean":[0.5,0.5,0.5]`), "gelu", [2]int{12, 8}, 0, ""},

		{`{}`, "", [2]int{}, Unsupported, "model_cfg"},
		{in(`,"timm_model_name":"vit_base"`, "", "", ""), "", [2]int{}, Unsupported, "timm"},
		{in(`,"new_setting":1`, "", "", ""), "", [2]int{}, Unsupported, "new_setting"},
		{in(`,"no_ln_pre":true`, "", "", ""), "", [2]int{}, Unsupported, "no_ln_pre"},
		{in(`,"pool_type":"avg"`, "", "", ""), "", [2]int{}, Unsupported, "pool_type"},
		{in(`,"attentional_pool":true`, "", "", ""), "", [2]int{}, Unsupported, "attentional_pool"},
		{in(`,"qk_norm":true`, "", "", ""), "", [2]int{}, Unsupported, "qk_norm"},
		{in(`,"norm_kwargs":{"eps":1e-6}`, "", "", ""), "", [2]int{}, Unsupported, "LayerNorm"},
		{in(`,"act_kwargs":{"approximate":"tanh"}`, "", "", ""), "", [2]int{}, Unsupported, "activation"},
		{in(`,"ls_init_value":1e-5`, "", "", ""), "", [2]int{}, Unsupported, "layer scale"},
		{in(`,"head_width":100`, "", "", ""), "", [2]int{}, Unsupported, "multiple"},
		{in("", `,"hf_model_name":"roberta-base"`, "", ""), "", [2]int{}, Unsupported, "Hugging Face"},
		{in("", `,"hf_tokenizer_name":"bert-base-uncased"`, "", ""), "", [2]int{}, Unsupported, "tokenizer"},
		{in("", `,"no_causal_mask":true`, "", ""), "", [2]int{}, Unsupported, "no_causal_mask"},
		{in("", `,"pool_type":"last"`, "", ""), "", [2]int{}, Unsupported, "pool_type"},
		{in("", `,"proj_bias":true`, "", ""), "", [2]int{}, Unsupported, "proj_bias"},
		{in("", "", `,"multimodal_cfg":{}`, ""), "", [2]int{}, Unsupported, "CoCa"},
		{in("", "", `,"quick_gelu":1`, ""), "", [2]int{}, Corrupt, "true or false"},
		{in("", "", `,"other":1`, ""), "", [2]int{}, Unsupported, "other"},
		{in("", "", "", `,"interpolation":"bilinear"`), "", [2]int{}, Unsupported, "interpolation"},
		{in("", "", "", `,"mode":"L"`), "", [2]int{}, Unsupported, "mode"},
		{strings.Replace(in("", "", "", ""), "shortest", "squash", 1), "", [2]int{}, Unsupported, "resize_mode"},
		{in("", "", "", "") + "{}", "", [2]int{}, Corrupt, "after"},
	} {
		s, err := openCLIPConfig([]byte(c.src))
		expectKind(t, inFile("open_clip_config.json", err), c.kind, c.text)
		if err == nil && (s.activation != c.activation || [2]int{s.visionHeads, s.textHeads} != c.heads) {
			t.Errorf("%s: %+v", c.src, s)
		}
	}
}

func TestShardIndex(t *testing.T) {
	for _, c := range []struct {
		src  string
		kind Kind
		text string
	}{
		{`{"metadata":{"total_size":1},"weight_map":{"a":"x.safetensors"}}`, 0, ""},
		{`{}`, Corrupt, "without tensors"},
		{`{"weight_map":{}}`, Corrupt, "without tensors"},
		{`{"weight_map":{"a":"../x.safetensors"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"/x.safetensors"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"x/y.safetensors"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"C:x.safetensors"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"x\\y.safetensors"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":".."}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"."}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":""}}`, Corrupt, "file name"},
		{`{"weight_map":{"a":"x\u0000"}}`, Corrupt, "file name"},
		{`{"weight_map":{"a\u0000":"x"}}`, Corrupt, "printable"},
		{`{"weight_map":{"a":"x","a":"y"}}`, Corrupt, "twice"},
		{`{"weight_map":{"a":1}}`, Corrupt, "JSON"},
		{`{"weight_map":["a"]}`, Corrupt, "JSON"},
		{`{"weight_map":{"a":"x"}}{}`, Corrupt, "after"},
		{`{"weight_map":{` + strings.Repeat(`"`, 2) + `:"x"}}`, Corrupt, "printable"},
	} {
		_, err := shardIndex([]byte(c.src))
		expectKind(t, inFile("index", err), c.kind, c.text)
	}
	var many strings.Builder
	for i := range maxShards + 1 {
		if i > 0 {
			many.WriteByte(',')
		}
		many.WriteString(`"` + intText(int64(i)) + `":"f` + intText(int64(i)) + `"`)
	}
	_, err := shardIndex([]byte(`{"weight_map":{` + many.String() + `}}`))
	expectKind(t, inFile("index", err), Limit, "shards")
}

// Folders with something wrong, made from good ones.
func TestFolders(t *testing.T) {
	good := t.TempDir()
	if err := os.CopyFS(good, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, from string
		change     func(dir string)
		kind       Kind
		text       string
	}{
		{"unchanged", "hf", func(string) {}, 0, "huggingface"},
		{"no config", "hf", func(dir string) { os.Remove(filepath.Join(dir, hfConfigName)) }, Unsupported, "not a model folder"},
		{"no weights", "hf", func(dir string) { os.Remove(filepath.Join(dir, hfWeights)) }, Unsupported, "not a model folder"},
		{"config is a folder", "hf", func(dir string) {
			os.Remove(filepath.Join(dir, hfConfigName))
			os.Mkdir(filepath.Join(dir, hfConfigName), 0o777)
		}, Unsupported, "regular"},
		{"config too large", "hf", func(dir string) {
			writeBytes(t, filepath.Join(dir, hfConfigName), make([]byte, maxConfig+1))
		}, Limit, "large"},
		{"weights are damaged", "hf", func(dir string) { writeBytes(t, filepath.Join(dir, hfWeights), []byte("x")) }, Corrupt, hfWeights},
		{"weights are pickled", "hf", func(dir string) {
			os.Remove(filepath.Join(dir, hfWeights))
			copyFile(t, filepath.Join(good, "vit_half.pt"), filepath.Join(dir, hfPickle))
		}, 0, "openai"}, // whatever the names, they are read as what they are
		{"both kinds that agree", "hf", func(dir string) {
			copyFile(t, filepath.Join(good, "open_clip", openCLIPConfigName), filepath.Join(dir, openCLIPConfigName))
			copyFile(t, filepath.Join(good, "open_clip", openCLIPWeights), filepath.Join(dir, openCLIPWeights))
		}, 0, "huggingface"},
		{"both kinds that disagree", "hf", func(dir string) {
			writeBytes(t, filepath.Join(dir, openCLIPConfigName), []byte(openConfig))
			copyFile(t, filepath.Join(good, "open_clip", openCLIPWeights), filepath.Join(dir, openCLIPWeights))
		}, Mismatch, "activations"},
		{"timm config beside open_clip", "open_clip", func(dir string) {
			writeBytes(t, filepath.Join(dir, hfConfigName), []byte(`{"architecture":"vit_base_patch16_clip_224"}`))
			writeBytes(t, filepath.Join(dir, hfWeights), []byte("timm's weights"))
		}, 0, "open_clip"},
		{"open_clip with pickled weights", "open_clip", func(dir string) {
			os.Remove(filepath.Join(dir, openCLIPWeights))
			copyFile(t, filepath.Join(good, "vit_half.pt"), filepath.Join(dir, openCLIPPickle))
		}, 0, "open_clip"},
		{"shard missing", "hf_sharded", func(dir string) { os.Remove(filepath.Join(dir, "model-00002-of-00003.safetensors")) }, IO, "00002"},
		{"shards swapped", "hf_sharded", func(dir string) {
			a, b := filepath.Join(dir, "model-00001-of-00003.safetensors"), filepath.Join(dir, "model-00002-of-00003.safetensors")
			os.Rename(a, a+"x")
			os.Rename(b, a)
			os.Rename(a+"x", b)
		}, Mismatch, "index"},
		{"shard is an archive", "hf_sharded", func(dir string) {
			copyFile(t, filepath.Join(good, "vit_half.pt"), filepath.Join(dir, "model-00002-of-00003.safetensors"))
		}, Unsupported, "shard"},
		{"shard is a folder", "hf_sharded", func(dir string) {
			path := filepath.Join(dir, "model-00002-of-00003.safetensors")
			os.Remove(path)
			os.Mkdir(path, 0o777)
		}, Unsupported, "regular"},
		{"index names more", "hf_sharded", func(dir string) {
			path := filepath.Join(dir, hfIndex)
			src, _ := os.ReadFile(path)
			writeBytes(t, path, []byte(strings.Replace(string(src), `"weight_map": {`, `"weight_map": {"more": "model-00001-of-00003.safetensors",`, 1)))
		}, Mismatch, `"more"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(good, c.from))); err != nil {
				t.Fatal(err)
			}
			c.change(dir)
			m, err := OpenModel(dir)
			if c.kind != 0 {
				expectKind(t, err, c.kind, c.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.Dialect() != c.text {
				t.Errorf("dialect %s, want %s", m.Dialect(), c.text)
			}
			if got, err := m.Digest(); err != nil || got != readExpected(t)["vit"].Digest {
				t.Errorf("digest %s, %v", got, err)
			}
		})
	}
}

// A folder inside its own shard list does not recurse: shards are files.
func TestShardLoop(t *testing.T) {
	dir := t.TempDir()
	writeBytes(t, filepath.Join(dir, hfConfigName), []byte(clipConfig))
	writeBytes(t, filepath.Join(dir, hfIndex), []byte(`{"weight_map":{"a":"loop"}}`))
	if err := os.Symlink(".", filepath.Join(dir, "loop")); err != nil {
		t.Skip("no symbolic links here")
	}
	if _, err := Open(dir); !errors.Is(err, Unsupported) {
		t.Errorf("%v", err)
	}
}
