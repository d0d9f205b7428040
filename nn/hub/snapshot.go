package hub

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// File brings one file of a repository into the cache, or finds it there, and returns its path. At a branch or tag
// the hub is asked each time, as huggingface_hub does; at a commit only for what is not cached.
func (c *Client) File(ctx context.Context, repo, rev, file string) (string, error) {
	if err := check(repo, rev, file); err != nil {
		return "", err
	}
	old, have := c.cached(repo, rev, file)
	switch {
	case have && (c.Offline || isCommit(rev)):
		return old, nil
	case c.Offline:
		return "", fmt.Errorf("%s of %s at %s is not in the cache, %s, and the network is not used (-offline, HF_HUB_OFFLINE)", file, repo, rev, c.Cache)
	}
	retries := maxRetries
	if have {
		retries = 0
	}
	h, err := c.head(ctx, repo, rev, file, retries)
	if err != nil {
		if !have || !replaceable(ctx, err) {
			return "", fmt.Errorf("%s of %s: %w", file, repo, err)
		}
		c.note("%v; using %s from the cache, which may be older", err, old)
		return old, nil
	}
	p := c.pointer(repo, h.commit, file)
	if !hasSize(p, h.size) {
		c.begin(repo+" "+file, h.size)
		defer c.end()
		if p, err = c.store(ctx, repo, file, h, nil); err != nil {
			return "", err
		}
	}
	return p, c.setRef(repo, rev, h.commit)
}

// replaceable says whether the cache may answer in place of a failure to learn what the hub has: not where it says that
// what is asked for is gone. Something in the network's place that is no hub is no reason to refuse what was checked
// when it came.
func replaceable(ctx context.Context, err error) bool { return ctx.Err() == nil && !gone(err) }

func check(repo, rev, file string) error {
	if fault := badRepo(repo); fault != "" {
		return fmt.Errorf("repository %q: %s", repo, fault)
	}
	if fault := badRevision(rev); fault != "" {
		return fmt.Errorf("%s of %s: %s", rev, repo, fault)
	}
	if fault := badPath(file); fault != "" {
		return fmt.Errorf("file %q of %s: %s", file, repo, fault)
	}
	return nil
}

// refresher asks again where a file's content is, for addresses that expire, and holds the hub to what it said.
func (c *Client) refresher(repo, file string, h head) func(context.Context) (*url.URL, error) {
	return func(ctx context.Context) (*url.URL, error) {
		now, err := c.head(ctx, repo, h.commit, file, maxRetries)
		if err != nil {
			return nil, err
		}
		if now.etag != h.etag || now.size != h.size {
			return nil, lief("%s of %s at %s: the hub says another hash or length than before", file, repo, h.commit)
		}
		return now.url, nil
	}
}

func (c *Client) begin(what string, size int64) {
	if c.Begin != nil {
		c.Begin(what, size)
	}
}

func (c *Client) end() {
	if c.End != nil {
		c.End()
	}
}

// Snapshot brings the chosen files of a revision into the cache and returns their folder and the commit. choose is
// given all files, and the cached ones; it names those wanted. At a branch the hub is asked which commit it is; of a
// commit whose files are there, nothing.
func (c *Client) Snapshot(ctx context.Context, repo, rev string, choose func(all []File, cached func(path string) bool) ([]string, error)) (dir, commit string, err error) {
	if err := check(repo, rev, "x"); err != nil {
		return "", "", err
	}
	old := c.cachedCommit(repo, rev)
	if c.Offline {
		dir, err := c.snapshotOffline(repo, rev, old, choose)
		return dir, old, err
	}
	retries := maxRetries
	if old != "" {
		if _, err := c.snapshotOffline(repo, rev, old, choose); err == nil {
			retries = 0
		}
	}
	commit = rev
	if !isCommit(rev) {
		if commit, err = c.commitOf(ctx, repo, rev, retries); err != nil {
			return c.instead(ctx, repo, rev, old, choose, err)
		}
	}
	files, fresh, err := c.tree(ctx, repo, commit, retries)
	if err != nil {
		return c.instead(ctx, repo, rev, old, choose, err)
	}
	wanted, err := c.choose(repo, commit, files, choose)
	if err != nil {
		return "", "", fmt.Errorf("%s at %s: %w", repo, rev, err)
	}
	if err := c.bring(ctx, repo, commit, wanted); err != nil {
		return "", "", err
	}
	if fresh {
		if err := c.keepTree(repo, commit, files); err != nil {
			return "", "", err
		}
	}
	return c.snapshot(repo, commit), commit, c.setRef(repo, rev, commit)
}

