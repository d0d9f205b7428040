package datasets

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"fewshot/nn/quote"
)

// maxListBytes bounds an official text list; the largest is SUN397's, at 1 MB.
const maxListBytes = 8 << 20

// line is a line of a text list, without surrounding white space.
type line struct {
	number int // from 1
	text   string
}

// textLines returns the lines of data that are not blank, with spaces for tabs. A line that is no text goes to p.
func textLines(p *problems, data []byte) []line {
	var lines []line
	number := 0
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		p.add("is UTF-16 text: save it as UTF-8")
		return nil
	}
	for text := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		number++
		text = bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\t"), []byte(" ")))
		switch {
		case len(text) == 0:
		case len(text) > maxPathBytes:
			p.add("line %d: is longer than %d bytes", number, maxPathBytes)
		case !utf8.Valid(text):
			p.add("line %d: is not UTF-8 text", number)
		case bytes.ContainsFunc(text, isControl):
			p.add("line %d: contains a control character", number)
		default:
			lines = append(lines, line{number, string(text)})
		}
	}
	return lines
}

// listFile reads one of the data set's text lists and hands its lines to use, which reports what is
// wrong with them to p.
func (s *source) listFile(name string, use func(p *problems, lines []line)) error {
	file := filepath.Join(s.dir, filepath.FromSlash(name))
	data, err := readText(file, maxListBytes)
	if err != nil {
		return err
	}
	p := problems{file: file}
	lines := textLines(&p, data)
	if len(lines) == 0 {
		p.add("is empty")
	}
	use(&p, lines)
	return p.err("")
}

// itemsFile reads one of the data set's lists of images.
func (s *source) itemsFile(name string, parse func(*problems, []line) []Item) (items []Item, err error) {
	err = s.listFile(name, func(p *problems, lines []line) { items = parse(p, lines) })
	return items, err
}

// itemsFiles reads the lists of images for training and for testing.
func (s *source) itemsFiles(training, testing string, parse func(*problems, []line) []Item) (trainval, test []Item, err error) {
	if trainval, err = s.itemsFile(training, parse); err != nil {
		return nil, nil, err
	}
	test, err = s.itemsFile(testing, parse)
	return trainval, test, err
}

// listedPath returns the image path that a list names, reporting a bad one.
func listedPath(p *problems, l line, name string) (string, bool) {
	clean, problem := cleanPath(name)
	if problem != "" {
		p.add("line %d: path %s %s", l.number, quote.String(name), problem)
	}
	return clean, problem == ""
}

// nameIndex numbers the lines of a list of names, refusing repeats.
func nameIndex(p *problems, lines []line) (names []string, index map[string]int32) {
	index = make(map[string]int32, len(lines))
	for _, l := range lines {
		if _, ok := index[l.text]; ok {
			p.add("line %d: %s appears a second time", l.number, quote.String(l.text))
			continue
		}
		if problem := checkClass(l.text); problem != "" {
			p.add("line %d: %s %s", l.number, quote.String(l.text), problem)
			continue
		}
		index[l.text] = int32(len(names))
		names = append(names, l.text)
	}
	return names, index
}

// readAircraft reads FGVC-Aircraft's own lists, which are the published split: variants.txt has a
// class per line, and the three image lists have "<image id> <variant>" per line.
func readAircraft(s *source) error {
	var index map[string]int32
	err := s.listFile("variants.txt", func(p *problems, lines []line) {
		s.d.Classes, index = nameIndex(p, lines)
	})
	if err != nil {
		return err
	}
	parse := func(p *problems, lines []line) []Item { return parseVariants(p, lines, index) }
	for _, part := range []struct {
		file  string
		items *[]Item
	}{
		{"images_variant_train.txt", &s.d.Train},
		{"images_variant_val.txt", &s.d.Val},
		{"images_variant_test.txt", &s.d.Test},
	} {
		if *part.items, err = s.itemsFile(part.file, parse); err != nil {
			return err
		}
	}
	s.d.Split = "images_variant_{train,val,test}.txt"
	return nil
}

