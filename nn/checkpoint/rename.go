package checkpoint

import (
	"slices"
	"strings"
)

// This file holds what the dialects share; each has a table of its own in
// rename_<dialect>.go. A row says which stored tensor becomes which tensor of
// OpenAI's state dict. "#" stands for a block's number, "*" for "weight" and
// for "bias". What no row names is refused, not skipped: a tensor that is
// there was meant to take part.

// A row of a rename table.
type row struct {
	stored, openAI string
	how            how
}

// how a stored tensor relates to OpenAI's.
type how uint8

const (
	same       how = iota // equal
	transposed            // OpenAI's is the transpose
	queryRows             // rows [0, W) of a packed [3W, …] tensor
	keyRows               // rows [W, 2W)
	valueRows             // rows [2W, 3W)
	firstRows             // rows [0, W) of a packed [3W, …] tensor whose others are one
	otherRows             // these, rows [W, 3W)
	dropped               // not a weight: openAI is empty
)

// A dialect is one spelling of CLIP's state dict.
type dialect struct {
	name    string
	rows    map[string]row // by stored pattern, "*" expanded
	keyless bool           // attention's keys may have no bias where queries and values have one
}

// newDialect expands and indexes a table.
func newDialect(name string, tables ...[]row) *dialect {
	d := &dialect{name: name, rows: make(map[string]row)}
	for _, r := range slices.Concat(tables...) {
		suffixes := []string{""}
		if strings.HasSuffix(r.stored, "*") {
			suffixes = []string{"weight", "bias"}
		}
		for _, s := range suffixes {
			stored := strings.TrimSuffix(r.stored, "*") + s
			if _, twice := d.rows[stored]; twice {
				panic("checkpoint: two rows for " + stored + " in dialect " + name)
			}
			openAI := strings.TrimSuffix(r.openAI, "*")
			if openAI != r.openAI {
				openAI += s
			}
			d.rows[stored] = row{stored, openAI, r.how}
		}
	}
	return d
}

// withoutKeyBias makes the dialect one in which keys may lack their bias.
func (d *dialect) withoutKeyBias() *dialect {
	d.keyless = true
	return d
}

// find looks a stored name up and returns OpenAI's name for it.
func (d *dialect) find(name string) (openAI string, how how, ok bool) {
	pattern, number := splitNumber(name)
	r, ok := d.rows[pattern]
	return strings.Replace(r.openAI, "#", number, 1), r.how, ok
}

// splitNumber replaces the first component of a name that is a number by
// "#". All dialects' names have at most one number that varies, the block's;
// it comes first.
func splitNumber(name string) (pattern, number string) {
	for start := 0; start < len(name); {
		end := strings.IndexByte(name[start:], '.')
		if end < 0 {
			end = len(name) - start
		}
		if part := name[start : start+end]; decimal(part) && len(part) <= 3 {
			return name[:start] + "#" + name[start+end:], part
		}
		start += end + 1
	}
	return name, ""
}

// asIs makes rows for names that a dialect shares with OpenAI.
func asIs(names ...string) []row {
	rows := make([]row, len(names))
	for i, name := range names {
		rows[i] = row{name, name, same}
	}
	return rows
}

// drop makes rows for tensors that are not weights.
func drop(names ...string) []row {
	rows := make([]row, len(names))
	for i, name := range names {
		rows[i] = row{name, "", dropped}
	}
	return rows
}

// under puts prefixes before both sides of rows.
func under(stored, openAI string, rows ...[]row) []row {
	all := slices.Concat(rows...)
	for i := range all {
		all[i].stored = stored + all[i].stored
		if all[i].how != dropped {
			all[i].openAI = openAI + all[i].openAI
		}
	}
	return all
}

// signatures tell dialects apart: the first whose stem begins any tensor's
// name decides. Before them come the tensors of refused families, because models that
// are not CLIP as this program computes it share names with models that are.
var signatures = []struct {
	stem    string
	dialect *dialect
}{
	{"visual.trunk.", timmDialect},
	{"vision_model.", huggingFaceDialect},
	{"text_model.", huggingFaceDialect},
	{"embeddings.class_embedding", huggingFaceVisionDialect},
	{"text.", openCLIPDialect},
	{"text_projection.weight", openCLIPDialect},
	{"visual.", openAIDialect},
	{"transformer.resblocks.", openAIDialect},
}

// detect finds the dialect of a set of names.
func detect(names []string) (*dialect, error) {
	for _, f := range families[stems] {
		if i := beginning(names, f.name); i >= 0 {
			return nil, f.refusal().in(names[i])
		}
	}
	for _, s := range signatures {
		if beginning(names, s.stem) >= 0 {
			return s.dialect, nil
		}
	}
	var seen problems
	for _, name := range names {
		seen.add("%s", quote(name))
	}
	if err := seen.err(Unsupported, "no dialect of CLIP has these tensors"); err != nil {
		return nil, err
	}
	return nil, fault(Unsupported, "no tensors")
}

// beginning is the index of the first name that begins so, -1 if none does.
func beginning(names []string, stem string) int {
	return slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, stem) })
}

// wrappers are keys under which training loops save a state dict, beside an
// optimizer's and others.
var wrappers = []string{"state_dict", "model_state_dict", "model"}

// prefixes stand before every name of a state dict that was saved from
// inside something: DataParallel, torch.compile, a Lightning module, one
// attribute of a larger model.
var prefixes = []string{"module.", "_orig_mod.", "model.", "clip.", "clip_model."}

// unwrap removes what training loops put around a state dict. It returns,
// for each bare name, the stored one. Tensors beside the dict of weights, such
// as an optimizer's, are left behind; nested says which keys of a pickle's
// outermost dict hold dicts.
func unwrap(stored []string, nested map[string]bool) (map[string]string, error) {
	bare, from := make(map[string]string, len(stored)), ""
	for _, key := range wrappers {
		// In a dict of dicts, or by the name alone where that can mean nothing else.
		if !nested[key] && key == "model" {
			continue
		}
		inner := make(map[string]string)
		for _, name := range stored {
			if rest, ok := strings.CutPrefix(name, key+"."); ok {
				inner[rest] = name
			}
		}
		switch {
		case len(inner) == 0:
		case from != "":
			return nil, fault(Unsupported, "two sets of weights, under %s and %s; save one of them alone", quote(from), quote(key))
		default:
			bare, from = inner, key
		}
	}
	if from == "" {
		for _, name := range stored {
			bare[name] = name
		}
	}
	// torch.optim.swa_utils.AveragedModel counts beside its module.
	if len(bare) > 1 && commonPrefix(bare, "n_averaged") == "module." {
		delete(bare, "n_averaged")
	}
	for prefix := commonPrefix(bare, ""); prefix != ""; prefix = commonPrefix(bare, "") {
		inner := make(map[string]string, len(bare))
		for name, from := range bare {
			inner[strings.TrimPrefix(name, prefix)] = from
		}
		bare = inner
	}
	return bare, nil
}

// commonPrefix is the one of the prefixes that all names but one have, or "".
func commonPrefix(names map[string]string, but string) string {
	for _, prefix := range prefixes {
		all := true
		for name := range names {
			all = all && (name == but || strings.HasPrefix(name, prefix) && name != prefix)
		}
		if all && len(names) > 0 {
			return prefix
		}
	}
	return ""
}
