package checkpoint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// A plan is how one of OpenAI's tensors is read: from one stored tensor, or
// from two or three stacked on their first axis.
type plan struct {
	shape      []int
	parts      []string // stored names, in order; "" for zeros
	transposed bool
}

// plan assigns every stored tensor to one of OpenAI's.
func (m *Model) plan() error {
	bare, err := unwrap(m.file.names, m.file.nested)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(bare))
	m.bare = make(map[string]string, len(bare))
	for name, stored := range bare {
		m.bare[stored] = name
	}
	d, err := detect(names)
	if err != nil {
		return err
	}
	m.dialect = d.name
	if m.file.format == formatOpenCLIP {
		m.dialect = openCLIPDialect.name
	}
	var wrong problems
	for _, name := range names {
		openAI, how, ok := d.find(name)
		switch {
		case !ok:
			wrong.add("%s is not part of CLIP", quote(bare[name]))
		case how == dropped:
			m.beside = append(m.beside, bare[name])
		default:
			m.assign(openAI, bare[name], how, &wrong)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.plans)) {
		m.plans[name].finish(name, m.file, d.keyless, &wrong)
	}
	if err := wrong.err(Mismatch, "tensors do not fit the "+d.name+" layout"); err != nil {
		return err
	}
	return m.pooledAsUsual()
}

// pooledAsUsual refuses bare weights of models that make features of tokens in another way than CLIP, as far as tensors show it:
// which way it is, and whether texts see their padding, is in configurations alone.
func (m *Model) pooledAsUsual() error {
	if m.file.folder != nil {
		return nil
	}
	sign := ""
	switch {
	case m.plans["visual.attn_pool.probe"] != nil, m.plans["visual.attn_pool.query"] != nil:
		sign = "visual.attn_pool"
	case m.plans["cls_emb"] != nil:
		sign = "cls_emb"
	case m.plans["text_projection.bias"] != nil:
		sign = "text_projection.bias"
	case m.plans["visual.ln_pre.weight"] == nil && m.plans["visual.transformer.resblocks.0.ln_1.weight"] != nil:
		sign = "no visual.ln_pre"
	default:
		return nil
	}
	return fault(Unsupported, "weights of a relative of CLIP's, which alone do not say what of the tokens becomes a feature; give the model's folder, with its configuration").in(sign)
}

// assign makes a stored tensor a part of one of OpenAI's.
func (m *Model) assign(openAI, stored string, how how, wrong *problems) {
	count, slot := 1, 0
	switch how {
	case queryRows, keyRows, valueRows:
		count, slot = 3, int(how-queryRows)
	case firstRows, otherRows:
		count, slot = 2, int(how-firstRows)
	}
	p := m.plans[openAI]
	if p == nil {
		p = &plan{transposed: how == transposed, parts: make([]string, count)}
		m.plans[openAI] = p
	}
	if count != len(p.parts) || p.parts[slot] != "" || p.transposed != (how == transposed) {
		wrong.add("%s and %s are both %s", quote(cmp.Or(p.parts...)), quote(stored), quote(openAI))
		return
	}
	p.parts[slot] = stored
}

// ranks are those of tensors that some writers store with axes of length one
// before them.
var ranks = map[string]int{
	"logit_scale":                 0,
	"visual.class_embedding":      1,
	"visual.positional_embedding": 2,
	"visual.attn_pool.probe":      2,
}

// finish checks the parts against each other and computes the shape. In a keyless dialect keys may have no bias, which is a bias of zeros.
func (p *plan) finish(name string, f *File, keyless bool, wrong *problems) {
	var first Info
	rows := size{}
	for i, stored := range p.parts {
		if keyless && i == 1 && len(p.parts) == 3 && stored == "" && len(first.Shape) == 1 {
			rows = rows.plus(uint64(first.Shape[0]))
			continue
		}
		if stored == "" {
			part := [...]string{"query", "key", "value"}[i]
			if len(p.parts) == 2 {
				part = [...]string{"query", "key and value"}[i]
			}
			wrong.add("%s has no %s part", quote(name), part)
			return
		}
		info, _ := f.Info(stored)
		if !info.DType.Float() {
			wrong.add("%s has type %v; quantised weights are not supported", quote(stored), info.DType)
		}
		if len(p.parts) > 1 && len(info.Shape) == 0 {
			wrong.add("%s is a scalar", quote(stored))
			return
		}
		want := first.Shape
		if i == 0 {
			first = info
		} else if len(p.parts) == 2 && len(want) > 0 && want[0] <= math.MaxInt/2 { // keys and values, one above the other
			want = append([]int{2 * want[0]}, want[1:]...)
		}
		if i > 0 && !slices.Equal(info.Shape, want) {
			wrong.add("%s has shape %v, but should have %v beside %s", quote(stored), info.Shape, want, quote(first.Name))
			return
		}
		if len(p.parts) > 1 {
			rows = rows.plus(uint64(info.Shape[0]))
		}
	}
	p.shape = slices.Clone(first.Shape)
	if rank, ok := ranks[name]; ok {
		for len(p.shape) > rank && p.shape[0] == 1 {
			p.shape = p.shape[1:]
		}
	}
	// Tensors without elements would be the one way to claim sizes that the file does not hold.
	if elements(p.shape).n == 0 {
		wrong.add("%s has shape %v, which has no elements", quote(first.Name), p.shape)
		return
	}
	if p.transposed {
		if len(p.shape) != 2 {
			wrong.add("%s has shape %v, but should be a matrix", quote(first.Name), p.shape)
			return
		}
		slices.Reverse(p.shape)
	}
	if len(p.parts) > 1 {
		p.shape[0] = int(rows.n) // of parts with elements: each is less than the file is large
	}
}

// findActivation collects what the source says about the activation.
func (m *Model) findActivation() error {
	switch m.file.format {
	case formatHuggingFace, formatOpenCLIP:
		m.activation = m.file.folder.settings.Activation
	case formatTorchScript:
		return m.activationOfClasses()
	case formatSafetensors:
		switch a := m.file.metadata[ActivationKey]; a {
		case "", quickGELU, gelu:
			m.activation = a
		default:
			return fault(Unsupported, "activation").in(ActivationKey).wanted(`"quickgelu" or "gelu"`, quote(a))
		}
	}
	return nil
}

// activationOfClasses reads the activation off the class names of a
// TorchScript archive's modules: OpenAI's archives hold QuickGELU objects.
func (m *Model) activationOfClasses() error {
	found := make(map[string]bool)
	for _, class := range m.file.classes {
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "QuickGELU":
			found[quickGELU] = true
		case "GELU":
			found[gelu] = true
		}
	}
	if len(found) > 1 {
		return fault(Unsupported, "modules with both GELU and QuickGELU")
	}
	for a := range found {
		m.activation = a
	}
	return nil
}
