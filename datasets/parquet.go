package datasets

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/datasets/internal/parquet"
	"fewshot/nn/quote"
)

// maxHeld bounds the images that are kept in memory, because they are compressed in their file.
const maxHeld = 2 << 30

// span is where an image lies within a file.
type span struct {
	file   string // below Root
	offset int64
	size   int64
}

// isParquet reports whether a file is called like a Parquet file.
func isParquet(name string) bool { return strings.ToLower(path.Ext(name)) == ".parquet" }

// openParquet opens a data set that is a single Parquet file.
func openParquet(file string, o Options) (*Dataset, error) {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	d := &Dataset{Name: name, Title: name, Root: filepath.Dir(file)}
	if err := d.useTemplates(d.Root, o.Templates); err != nil {
		return nil, err
	}
	if err := d.readParquet([]string{filepath.Base(file)}, o); err != nil {
		return nil, err
	}
	return d.named(d.Root, o)
}

// parquetPart says which part a Parquet file is, by its name ("train-00000-of-00001.parquet") or its folder's
// ("test/0000.parquet").
func parquetPart(file string) string {
	if part, _ := affixedPart(strings.TrimSuffix(path.Base(file), path.Ext(file))); part != "" {
		return part
	}
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if part := partOf(path.Base(dir)); part != "" {
			return part
		}
	}
	return ""
}

// readParquet reads the files, below Root, of a data set with images inside, as Hugging Face's datasets writes them.
func (d *Dataset) readParquet(files []string, o Options) error {
	if o.ClassLevel != 0 {
		return fault(filepath.Join(d.Root, filepath.FromSlash(files[0])), nil, "leave -class-level out", "says the classes already")
	}
	d.packed = make(map[string]span)
	slices.Sort(files)
	var rows []row
	var held int64
	var unlabelled, empty tally
	data := make(map[string][]byte)
	var order []string // of the classes, where labels are numbers of names
	for _, file := range files {
		t := parquetTable{d: d, file: file, part: parquetPart(file), label: o.LabelColumn, data: data, held: &held, unlabelled: &unlabelled, empty: &empty}
		more, err := t.read()
		if err != nil {
			return err
		}
		rows = append(rows, more...)
		for _, name := range t.names {
			if name = canonical(strings.TrimSpace(name)); !slices.Contains(order, name) {
				order = append(order, name)
			}
		}
	}
	if unlabelled.total > 0 {
		d.warn("images without a label, not used: " + unlabelled.String())
	}
	if empty.total > 0 {
		d.warn("rows without an image, not used: " + empty.String())
	}
	if len(rows) == 0 {
		file := filepath.Join(d.Root, filepath.FromSlash(files[0]))
		if unlabelled.total == 0 && empty.total > 0 {
			return fault(file, nil, "to_parquet leaves images out that were opened from files: map datasets.table.embed_table_storage over them before",
				"has no bytes of an image in any of %d rows", empty.total)
		}
		return fault(file, nil, parquetFix, "has no labelled images")
	}
	if err := d.useRows(filepath.Join(d.Root, filepath.FromSlash(files[0])), rows, order, o.Division); err != nil {
		return err
	}
	for _, part := range d.splits() {
		for i, it := range part.items {
			part.items[i].Data = data[it.Path]
		}
	}
	if len(files) == 1 {
		d.note("images and labels are read from %s", quote.Plain(files[0]))
	} else {
		d.note("images and labels are read from %d Parquet files, %s among them", len(files), quote.Plain(files[0]))
	}
	return nil
}

const parquetFix = `a Parquet file of images has a column of images, as Hugging Face's datasets writes it ({bytes, path}), and one of labels`

// parquetTable is a file while it is read.
type parquetTable struct {
	d             *Dataset
	file, part    string
	label         string // the column of labels, if the user said it
	data          map[string][]byte
	held          *int64
	unlabelled    *tally
	empty         *tally
	image, labels int // columns
	names         []string
}

func (t *parquetTable) read() (rows []row, err error) {
	full := filepath.Join(t.d.Root, filepath.FromSlash(t.file))
	fail := func(err error, fix string) ([]row, error) {
		if _, ok := errors.AsType[*Error](err); ok {
			return nil, err
		}
		return nil, fault(full, err, fix, "%s", quote.Text(err.Error()))
	}
	f, size, err := t.d.openFile(t.file)
	if err != nil {
		return nil, readError(full, err)
	}
	defer f.Close()
	pf, err := parquet.Open(f, size)
	if err != nil {
		return fail(err, parquetFix)
	}
	if pf.Rows > maxSplitItems {
		return fail(fmt.Errorf("has %d rows; the limit is %d", pf.Rows, maxSplitItems), "")
	}
	if err := t.columns(pf); err != nil {
		return fail(err, parquetFix)
	}
	var labels []string
	err = pf.Read(t.labels, func(v parquet.Value) error {
		s, err := t.className(pf.Columns[t.labels].Type, v)
		labels = append(labels, s)
		return err
	})
	if err != nil {
		return fail(err, "")
	}
	at := 0
	err = pf.Read(t.image, func(v parquet.Value) error {
		line := at
		at++
		name := fmt.Sprintf("%s/%07d", t.file, line)
		if line >= len(labels) {
			return errors.New("the columns of images and labels differ in length")
		}
		switch {
		case v.Null || len(v.Bytes) == 0:
			t.empty.add(name)
			return nil
		case labels[line] == "":
			t.unlabelled.add(name)
			return nil
		case len(v.Bytes) > MaxImageBytes:
			return fmt.Errorf("row %d: is %d bytes; the limit for an image is %d", line, len(v.Bytes), MaxImageBytes)
		case v.Offset >= 0:
			t.d.packed[name] = span{t.file, v.Offset, int64(len(v.Bytes))}
		default:
			if *t.held += int64(len(v.Bytes)); *t.held > maxHeld {
				return fmt.Errorf("row %d: more than %d MiB of images are compressed, which would all have to be kept in memory: write the file without compression of the column of images", line, maxHeld>>20)
			}
			t.data[name] = slices.Clone(v.Bytes)
		}
		rows = append(rows, row{line: line, path: name, class: labels[line], part: t.part})
		return nil
	})
	if err != nil {
		return fail(err, "")
	}
	return rows, nil
}

