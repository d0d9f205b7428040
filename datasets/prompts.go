package datasets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"fewshot/nn/quote"
)

// Limits of a file of prompts. CuPL's largest has 50 prompts for each of ImageNet's classes.
const (
	maxPromptsBytes = 64 << 20
	maxPrompts      = 1000 // of a class
)

const promptsFix = `a file of prompts is {"class name": ["a prompt", …], …} with every class, as CuPL has it`

// ReadPrompts reads a file of prompts for each class, as CuPL publishes them, and returns those of each of the
// classes by its label, with warnings. Names of classes agree if they do so without case, blanks, '-' and '_'. Every
// class must be there. Errors are *Error.
func ReadPrompts(file string, classes []string) (prompts [][]string, warnings []string, err error) {
	data, err := readText(file, maxPromptsBytes)
	if err != nil {
		return nil, nil, err
	}
	return parsePrompts(file, data, classes)
}

// WithPrompts returns the data set with prompts that each class has for itself, of a file as [ReadPrompts] reads it.
func (d *Dataset) WithPrompts(file string) (*Dataset, error) {
	prompts, warnings, err := ReadPrompts(file, d.Classes)
	if err != nil {
		return nil, err
	}
	out := *d
	out.Prompts, out.promptsHash = make(map[string][]string, len(prompts)), HashPrompts(d.Classes, prompts)
	for i, own := range prompts {
		out.Prompts[d.Classes[i]] = own
	}
	out.Warnings = append(append([]string(nil), d.Warnings...), warnings...)
	return &out, nil
}

// PromptsHash is the SHA-256, in hexadecimal, of the prompts that each class has for itself, those left out by Subset
// among them; "templates" where they have none.
func (d *Dataset) PromptsHash() string {
	if d.Prompts == nil {
		return "templates"
	}
	return d.promptsHash
}

// HashPrompts is what [Dataset.PromptsHash] of classes with these prompts is.
func HashPrompts(classes []string, prompts [][]string) string {
	h := splitHasher{sha256.New()}
	h.text("fewshot prompts 1")
	for i, list := range prompts {
		h.text(classes[i])
		h.number(len(list))
		for _, p := range list {
			h.text(p)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// promptList are the prompts of a class, as a file names it.
type promptList struct {
	key  string
	list []string
}

func parsePrompts(file string, data []byte, classes []string) (prompts [][]string, warnings []string, err error) {
	p := problems{file: file}
	byName, err := readPromptLists(&p, data)
	if err != nil {
		return nil, nil, err
	}
	var without tally
	used := make(map[string]bool, len(classes)) // ImageNet has two classes of one name, twice
	for _, c := range classes {
		n, ok := byName[sameClass(c)]
		if !ok {
			without.add(c)
		}
		prompts = append(prompts, n.list)
		used[sameClass(c)] = true
	}
	if without.total > 0 {
		p.add("has no prompts for %s", &without)
	}
	if err := p.err(promptsFix); err != nil {
		return nil, nil, err
	}
	var keys []string
	for name, n := range byName {
		if !used[name] {
			keys = append(keys, n.key)
		}
	}
	if len(keys) > 0 {
		var more tally
		slices.Sort(keys)
		for _, k := range keys {
			more.add(k)
		}
		warnings = append(warnings, fmt.Sprintf("%s has prompts for classes that are not there: %s", quote.Plain(file), &more))
	}
	return prompts, warnings, nil
}

// readPromptLists reads a file's lists by the names of their classes in one spelling. What is wrong with a list goes to
// p; the error is for what is no such file.
func readPromptLists(p *problems, data []byte) (map[string]promptList, error) {
	bad := func(format string, args ...any) (map[string]promptList, error) {
		return nil, fault(p.file, nil, promptsFix, format, args...)
	}
	text, problem := plainText(data)
	if problem != "" {
		return bad("%s", problem)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return bad("does not begin with an object")
	}
	byName := make(map[string]promptList)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return bad("%v", err)
		}
		key := tok.(string) // the decoder accepts nothing else as a key
		var list []string
		if err := dec.Decode(&list); err != nil {
			return bad("%s: is not a list of texts (%v)", quote.String(key), err)
		}
		name := sameClass(key)
		if other, ok := byName[name]; ok {
			p.add("%s and %s are the same class", quote.String(other.key), quote.String(key))
		}
		for i, s := range list {
			if list[i], problem = cleanPrompt(s); problem != "" {
				p.add("%s[%d]: %s", quote.String(key), i, problem)
			}
		}
		if len(list) == 0 || len(list) > maxPrompts {
			p.add("%s: has %d prompts; 1 to %d are read", quote.String(key), len(list), maxPrompts)
		}
		byName[name] = promptList{key, list}
		if p.total >= giveUpAt {
			return byName, nil
		}
		if len(byName) > maxSplitItems {
			return bad("has more than %d classes", maxSplitItems)
		}
	}
	if _, err := dec.Token(); err != nil {
		return bad("the file ends in the middle")
	}
	if _, err := dec.Token(); err != io.EOF {
		p.add("text follows the end of the object")
	}
	return byName, nil
}

// sameClass brings spellings of a class's name together.
func sameClass(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, canonical(name)))
}

// cleanPrompt returns a stranger's prompt in one line, or what is wrong with it.
func cleanPrompt(s string) (clean, problem string) {
	clean = strings.Join(strings.Fields(s), " ")
	switch {
	case clean == "":
		return "", "is empty"
	case len(clean) > maxPathBytes:
		return "", fmt.Sprintf("is longer than %d bytes", maxPathBytes)
	case strings.ContainsFunc(clean, isControl):
		return "", "contains a control character"
	}
	return clean, ""
}

// ReadTemplates reads prompts with {} for the class name, one a line. Errors are *Error.
func ReadTemplates(file string) ([]string, error) {
	data, err := readText(file, maxTemplateBytes)
	if err != nil {
		return nil, err
	}
	return parseTemplates(file, data)
}

func parseTemplates(file string, data []byte) (templates []string, err error) {
	p := problems{file: file}
	for _, l := range textLines(&p, data) {
		if problem := checkTemplate(l.text); problem != "" {
			p.add("line %d: %s %s", l.number, quote.String(l.text), problem)
		}
		templates = append(templates, l.text)
	}
	if len(templates) == 0 && p.total == 0 {
		p.add("is empty")
	}
	return templates, p.err("a template is a line such as: " + defaultTemplate)
}
