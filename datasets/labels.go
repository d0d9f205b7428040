package datasets

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// isTable reports whether a file is called like a table of images.
func isTable(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".csv", ".tsv", ".jsonl":
		return true
	}
	return false
}

// openTable opens a data set that is a table of images: a file of its own.
func openTable(file string, o Options) (*Dataset, error) {
	if o.ClassLevel != 0 {
		return nil, fault(file, nil, "leave -class-level out", "says the classes already")
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	d := &Dataset{Name: name, Title: name, Root: filepath.Dir(file)}
	if err := d.useTemplates(d.Root, o.Templates); err != nil {
		return nil, err
	}
	if err := d.readTables([]partTable{{"", file, ""}}, o); err != nil {
		return nil, err
	}
	return d.named(filepath.Dir(file), o)
}

// partTable is a table of a part, or of all: "". Its paths are below the folder at, which is below Root.
type partTable struct{ part, file, at string }

// readLabels reads a folder whose tables say what the images show.
func (d *Dataset) readLabels(dir string, l *layout, o Options) error {
	at := filepath.Join(dir, filepath.FromSlash(l.at.path))
	d.Root, d.home = at, dir
	if o.ClassLevel != 0 {
		return fault(at, nil, "leave -class-level out", "has a table that says the classes: %s", quote.Plain(l.table[0]))
	}
	var tables []partTable
	if len(l.table) == 1 {
		tables = []partTable{{"", filepath.Join(at, l.table[0]), ""}}
	} else {
		seen := make(map[string]string)
		for _, name := range l.table {
			part := partOf(strings.TrimSuffix(name, filepath.Ext(name)))
			if part == "" || seen[part] != "" {
				return fault(at, nil, "give the one that counts: -dataset "+quote.Plain(filepath.Join(at, l.table[0])),
					"has %d tables, which do not divide the images into train, val and test: %s", len(l.table), quote.String(strings.Join(l.table, " ")))
			}
			seen[part] = name
			tables = append(tables, partTable{part, filepath.Join(at, name), ""})
		}
	}
	return d.readTables(tables, o)
}

// readPartTables reads folders of parts that have a table each, as Hugging Face's imagefolder has metadata.csv.
func (d *Dataset) readPartTables(l *layout, o Options) error {
	var tables []partTable
	for _, c := range []struct {
		part string
		t    *tree
	}{{partTrain, l.train}, {partVal, l.val}, {partTest, l.test}} {
		if c.t == nil {
			continue
		}
		found := tablesOf(c.t)
		where := filepath.Join(d.Root, filepath.FromSlash(c.t.path))
		if len(found) != 1 {
			return fault(where, nil, "keep the one that counts", "has %d tables of its images: %s", len(found), quote.String(strings.Join(found, " ")))
		}
		tables = append(tables, partTable{c.part, filepath.Join(where, found[0]), c.t.path})
	}
	if o.ClassLevel != 0 {
		return fault(tables[0].file, nil, "leave -class-level out", "says the classes already")
	}
	d.home = d.Root
	return d.readTables(tables, o)
}

// readTables reads tables of images.
func (d *Dataset) readTables(tables []partTable, o Options) error {
	var rows []row
	file := tables[0].file
	for _, t := range tables {
		data, err := readText(t.file, maxSplitBytes)
		if err != nil {
			return err
		}
		part, err := parseRows(t.file, data, o.LabelColumn)
		if err != nil {
			return err
		}
		for i := range part {
			if t.part != "" {
				part[i].part = t.part // the file's name says it
			}
			part[i].path = path.Join(t.at, part[i].path)
		}
		rows = append(rows, part...)
	}
	if err := d.useRows(file, rows, nil, o.Division); err != nil {
		return err
	}
	var names []string
	for _, t := range tables {
		names = append(names, quote.Plain(path.Join(t.at, filepath.Base(t.file))))
	}
	d.note("images and labels are read from %s", strings.Join(names, ", "))
	d.place(rows)
	return nil
}

// note adds to Notes.
func (d *Dataset) note(format string, args ...any) {
	d.Notes = append(d.Notes, quote.Text(fmt.Sprintf(format, args...)))
}

// useRows makes items and classes of rows. file is for messages; order is that of the classes, if it is not that of
// their names.
func (d *Dataset) useRows(file string, rows []row, order []string, by Division) error {
	p := problems{file: file}
	divided, undivided, training := 0, 0, 0
	first := make(map[string]int)
	byClass := make(map[string][]string)
	var repeated tally
	kept := rows[:0]
	for _, r := range rows {
		if r.part == "" {
			undivided++
		} else {
			divided++
		}
		if r.part == partTrain {
			training++
		}
		if j, ok := first[r.path]; ok {
			switch {
			case rows[j].class != r.class:
				p.add("line %d: %s is %s here and %s on line %d: an image has one label", r.line, quote.String(r.path), quote.String(r.class), quote.String(rows[j].class), rows[j].line)
			case rows[j].part != r.part:
				p.add("line %d: %s is in %s here and in %s on line %d", r.line, quote.String(r.path), r.part, rows[j].part, rows[j].line)
			default:
				repeated.add(r.path)
			}
			continue
		}
		byClass[r.class] = append(byClass[r.class], r.path)
		kept = append(kept, r)
		first[r.path] = len(kept) - 1
	}
	if divided > 0 && undivided > 0 {
		p.add("%s a split and %s", words.Plural(divided, "row says", "rows say"), words.Plural(undivided, "does not", "do not"))
	}
	switch {
	case divided > 0 && training == len(rows) && by.set():
		divided = 0 // what is for training is divided
	case divided > 0 && by.set():
		p.add("divides the images already: leave -split out")
	case divided > 0 && training == len(rows):
		p.add("has training images alone: to divide them add -split 0.8")
	}
	fix := tableFix
	if isParquet(file) {
		fix = parquetFix
	}
	if err := p.err(fix); err != nil {
		return err
	}
	if repeated.total > 0 {
		d.warn("images that are listed more than once: " + repeated.String())
	}
	label := make(map[string]int)
	for class := range byClass {
		d.Classes = append(d.Classes, class)
	}
	rank := make(map[string]int, len(order))
	for i, c := range order {
		rank[c] = i
	}
	slices.SortFunc(d.Classes, func(a, b string) int { return cmp.Or(rank[a]-rank[b], compareClasses(a, b)) })
	var folders []folder
	for y, class := range d.Classes {
		label[class] = y
		slices.Sort(byClass[class])
		folders = append(folders, folder{class, byClass[class]})
	}
	if divided == 0 {
		return d.divideClasses(file, folders, by)
	}
	for _, r := range kept {
		items := map[string]*[]Item{partTrain: &d.Train, partVal: &d.Val, partTest: &d.Test}[r.part]
		*items = append(*items, Item{Path: r.path, Label: int32(label[r.class])})
	}
	d.Split = "parts by " + quote.Plain(filepath.Base(file))
	if len(d.Test) == 0 && len(d.Val) > 0 {
		d.Test, d.Val = d.Val, nil
		d.warn("there are no test images, so those for validation are the test set and nothing is left for validation")
	}
	return nil
}

// place finds the folder that a table's paths begin at, its own or one beside it, and the ending that they lack, if
// they do.
func (d *Dataset) place(rows []row) {
	const tried = 16 // images, spread over the table
	found := func(dir, ending string) (n int) {
		for k := range min(tried, len(rows)) {
			r := rows[k*len(rows)/min(tried, len(rows))]
			if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(r.path)+ending)); err == nil {
				n++
			}
		}
		return n
	}
	folders := []string{""}
	entries, _ := os.ReadDir(d.Root) // a folder that cannot be listed has nothing to offer
	for _, e := range entries {
		if !isJunk(e.Name()) && isDir(filepath.Join(d.Root, e.Name())) {
			folders = append(folders, e.Name())
		}
	}
	endings := []string{""}
	if !slices.ContainsFunc(rows, func(r row) bool { return isImageName(r.path) }) {
		endings = append(endings, imageNames...)
	}
	best, ending, most := "", "", 0
	for _, end := range endings {
		for _, f := range folders {
			if n := found(filepath.Join(d.Root, f), end); n > most {
				best, ending, most = f, end, n
			}
		}
	}
	d.loose = true
	if d.home == "" {
		d.home = d.Root
	}
	if best != "" {
		d.Root = filepath.Join(d.Root, best)
		d.note("the paths begin at %s", quote.Plain(d.Root))
	}
	if ending != "" {
		d.note("the paths lack the ending %s", ending)
		for _, part := range d.splits() {
			for i := range part.items {
				part.items[i].Path += ending
			}
		}
	}
}
