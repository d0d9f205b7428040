package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// A File is one file of a commit.
type File struct {
	Path string
	Size int64
	etag string // the name of its blob, "" where the cache does not know
	entry
}

// An entry is a file as trees/COMMIT.json has it.
type entry struct {
	Size      int64  `json:"size"`
	BlobID    string `json:"blob_id"` // git's SHA-1
	LFSSHA256 string `json:"lfs_sha256,omitempty"`
	LFSSize   *int64 `json:"lfs_size,omitempty"`
	XetHash   string `json:"xet_hash,omitempty"`
}

// Bounds of listings.
const (
	maxPages = 200
	maxFiles = 200000
)

// commitOf asks which commit a revision is.
func (c *Client) commitOf(ctx context.Context, repo, rev string, retries int) (string, error) {
	u := c.at("", append(append([]string{"api", "models"}, strings.Split(repo, "/")...), "revision", rev)...)
	var answer struct {
		SHA string `json:"sha"`
	}
	b, _, err := c.page(ctx, u, retries)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "", lief("%s does not seem to be a hub: %v", bare(u), err)
	}
	if !isCommit(answer.SHA) {
		return "", lief("%s does not seem to be a hub: it names %s as the commit of %s", bare(u), quote.String(answer.SHA), rev)
	}
	return answer.SHA, nil
}

// page reads one bounded answer, and returns the address of the next page, if any.
func (c *Client) page(ctx context.Context, u *url.URL, retries int) (b []byte, next *url.URL, err error) {
	resp, err := c.get(ctx, u, 0, retries)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, c.maxJSON+1))
	switch {
	case err != nil:
		return nil, nil, &transportError{bare(u), err}
	case int64(len(b)) > c.maxJSON:
		return nil, nil, lief("%s: an answer of more than %d bytes", bare(u), c.maxJSON)
	}
	for _, link := range strings.Split(resp.Header.Get("Link"), ",") {
		address, rel, ok := strings.Cut(strings.TrimSpace(link), ">")
		if !ok || !strings.HasPrefix(address, "<") || !strings.Contains(rel, `rel="next"`) {
			continue
		}
		next, err := resp.Request.URL.Parse(address[1:])
		if err != nil || !sameOrigin(next, u) {
			return nil, nil, lief("%s: the next page of the list lies elsewhere", bare(u))
		}
		return b, next, nil
	}
	return b, nil, nil
}

// tree lists a commit, from the cache or the hub. fresh says that the hub was asked, so that it should be kept.
func (c *Client) tree(ctx context.Context, repo, commit string, retries int) (files []File, fresh bool, err error) {
	if files := c.cachedTree(repo, commit); files != nil {
		return files, false, nil
	}
	u := c.at("recursive=true&expand=false", append(append([]string{"api", "models"}, strings.Split(repo, "/")...), "tree", commit)...)
	seen := map[string]bool{}
	for page := 0; u != nil; page++ {
		if page == maxPages {
			return nil, false, lief("%s: a list of more than %d pages", bare(u), maxPages)
		}
		b, next, err := c.page(ctx, u, retries)
		if err != nil {
			return nil, false, err
		}
		found, err := parseTree(b)
		if err != nil {
			return nil, false, lief("%s: %v", bare(u), err)
		}
		for _, f := range found {
			if seen[f.Path] {
				return nil, false, lief("%s lists the file %q twice", bare(u), f.Path)
			}
			seen[f.Path] = true
		}
		if files = append(files, found...); len(files) > maxFiles {
			return nil, false, lief("%s: a list of more than %d files", bare(u), maxFiles)
		}
		u = next
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, true, nil
}

// parseTree reads a page of a listing.
func parseTree(b []byte) (files []File, err error) {
	var answer []struct {
		Type, Path, OID string
		Size            int64
		XetHash         string `json:"xetHash"`
		LFS             *struct {
			OID  string
			Size int64
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	for _, a := range answer {
		if a.Type != "file" {
			continue
		}
		e := entry{Size: a.Size, BlobID: a.OID, XetHash: a.XetHash}
		if a.LFS != nil {
			e.LFSSHA256, e.LFSSize = a.LFS.OID, &a.LFS.Size
		}
		f, fault := e.file(a.Path)
		if fault != "" {
			return nil, fmt.Errorf("the list has a file %s: %s", quote.String(a.Path), fault)
		}
		files = append(files, f)
	}
	return files, nil
}

// file checks an entry.
func (e entry) file(path string) (File, string) {
	f := File{Path: path, Size: e.Size, etag: e.BlobID, entry: e}
	if e.LFSSHA256 != "" || e.LFSSize != nil {
		if len(e.LFSSHA256) != 64 || e.LFSSize == nil {
			return f, "its LFS entry has no SHA-256"
		}
		f.etag, f.Size = e.LFSSHA256, *e.LFSSize
	}
	switch fault := badPath(path); {
	case fault != "":
		return f, fault
	case !isHash(f.etag):
		return f, "its hash is neither SHA-256 nor SHA-1"
	case f.Size < 0 || f.Size > maxFile:
		return f, fmt.Sprintf("a size of %d bytes", f.Size)
	}
	return f, ""
}

func (c *Client) treePath(repo, commit string) string {
	return filepath.Join(c.folder(repo), "trees", commit+".json")
}

type treeFile struct {
	Version int              `json:"format_version"`
	Files   map[string]entry `json:"files"`
}

// cachedTree is the listing that the cache has, nil if none that can be read.
func (c *Client) cachedTree(repo, commit string) []File {
	b, err := readBounded(c.treePath(repo, commit), maxJSON)
	if err != nil {
		return nil
	}
	var t treeFile
	if json.Unmarshal(b, &t) != nil || t.Version != 1 {
		return nil
	}
	files := []File{}
	for path, e := range t.Files {
		f, fault := e.file(path)
		if fault != "" {
			return nil
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// keepTree writes a listing as huggingface_hub does, except that others who share the cache may read it.
func (c *Client) keepTree(repo, commit string, files []File) error {
	t := treeFile{1, map[string]entry{}}
	for _, f := range files {
		t.Files[f.Path] = f.entry
	}
	b, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	return replace(c.treePath(repo, commit), b)
}

// folderFiles lists what the cache has of a commit whose listing it does not have.
func (c *Client) folderFiles(repo, commit string) (files []File, err error) {
	root := c.snapshot(repo, commit)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(p)
		if err != nil || !st.Mode().IsRegular() {
			return nil // a link that leads nowhere
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, File{Path: filepath.ToSlash(rel), Size: st.Size()})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return files, err
}

// openRegular opens a file that has an end. It looks before it opens: opening a named pipe would wait for its other end.
func openRegular(path string) (*os.File, error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: larger than %d bytes", path, most)
	}
	return b, err
}
