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
		{`{"model_type":"siglip"}`, "gelu-tanh", [2]int{12, 12}, 0, ""},
		{`{"model_type":"siglip","vision_config":{"vision_use_head":false}}`, "", [2]int{}, Unsupported, "vision_use_head"},
		{`{"model_type":"metaclip_2"}`, "quickgelu", [2]int{12, 8}, 0, ""},
		// The kind of model is the reason, not the first of its settings.
		{`{"vision_config":{"hidden_act":"gelu_pytorch_tanh"},"model_type":"siglip2"}`, "", [2]int{}, Unsupported, "NaFlex"},
		{`{"layer_norm_eps":1e-12,"model_type":"dinov2"}`, "", [2]int{}, Unsupported, "this is DINOv2"},
		{`{"hidden_act":"swish","model_type":"vit"}`, "", [2]int{}, Unsupported, "without a text encoder"},
		{`{"text_config":{"layer_norm_eps":1},"model_type":"chinese_clip"}`, "", [2]int{}, Unsupported, "this is Chinese-CLIP"},
		{`{"model_type":null}`, "", [2]int{}, Unsupported, "model type"},
		{`{"model_type":["clip"]}`, "", [2]int{}, Corrupt, "model_type"},
		{`{"model_type":"clip","model_type":"bert"}`, "", [2]int{}, Corrupt, "twice"},
		{clipConfig + "x", "", [2]int{}, Corrupt, "after"},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu"}}`, "gelu", [2]int{12, 8}, 0, ""},
		{`{"model_type":"clip","vision_config":{"hidden_act":"gelu_new"}}`, "gelu-tanh", [2]int{12, 8}, 0, ""},
		{`{"model_type":"clip","vision_config":{"hidden_act":"swish"}}`, "", [2]int{}, Unsupported, "swish"},
		{`{"model_type":"clip","vision_config":{"layer_norm_eps":1e-6}}`, "quickgelu", [2]int{12, 8}, 0, ""},
		{`{"model_type":"clip","vision_config":{"layer_norm_eps":0}}`, "", [2]int{}, Unsupported, "layer_norm_eps"},
		{`{"model_type":"clip","text_config":{"layer_norm_eps":1e300}}`, "", [2]int{}, Unsupported, "layer_norm_eps"},
		{`{"model_type":"clip","vision_config":{"num_attention_heads":0}}`, "", [2]int{}, Unsupported, "num_attention_heads"},
		{`{"model_type":"clip","vision_config":{"num_attention_heads":-1}}`, "", [2]int{}, Corrupt, "num_attention_heads"},
		{`{"model_type":"clip","vision_config":[]}`, "", [2]int{}, Corrupt, "vision_config"},
	} {
		s, err := hfConfig([]byte(c.src))
		expectKind(t, inFile("config.json", err), c.kind, c.text)
		if err == nil && (s.Activation != c.activation || [2]int{s.Vision.Heads, s.Text.Heads} != c.heads) {
			t.Errorf("%s: %+v", c.src, s)
		}
	}
}