func (c *Client) choose(repo, commit string, files []File, choose func([]File, func(string) bool) ([]string, error)) ([]File, error) {
	byPath := map[string]File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	paths, err := choose(files, func(p string) bool {
		f, ok := byPath[p]
		return ok && hasSize(c.pointer(repo, commit, p), f.Size)
	})
	var wanted []File
	for _, p := range paths {
		if f, ok := byPath[p]; ok {
			wanted = append(wanted, f)
		}
	}
	return wanted, err
}

// bring fetches what is missing of a commit's files.
func (c *Client) bring(ctx context.Context, repo, commit string, files []File) error {
	var missing []File
	var size int64
	for _, f := range files {
		if !hasSize(c.pointer(repo, commit, f.Path), f.Size) {
			missing = append(missing, f)
			size += f.Size
		}
	}
	if missing == nil {
		return nil
	}
	c.begin(repo, size)
	defer c.end()
	for _, f := range missing {
		h := head{commit: commit, etag: f.etag, size: f.Size}
		_, err := c.store(ctx, repo, f.Path, h, func() (head, error) {
			now, err := c.head(ctx, repo, commit, f.Path, maxRetries)
			if err != nil {
				return now, fmt.Errorf("%s of %s: %w", f.Path, repo, err)
			}
			if now.etag != f.etag || now.size != f.Size {
				return now, lief("%s of %s: listed with hash %s and %d bytes, announced with %s and %d", f.Path, repo, f.etag, f.Size, now.etag, now.size)
			}
			return now, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// instead answers from the cache when the hub could not be asked, and says so.
func (c *Client) instead(ctx context.Context, repo, rev, old string, choose func([]File, func(string) bool) ([]string, error), err error) (dir, commit string, _ error) {
	if old != "" && replaceable(ctx, err) {
		if dir, e := c.snapshotOffline(repo, rev, old, choose); e == nil {
			c.note("%v; using commit %s from the cache, which may be older", err, old)
			return dir, old, nil
		}
	}
	return "", "", fmt.Errorf("%s: %w", repo, err)
}

// snapshotOffline finds a commit's chosen files in the cache. Where the listing is known all must be there; where it
// is not, what is there has to satisfy the choice.
func (c *Client) snapshotOffline(repo, rev, commit string, choose func([]File, func(string) bool) ([]string, error)) (string, error) {
	const how = "the network is not used (-offline, HF_HUB_OFFLINE)"
	if commit == "" {
		return "", fmt.Errorf("%s at %s is not in the cache, %s, and %s", repo, rev, c.Cache, how)
	}
	files := c.cachedTree(repo, commit)
	if files == nil {
		var err error
		if files, err = c.folderFiles(repo, commit); err != nil {
			return "", err
		}
		if files == nil {
			return "", fmt.Errorf("no file of %s at %s is in the cache, %s, and %s", repo, rev, c.Cache, how)
		}
	}
	wanted, err := c.choose(repo, commit, files, choose)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.snapshot(repo, commit), err)
	}
	var missing []string
	for _, f := range wanted {
		if !hasSize(c.pointer(repo, commit, f.Path), f.Size) {
			missing = append(missing, f.Path)
		}
	}
	if missing != nil {
		return "", fmt.Errorf("%s: the cache has not all of commit %s: %s is missing, and %s", repo, commit, strings.Join(missing, ", "), how)
	}
	return c.snapshot(repo, commit), nil
}
