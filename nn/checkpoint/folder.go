package checkpoint

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A folder is what a model folder says beyond its weights.
type folder struct {
	dir      string
	settings settings
}

// Names of files in model folders.
const (
	hfConfigName       = "config.json"
	hfProcessorName    = "processor_config.json"
	hfPreprocessorName = "preprocessor_config.json"
	hfWeights          = "model.safetensors"
	hfIndex            = "model.safetensors.index.json"
	hfPickle           = "pytorch_model.bin"
	hfPickleIndex      = "pytorch_model.bin.index.json"
	openCLIPConfigName = "open_clip_config.json"
	openCLIPWeights    = "open_clip_model.safetensors"
	openCLIPPickle     = "open_clip_pytorch_model.bin"
)

// The forms of a folder's weights, those that are read first in front: safetensors go before pickles.
var (
	hfForms       = []string{hfWeights, hfIndex, hfPickle, hfPickleIndex}
	openCLIPForms = []string{openCLIPWeights, openCLIPPickle}
)

// A modelDir is a folder whose files are looked up.
type modelDir struct {
	path   string
	broken error // the first symbolic link of ours that leads nowhere
}

// have says whether the folder has a file of that name.
func (d *modelDir) have(name string) bool {
	path := filepath.Join(d.path, name)
	_, err := os.Stat(path)
	if err != nil && d.broken == nil {
		if s, linkErr := os.Lstat(path); linkErr == nil && s.Mode()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			d.broken = inFile(path, fault(Unsupported, "symbolic link to %s, which is not there: the download is not complete, or was moved without its blobs", quote(to)))
		}
	}
	return err == nil
}

// first is the first of some files that the folder has, or "".
func (d *modelDir) first(names []string) string {
	for _, name := range names {
		if d.have(name) {
			return name
		}
	}
	return ""
}

// only is the one file of the folder that has the name of weights, as an archive or a state dict of OpenAI's model has; "" of none or several.
func (d *modelDir) only() string {
	files, _ := os.ReadDir(d.path)
	found := ""
	for _, f := range files {
		if !slices.Contains([]string{".pt", ".pth", ".bin", ".safetensors"}, filepath.Ext(f.Name())) {
			continue
		}
		if found != "" {
			return ""
		}
		found = quote(f.Name())
	}
	return found
}

// openFolder opens a Hugging Face or open_clip model folder. Repositories of
// LAION hold both, saying the same of the same model: then the Hugging Face
// files are read, and refused if the open_clip configuration contradicts.
func openFolder(path string) (*File, error) {
	dir, err := snapshot(path)
	if err != nil {
		return nil, err
	}
	d := &modelDir{path: dir}
	weights, openWeights := d.first(hfForms), d.first(openCLIPForms)
	if openWeights == "" && !d.have(hfConfigName) {
		openWeights = d.first([]string{hfWeights, hfPickle}) // as open_clip takes it from a folder
	}
	isHF, isOpenCLIP := d.have(hfConfigName) && weights != "", d.have(openCLIPConfigName) && openWeights != ""
	switch {
	case isOpenCLIP && !(isHF && isCLIP(dir)):
		s, err := openCLIPSettings(dir)
		if err != nil {
			return nil, err
		}
		return openForm(path, formatOpenCLIP, folder{dir, s}, openWeights)
	case isHF:
		s, err := hfSettings(d)
		if err != nil {
			return nil, err
		}
		if isOpenCLIP {
			other, err := openCLIPSettings(dir)
			if err != nil {
				return nil, err
			}
			if other.Activation != s.Activation {
				return nil, inFile(path, fault(Mismatch, "%s and %s name different activations; give the weights file itself", hfConfigName, openCLIPConfigName).
					wanted(s.Activation, other.Activation))
			}
		}
		return openForm(path, formatHuggingFace, folder{dir, s}, weights)
	case d.broken != nil:
		return nil, d.broken
	}
	problem := "not a model folder"
	if found := cmp.Or(weights+openWeights, d.only()); found != "" { // one of the two, or of another name
		problem += "; to read weights without a configuration, give the file " + found
	}
	return nil, inFile(path, fault(Unsupported, "%s", problem).
		wanted(hfConfigName+" with "+hfWeights+", or "+openCLIPConfigName+" with "+openCLIPWeights, "neither"))
}