func TestHuggingFacePreprocessor(t *testing.T) {
	openAI := func(size, resize int) Preprocessing {
		p := OpenAIPreprocessing
		p.Size, p.Resize = size, resize
		return p
	}
	squash := func(size, resize int) Preprocessing {
		p := openAI(size, resize)
		p.Mode = ResizeSquash
		return p
	}
	half := [3]float64{.5, .5, .5}
	bilinear, plain := openAI(224, 224), openAI(0, 0)
	bilinear.Interpolation = Bilinear
	plain.Mean, plain.Std = [3]float64{}, [3]float64{1, 1, 1}
	for _, c := range []struct {
		src  string
		want Preprocessing
		kind Kind
		text string
	}{
		{`{}`, openAI(0, 0), 0, ""},
		{`{"size":224,"crop_size":224,"resample":3,"do_resize":true,"feature_extractor_type":"CLIPFeatureExtractor"}`, openAI(224, 224), 0, ""},
		{`{"size":{"shortest_edge":336},"crop_size":{"height":336,"width":336},"do_convert_rgb":null}`, openAI(336, 336), 0, ""},
		{`{"size":{"shortest_edge":224}}`, openAI(224, 224), 0, ""},
		{`{"rescale_factor":0.00392156862745098,"do_rescale":true,"do_pad":false}`, openAI(0, 0), 0, ""},
		{`{"size":256,"crop_size":224}`, openAI(224, 256), 0, ""},
		{`{"size":256}`, openAI(224, 256), 0, ""}, // transformers' default for the other
		{`{"size":224,"crop_size":224,"resample":2}`, bilinear, 0, ""},
		{`{"size":{"height":224,"width":224}}`, squash(224, 224), 0, ""},
		{`{"size":{"height":256,"width":256},"do_center_crop":false}`, squash(256, 256), 0, ""},
		{`{"size":{"height":256,"width":256},"crop_size":200}`, squash(200, 256), 0, ""},
		{`{"do_normalize":false}`, plain, 0, ""},
		{`{"size":{"height":384,"width":384},"image_processor_type":"SiglipImageProcessor"}`,
			Preprocessing{Size: 384, Resize: 384, Mode: ResizeSquash, Interpolation: Bicubic, Mean: half, Std: half}, 0, ""},
		{`{"image_processor_type":"SiglipImageProcessor","size":{"height":384,"width":384},"resample":2,"image_mean":[0,0,0]}`,
			Preprocessing{Size: 384, Resize: 384, Mode: ResizeSquash, Interpolation: Bilinear, Std: half}, 0, ""},

		{`{"resample":0}`, Preprocessing{}, Unsupported, "resample"},
		{`{"do_center_crop":false}`, Preprocessing{}, Unsupported, "do_center_crop"},
		{`{"do_resize":false}`, Preprocessing{}, Unsupported, "do_resize"},
		{`{"do_rescale":false}`, Preprocessing{}, Unsupported, "do_rescale"},
		{`{"do_pad":true}`, Preprocessing{}, Unsupported, "do_pad"},
		{`{"do_flip_channel_order":true}`, Preprocessing{}, Unsupported, "do_flip_channel_order"},
		{`{"image_processor_type":"ViTImageProcessor"}`, Preprocessing{}, Unsupported, "ViTImageProcessor"},
		{`{"image_processor_type":"CLIPImageProcessor","feature_extractor_type":"SiglipImageProcessor"}`, Preprocessing{}, Unsupported, "two classes"},
		{`{"size":{"shortest_edge":224,"height":224,"width":224}}`, Preprocessing{}, Unsupported, "shortest_edge"},
		{`{"size":{"height":224,"width":256}}`, Preprocessing{}, Unsupported, "equal width"},
		{`{"size":{"longest_edge":224}}`, Preprocessing{}, Unsupported, "longest_edge"},
		{`{"size":224,"crop_size":256}`, Preprocessing{}, Unsupported, "border"},
		{`{"crop_size":336}`, Preprocessing{}, Unsupported, "resized to 224 pixels and cut to 336"},
		{`{"crop_size":{"height":224,"width":225}}`, Preprocessing{}, Unsupported, "square"},
		{`{"crop_size":{"height":224}}`, Preprocessing{}, Unsupported, "square"},
		{`{"crop_size":[224,224,3]}`, Preprocessing{}, Unsupported, "two numbers"},
		{`{"rescale_factor":1}`, Preprocessing{}, Unsupported, "rescale_factor"},
		{`{"image_mean":[0.5,0.5]}`, Preprocessing{}, Unsupported, "three"},
		{`{"image_mean":[0.5,0.5,0.5,0.5]}`, Preprocessing{}, Unsupported, "three"},
		{`{"image_mean":[0.5,0.5,1e308]}`, Preprocessing{}, Unsupported, "moderate"},
		{`{"image_mean":[0.5,0.5,1e400]}`, Preprocessing{}, Limit, "float64"},
		{`{"image_mean":[0.5,0.5,NaN]}`, Preprocessing{}, Corrupt, "NaN"},
		{`{"image_std":[0.5,0,0.5]}`, Preprocessing{}, Unsupported, "moderate"},
		{`{"image_std":[0.5,-1,0.5]}`, Preprocessing{}, Unsupported, "moderate"},
		{`[]`, Preprocessing{}, Corrupt, "JSON"},
	} {
		p, err := hfPreprocessor(&jsonReader{src: []byte(c.src)})
		expectKind(t, inFile("preprocessor_config.json", err), c.kind, c.text)
		if err == nil && p != c.want {
			t.Errorf("%s: %+v, want %+v", c.src, p, c.want)
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
		{in(`,"no_ln_pre":true,"pool_type":"avg","final_ln_after_pool":true,"ls_init_value":1e-5`, "", "", ""), "gelu", [2]int{12, 8}, 0, ""},
		{in(`,"norm_kwargs":{"eps":1e-6},"act_kwargs":{"approximate":"tanh"}`, "", "", ""), "gelu-tanh", [2]int{12, 8}, 0, ""},
		{in("", `,"pool_type":"last","no_causal_mask":true,"proj_bias":true,"hf_tokenizer_name":"bert-base-uncased"`, "", ""), "gelu", [2]int{12, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_so400m_patch14_siglip_384","timm_pool":"map"`, "", "", ""), "gelu", [2]int{16, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_large_patch14_clip_224","timm_pool":"token"`, "", `,"quick_gelu":true`, ""), "gelu", [2]int{16, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_large_patch14_clip_quickgelu_224"`, "", `,"quick_gelu":true`, ""), "quickgelu", [2]int{16, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_base_patch16_plus_clip_240"`, "", "", ""), "", [2]int{}, Unsupported, "timm"},
		{in(`,"timm_model_name":"fastvit_mci2"`, "", "", ""), "", [2]int{}, Unsupported, "this is MobileCLIP"},
		{in(`,"timm_model_name":"eva02_base_patch16_clip_224","timm_pool":"token"`, "", "", ""), "gelu", [2]int{12, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_pe_core_tiny_patch16_384","timm_pool":"map"`, "", "", ""), "gelu", [2]int{3, 8}, 0, ""},
		{in(`,"timm_model_name":"vit_base_patch16_siglip_224","timm_pool":"avg"`, "", "", ""), "", [2]int{}, Unsupported, "timm_pool"},
		{in(`,"act_kwargs":{"approximate":"tanh"}`, "", `,"quick_gelu":true`, ""), "", [2]int{}, Unsupported, "act_kwargs"},
		{in(`,"pool_type":"none"`, "", "", ""), "", [2]int{}, Unsupported, "pool_type"},
		{in(`,"attentional_pool":"parallel"`, "", "", ""), "", [2]int{}, Unsupported, "pooling by attention in two steps"},
		{in(`,"attentional_pool":true,"pool_type":"avg"`, "", "", ""), "", [2]int{}, Unsupported, "attentional_pool"},
		{in(`,"attentional_pool":true,"attn_pooler_heads":4`, `,"embed_cls":true`, `,"multimodal_cfg":{}`, ""), "gelu", [2]int{12, 8}, 0, ""},
		{in(`,"qk_norm":true`, "", "", ""), "", [2]int{}, Unsupported, "qk_norm"},
		{in(`,"norm_kwargs":{"eps":1}`, "", "", ""), "", [2]int{}, Unsupported, "LayerNorm"},
		{in(`,"norm_kwargs":{"bias":false}`, "", "", ""), "", [2]int{}, Unsupported, "bias"},
		{in(`,"head_width":100`, "", "", ""), "", [2]int{}, Unsupported, "multiple"},
		{in(`,"head_width":1000`, "", "", ""), "", [2]int{}, Unsupported, "less than"},
		{in("", `,"hf_model_name":"roberta-base"`, "", ""), "", [2]int{}, Unsupported, "RoBERTa"},
		{in("", `,"no_causal_mask":1`, "", ""), "", [2]int{}, Corrupt, "no_causal_mask"},
		{in("", `,"pool_type":"mean"`, "", ""), "", [2]int{}, Unsupported, "pool_type"},
		{in("", `,"tokenizer_mode":"clips"`, "", ""), "", [2]int{}, Unsupported, "tokenizer_mode"},
		{in("", `,"tokenizer_kwargs":{"clean":"canonicalize"}`, "", ""), "", [2]int{}, Unsupported, "CLIP's tokenizer with other settings"},
		{in("", "", `,"quick_gelu":1`, ""), "", [2]int{}, Corrupt, "true or false"},
		{in("", "", `,"other":1`, ""), "", [2]int{}, Unsupported, "other"},
		{in("", "", "", `,"interpolation":"bilinear"`), "gelu", [2]int{12, 8}, 0, ""},
		{in("", "", "", `,"interpolation":"nearest"`), "", [2]int{}, Unsupported, "interpolation"},
		{in(`,"image_size":224`, "", "", `,"size":256`), "", [2]int{}, Mismatch, "different picture sizes"},
		{in("", "", "", `,"mode":"L"`), "", [2]int{}, Unsupported, "mode"},
		{strings.Replace(in("", "", "", ""), "shortest", "squash", 1), "gelu", [2]int{12, 8}, 0, ""},
		{strings.Replace(in("", "", "", ""), "shortest", "longest", 1), "", [2]int{}, Unsupported, "resize_mode"},
		{in("", "", "", "") + "{}", "", [2]int{}, Corrupt, "after"},
	} {
		s, err := openCLIPConfig([]byte(c.src))
		expectKind(t, inFile("open_clip_config.json", err), c.kind, c.text)
		if err == nil && (s.Activation != c.activation || [2]int{s.Vision.Heads, s.Text.Heads} != c.heads) {
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
		{"no config", "hf", func(dir string) { os.Remove(filepath.Join(dir, hfConfigName)) }, Unsupported, "not a model folder; to read weights without a configuration, give the file model.safetensors"},
		{"broken link", "hf", func(dir string) {
			os.Remove(filepath.Join(dir, hfWeights))
			os.Symlink("../../blobs/0123", filepath.Join(dir, hfWeights))
		}, Unsupported, `model.safetensors: unsupported: symbolic link to "../../blobs/0123", which is not there`},
		{"a state dict alone", "hf", func(dir string) {
			os.Remove(filepath.Join(dir, hfConfigName))
			os.Rename(filepath.Join(dir, hfWeights), filepath.Join(dir, "model.pt"))
		}, Unsupported, "not a model folder; to read weights without a configuration, give the file \"model.pt\""},
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

// Where a folder's weights file is given itself, its configuration holds all the same.
func TestWeightsInFolder(t *testing.T) {
	for _, c := range []struct{ folder, file string }{{"hf", hfWeights}, {"open_clip", openCLIPWeights}, {"hf_sharded", hfIndex}} {
		folder, file := openModel(t, filepath.Join("testdata", c.folder)), openModel(t, filepath.Join("testdata", c.folder, c.file))
		p, _ := folder.Preprocessing()
		q, _ := file.Preprocessing()
		v, w := folder.Heads()
		x, y := file.Heads()
		if p != q || v != x || w != y || folder.Activation() != file.Activation() || folder.Vocabulary() != file.Vocabulary() || folder.Format() != file.Format() {
			t.Errorf("%s: the folder says %+v, %d, %d, %s, %+v, the file in it %+v, %d, %d, %s, %+v", c.folder,
				p, v, w, folder.Activation(), folder.Vocabulary(), q, x, y, file.Activation(), file.Vocabulary())
		}
		if want := filepath.Join("testdata", c.folder, c.file); file.Path() != want || file.Dir() != filepath.Join("testdata", c.folder)+string(filepath.Separator) {
			t.Errorf("path %s in %s", file.Path(), file.Dir())
		}
	}
}

// transformers 5 writes processor_config.json, and prefers it.
func TestProcessorConfig(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/hf")); err != nil {
		t.Fatal(err)
	}
	nested := filepath.Join(dir, hfProcessorName)
	for _, c := range []struct {
		src  string
		mean float64 // of the first channel
		kind Kind
		text string
	}{
		{`{"image_processor":{"image_mean":[0.5,0.5,0.5],"size":{"shortest_edge":8},"crop_size":8},"processor_class":"CLIPProcessor"}`, .5, 0, ""},
		{`{"processor_class":"CLIPProcessor"}`, OpenAIPreprocessing.Mean[0], 0, ""}, // then the other file counts
		{`{"image_processor":{"do_pad":true}}`, 0, Unsupported, `"do_pad"`},
		{`{"image_processor":[]}`, 0, Corrupt, `"image_processor"`},
		{`{"image_processor":{}}x`, 0, Corrupt, "after"},
	} {
		writeBytes(t, nested, []byte(c.src))
		m, err := OpenModel(dir)
		if c.kind != 0 {
			expectKind(t, err, c.kind, c.text)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := m.Preprocessing(); !ok || p.Mean[0] != c.mean {
			t.Errorf("%s: %+v", c.src, p)
		}
		m.Close()
	}
	// Without either file nothing is said.
	os.Remove(nested)
	os.Remove(filepath.Join(dir, hfPreprocessorName))
	if p, ok := openModel(t, dir).Preprocessing(); ok || p != OpenAIPreprocessing {
		t.Errorf("%+v, %v", p, ok)
	}
}

// The folder that a hub's cache keeps for a model holds versions of it.
func TestHubCache(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "models--owner--name")
	version := func(name string) string { return filepath.Join(cache, "snapshots", name) }
	for _, name := range []string{"1111", "2222"} {
		if err := os.MkdirAll(version(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(version(name), os.DirFS("testdata/hf")); err != nil {
			t.Fatal(err)
		}
		m := openModel(t, cache)
		if name == "1111" {
			if m.Dir() != version("1111") {
				t.Error(m.Dir())
			}
			os.MkdirAll(filepath.Join(cache, "refs"), 0o777)
			writeBytes(t, filepath.Join(cache, "refs", "main"), []byte("2222"))
		} else if m.Dir() != version("2222") {
			t.Error(m.Dir())
		}
	}
	writeBytes(t, filepath.Join(cache, "refs", "main"), []byte("../../../etc"))
	_, err := OpenModel(cache)
	expectKind(t, err, Unsupported, `found "1111", "2222"`)
}

// A model whose pickled weights lie in several files.
func TestPickledShards(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "testdata/hf/config.json", filepath.Join(dir, hfConfigName))
	copyFile(t, "testdata/vit_half.pt", filepath.Join(dir, "pytorch_model-00001-of-00001.bin"))
	names := openModel(t, "testdata/vit_half.pt").file.Names()
	index := `{"weight_map":{"` + strings.Join(names, `":"pytorch_model-00001-of-00001.bin","`) + `":"pytorch_model-00001-of-00001.bin"}}`
	writeBytes(t, filepath.Join(dir, hfPickleIndex), []byte(index))
	if got, err := openModel(t, dir).Digest(); err != nil || got != readExpected(t)["vit"].Digest {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPreprocessingFor(t *testing.T) {
	p, err := Preprocessing{Mode: ResizeSquash}.For(224)
	if err != nil || p.Size != 224 || p.Resize != 224 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Preprocessing{Size: 224, Resize: 256}.For(224)
	if err != nil || p.Size != 224 || p.Resize != 256 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := (Preprocessing{Size: 224}).For(336); !errors.Is(err, Mismatch) {
		t.Error(err)
	}
}