// columns finds the columns of images and labels, by the features that datasets writes into the file, or by their
// names.
func (t *parquetTable) columns(f *parquet.File) error {
	var hf struct {
		Info struct {
			Features map[string]struct {
				Type  string   `json:"_type"`
				Names []string `json:"names"`
			} `json:"features"`
		} `json:"info"`
	}
	if meta, ok := f.Metadata["huggingface"]; ok {
		// Features of other kinds have other forms: what cannot be read is no label.
		_ = json.Unmarshal([]byte(meta), &hf)
	}
	var images, labels, all []string
	at := make(map[string]int)
	for i, c := range f.Columns {
		name := c.Path[0]
		all = append(all, fmt.Sprintf("%s (%v)", quote.String(c.Name()), c.Type))
		switch {
		case c.Type == parquet.ByteArray && len(c.Path) == 2 && c.Path[1] == "bytes" && !c.Repeated,
			len(c.Path) == 1 && c.Type == parquet.ByteArray && !c.Repeated && hf.Info.Features[name].Type == "Image",
			len(c.Path) == 1 && c.Type == parquet.ByteArray && slices.Contains([]string{"image", "img"}, columnName(name)) && hf.Info.Features[name].Type == "":
			images = append(images, name)
			at["image "+name] = i
		case len(c.Path) == 1 && !c.Repeated && (c.Type == parquet.Int64 || c.Type == parquet.Int32 || c.Type == parquet.ByteArray):
			at["label "+name] = i
			if hf.Info.Features[name].Type == "ClassLabel" || slices.Contains(classColumns, columnName(name)) {
				labels = append(labels, name)
			}
		}
	}
	if t.label != "" {
		if _, ok := at["label "+t.label]; !ok {
			return fmt.Errorf("has no column %s of whole numbers or texts: it has %s", quote.String(t.label), strings.Join(all[:min(12, len(all))], ", "))
		}
		labels = []string{t.label}
	}
	switch {
	case len(images) == 0:
		return fmt.Errorf("has no column of images: it has %s", strings.Join(all[:min(12, len(all))], ", "))
	case len(images) > 1:
		return fmt.Errorf("has several columns of images: %s", quote.String(strings.Join(images, " ")))
	case len(labels) == 0:
		return fmt.Errorf("has no column of labels, of whole numbers or texts (-label-column names one): it has %s", strings.Join(all[:min(12, len(all))], ", "))
	case len(labels) > 1:
		return fmt.Errorf("has several columns of labels, %s: say which by -label-column", quote.String(strings.Join(labels, " ")))
	}
	t.image, t.labels, t.names = at["image "+images[0]], at["label "+labels[0]], hf.Info.Features[labels[0]].Names
	return nil
}

// className is the class that a value of the column of labels means; "" is none.
func (t *parquetTable) className(kind parquet.Type, v parquet.Value) (string, error) {
	name := string(v.Bytes)
	switch {
	case v.Null || kind != parquet.ByteArray && v.Int == -1: // datasets' mark of what is not labelled
		return "", nil
	case kind != parquet.ByteArray && t.names != nil:
		if v.Int < 0 || v.Int >= int64(len(t.names)) {
			return "", fmt.Errorf("label %d, and there are %d names", v.Int, len(t.names))
		}
		name = t.names[v.Int]
	case kind != parquet.ByteArray:
		name = strconv.FormatInt(v.Int, 10)
	}
	name = canonical(strings.TrimSpace(name))
	if problem := checkClass(name); problem != "" {
		return "", fmt.Errorf("label %s %s", quote.String(name), problem)
	}
	return name, nil
}

// openFile opens a file of the data set that is no image itself.
func (d *Dataset) openFile(name string) (*os.File, int64, error) {
	return d.openAt(path.Join(d.inHome(), name))
}

// parquetFiles are the Parquet files of a folder.
func parquetFiles(t *tree) (files []string) {
	t.each(func(t *tree) {
		for _, name := range t.others {
			if isParquet(name) {
				files = append(files, path.Join(t.path, name))
			}
		}
	})
	return files
}
