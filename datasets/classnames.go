package datasets

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
)

// classesFile is where a data set of one's own may say what its classes are called.
const classesFile = "classes.txt"

const classesFix = `a line is a folder or label and the name of its class, with a tab, comma, colon or space between: "n01440764	tench"`

// named gives the classes the names that classes.txt, or the file of the options, says, and finishes the data set.
func (d *Dataset) named(dir string, o Options) (*Dataset, error) {
	file := o.ClassNames
	if file == "" {
		file = filepath.Join(dir, classesFile)
	}
	data, err := readText(file, maxListBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.ClassNames == "":
		d.warnOfNames()
	case err != nil:
		return nil, err
	default:
		names, err := parseClasses(file, data, d.Classes)
		if err != nil {
			return nil, err
		}
		n := 0
		var own tally
		for i, c := range d.Classes {
			if names[c] == "" {
				own.add(c)
				continue
			}
			d.Classes[i] = names[c]
			n++
		}
		d.note("names of %d of %d classes are read from %s", n, len(d.Classes), quote.Plain(filepath.Base(file)))
		if own.total > 0 {
			d.warn(fmt.Sprintf("%s does not name the classes %s", quote.Plain(filepath.Base(file)), &own))
		}
	}
	d.finish()
	return d, nil
}

// warnOfNames warns of names that say nothing to a model of language.
func (d *Dataset) warnOfNames() {
	for _, kind := range []struct {
		what string
		is   func(string) bool
	}{{"numbers", isNumber}, {"WordNet ids", isWordnetID}} {
		all := len(d.Classes) > 0
		for _, c := range d.Classes {
			all = all && kind.is(c)
		}
		if all {
			d.warn(fmt.Sprintf("the classes are called by %s, such as %s, which say nothing to CLIP: name them in %s, or by -class-names", kind.what, quote.Plain(d.Classes[0]), classesFile))
		}
	}
}

// parseClasses reads lines of a folder or label and the name of its class. A line that is a folder alone, or a number
// and a folder (as CUB-200 has it), leaves that one its name. Where the classes are called by the numbers from 0 or
// from 1 and there is a line for each that begins with no number, the lines are their names in order.
func parseClasses(file string, data []byte, classes []string) (map[string]string, error) {
	p := problems{file: file}
	text, problem := plainText(data)
	if problem != "" {
		return nil, fault(file, nil, classesFix, "%s", problem)
	}
	type entry struct {
		number int
		text   string
	}
	var lines []entry
	number := 0
	for l := range bytes.Lines(text) {
		number++
		if s := canonical(string(bytes.TrimSpace(l))); s != "" {
			lines = append(lines, entry{number, s})
		}
	}
	known := make(map[string]bool, len(classes))
	numbers := true
	for _, c := range classes {
		known[c] = true
		numbers = numbers && isNumber(c)
	}
	names := make(map[string]string, len(classes))
	if numbers && len(lines) == len(classes) && (classes[0] == "0" || classes[0] == "1") {
		plain := true
		for _, l := range lines {
			first, _, _ := strings.Cut(l.text, " ")
			plain = plain && !isNumber(strings.TrimRight(first, ",:\t"))
		}
		if plain {
			for i, l := range lines {
				if problem := checkClass(strings.ReplaceAll(l.text, "\t", " ")); problem != "" {
					p.add("line %d: %s %s", l.number, quote.String(l.text), problem)
				}
				names[classes[i]] = strings.ReplaceAll(l.text, "\t", " ")
			}
			return names, p.err(classesFix)
		}
	}
	for _, l := range lines {
		key, name := "", ""
		if known[l.text] {
			key, name = l.text, l.text
		}
		for i, r := range l.text {
			if !strings.ContainsRune("\t,:; ", r) {
				continue
			}
			left, right := strings.TrimSpace(l.text[:i]), strings.TrimSpace(l.text[i+1:])
			switch {
			case known[left] && len(left) > len(key) && right != "":
				key, name = left, right // the longest that is a folder: "cat" must not eat "cat house"
			case key == "" && isNumber(left) && known[right]:
				key, name = right, right
			}
		}
		name = strings.TrimSpace(strings.ReplaceAll(name, "\t", " "))
		switch problem := checkClass(name); {
		case key == "":
			p.add("line %d: %s begins with no folder or label of the data set", l.number, quote.String(l.text))
		case names[key] != "":
			p.add("line %d: %s has a name already, %s", l.number, quote.String(key), quote.String(names[key]))
		case problem != "":
			p.add("line %d: the name %s %s", l.number, quote.String(name), problem)
		default:
			names[key] = name
		}
		if p.total >= giveUpAt {
			break
		}
	}
	if len(lines) == 0 {
		p.add("is empty")
	}
	return names, p.err(classesFix + "; a file with another meaning must have another name")
}
