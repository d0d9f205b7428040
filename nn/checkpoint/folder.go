package checkpoint

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A folder is what a model folder says beyond its weights.
type folder struct{ settings settings }

// Names of files in model folders.
const (
	hfConfigName       = "config.json"
	hfPreprocessorName = "preprocessor_config.json"
	hfWeights          = "model.safetensors"
	hfIndex            = "model.safetensors.index.json"
	hfPickle           = "pytorch_model.bin"
	openCLIPConfigName = "open_clip_config.json"
	openCLIPWeights    = "open_clip_model.safetensors"
	openCLIPPickle     = "open_clip_pytorch_model.bin"
)

// openFolder opens a Hugging Face or open_clip model folder. Repositories of
// LAION hold both, saying the same of the same model: then the Hugging Face
// files are read, and refused if the open_clip configuration contradicts.
// Where a folder holds the weights twice, safetensors go before pickles.
func openFolder(path string) (*File, error) {
	have := func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return err == nil
	}
	isHF := have(hfConfigName) && (have(hfWeights) || have(hfIndex) || have(hfPickle))
	isOpenCLIP := have(openCLIPConfigName) && (have(openCLIPWeights) || have(openCLIPPickle))

	var other *settings
	if isOpenCLIP {
		s, err := readConfig(path, openCLIPConfigName, openCLIPConfig)
		if err != nil {
			return nil, err
		}
		if !isHF || !isCLIP(path) {
			weights := openCLIPWeights
			if !have(weights) {
				weights = openCLIPPickle
			}
			return openWeights(path, formatOpenCLIP, s, weights)
		}
		other = &s
	}
	if !isHF {
		return nil, inFile(path, fault(Unsupported, "not a model folder").
			wanted(hfConfigName+" with "+hfWeights+", or "+openCLIPConfigName+" with "+openCLIPWeights, "neither"))
	}
	s, err := readConfig(path, hfConfigName, hfConfig)
	if err != nil {
		return nil, err
	}
	if have(hfPreprocessorName) {
		s, err = readConfig(path, hfPreprocessorName, func(src []byte) (settings, error) {
			err := hfPreprocessor(src, &s.preprocess)
			return s, err
		})
		if err != nil {
			return nil, err
		}
	}
	if other != nil && other.activation != s.activation {
		return nil, inFile(path, fault(Mismatch, "%s and %s name different activations; give the weights file itself", hfConfigName, openCLIPConfigName).
			wanted(s.activation, other.activation))
	}
	switch {
	case have(hfWeights):
		return openWeights(path, formatHuggingFace, s, hfWeights)
	case have(hfIndex):
		return openShards(path, s)
	}
	return openWeights(path, formatHuggingFace, s, hfPickle)
}

// isCLIP says whether config.json is one of transformers' CLIP. Repositories
// of timm keep a config.json of their own beside open_clip's files.
func isCLIP(path string) bool {
	_, err := readConfig(path, hfConfigName, hfConfig)
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

// openWeights opens the folder's one weights file.
func openWeights(dir, format string, s settings, name string) (*File, error) {
	f, err := openSingle(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	f.path, f.format, f.folder = dir, format, &folder{s}
	f.r, f.size = nil, 0
	return f, nil
}

// openShards opens a model whose weights lie in several safetensors files.
// The index has to agree with the files, tensor for tensor.
func openShards(dir string, s settings) (_ *File, err error) {
	indexPath := filepath.Join(dir, hfIndex)
	src, err := ReadFile(indexPath, maxConfig)
	if err != nil {
		return nil, err
	}
	index, err := shardIndex(src)
	if err != nil {
		return nil, inFile(indexPath, err)
	}
	f := &File{path: dir, format: formatHuggingFace, folder: &folder{s}, tensors: make(map[string]*tensor)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(index.files)) {
		shard, err := openSingle(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		f.opened = append(f.opened, shard.opened...)
		if shard.format != formatSafetensors {
			return nil, inFile(shard.path, fault(Unsupported, "shard").wanted(formatSafetensors, shard.format))
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

// shardIndex parses model.safetensors.index.json.
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

// Vocabulary is where a checkpoint's byte-pair vocabulary lies; empty paths
// where there is none.
type Vocabulary struct {
	Merges string // OpenAI's bpe_simple_vocab_16e6.txt.gz or a merges.txt
	IDs    string // vocab.json, which goes with a merges.txt
}

// findVocabulary looks for vocabulary files in a folder.
func findVocabulary(dir string) Vocabulary {
	at := func(name string) string {
		path := filepath.Join(dir, name)
		if stat, err := os.Stat(path); err != nil || !stat.Mode().IsRegular() {
			return ""
		}
		return path
	}
	v := Vocabulary{Merges: at("merges.txt"), IDs: at("vocab.json")}
	if v.Merges == "" {
		v = Vocabulary{Merges: at("bpe_simple_vocab_16e6.txt.gz")}
	}
	return v
}
