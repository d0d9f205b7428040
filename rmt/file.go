package rmt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/tensor"
)

// MaskFormat is the metadata "format" of a mask file.
const MaskFormat = "fewshot-mask"

// A mask file is a sealed safetensors file (see [checkpoint.WriteSealed]): any program that reads safetensors can
// list it, every damage is found by its digest, and equal masks with equal provenance are equal bytes. For each
// masked weight, under OpenAI's name and in OpenAI's orientation, tensor "mask/NAME" is U8 and metadata "mask/NAME" is
//
//	raw shape=2304x768 off=44102                bits from the least significant of each byte, 1 = keep
//	rice shape=2304x768 off=44102 k=5           gaps between zeros in a Rice code (see rice.go)
//
// whichever is shorter.
const (
	fileVersion = "1"
	prefix      = "mask/"
)

// MaskFile is a mask on disk: which weights of which backbone are switched off.
type MaskFile struct {
	// Backbone is the digest of all weights of the model the mask was learned on (see [checkpoint.Model.Digest]).
	Backbone string
	// About is provenance for people and programs: settings, data, program. It may not use the keys below.
	About map[string]string
	// Tensors are the masked weights, sorted by name.
	Tensors []MaskTensor

	file *checkpoint.File
}

// MaskTensor describes the mask of one weight.
type MaskTensor struct {
	Name  string
	Shape []int
	Off   int    // weights switched off
	Codec string // "raw" or "rice"
	k     int
}

var reserved = []string{"format", "version", "backbone"}

// ErrBackbone says that a mask belongs to other weights than those it was to be put on.
var ErrBackbone = errors.New("the mask was learned on another backbone")

// SaveMasks writes masks to path, atomically; see WriteMasks.
func SaveMasks(path string, masks []*Mask, backbone string, about map[string]string) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error { return WriteMasks(w, masks, backbone, about) })
}

// WriteMasks writes a mask file. Its bytes depend on masks, backbone and about alone.
func WriteMasks(w io.Writer, masks []*Mask, backbone string, about map[string]string) error {
	meta := maps.Clone(about)
	if meta == nil {
		meta = map[string]string{}
	}
	for k := range meta {
		if slices.Contains(reserved, k) || strings.HasPrefix(k, prefix) {
			return fmt.Errorf("mask file: provenance may not use the key %q", k)
		}
	}
	if !isDigest(backbone) || len(masks) == 0 {
		return fmt.Errorf("mask file: %d masks for the backbone %q, which should be a digest", len(masks), backbone)
	}
	meta["format"], meta["version"], meta["backbone"] = MaskFormat, fileVersion, backbone
	var entries []checkpoint.Entry
	for _, m := range masks {
		code, describe := encodeMask(m.Bits(), m.Param.Value.Shape())
		meta[prefix+m.Param.Name] = describe
		entries = append(entries, checkpoint.Entry{Name: prefix + m.Param.Name, DType: checkpoint.U8, Shape: []int{len(code)}, Data: checkpoint.Bytes(code)})
	}
	return checkpoint.WriteSealed(w, meta, entries)
}

func encodeMask(keep []bool, shape []int) (code []byte, describe string) {
	raw := packBits(keep)
	rice, k, off := riceEncode(keep)
	t := MaskTensor{Shape: shape, Off: off, Codec: "raw", k: k}
	if len(rice) < len(raw) {
		t.Codec, raw = "rice", rice
	}
	return raw, t.describe()
}

// describe is the metadata of a tensor.
func (t MaskTensor) describe() string {
	var dims []string
	for _, d := range t.Shape {
		dims = append(dims, strconv.Itoa(d))
	}
	s := fmt.Sprintf("%s shape=%s off=%d", t.Codec, strings.Join(dims, "x"), t.Off)
	if t.Codec == "rice" {
		s += fmt.Sprintf(" k=%d", t.k)
	}
	return s
}

// OpenMasks opens a mask file and verifies its digest. The caller closes it.
func OpenMasks(path string) (*MaskFile, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := readMasks(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

func readMasks(f *checkpoint.File) (*MaskFile, error) {
	bad := func(entry, format string, a ...any) error {
		return &checkpoint.Error{Path: f.Path(), Entry: entry, Offset: -1, Kind: checkpoint.Corrupt, Problem: fmt.Sprintf(format, a...)}
	}
	meta := f.Metadata()
	if meta["format"] != MaskFormat {
		return nil, &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Unsupported, Problem: "not a mask file of this program (metadata format is " + quote.String(meta["format"]) + ")"}
	}
	if meta["version"] != fileVersion {
		return nil, &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Unsupported, Problem: "mask file of version " + quote.String(meta["version"]) + "; this program reads version " + fileVersion}
	}
	if err := f.VerifySeal(); err != nil {
		return nil, err
	}
	m := &MaskFile{Backbone: meta["backbone"], About: map[string]string{}, file: f}
	if !isDigest(m.Backbone) {
		return nil, bad("backbone", "%s is no digest", quote.String(m.Backbone))
	}
	for _, name := range f.Names() {
		if name == checkpoint.SealName {
			continue
		}
		weight, ok := strings.CutPrefix(name, prefix)
		if !ok {
			return nil, bad(name, "a mask file has no such tensor")
		}
		if info, _ := f.Info(name); info.DType != checkpoint.U8 || len(info.Shape) != 1 {
			return nil, bad(name, "masks are bytes, not %v %v", info.DType, info.Shape)
		}
		t, err := parseDescription(meta[name])
		if err != nil {
			return nil, bad(name, "description %s: %v", quote.String(meta[name]), err)
		}
		t.Name = weight
		m.Tensors = append(m.Tensors, t)
		delete(meta, name)
	}
	if len(m.Tensors) == 0 {
		return nil, bad("", "no masks in it")
	}
	for k, v := range meta {
		if strings.HasPrefix(k, prefix) {
			return nil, bad(k, "described but not there")
		}
		if !slices.Contains(reserved, k) {
			m.About[k] = v
		}
	}
	return m, nil
}

