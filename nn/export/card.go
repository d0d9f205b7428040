package export

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// A Card is what README.md of an exported model says beyond its form.
type Card struct {
	Title     string
	Base      string // the model that it was made from, as the user named it
	BaseModel string // its name on the hub, if it has one
	Digest    string // of the base's weights
	License   string // of the weights, an identifier of the hub's such as mit; "" if unknown
	Tuned     string // how, in a sentence; "" for the untouched model
	Dataset   string
	Settings  map[string]string
	Figures   map[string]string // accuracy and the like
	Program   string
}

// card is README.md with the fields in front that the Hugging Face hub reads.
func (m *Model) card(library string) File {
	c := m.Card
	var b strings.Builder
	field := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %q\n", key, value)
		}
	}
	b.WriteString("---\n")
	field("library_name", library)
	fmt.Fprintln(&b, "pipeline_tag: zero-shot-image-classification")
	if c.License == "" {
		// The hub's word for a licence that it does not list. Masks and weights are derived from the base: its licence holds.
		b.WriteString("license: other\nlicense_name: that-of-the-base-model\n")
	} else {
		field("license", c.License)
	}
	field("base_model", c.BaseModel)
	if c.Dataset != "" {
		fmt.Fprintf(&b, "datasets:\n- %q\n", c.Dataset)
	}
	b.WriteString("tags:\n- clip\n- few-shot\n")
	fmt.Fprintf(&b, "---\n\n# %s\n\n", line(c.Title))
	if c.Tuned != "" {
		fmt.Fprintf(&b, "%s\n\n", line(c.Tuned))
	} else {
		b.WriteString("An unchanged CLIP in another form.\n\n")
	}
	rows := func(title string, table map[string]string) {
		if len(table) == 0 {
			return
		}
		fmt.Fprintf(&b, "## %s\n\n| | |\n|---|---|\n", title)
		for _, k := range slices.Sorted(maps.Keys(table)) {
			if table[k] == "" {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s |\n", line(k), line(table[k]))
		}
		b.WriteString("\n")
	}
	rows("Figures", c.Figures)
	rows("Settings", c.Settings)
	rows("Model", map[string]string{
		"base": c.Base, "digest of the base": c.Digest, "data": c.Dataset, "written by": c.Program,
		"image encoder": m.encoder(),
		"text encoder":  m.text.String() + fmt.Sprintf(", %d tokens of %d", m.text.tokens, m.vocab),
		"activation":    m.Activation, "features": fmt.Sprint(m.embed), "values": "float32",
	})
	b.WriteString("## Inputs\n\nImages and texts are prepared by each program in its own way; where that differs from the one this model was\n" +
		"measured with, figures differ in the last place.")
	if m.net == nil {
		b.WriteString(" With transformers use `AutoProcessor.from_pretrained(…, backend=\"pil\")`\n" +
			"for equal pixels of RGB images, and pass `truncation=True` for long texts.")
	}
	b.WriteString("\n")
	return text("README.md", []byte(b.String()))
}

func (t tower) String() string {
	return fmt.Sprintf("%d blocks of width %d, %d heads, MLPs of %d", t.layers, t.width, t.heads, t.inner)
}

// line makes a stranger's text one cell of a table.
func line(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;").Replace(quote.Text(s))
}

// encoder says what the image encoder is.
func (m *Model) encoder() string {
	if m.net != nil {
		return fmt.Sprintf("%v, images of %d pixels", m.net, m.side)
	}
	return fmt.Sprintf("%v, patches of %d, images of %d pixels", m.image, m.patch, m.side)
}
