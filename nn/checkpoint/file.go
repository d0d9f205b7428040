package checkpoint

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// A File is an open checkpoint: named tensors as the file stores them,
// whatever the format. Payloads are read when asked for, with ReadAt, never
// mapped: a file that shrinks becomes an error, not a signal.
//
// The methods that read may be used concurrently.
type File struct {
	path     string
	format   string
	tensors  map[string]*tensor
	names    []string
	metadata map[string]string
	classes  []string
	nested   map[string]bool
	opened   []openFile
	folder   *folder

	// The container itself; r is nil for a folder.
	r    io.ReaderAt
	size int64
}

// An openFile is one file of a checkpoint and what it was when it was opened.
type openFile struct {
	*os.File
	size    int64
	changed time.Time
}

// Open opens a safetensors file, a torch archive (torch.save of a state dict,
// or TorchScript), or a folder that holds a Hugging Face or open_clip model.
// The content decides, not the name; only where a file is what a folder's
// configuration is about (model.safetensors beside config.json, and the other
// names that Hugging Face and open_clip give) does it say more of the file.
func Open(path string) (*File, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, inFile(path, err)
	}
	if stat.IsDir() {
		return openFolder(path)
	}
	if f, ok, err := openInFolder(path); ok {
		return f, err
	}
	return openSingle(path)
}

// openSingle opens a checkpoint that is one file.
func openSingle(path string) (*File, error) {
	of, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	f, err := NewFile(path, of, of.size)
	if err != nil {
		of.Close()
		return nil, err
	}
	f.opened = []openFile{of}
	return f, nil
}

// openRegular opens a file that has an end.
func openRegular(path string) (openFile, error) {
	// Before opening: opening a named pipe would wait for its other end.
	stat, err := os.Stat(path)
	if err != nil {
		return openFile{}, inFile(path, err)
	}
	if !stat.Mode().IsRegular() {
		return openFile{}, inFile(path, fault(Unsupported, "not a regular file").wanted("a file", sortOf(stat.Mode())))
	}
	f, err := os.Open(path)
	if err != nil {
		return openFile{}, inFile(path, err)
	}
	stat, err = f.Stat()
	if err != nil {
		f.Close()
		return openFile{}, inFile(path, err)
	}
	return openFile{f, stat.Size(), stat.ModTime()}, nil
}

// NewFile opens a safetensors file or torch archive of size bytes that r
// gives, such as one embedded in the program. The name serves messages.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) {
	f := &File{path: name, r: r, size: size}
	format, err := sniff(r, size)
	if err != nil {
		return nil, inFile(name, err)
	}
	var c *container
	switch format {
	case formatSafetensors:
		f.format = formatSafetensors
		c, err = readSafetensors(name, r, size)
	case formatTorchOld:
		f.format = formatTorch
		c, err = readLegacy(name, r, size)
	default:
		var scripted bool
		c, scripted, err = readTorch(name, r, size)
		f.format = formatTorch
		if scripted {
			f.format = formatTorchScript
		}
	}
	if err != nil {
		return nil, inFile(name, err)
	}
	f.tensors, f.metadata, f.classes, f.nested = c.tensors, c.metadata, c.classes, c.nested
	f.names = slices.Sorted(maps.Keys(f.tensors))
	return f, nil
}

// formatTorchOld is how torch.save wrote before it wrote archives; to users
// it is "torch" too.
const formatTorchOld = "torch before 1.6"

// What [File.Format] returns.
const (
	formatSafetensors = "safetensors"
	formatTorch       = "torch"
	formatTorchScript = "torchscript"
	formatHuggingFace = "huggingface"
	formatOpenCLIP    = "open_clip"
)

// strangers are beginnings of files that people give instead of a checkpoint.
var strangers = []struct{ magic, what string }{
	{"version https://git-lfs", "a Git LFS pointer, not the weights; run git lfs pull or download the file itself"},
	{"\x80\x02", "a bare pickle, not a torch.save archive"},
	{"\x80\x03", "a bare pickle, not a torch.save archive"},
	{"\x80\x04", "a bare pickle, not a torch.save archive"},
	{"\x80\x05", "a bare pickle, not a torch.save archive"},
	{"\x89HDF", "an HDF5 file"},
	{"GGUF", "a GGUF file"},
	{"\x93NUMPY", "a NumPy array"},
	{"\x1f\x8b", "a gzip file; unpack it first"},
	{"<!DOCTYPE", "a web page; the download failed"},
	{"<html", "a web page; the download failed"},
}

