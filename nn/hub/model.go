package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// Model brings a model into the cache, or finds it there, and returns the folder or file to open.
func (c *Client) Model(ctx context.Context, n Name) (string, error) {
	if n.OpenAI != "" {
		return c.openAI(ctx, n.OpenAI)
	}
	dir, _, err := c.Snapshot(ctx, n.Repo, n.Revision, func(all []File, cached func(string) bool) ([]string, error) {
		return modelFiles(all, cached, n.OpenCLIP)
	})
	return dir, err
}

// shardName is a part of a model whose weights lie in several files.
var shardName = regexp.MustCompile(`^model-\d{5}-of-\d{5}\.safetensors$`)

// beside are the small files that say how images and texts are prepared.
var beside = []string{
	"preprocessor_config.json", "processor_config.json", "open_clip_config.json",
	"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"bpe_simple_vocab_16e6.txt.gz", "spiece.model", "tokenizer.model",
}

// modelFiles chooses what makes a model: one set of weights with the files that go with it. Many repositories hold the
// same weights for transformers and for open_clip, as safetensors and as pickles: the first of these that the cache
// has is taken, else open_clip's, whose config.json may be of another program.
func modelFiles(all []File, cached func(string) bool, openCLIP bool) ([]string, error) {
	var names []string
	have := map[string]bool{}
	for _, f := range all {
		names = append(names, f.Path)
		have[f.Path] = true
	}
	var ways [][]string
	add := func(config string, weights ...string) {
		ok := have[config]
		for _, w := range weights {
			ok = ok && have[w]
		}
		if ok {
			ways = append(ways, append([]string{config}, weights...))
		}
	}
	add("open_clip_config.json", "open_clip_model.safetensors")
	add("open_clip_config.json", "open_clip_pytorch_model.bin")
	if !openCLIP || ways == nil {
		add("config.json", "model.safetensors")
		if shards := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !shardName.MatchString(n) }); shards != nil {
			add("config.json", append([]string{"model.safetensors.index.json"}, shards...)...)
		}
		add("config.json", "pytorch_model.bin")
	}
	if ways == nil {
		weights := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
			switch filepath.Ext(n) {
			case ".safetensors", ".bin", ".pt", ".pth", ".onnx", ".gguf":
				return false
			}
			return true
		})
		return nil, fmt.Errorf("no model that could be opened: want config.json with model.safetensors or pytorch_model.bin, or "+
			"open_clip_config.json with open_clip_model.safetensors or open_clip_pytorch_model.bin; there is %s", some(weights))
	}
	way := ways[0]
	for _, w := range ways {
		if !slices.ContainsFunc(w, func(n string) bool { return !cached(n) }) {
			way = w
			break
		}
	}
	for _, b := range beside {
		if have[b] && !slices.Contains(way, b) {
			way = append(way, b)
		}
	}
	return way, nil
}

func some(names []string) string {
	if len(names) == 0 {
		return "no file of weights"
	}
	if len(names) > 5 {
		names = append(slices.Clone(names[:5]), fmt.Sprintf("and %d more", len(names)-5))
	}
	for i, n := range names {
		names[i] = quote.Plain(n)
	}
	return strings.Join(names, ", ")
}

// FolderOf is where a model's files lie, or will.
func (c *Client) FolderOf(n Name) string {
	if n.OpenAI != "" {
		return c.OpenAICache
	}
	return c.folder(n.Repo)
}

// openAIModels are the archives that OpenAI released, by the names of its clip package, with their SHA-256.
var openAIModels = map[string]struct{ file, sha256 string }{
	"RN50":           {"RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"},
	"RN101":          {"RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"},
	"RN50x4":         {"RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"},
	"RN50x16":        {"RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"},
	"RN50x64":        {"RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"},
	"ViT-B/32":       {"ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"},
	"ViT-B/16":       {"ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"},
	"ViT-L/14":       {"ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"},
	"ViT-L/14@336px": {"ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"},
}

// OpenAINames are the names of OpenAI's models, sorted.
func OpenAINames() []string {
	var names []string
	for n := range openAIModels {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

const (
	openAIBase       = "https://openaipublic.azureedge.net/clip/models"
	vocabularyURL    = "https://raw.githubusercontent.com/openai/CLIP/main/clip/bpe_simple_vocab_16e6.txt.gz"
	vocabularySHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
)

// openAI brings one of OpenAI's archives, and the vocabulary that all of them share, to where the clip package keeps
// archives. A file that is there is checked each time, as clip.load does.
func (c *Client) openAI(ctx context.Context, name string) (string, error) {
	m := openAIModels[name]
	archive := filepath.Join(c.OpenAICache, m.file)
	for _, f := range []struct{ path, url, sha256 string }{
		{archive, c.openAIBase + "/" + m.sha256 + "/" + m.file, m.sha256},
		{filepath.Join(c.OpenAICache, "bpe_simple_vocab_16e6.txt.gz"), c.vocabulary, vocabularySHA256},
	} {
		if err := c.archive(ctx, name, f.path, f.url, f.sha256); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return archive, nil
}

func (c *Client) archive(ctx context.Context, name, path, from, sum string) error {
	err := checkSHA256(path, sum)
	if err == nil {
		return nil
	}
	if c.Offline {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no %s", path)
		}
		return fmt.Errorf("%w, and the network is not used (-offline, HF_HUB_OFFLINE)", err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		c.note("%v; it is fetched again", err)
	}
	u, err := url.Parse(from)
	if err != nil {
		return err
	}
	unlock, locked, err := c.lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if checkSHA256(path, sum) == nil { // by whom we waited for
		return nil
	}
	resp, err := c.get(ctx, u, 0, maxRetries)
	if err != nil {
		return err
	}
	resp.Body.Close() // its length is what was wanted
	if resp.ContentLength < 0 || resp.ContentLength > maxFile {
		return lief("%s does not say how long it is", bare(u))
	}
	c.begin(name+" "+filepath.Base(path), resp.ContentLength)
	defer c.end()
	return c.fetch(ctx, head{etag: sum, size: resp.ContentLength, url: u}, path, !locked, nil)
}

// checkSHA256 compares a file's content with what it should be.
func checkSHA256(path, want string) error {
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s is damaged: its SHA-256 is %s, not %s", path, got, want)
	}
	return nil
}