// parseVariants reads lines of "<image id> <variant name>".
func parseVariants(p *problems, lines []line, index map[string]int32) (items []Item) {
	for _, l := range lines {
		id, variant, _ := strings.Cut(l.text, " ")
		label, ok := index[variant]
		if !ok {
			p.add("line %d: variant %s is not in variants.txt", l.number, quote.String(variant))
			continue
		}
		if file, ok := listedPath(p, l, id+".jpg"); ok {
			items = append(items, Item{Path: file, Label: label})
		}
	}
	return items
}

const generatedTrainVal = "made here: official test list; 20 % of the training list for validation by Python's shuffle with seed 1"

// divide completes a data set from its official training and test lists.
func (s *source) divide(where string, trainval, test []Item) (err error) {
	s.d.Train, s.d.Val, err = divideTrainVal(filepath.Join(s.dir, filepath.FromSlash(where)), trainval)
	s.d.Test = test
	s.d.Split = generatedTrainVal
	return err
}

// readPets reads annotations/trainval.txt and test.txt of Oxford-IIIT Pets.
func readPets(s *source) error {
	breeds := make(map[int32]string)
	const training = "annotations/trainval.txt"
	trainval, test, err := s.itemsFiles(training, "annotations/test.txt", func(p *problems, lines []line) []Item { return parsePets(p, lines, breeds) })
	if err != nil {
		return err
	}
	p := problems{file: filepath.Join(s.dir, "annotations")}
	s.d.Classes = make([]string, len(breeds))
	for l := range s.d.Classes {
		name, ok := breeds[int32(l)]
		if !ok {
			p.add("no image has class id %d, though %d ids are in use", l+1, len(breeds))
		}
		s.d.Classes[l] = name
	}
	if err := p.err(""); err != nil {
		return err
	}
	return s.divide(training, trainval, test)
}

// parsePets reads lines of "<Breed_name_number> <class id> <species> <breed id>" and adds to breeds
// the name of every label: the image's name without its number, in lower case.
func parsePets(p *problems, lines []line, breeds map[int32]string) (items []Item) {
	for _, l := range lines {
		fields := strings.Fields(l.text)
		if len(fields) != 4 {
			p.add(`line %d: has %d fields, not the 4 of "image class-id species breed-id"`, l.number, len(fields))
			continue
		}
		id, err := strconv.ParseInt(fields[1], 10, 32)
		if err != nil || id < 1 {
			p.add("line %d: class id %s is not a whole number from 1", l.number, quote.String(fields[1]))
			continue
		}
		cut := strings.LastIndexByte(fields[0], '_')
		if cut < 1 {
			p.add("line %d: image %s is not called Breed_number", l.number, quote.String(fields[0]))
			continue
		}
		label, breed := int32(id-1), strings.ToLower(fields[0][:cut])
		if known, ok := breeds[label]; ok && known != breed {
			p.add("line %d: class id %d is %s here and %s before", l.number, id, quote.String(breed), quote.String(known))
			continue
		}
		breeds[label] = breed
		if file, ok := listedPath(p, l, fields[0]+".jpg"); ok {
			items = append(items, Item{Path: file, Label: label})
		}
	}
	return items
}

// readSUN reads ClassName.txt and the first of SUN397's ten partitions.
func readSUN(s *source) error {
	var index map[string]int32
	err := s.listFile("ClassName.txt", func(p *problems, lines []line) {
		var scenes []string
		scenes, index = nameIndex(p, lines)
		for _, scene := range scenes {
			s.d.Classes = append(s.d.Classes, sceneName(scene))
		}
	})
	if err != nil {
		return err
	}
	const training = "Training_01.txt"
	trainval, test, err := s.itemsFiles(training, "Testing_01.txt", func(p *problems, lines []line) []Item { return parseScenes(p, lines, index) })
	if err != nil {
		return err
	}
	return s.divide(training, trainval, test)
}