// openInFolder opens a weights file that was given itself, although its folder has the configuration that belongs to it: what
// the configuration says holds for the file too.
func openInFolder(path string) (f *File, ok bool, err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	d := &modelDir{path: dir}
	var s settings
	format := formatHuggingFace
	switch {
	case slices.Contains(hfForms, name) && d.have(hfConfigName):
		s, err = hfSettings(d)
	case slices.Contains(openCLIPForms, name) && d.have(openCLIPConfigName):
		format = formatOpenCLIP
		s, err = openCLIPSettings(dir)
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	f, err = openForm(path, format, folder{dir, s}, name)
	return f, true, err
}

// snapshot is the folder itself, or, of the folder models--owner--name that the Hugging Face hub's cache keeps for a model, the
// version that its main branch was at.
func snapshot(path string) (string, error) {
	versions := filepath.Join(path, "snapshots")
	list, err := os.ReadDir(versions)
	if err != nil || !strings.HasPrefix(filepath.Base(path), "models--") {
		return path, nil
	}
	var names []string
	for _, e := range list {
		names = append(names, quote(e.Name()))
		if len(list) == 1 && e.IsDir() {
			return filepath.Join(versions, e.Name()), nil
		}
	}
	main, err := ReadFile(filepath.Join(path, "refs", "main"), 256)
	if commit := strings.TrimSpace(string(main)); err == nil && slices.Contains(names, quote(commit)) {
		return filepath.Join(versions, commit), nil
	}
	return "", inFile(path, fault(Unsupported, "folder of a hub's cache; give one of its folders snapshots/…").
		wanted("refs/main to name one of them", strings.Join(names[:min(len(names), maxListed)], ", ")))
}

func openCLIPSettings(dir string) (settings, error) {
	return readConfig(dir, openCLIPConfigName, openCLIPConfig)
}

// hfSettings reads config.json and what says how images are prepared. transformers 5 puts that into processor_config.json, and
// takes it from there where both files have it.
func hfSettings(d *modelDir) (settings, error) {
	s, err := readConfig(d.path, hfConfigName, hfConfig)
	if err != nil {
		return s, err
	}
	if d.have(hfProcessorName) {
		s, err = readConfig(d.path, hfProcessorName, func(src []byte) (settings, error) {
			p, has, err := hfProcessor(&jsonReader{src: src})
			if has {
				s.preprocess, s.prepared = p, true
			}
			return s, err
		})
	}
	if err == nil && !s.prepared && d.have(hfPreprocessorName) {
		s, err = readConfig(d.path, hfPreprocessorName, func(src []byte) (settings, error) {
			r := &jsonReader{src: src}
			p, err := hfPreprocessor(r)
			if err == nil {
				err = r.end()
			}
			s.preprocess, s.prepared = p, true
			return s, err
		})
	}
	if err == nil {
		err = d.broken
	}
	return s, err
}

// isCLIP says whether config.json is one of transformers' CLIP. Repositories
// of timm keep a config.json of their own beside open_clip's files.
func isCLIP(path string) bool {
	src, err := ReadFile(filepath.Join(path, hfConfigName), maxConfig)
	if err == nil {
		_, err = modelType(src)
	}
	return !errors.Is(err, Unsupported)
}

// readConfig parses a JSON file of the folder.
func readConfig(dir, name string, parse func([]byte) (settings, error)) (settings, error) {
	path := filepath.Join(dir, name)
	src, err := ReadFile(path, maxConfig)
	if err != nil {
		return settings{}, err
	}
	s, err := parse(src)
	return s, inFile(path, err)
}

// openForm opens a folder's weights, in any form. path is what was given.
func openForm(path, format string, about folder, name string) (*File, error) {
	if name == hfIndex || name == hfPickleIndex {
		return openShards(path, about, name)
	}
	f, err := openSingle(filepath.Join(about.dir, name))
	if err != nil {
		return nil, err
	}
	f.path, f.format, f.folder = path, format, &about
	f.r, f.size = nil, 0
	return f, nil
}

// openShards opens a model whose weights lie in several files.
// The index has to agree with the files, tensor for tensor.
func openShards(path string, about folder, indexName string) (_ *File, err error) {
	indexPath := filepath.Join(about.dir, indexName)
	src, err := ReadFile(indexPath, maxConfig)
	if err != nil {
		return nil, err
	}
	want := formatSafetensors
	if indexName == hfPickleIndex {
		want = formatTorch
	}
	index, err := shardIndex(src)
	if err != nil {
		return nil, inFile(indexPath, err)
	}
	f := &File{path: path, format: formatHuggingFace, folder: &about, tensors: make(map[string]*tensor)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(index.files)) {
		shard, err := openSingle(filepath.Join(about.dir, name))
		if err != nil {
			return nil, err
		}
		f.opened = append(f.opened, shard.opened...)
		if shard.format != want {
			return nil, inFile(shard.path, fault(Unsupported, "shard").wanted(want, shard.format))
		}
		for _, tensor := range shard.names {
			if index.weights[tensor] != name {
				return nil, inFile(shard.path, fault(Mismatch, "shard holds a tensor that the index does not place there").in(tensor))
			}
			f.tensors[tensor] = shard.tensors[tensor]
		}
	}
	f.names = slices.Sorted(maps.Keys(f.tensors))
	if len(f.names) != len(index.weights) {
		var missing problems
		for _, name := range slices.Sorted(maps.Keys(index.weights)) {
			if f.tensors[name] == nil {
				missing.add("%s in %s", quote(name), quote(index.weights[name]))
			}
		}
		return nil, inFile(indexPath, missing.err(Mismatch, "tensors missing from the shards"))
	}
	return f, nil
}

// A shardMap says which file each tensor lies in.
type shardMap struct {
	weights map[string]string
	files   map[string]bool
}

// shardIndex parses model.safetensors.index.json, or the older pytorch_model.bin.index.json.
func shardIndex(src []byte) (shardMap, error) {
	r := &jsonReader{src: src}
	m := shardMap{weights: make(map[string]string), files: make(map[string]bool)}
	err := fields{"weight_map": func(r *jsonReader) error {
		return r.object(func(name string) error {
			file, err := r.text()
			if err != nil {
				return err
			}
			if !validName(name) {
				return r.fail("tensor name is not 1 to %d bytes of printable ASCII", maxName).in(name)
			}
			// The name of a file in this folder, not a way out of it.
			if !validName(file) || strings.ContainsAny(file, `/\:`) || !fs.ValidPath(file) || file == "." {
				return r.fail("shard is not a plain file name").in(file)
			}
			m.weights[name] = file
			m.files[file] = true
			if len(m.weights) > maxTensors || len(m.files) > maxShards {
				return fault(Limit, "more than %d tensors or %d shards", maxTensors, maxShards)
			}
			return nil
		})
	}}.read(r, skipUnknown)
	if err != nil {
		return m, err
	}
	if len(m.weights) == 0 {
		return m, fault(Corrupt, "index without tensors").in("weight_map")
	}
	return m, r.end()
}

// Vocabulary is where a checkpoint's vocabulary lies; empty paths where there is none.
type Vocabulary struct {
	Merges string // OpenAI's bpe_simple_vocab_16e6.txt.gz, a merges.txt, or a tokenizer.json, which has all in one
	IDs    string // vocab.json, which goes with a merges.txt

	// Of a model that has another tokenizer than CLIP's byte pairs.
	Tokenizer string // a model of SentencePiece's, a tokenizer.json, or a vocab.txt
	Config    string // tokenizer_config.json
}

// findVocabulary looks for vocabulary files in a folder.
func findVocabulary(dir string) Vocabulary {
	if merges := regular(dir, "merges.txt"); merges != "" {
		return Vocabulary{Merges: merges, IDs: regular(dir, "vocab.json")}
	}
	return Vocabulary{Merges: regular(dir, "tokenizer.json", "bpe_simple_vocab_16e6.txt.gz")}
}

// findTokenizer looks for files of another tokenizer, in the order in which the library of the format prefers them: transformers' class for
// SigLIP reads SentencePiece's own file, all others what the tokenizers library wrote.
func findTokenizer(dir, format string) Vocabulary {
	names := []string{"tokenizer.json", "spiece.model", "tokenizer.model", "vocab.txt"}
	if format == formatHuggingFace {
		names[0], names[1] = names[1], names[0]
	}
	return Vocabulary{Tokenizer: regular(dir, names...), Config: regular(dir, "tokenizer_config.json")}
}

// regular is the path of the first of some names that is a file of a folder, or "".
func regular(dir string, names ...string) string {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if stat, err := os.Stat(path); err == nil && stat.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
