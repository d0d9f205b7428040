package datasets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"fewshot/nn/quote"
)

// Limits of a split file. The largest published one is 11 MB.
const (
	maxSplitBytes = 64 << 20
	maxSplitDepth = 32
	maxSplitItems = 2_000_000
	maxPathBytes  = 4096
	maxClassBytes = 1024
)

// giveUpAt is the number of problems after which a split file is not read further: it is something
// else altogether.
const giveUpAt = 1000

const splitFix = `a split file is {"train": […], "val": […], "test": […]} with items ["path/in/images.jpg", label, "class name"]`

// split is a division of labelled images, as read and before any data set's own touches.
type split struct {
	train, val, test []Item
	classes          []string // by label, as written
	warnings         []string
}

// parseSplit reads CoOp's split format from data; file is its name for messages.
//
// Python's own reader takes anything; this one takes only what the format means: the three lists,
// items of exactly a path, a whole number and a class name, paths that stay inside the image folder,
// labels that number the classes from 0 without a gap, and one class name for each.
func parseSplit(file string, data []byte) (*split, error) {
	if len(data) > maxSplitBytes {
		return nil, fault(file, nil, "", "is %d bytes; the limit for a split file is %d", len(data), maxSplitBytes)
	}
	data, problem := plainText(data)
	if problem != "" {
		return nil, fault(file, nil, splitFix, "%s", problem)
	}
	s, p := new(split), newSplitParser(file, bytes.NewReader(data))
	if err := p.file(s); err == errGaveUp {
		return nil, p.err(fmt.Sprintf("reading stopped at %d problems; %s", p.total, splitFix))
	} else if err != nil {
		line := 1 + bytes.Count(data[:min(int(p.dec.InputOffset()), len(data))], []byte("\n"))
		return nil, fault(file, nil, splitFix, "line %d: %v", line, err)
	}
	p.label(s)
	if err := p.err(splitFix); err != nil {
		return nil, err
	}
	return s, nil
}

var errGaveUp = errors.New("too many problems")

// plainText returns a text file without the byte order mark that editors on Windows put in front, or what is wrong
// with it.
func plainText(data []byte) (text []byte, problem string) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, "is UTF-16 text: save it as UTF-8"
	case !utf8.Valid(data):
		return nil, "is not UTF-8 text"
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), ""
}

// splitParser walks a split file's tokens. Its methods return an error only for what ends the
// reading (bad JSON); everything else goes to problems.
type splitParser struct {
	dec *json.Decoder
	problems
}

func newSplitParser(file string, r io.Reader) *splitParser {
	p := &splitParser{dec: json.NewDecoder(r), problems: problems{file: file}}
	p.dec.UseNumber()
	return p
}

// file reads the whole document into s.
func (p *splitParser) file(s *split) error {
	tok, err := p.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return fmt.Errorf("starts with %s, not with an object", describe(tok))
	}
	parts := map[string]*[]Item{"train": &s.train, "val": &s.val, "test": &s.test}
	seen := make(map[string]bool)
	for p.dec.More() {
		key, err := p.token()
		if err != nil {
			return err
		}
		name := key.(string) // the decoder accepts nothing else as a key
		switch items, known := parts[name]; {
		case seen[name]:
			p.add("%s: appears twice", quote.String(name))
			err = p.skip()
		case !known:
			p.add("%s: is not one of train, val and test", quote.String(name))
			err = p.skip()
		default:
			*items, err = p.items(name)
		}
		if err != nil {
			return err
		}
		if seen[name] = true; p.total >= giveUpAt {
			return errGaveUp
		}
	}
	if _, err := p.token(); err != nil {
		return err
	}
	for _, name := range []string{"train", "val", "test"} {
		if !seen[name] {
			p.add("%s: is missing (write an empty list if there are none)", name)
		}
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return errors.New("text follows the end of the object")
	}
	return nil
}

// items reads one of the three lists.
func (p *splitParser) items(name string) ([]Item, error) {
	tok, err := p.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('[') {
		p.add("%s: is %s, not a list", name, describe(tok))
		return nil, p.rest(tok)
	}
	var items []Item
	for i := 0; p.dec.More(); i++ {
		if i == maxSplitItems {
			return nil, fmt.Errorf("%s has more than %d items", name, maxSplitItems)
		}
		it, problem, err := p.item()
		if err != nil {
			return nil, err
		}
		if problem != "" {
			if p.add("%s[%d]: %s", name, i, problem); p.total >= giveUpAt {
				return nil, errGaveUp
			}
		}
		// A bad item keeps its place, so that later messages count as the file does.
		items = append(items, it)
	}
	_, err = p.token()
	return items, err
}

// badLabel marks items whose label could not be read, which were reported already.
const badLabel = -1