// sceneName makes a class name of SUN397's path of a scene: the parts after the initial letter, the
// last one first, so that "/a/apse/indoor" is "indoor apse".
func sceneName(scene string) string {
	parts := strings.Split(strings.TrimPrefix(scene, "/"), "/")
	if len(parts) > 1 {
		parts = parts[1:]
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// parseScenes reads lines of "/<letter>/<scene>[/<kind>]/<image>.jpg".
func parseScenes(p *problems, lines []line, index map[string]int32) (items []Item) {
	for _, l := range lines {
		label, ok := index[path.Dir(l.text)]
		if !ok {
			p.add("line %d: %s is not an image of a scene in ClassName.txt", l.number, quote.String(l.text))
			continue
		}
		if file, ok := listedPath(p, l, strings.TrimPrefix(l.text, "/")); ok {
			items = append(items, Item{Path: file, Label: label})
		}
	}
	return items
}

// readUCF reads classInd.txt and the first of UCF101's three divisions.
func readUCF(s *source) error {
	const lists = "ucfTrainTestlist/"
	var index map[string]int32
	err := s.listFile(lists+"classInd.txt", func(p *problems, lines []line) {
		s.d.Classes, index = parseActions(p, lines)
	})
	if err != nil {
		return err
	}
	const training = lists + "trainlist01.txt"
	trainval, test, err := s.itemsFiles(training, lists+"testlist01.txt", func(p *problems, lines []line) []Item { return parseClips(p, lines, index) })
	if err != nil {
		return err
	}
	return s.divide(training, trainval, test)
}

// parseActions reads lines of "<number from 1> <ActionName>", which must count up.
func parseActions(p *problems, lines []line) (classes []string, index map[string]int32) {
	index = make(map[string]int32, len(lines))
	for i, l := range lines {
		number, action, _ := strings.Cut(l.text, " ")
		if number != strconv.Itoa(i+1) {
			p.add("line %d: starts with %s, not with %d", l.number, quote.String(number), i+1)
			continue
		}
		name := actionName(action)
		if problem := checkClass(name); problem != "" {
			p.add("line %d: action %s %s", l.number, quote.String(name), problem)
			continue
		}
		if _, ok := index[action]; ok {
			p.add("line %d: action %s appears a second time", l.number, quote.String(action))
			continue
		}
		index[action] = int32(i)
		classes = append(classes, name)
	}
	return classes, index
}

// parseClips reads lines of "<ActionName>/<clip>.avi [number]". The image of a clip is its middle
// frame, in a folder called like the class.
func parseClips(p *problems, lines []line, index map[string]int32) (items []Item) {
	for _, l := range lines {
		clip, _, _ := strings.Cut(l.text, " ")
		action, name, _ := strings.Cut(clip, "/")
		label, ok := index[action]
		if !ok {
			p.add("line %d: action %s is not in classInd.txt", l.number, quote.String(action))
			continue
		}
		if stem, ok := strings.CutSuffix(name, ".avi"); ok {
			name = stem + ".jpg"
		}
		if file, ok := listedPath(p, l, fmt.Sprintf("%s/%s", actionName(action), name)); ok {
			items = append(items, Item{Path: file, Label: label})
		}
	}
	return items
}

// actionName writes "ApplyEyeMakeup" as "Apply_Eye_Makeup", the name of the folder of its frames.
// What precedes the first capital is dropped, as CoOp's pattern does.
func actionName(action string) string {
	var b strings.Builder
	for _, r := range action {
		if 'A' <= r && r <= 'Z' && b.Len() > 0 {
			b.WriteByte('_')
		}
		if b.Len() > 0 || 'A' <= r && r <= 'Z' {
			b.WriteRune(r)
		}
	}
	return b.String()
}
