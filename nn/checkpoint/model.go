package checkpoint

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"fewshot/nn/checkpoint/internal/widen"
)

// ActivationKey is the metadata key under which a safetensors file in
// OpenAI's names may say its activation, "quickgelu" or "gelu". [WriteModel]
// passes it through like any other metadata.
const ActivationKey = "activation"

// A Model is a CLIP model seen through OpenAI's names and orientations,
// whichever dialect the checkpoint is in. Its methods may be used
// concurrently, after AllowNonFinite is set.
type Model struct {
	// AllowNonFinite lets Read and the digests pass NaN and infinite weights,
	// which they refuse otherwise.
	AllowNonFinite bool

	file       *File
	dialect    string
	activation string
	names      []string
	plans      map[string]*plan
	bare       map[string]string // stored names without what training loops put before them
	beside     []string          // stored tensors that are no weights of CLIP's, in the order of their names

	mu   sync.Mutex
	keep bool                // whether reading fills sums
	sums map[string][32]byte // of values, by name; filled by digests
}

// OpenModel opens a CLIP checkpoint of any format that [Open] reads.
func OpenModel(path string) (*Model, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	m, err := NewModel(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// NewModel recognises the dialect of an open file. From then on the file
// belongs to the Model, whose Close closes it. All tensors that do not fit
// the dialect are reported in one error of kind [Mismatch].
func NewModel(f *File) (*Model, error) {
	m := &Model{file: f, plans: make(map[string]*plan), sums: make(map[string][32]byte)}
	if err := m.plan(); err != nil {
		return nil, inFile(f.path, err)
	}
	if err := m.findActivation(); err != nil {
		return nil, inFile(f.path, err)
	}
	m.names = slices.Sorted(maps.Keys(m.plans))
	return m, nil
}

// Names returns OpenAI's names of all tensors, sorted. Scalars that are not
// weights (input_resolution, num_batches_tracked and the like) are not among
// them.
func (m *Model) Names() []string { return slices.Clone(m.names) }

// Shape returns a tensor's shape in OpenAI's orientation.
func (m *Model) Shape(name string) ([]int, bool) {
	p := m.plans[name]
	if p == nil {
		return nil, false
	}
	return slices.Clone(p.shape), true
}

// Read fills dst with a tensor in OpenAI's orientation, row-major, widened to
// float32. len(dst) must be the number of elements. A value that is NaN or
// infinite is an error of kind [NonFinite] unless AllowNonFinite is set.
func (m *Model) Read(name string, dst []float32) error {
	p := m.plans[name]
	if p != nil {
		if n, ok := elements(p.shape).int(); !ok || n != len(dst) {
			return inFile(m.file.path, fault(Mismatch, "wrong destination length for shape %v", p.shape).in(name).
				wanted(elements(p.shape).n, len(dst)))
		}
	}
	return m.values(name, dst, func(int, []float32) error { return nil })
}

// Concurrent is true: tensors may be read at the same time.
func (m *Model) Concurrent() bool { return true }

// Stream is Read for who puts the values elsewhere: it gives them in order, a
// few at a time, with the index of the first. The slice is used again. Of a
// tensor that is stored transposed all come at once; these are small.
//
// Where digests are kept (see [Model.KeepDigests]) they are computed in passing.
func (m *Model) Stream(name string, use func(at int, values []float32) error) error {
	return m.values(name, nil, use)
}

// values is Stream, by way of room if that is not nil: there they stay.
func (m *Model) values(name string, room []float32, use func(at int, values []float32) error) error {
	p := m.plans[name]
	if p == nil {
		return inFile(m.file.path, fault(Mismatch, "no such tensor").in(name))
	}
	h := m.hashOf(name)
	at := 0
	err := m.parts(p, room, func(values []float32, finite bool) error {
		if !finite && !m.AllowNonFinite {
			i := widen.NonFinite(values)
			return inFile(m.file.path, fault(NonFinite, "element %s", indexText(p.shape, at+i)).in(name).wanted("a finite number", values[i]))
		}
		if h != nil {
			hashFloats(h, values)
		}
		err := use(at, values)
		at += len(values)
		return err
	})
	if err == nil && h != nil {
		m.keepSum(name, h)
	}
	return err
}

// parts hands out the values of a plan in order; room is as for
// [tensor.stream].
func (m *Model) parts(p *plan, room []float32, use func(values []float32, finite bool) error) error {
	own := func(n int) (part []float32) { // of room
		if room != nil {
			part, room = room[:n], room[n:]
		}
		return part
	}
	if !p.transposed {
		for _, part := range p.parts {
			var err error
			if part == "" { // a bias of keys, which are zeros where there is none
				n := p.shape[0] / len(p.parts)
				err = use(append(own(n)[:0], make([]float32, n)...), true)
			} else {
				n, _ := elements(m.file.tensors[part].Shape).int() // checked when the tensor was opened
				err = m.file.stream(part, own(n), use)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	n, _ := elements(p.shape).int()
	stored, finite := make([]float32, n), true
	err := m.file.stream(p.parts[0], stored, func(_ []float32, f bool) error {
		finite = finite && f
		return nil
	})
	if err != nil {
		return err
	}
	if room == nil {
		room = make([]float32, n)
	}
	transpose(room, stored, p.shape[0], p.shape[1])
	return use(room, finite)
}

// Restored are tensors of the same names, shapes and orientations as those that the model was read from, with values of src, which has
// OpenAI's, as float32. What was stored beside CLIP's weights goes along as it is, and is read when it is written.
func (m *Model) Restored(src Source) []Entry {
	var all []Entry
	for _, name := range m.names {
		p := m.plans[name]
		n, _ := elements(p.shape).int() // checked when the model was opened
		at := 0
		for _, part := range p.parts {
			if part == "" { // zeros, which are not stored
				at += p.shape[0] / len(p.parts)
				continue
			}
			info, _ := m.file.Info(part)
			count, _ := elements(info.Shape).int()
			from := at
			at += count
			all = append(all, Entry{Name: m.bare[part], DType: F32, Shape: info.Shape, Data: func(w io.Writer) error {
				values := make([]float32, n)
				if err := src.Read(name, values); err != nil {
					return err
				}
				if p.transposed {
					turned := make([]float32, n)
					transpose(turned, values, p.shape[1], p.shape[0])
					values = turned
				}
				return Float32s(values[from:from+count], F32)(w)
			}})
		}
	}
	for _, stored := range m.beside {
		info, _ := m.file.Info(stored)
		all = append(all, Entry{Name: m.bare[stored], DType: info.DType, Shape: info.Shape, Data: func(w io.Writer) error {
			b, err := m.file.ReadBytes(stored)
			if err != nil {
				return err
			}
			return Bytes(b)(w)
		}})
	}
	return all
}

// Beside are the names of what is stored beside CLIP's weights, sorted: SigLIP's logit_bias, CoCa's captions, tables that loaders make themselves.
func (m *Model) Beside() []string {
	var names []string
	for _, stored := range m.beside {
		names = append(names, m.bare[stored])
	}
	slices.Sort(names)
	return names
}

// Number is the value of one element that is stored beside CLIP's weights under a name of its own, as SigLIP's logit_bias; 0 where there is
// none.
func (m *Model) Number(name string) (float64, error) {
	for _, stored := range m.beside {
		if m.bare[stored] != name {
			continue
		}
		v := make([]float32, 1)
		err := m.file.Read(stored, v)
		return float64(v[0]), err
	}
	return 0, nil
}

// transpose fills dst [rows, cols] from src [cols, rows].
func transpose(dst, src []float32, rows, cols int) {
	for r := range rows {
		for c := range cols {
			dst[r*cols+c] = src[c*rows+r]
		}
	}
}

// indexText writes a flat index as one index an axis: "[3 0]".
func indexText(shape []int, flat int) string {
	index := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		index[i] = flat % shape[i]
		flat /= shape[i]
	}
	return fmt.Sprint(index)
}

// Activation is "quickgelu" or "gelu", or "" when the source does not say.
// Folders say it in their configuration, TorchScript archives in their class
// names, our own files in their metadata. A bare file of weights does not:
// the same tensors go with either.
func (m *Model) Activation() string { return m.activation }

// Dialect is "openai", "huggingface", "huggingface-vision" or "open_clip".
func (m *Model) Dialect() string { return m.dialect }

// Format is the container's, as [File.Format] has it.
func (m *Model) Format() string { return m.file.format }

// Path is what the model was opened by.
func (m *Model) Path() string { return m.file.path }

// Metadata is the container's, as [File.Metadata] has it.
func (m *Model) Metadata() map[string]string { return m.file.Metadata() }

// Heads returns the numbers of attention heads of the image encoder (for a
// ResNet, of its attention pooling) and of the text encoder, where a folder's
// configuration says them, and 0 where it does not. OpenAI's models have one
// head for every 64 channels; open_clip's largest do not.
func (m *Model) Heads() (vision, text int) {
	s := m.Settings()
	return s.Vision.Heads, s.Text.Heads
}

// Eps returns the epsilons of the layer norms of the image encoder and of the text encoder, where a folder's configuration says
// them, and 0 where it does not.
func (m *Model) Eps() (vision, text float64) {
	s := m.Settings()
	return s.Vision.Eps, s.Text.Eps
}

// Settings returns what a folder's configuration says of the encoders. Of a bare file it says what Activation does.
func (m *Model) Settings() Settings {
	if m.file.folder == nil {
		return Settings{Activation: m.activation}
	}
	return m.file.folder.settings.Settings
}

// Preprocessing returns how a folder's configuration wants images prepared. Where nothing says it, ok is false and p is
// [OpenAIPreprocessing], which most models want.
func (m *Model) Preprocessing() (p Preprocessing, ok bool) {
	if m.file.folder == nil {
		return OpenAIPreprocessing, false
	}
	return m.file.folder.settings.preprocess, m.file.folder.settings.prepared
}

// Vocabulary looks for vocabulary files of the model's tokenizer in its folder, or beside the weights file that was opened.
func (m *Model) Vocabulary() Vocabulary {
	if m.Settings().Text.Tokenizer != "" {
		return findTokenizer(m.file.folder.dir, m.file.format)
	}
	if m.file.folder != nil {
		return findVocabulary(m.file.folder.dir)
	}
	if len(m.file.opened) == 0 { // not a file on disk
		return Vocabulary{}
	}
	return findVocabulary(filepath.Dir(m.file.path))
}

// Dir is the folder that the model's other files are looked for in; "" where the model is not on disk.
func (m *Model) Dir() string {
	switch {
	case m.file.folder != nil:
		return m.file.folder.dir
	case len(m.file.opened) == 0:
		return ""
	}
	return filepath.Dir(m.file.path)
}

// Close closes the file.
func (m *Model) Close() error { return m.file.Close() }

var _ Source = (*Model)(nil)