// sniff decides on the format by content. A file that could be read as two
// formats was made to be read differently by different programs.
func sniff(r io.ReaderAt, size int64) (string, error) {
	if size < 0 {
		return "", fault(Mismatch, "negative file size").wanted("natural number", size)
	}
	head := make([]byte, min(size, 64))
	if err := readFull(r, head, 0); err != nil {
		return "", err
	}
	zip := bytes.HasPrefix(head, []byte("PK\x03\x04"))
	safetensors := len(head) > 8 && head[8] == '{'
	legacy := bytes.HasPrefix(head, []byte(legacyMagic))
	switch {
	case safetensors && (zip || endsAsZip(r, size)):
		return "", fault(Corrupt, "both a safetensors file and a zip archive").at(0)
	case legacy && endsAsZip(r, size):
		return "", fault(Corrupt, "both a torch.save file of the old format and a zip archive").at(0)
	case legacy:
		return formatTorchOld, nil
	case zip:
		return formatTorch, nil
	case safetensors:
		return formatSafetensors, nil
	}
	for _, s := range strangers {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return "", fault(Unsupported, "this is %s", s.what).at(0)
		}
	}
	// A cut or damaged file is more likely than a format never heard of when
	// the length field of a safetensors file would fit.
	found := quote(string(head[:min(len(head), 16)]))
	if size < 10 || binary.LittleEndian.Uint64(head) <= uint64(size) {
		return "", fault(Corrupt, "neither a safetensors file nor a torch archive: empty, truncated or damaged").at(0).
			wanted("a header", found)
	}
	return "", fault(Unsupported, "neither a safetensors file nor a torch archive").at(0).
		wanted(`"PK\x03\x04" or a header length and "{"`, found)
}

// Path is what the checkpoint was opened by.
func (f *File) Path() string { return f.path }

// Format is "safetensors", "torch" (torch.save), "torchscript"
// (torch.jit.save), "huggingface" or "open_clip" (a folder).
func (f *File) Format() string { return f.format }

// Names returns the tensors' names as stored, sorted. In a torch archive a
// name is the path of dict keys, attributes and list positions, joined by
// dots: "state_dict.visual.proj".
func (f *File) Names() []string { return slices.Clone(f.names) }

// Metadata returns the __metadata__ of a safetensors file, or of the one
// weight file of a folder; nil where there is none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Info describes a tensor.
func (f *File) Info(name string) (Info, bool) {
	t := f.tensors[name]
	if t == nil {
		return Info{}, false
	}
	info := t.Info
	info.Shape = slices.Clone(info.Shape)
	return info, true
}

func (f *File) tensor(name string) (*tensor, error) {
	if t := f.tensors[name]; t != nil {
		return t, nil
	}
	return nil, inFile(f.path, fault(Mismatch, "no such tensor").in(name))
}

// Read fills dst with a tensor in row-major order, widened to float32. len(dst)
// must be the number of its elements, and its type one of F64, F32, F16, BF16.
// Only F64 is rounded.
func (f *File) Read(name string, dst []float32) error {
	t, err := f.tensor(name)
	if err != nil {
		return err
	}
	if err := t.float32s(dst); err != nil {
		return inFile(t.store.path, entryFault(err, name))
	}
	return f.unchanged()
}

// stream is Read for who looks at the values in passing, see [tensor.stream].
func (f *File) stream(name string, room []float32, use func(values []float32, finite bool) error) error {
	t, err := f.tensor(name)
	if err != nil {
		return err
	}
	if err := t.stream(room, use); err != nil {
		return inFile(t.store.path, entryFault(err, name))
	}
	return f.unchanged()
}

// ReadBytes returns a tensor's payload in row-major order, little-endian, in
// the type that Info tells.
func (f *File) ReadBytes(name string) ([]byte, error) {
	t, err := f.tensor(name)
	if err != nil {
		return nil, err
	}
	b, err := t.bytes()
	if err != nil {
		return nil, inFile(t.store.path, entryFault(err, name))
	}
	return b, f.unchanged()
}

// unchanged is an error if a file is no longer the one that was opened.
// Checked after every read, so that nothing read across a change is used.
func (f *File) unchanged() error {
	for _, of := range f.opened {
		stat, err := of.Stat()
		if err != nil {
			return inFile(of.Name(), err)
		}
		if stat.Size() != of.size || !stat.ModTime().Equal(of.changed) {
			return inFile(of.Name(), fault(Corrupt, "the file has been changed since it was opened").
				wanted(intText(of.size)+" bytes", stat.Size()))
		}
	}
	return nil
}

// Close closes the underlying files.
func (f *File) Close() error {
	var first error
	for _, of := range f.opened {
		if err := of.Close(); err != nil && first == nil {
			first = inFile(of.Name(), err)
		}
	}
	return first
}
