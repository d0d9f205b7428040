package datasets

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
)

// MaxImageBytes is the largest encoded image that ReadItem returns.
const MaxImageBytes = 256 << 20

// An Item is one labelled image: a file of its data set, or encoded bytes in memory.
type Item struct {
	// Path is a slash-separated path relative to Dataset.Root. An item in memory may have one as
	// well; it is then only a name.
	Path string
	// Label is the index of the class in Dataset.Classes.
	Label int32
	// Class is Dataset.Classes[Label].
	Class string
	// Data is the encoded image (PNG, JPEG, …) of an item in memory, nil for a file.
	Data []byte
}

// A Dataset is a set of labelled images divided into training, validation and test items.
//
// Datasets are values in spirit: FewShot and Subset return new ones and leave theirs alone, and
// nothing in this package writes to one after returning it.
type Dataset struct {
	// Name is the id that Open was given, in its canonical spelling ("oxford_pets"), or the name of
	// the folder for people's own images.
	Name string
	// Title is the name for people and for CoOp's split file ("OxfordPets").
	Title string
	// Root is the folder that the items' paths are relative to; empty if all are in memory.
	Root string
	// Classes are the class names by label, as they go into the prompt: with the data set's fixes
	// and spaces for underscores.
	Classes []string
	// Template is the prompt of a class, with {} where its name goes.
	Template string
	// Templates is the prompt ensemble. Where nobody has published one, it is Template alone.
	Templates []string
	// Prompts are those that each class has for itself, by its name, in place of templates; nil where it has none.
	// Classes that Subset left out are among them: what was learned on all needs theirs when it is tested on some.
	Prompts map[string][]string
	// Train, Val and Test are the items in the order of the split. Val is empty where the data set
	// has no validation images apart from its test images (ImageNet); Train and Val are empty where
	// it is for evaluation only (ImageNetV2 and its like).
	Train, Val, Test []Item
	// Split says in a few words where the division comes from.
	Split string
	// Generated is true if the division was made here, because the published one is missing or does
	// not exist. Results on it are not comparable with published ones.
	Generated bool
	// Notes say how the folder was read where that is not plain: which folders were taken for which part, which were
	// passed through.
	Notes []string
	// Warnings are things a user should know that do not keep the data set from being used:
	// unexpected counts, duplicates, classes with few images.
	Warnings []string

	packed      map[string]span // images that lie within files, by their paths
	promptsHash string
	half        string // "base" or "new", after Subset took it

	// home is the folder that confines the images: Root, or a folder above it that belongs to the data set as well.
	home string
	// mounts are folders under Root, by their paths, that may themselves be symbolic links out of home: those that the
	// table of data sets names, and parts, which people do link to where their disks are.
	mounts []string
	// loose says that paths in a split file may begin at home, or with a folder's name above it, as well as at Root.
	loose bool
}

// ReadItem returns the encoded bytes of an item of d.
//
// A file is opened below Root and can not be anywhere else: paths that climb out, and symbolic links
// that lead out, are refused, as are files above MaxImageBytes and things that are not regular files.
// The error is an *Error naming the file. The caller must not change the bytes.
func (d *Dataset) ReadItem(it Item) ([]byte, error) {
	if it.Data != nil {
		return it.Data, nil
	}
	file := filepath.Join(d.Root, filepath.FromSlash(it.Path))
	f, size, err := d.open(it.Path)
	if err != nil {
		return nil, d.openError(file, err)
	}
	defer f.Close()
	if size > MaxImageBytes {
		return nil, tooLarge(file, size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, readError(file, err)
	}
	return data, nil
}

// tooLarge refuses a file that is no image.
func tooLarge(file string, size int64) *Error {
	return fault(file, nil, "", "is %d bytes; the limit for an image is %d", size, MaxImageBytes)
}

var (
	errBadPath    = errors.New("not a relative path inside the data set")
	errNotRegular = errors.New("not a regular file")
)

// openError is readError for what open returns.
func (d *Dataset) openError(file string, err error) *Error {
	e := readError(file, err)
	if d.loose && errors.Is(err, fs.ErrNotExist) && d.home != d.Root {
		e.Fix = "it is not in " + quote.Plain(d.home) + " either"
	}
	return e
}

// readError turns an operating system's error on an image into an *Error.
func readError(file string, err error) *Error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault(file, err, "", "no such file or folder")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault(file, err, "", "became shorter while it was read")
	}
	// The file's name is already in front; a *PathError would repeat part of it.
	var pe *fs.PathError
	if errors.As(err, &pe) {
		if strings.Contains(pe.Err.Error(), "escapes from parent") {
			return fault(file, err, "put the file itself there", "is a symbolic link that leads out of the data set")
		}
		return fault(file, err, "", "%v", pe.Err)
	}
	return fault(file, err, "", "%v", err)
}

// SplitHash returns the SHA-256, in hexadecimal, of what the data set asks a model to learn: the
// class names and, for each split in order, every item's path, label and class. Items in memory
// without a path count by the SHA-256 of their bytes. Where the files lie does not matter, so equal
// hashes mean equal splits on any machine.
func (d *Dataset) SplitHash() string {
	h := splitHasher{sha256.New()}
	h.text("fewshot split 1")
	h.number(len(d.Classes))
	for _, c := range d.Classes {
		h.text(c)
	}
	for _, items := range [][]Item{d.Train, d.Val, d.Test} {
		h.number(len(items))
		for _, it := range items {
			if it.Path == "" {
				sum := sha256.Sum256(it.Data)
				h.text(string(sum[:]))
			} else {
				h.text(it.Path)
			}
			h.number(int(it.Label))
			h.text(it.Class)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// splitHasher writes values so that no two sequences of them have the same bytes.
type splitHasher struct{ hash.Hash }

func (h splitHasher) number(n int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h splitHasher) text(s string) {
	h.number(len(s))
	io.WriteString(h, s)
}

// warn adds a line to Warnings while the data set is being read.
func (d *Dataset) warn(line string) { d.Warnings = append(d.Warnings, quote.Text(line)) }

// splits lists the three parts with their names, for everything that treats them alike.
func (d *Dataset) splits() [3]struct {
	name  string
	items []Item
} {
	return [3]struct {
		name  string
		items []Item
	}{{"train", d.Train}, {"val", d.Val}, {"test", d.Test}}
}