// isDigest reports whether s is a SHA-256 in lower-case hexadecimal.
func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && s == strings.ToLower(s)
}

// parseDescription reads what describe writes, and nothing else.
func parseDescription(s string) (MaskTensor, error) {
	var t MaskTensor
	var shape string
	var err error
	switch t.Codec, _, _ = strings.Cut(s, " "); t.Codec {
	case "raw":
		_, err = fmt.Sscanf(s, "raw shape=%s off=%d", &shape, &t.Off)
	case "rice":
		_, err = fmt.Sscanf(s, "rice shape=%s off=%d k=%d", &shape, &t.Off, &t.k)
	default:
		err = errors.New("neither raw nor rice")
	}
	if err != nil {
		return t, err
	}
	n := 1
	for d := range strings.SplitSeq(shape, "x") {
		v, err := strconv.Atoi(d)
		if err != nil || v < 1 || v > math.MaxInt32/n {
			return t, fmt.Errorf("shape %q makes no sense", shape)
		}
		n *= v
		t.Shape = append(t.Shape, v)
	}
	if t.Off < 0 || t.Off > n || t.describe() != s {
		return t, errors.New("not written by this program")
	}
	return t, nil
}

// Close closes the file.
func (m *MaskFile) Close() error { return m.file.Close() }

// Sparsity sums over the tensors.
func (m *MaskFile) Sparsity() Sparsity {
	var s Sparsity
	for _, t := range m.Tensors {
		s.Off += t.Off
		s.Total += tensor.Len(t.Shape)
	}
	return s
}

// Keep decodes one mask: true where a weight is kept. The number of weights comes from the backbone, never from the
// file.
func (m *MaskFile) Keep(t MaskTensor, shape []int) ([]bool, error) {
	fault := func(kind checkpoint.Kind, err error) error {
		return &checkpoint.Error{Path: m.file.Path(), Entry: prefix + t.Name, Offset: -1, Kind: kind, Problem: err.Error()}
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, fault(checkpoint.Mismatch, fmt.Errorf("mask of shape %v for a weight of shape %v", t.Shape, shape))
	}
	code, err := m.file.ReadBytes(prefix + t.Name)
	if err != nil {
		return nil, err
	}
	var keep []bool
	if t.Codec == "raw" {
		keep, err = unpackBits(code, tensor.Len(shape))
	} else {
		keep, err = riceDecode(code, t.k, t.Off, tensor.Len(shape))
	}
	if err != nil {
		return nil, fault(checkpoint.Corrupt, err)
	}
	again, describe := encodeMask(keep, shape)
	if !bytes.Equal(again, code) || t.describe() != describe {
		return nil, fault(checkpoint.Corrupt, fmt.Errorf("described as %q, but the bits say %q", t.describe(), describe))
	}
	return keep, nil
}

// Attach puts the masks on the parameters of the backbone with the given digest. A mask for other weights is refused
// with ErrBackbone: on them it would switch off just anything.
func (m *MaskFile) Attach(params []*nn.Param, backbone string) ([]*Mask, error) {
	if m.Backbone != backbone {
		return nil, fmt.Errorf("%s: %w: that one's digest is %s, this one's %s", m.file.Path(), ErrBackbone, m.Backbone, backbone)
	}
	byName := map[string]*nn.Param{}
	for _, p := range params {
		byName[p.Name] = p
	}
	var masks []*Mask
	for _, t := range m.Tensors {
		p := byName[t.Name]
		if p == nil || p.Value.Rank() < 2 {
			return nil, &checkpoint.Error{Path: m.file.Path(), Entry: prefix + t.Name, Offset: -1, Kind: checkpoint.Mismatch, Problem: "the model has no such weight matrix"}
		}
		keep, err := m.Keep(t, p.Value.Shape())
		if err != nil {
			return nil, err
		}
		masks = append(masks, Fixed(p, keep))
	}
	for _, k := range masks {
		k.Param.Parametrize(k.apply)
	}
	return masks, nil
}

// Fixed is a mask of given bits, as scores 1 and 0 about the threshold ½.
func Fixed(p *nn.Param, keep []bool) *Mask {
	scores := make([]float32, len(keep))
	for i, k := range keep {
		if k {
			scores[i] = 1
		}
	}
	return &Mask{Param: p, Scores: p.Value.Device().From(scores, p.Value.Shape()...), Threshold: 0.5, frozen: true}
}