// item reads one item, or says what is wrong with it.
func (p *splitParser) item() (it Item, problem string, err error) {
	it.Label = badLabel
	tok, err := p.token()
	if err != nil {
		return it, "", err
	}
	if tok != json.Delim('[') {
		return it, fmt.Sprintf("is %s, not [path, label, class name]", describe(tok)), p.rest(tok)
	}
	var fields [3]json.Token
	n := 0
	for ; p.dec.More(); n++ {
		if tok, err = p.token(); err != nil {
			return it, "", err
		}
		if err = p.rest(tok); err != nil {
			return it, "", err
		}
		if n < len(fields) {
			fields[n] = tok
		}
	}
	if _, err = p.token(); err != nil {
		return it, "", err
	}
	if n != len(fields) {
		return it, fmt.Sprintf("has %d entries, not the 3 of [path, label, class name]", n), nil
	}
	name, ok := fields[0].(string)
	if !ok {
		return it, fmt.Sprintf("path is %s, not a string", describe(fields[0])), nil
	}
	clean, problem := cleanPath(name)
	if problem != "" {
		return it, fmt.Sprintf("path %s %s", quote.String(name), problem), nil
	}
	number, ok := fields[1].(json.Number)
	if !ok {
		return it, fmt.Sprintf("label is %s, not a whole number", describe(fields[1])), nil
	}
	label, err := strconv.ParseInt(number.String(), 10, 32)
	if err != nil || label < 0 {
		return it, fmt.Sprintf("label is %s, not a whole number from 0", quote.String(number.String())), nil
	}
	class, ok := fields[2].(string)
	if !ok {
		return it, fmt.Sprintf("class name is %s, not a string", describe(fields[2])), nil
	}
	if problem := checkClass(class); problem != "" {
		return it, fmt.Sprintf("class name %s %s", quote.String(class), problem), nil
	}
	return Item{Path: clean, Label: int32(label), Class: class}, "", nil
}

// token returns the next token, refusing documents that end early.
func (p *splitParser) token() (json.Token, error) {
	tok, err := p.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == io.ErrUnexpectedEOF {
		err = errors.New("the file ends in the middle")
	}
	return tok, err
}

// skip passes over the next value.
func (p *splitParser) skip() error {
	tok, err := p.token()
	if err != nil {
		return err
	}
	return p.rest(tok)
}

// rest passes over what remains of a value whose first token was tok.
func (p *splitParser) rest(tok json.Token) error {
	depth := 0
	for {
		switch tok {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxSplitDepth {
			return fmt.Errorf("nested more than %d deep", maxSplitDepth)
		}
		var err error
		if tok, err = p.token(); err != nil {
			return err
		}
	}
}

// describe names a JSON token's kind for a message.
func describe(tok json.Token) string {
	switch v := tok.(type) {
	case json.Delim:
		if v == '[' {
			return "a list"
		}
		return "an object"
	case string:
		return "the string " + quote.String(v)
	case json.Number:
		return "the number " + quote.String(v.String())
	case bool:
		return strconv.FormatBool(v)
	}
	return "null"
}

// cleanPath returns a stranger's image path in its shortest form, or what is wrong with it.
func cleanPath(name string) (clean, problem string) {
	switch {
	case name == "":
		return "", "is empty"
	case len(name) > maxPathBytes:
		return "", fmt.Sprintf("is longer than %d bytes", maxPathBytes)
	case strings.HasPrefix(name, "/"):
		return "", "is absolute; paths are relative to the image folder"
	case strings.ContainsFunc(name, isControl):
		return "", "contains a control character"
	case strings.Contains(name, `\`):
		return "", "contains a backslash; paths have slashes"
	case strings.ContainsRune(name, utf8.RuneError):
		return "", "contains a broken character"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", "leads out of the image folder"
		}
	}
	if clean = path.Clean(name); clean == "." {
		return "", "names no file"
	}
	return clean, ""
}

// checkClass returns what is wrong with a stranger's class name, or "".
func checkClass(class string) string {
	switch {
	case strings.TrimSpace(promptName(class)) == "":
		return "is empty"
	case len(class) > maxClassBytes:
		return fmt.Sprintf("is longer than %d bytes", maxClassBytes)
	case strings.ContainsFunc(class, isControl):
		return "contains a control character"
	case strings.ContainsRune(class, utf8.RuneError):
		return "contains a broken character"
	}
	return ""
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// label checks what only the items together can show and sets s.classes and s.warnings.
func (p *splitParser) label(s *split) {
	type place struct {
		split string
		index int
		label int32
	}
	byLabel := make(map[int32]place)
	nameOf := make(map[int32]string)
	byPath := make(map[string]place)
	var repeated, leaked tally
	for _, part := range s.parts() {
		for i, it := range part.items {
			if it.Label == badLabel {
				continue
			}
			here := place{part.name, i, it.Label}
			if first, ok := byLabel[it.Label]; !ok {
				byLabel[it.Label], nameOf[it.Label] = here, it.Class
			} else if nameOf[it.Label] != it.Class {
				p.add("%s[%d]: label %d is %s, but %s[%d] calls it %s", part.name, i, it.Label,
					quote.String(it.Class), first.split, first.index, quote.String(nameOf[it.Label]))
			}
			switch first, ok := byPath[it.Path]; {
			case !ok:
				byPath[it.Path] = here
			case first.label != it.Label:
				p.add("%s[%d]: %s has label %d, but label %d in %s[%d]", part.name, i,
					quote.String(it.Path), it.Label, first.label, first.split, first.index)
			case first.split == part.name:
				repeated.add(it.Path)
			default:
				leaked.add(it.Path)
			}
		}
	}
	if p.total > 0 {
		return
	}
	s.classes = make([]string, len(byLabel))
	for l := range s.classes {
		name, ok := nameOf[int32(l)]
		if !ok {
			p.add("no item has label %d, though %d labels are in use: labels must count from 0 without a gap", l, len(byLabel))
		}
		s.classes[l] = name
	}
	if len(byPath) == 0 {
		p.add("has no items")
	}
	if repeated.total > 0 {
		s.warnings = append(s.warnings, "items that repeat an image of their own split: "+repeated.String())
	}
	if leaked.total > 0 {
		s.warnings = append(s.warnings, "images that are in more than one split: "+leaked.String())
	}
}

// parts lists the three splits with their names.
func (s *split) parts() [3]struct {
	name  string
	items []Item
} {
	return (&Dataset{Train: s.train, Val: s.val, Test: s.test}).splits()
}
