package tests

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/text"
)

var _ = onGolden("tokenizer", goldenTokenizer)

// tokenizerColumn is a column of a tokenizer's strings.json: what a library makes of the texts.
type tokenizerColumn struct {
	name  string
	file  string // of the tokenizer's folder, or, with a slash in it, of the set's, or anywhere
	clean text.Cleaning
	of    string // the column of the texts; "" for the texts themselves
	bare  bool   // without the ids around a text, and not cut
	strip bool

	config string // tokenizer_config.json
}

// tokenizerColumns are what each tokenizer of the set is compared by.
var tokenizerColumns = map[string][]tokenizerColumn{
	"bert": {{name: "bert", file: "vocab.txt"}, {name: "open_clip_clipa", file: "vocab.txt", clean: text.CleanWhitespace, strip: true},
		{name: "bert", file: "cases/oc-clipa/open_clip/tokenizer.json"},
		{name: "open_clip_clipa", file: "cases/oc-clipa/open_clip/tokenizer.json", clean: text.CleanWhitespace, strip: true}},
	"c4": {{name: "sp", file: "cases/hf-siglip/transformers/spiece.model", bare: true},
		{name: "sp_of_canonical", file: "cases/hf-siglip/transformers/spiece.model", of: "canonical_open_clip", bare: true},
		{name: "siglip_transformers", file: "cases/hf-siglip/transformers/spiece.model", clean: text.CleanSigLIP},
		{name: "open_clip", file: "cases/oc-siglip/open_clip/tokenizer.json", clean: text.CleanCanonicalize}},
	"c4_identity": {{name: "sp", file: "m.model", bare: true},
		{name: "sp_of_canonical", file: "m.model", of: "canonical_open_clip", bare: true},
		{name: "siglip_transformers", file: "m.model", clean: text.CleanSigLIP},
		{name: "open_clip", file: "tokenizer.json", clean: text.CleanCanonicalize}},
	"mc4": {{name: "sp", file: "m.model", bare: true},
		{name: "sp_of_canonical", file: "m.model", of: "canonical_open_clip", bare: true},
		{name: "siglip_transformers", file: "m.model", clean: text.CleanSigLIP}},
	"gemma": {{name: "sp", file: "m.model", bare: true},
		{name: "sp_of_canonical", file: "m.model", of: "canonical_open_clip", bare: true},
		{name: "gemma_transformers", file: "tokenizer.json"},
		{name: "siglip2_transformers", file: "tokenizer.json", clean: text.CleanSigLIP},
		{name: "open_clip", file: "tokenizer.json", clean: text.CleanCanonicalize}},
	"clip": {{name: "open_clip", file: "merges.txt"}, {name: "open_clip", file: "bpe_small.txt.gz"}},
}

// mojibake are the texts that ftfy takes for wrongly decoded ones, which is the one repair that package text leaves
// out.
var mojibake = []string{"ÃƒÂ© mojibake", "cafÃ©"}

// goldenTokenizer compares ids with those of the libraries, for each column of a tokenizer that has a file.
func goldenTokenizer(g *goldenCase) {
	raw, err := os.ReadFile(g.Path(path.Join(g.Name, "strings.json")))
	if err != nil {
		g.Fatal(err)
	}
	var set struct {
		About struct {
			Length  int
			Columns map[string]string // of a tokenizer that is not in the table: the file by column, of ids alone
		}
		Rows []map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		g.Fatal(err)
	}
	columns := tokenizerColumns[path.Base(g.Name)]
	for name, file := range set.About.Columns {
		columns = append(columns, tokenizerColumn{name: name, file: file, bare: true})
	}
	if len(columns) == 0 {
		g.Fatalf("nothing says what reads the tokenizer %s", g.Name)
	}
	for _, c := range columns {
		tok := g.tokenizer(c)
		wrong := 0
		for _, row := range set.Rows {
			var source, s string
			var want []int32
			of := c.of
			if of == "" {
				of = "text"
			}
			for _, err := range []error{json.Unmarshal(row["text"], &source), json.Unmarshal(row[of], &s), json.Unmarshal(row[c.name], &want)} {
				if err != nil {
					g.Fatalf("column %s: %v", c.name, err)
				}
			}
			if strings.Contains(c.name, "open_clip") && c.of == "" && slices.Contains(mojibake, source) {
				continue
			}
			got, err := tok.Tokenize(s, set.About.Length, true)
			if c.bare {
				got, err = tok.Encode(s)
			}
			if err != nil || !slices.Equal(got, want) {
				wrong++
				g.Errorf("%s by %s: %q: ids %v (%v), want %v", c.name, c.file, s, got, err, want)
			}
		}
		g.Within(c.name+" by "+path.Base(c.file), float64(wrong), 0)
	}
}

// tokenizer reads what a column says.
func (g *goldenCase) tokenizer(c tokenizerColumn) text.Tokenizer {
	read := func(name string) []byte {
		switch {
		case filepath.IsAbs(name), strings.HasPrefix(name, g.Folder.dir):
		case strings.Contains(name, "/"):
			name = g.Path(name)
		default:
			name = g.Path(path.Join(g.Name, name))
		}
		b, err := os.ReadFile(name)
		if err != nil {
			g.Fatal(err)
		}
		return b
	}
	var tok text.Tokenizer
	var err error
	if b := read(c.file); c.clips() {
		tok, err = text.ReadVocabulary(c.file, bytes.NewReader(b))
	} else {
		f := text.TokenizerFile{Name: c.file, Data: b, Clean: c.clean, StripSep: c.strip}
		if c.config != "" {
			f.Config = read(c.config)
		}
		tok, err = text.ReadTokenizer(f)
	}
	if err != nil {
		g.Fatal(err)
	}
	return tok
}

// clips says whether the file is one of CLIP's own tokenizer.
func (c tokenizerColumn) clips() bool {
	return strings.HasPrefix(path.Base(c.file), "merges") || strings.HasSuffix(c.file, ".gz")
}
