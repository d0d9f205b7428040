package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// recommended are the models that refusals name, with what their configurations say: it is read without a refusal of its own.
var recommended = map[string]string{
	smallest:     `{"model_type":"clip"}`,
	base32:       `{"model_type":"clip"}`,
	base16:       `{"model_type":"clip"}`,
	large14:      `{"model_type":"clip"}`,
	giant14:      `{"model_type":"clip"}`,
	openAIBase32: `{"model_type":"clip"}`,
	openAIBase16: `{"model_type":"clip"}`,
	siglip2:      `{"model_type":"siglip"}`,
	worldwide:    `{"model_type":"metaclip_2"}`,
	eva02:        `{"model_cfg":{"vision_cfg":{"timm_model_name":"eva02_base_patch16_clip_224"},"text_cfg":{}}}`,
	peCore:       `{"model_cfg":{"vision_cfg":{"timm_model_name":"vit_pe_core_base_patch16_224","timm_pool":"map"},"text_cfg":{}}}`,

	"google/siglip-base-patch16-224":    `{"model_type":"siglip"}`,
	"openai/clip-vit-large-patch14-336": `{"model_type":"clip"}`,
	"apple/DFN2B-CLIP-ViT-B-16":         `{"model_cfg":{"quick_gelu":true,"vision_cfg":{},"text_cfg":{}}}`,
	"RN50":                              `{"model_cfg":{"quick_gelu":true,"vision_cfg":{"layers":[3,4,6,3],"width":64},"text_cfg":{}}}`,
	"ViT-B/16":                          `{"model_cfg":{"quick_gelu":true,"vision_cfg":{},"text_cfg":{}}}`,
}

// Every family is refused where it is met, by the words of its row, which name a model that does load.
func TestRefusals(t *testing.T) {
	meet := map[place]func(name string) error{
		modelTypes: func(name string) error { _, err := hfConfig(fmt.Appendf(nil, `{"model_type":%q}`, name)); return err },
		timmNames: func(name string) error {
			_, err := openCLIPConfig(fmt.Appendf(nil, `{"model_cfg":{"vision_cfg":{"timm_model_name":%q},"text_cfg":{}}}`, name))
			return err
		},
		textNames: func(name string) error {
			_, err := openCLIPConfig(fmt.Appendf(nil, `{"model_cfg":{"vision_cfg":{},"text_cfg":{"hf_model_name":%q}}}`, name))
			return err
		},
		stems: func(name string) error { _, err := detect([]string{"logit_scale", name, "visual.trunk.x"}); return err },
	}
	for at, list := range families {
		for _, f := range list {
			name := f.name
			if at != modelTypes {
				name += "some_more"
			}
			err := meet[at](name)
			if !errors.Is(err, Unsupported) || !strings.Contains(err.Error(), "this is "+f.what+"; take "+f.instead+" instead, "+f.because) {
				t.Errorf("%s: %v; want the words of %+v", name, err, f)
			}
			config := recommended[f.instead]
			switch {
			case strings.Contains(config, "model_type"):
				_, err = hfConfig([]byte(config))
			default:
				_, err = openCLIPConfig([]byte(config))
			}
			if err != nil {
				t.Errorf("%s is told to take %s, which is refused itself: %v", name, f.instead, err)
			}
		}
	}
}
