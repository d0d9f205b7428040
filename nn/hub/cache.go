package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// folder is a repository's in the cache.
func (c *Client) folder(repo string) string {
	return filepath.Join(c.Cache, "models--"+strings.ReplaceAll(repo, "/", "--"))
}

// snapshot is the folder of a commit's files.
func (c *Client) snapshot(repo, commit string) string {
	return filepath.Join(c.folder(repo), "snapshots", commit)
}

// pointer is where programs find a file.
func (c *Client) pointer(repo, commit, file string) string {
	return filepath.Join(c.snapshot(repo, commit), filepath.FromSlash(file))
}

// cachedCommit is what the cache knows a revision to be, "" if nothing.
func (c *Client) cachedCommit(repo, rev string) string {
	if isCommit(rev) {
		return rev
	}
	b, err := readBounded(filepath.Join(c.folder(repo), "refs", filepath.FromSlash(rev)), 100)
	// A newline at the end is not ours: huggingface_hub writes none either, but an editor may have.
	if commit := strings.TrimSpace(string(b)); err == nil && isCommit(commit) {
		return commit
	}
	return ""
}

// cached is a file of a revision that is in the cache, whatever the network would say.
func (c *Client) cached(repo, rev, file string) (string, bool) {
	commit := c.cachedCommit(repo, rev)
	if commit == "" {
		return "", false
	}
	p := c.pointer(repo, commit, file)
	st, err := os.Stat(p)
	return p, err == nil && st.Mode().IsRegular()
}

// setRef notes which commit a revision is, without a newline: huggingface_hub takes one for a part of the commit.
func (c *Client) setRef(repo, rev, commit string) error {
	if isCommit(rev) || c.cachedCommit(repo, rev) == commit {
		return nil
	}
	return replace(filepath.Join(c.folder(repo), "refs", filepath.FromSlash(rev)), []byte(commit))
}

// noteMissing records that a commit has no such file, for transformers, which does not ask again. It believes the
// record even where the file lies beside it, so one is made only when the hub names the commit; store removes it.
func (c *Client) noteMissing(repo, rev, commit, file string) {
	if !isCommit(commit) || isCommit(rev) && rev != commit {
		return
	}
	if _, err := os.Stat(c.pointer(repo, commit, file)); err == nil {
		return
	}
	if p := c.missing(repo, commit, file); replace(p, nil) == nil {
		_ = c.setRef(repo, rev, commit) // the record is a help, not a result
	}
}

func (c *Client) missing(repo, commit, file string) string {
	return filepath.Join(c.folder(repo), ".no_exist", commit, filepath.FromSlash(file))
}

// store brings a file's content into the cache, if it is not there, and links it into its snapshot. announce, where
// given, asks the hub for what h lacks, before anything is fetched.
func (c *Client) store(ctx context.Context, repo, file string, h head, announce func() (head, error)) (string, error) {
	p := c.pointer(repo, h.commit, file)
	if hasSize(p, h.size) {
		os.Remove(c.missing(repo, h.commit, file))
		return p, nil
	}
	if err := c.tag(); err != nil {
		return "", err
	}
	blob := filepath.Join(c.folder(repo), "blobs", h.etag)
	unlock, locked, err := c.lock(ctx, repo, h.etag)
	if err != nil {
		return "", err
	}
	defer unlock()
	if !hasSize(blob, h.size) {
		if _, err := os.Stat(blob); err == nil {
			c.note("%s: %s has another length than the hub says; it is fetched again", repo, blob)
		}
		if announce != nil {
			if h, err = announce(); err != nil {
				return "", err
			}
		}
		if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
			return "", err
		}
		if err := c.fetch(ctx, h, blob, !locked, c.refresher(repo, file, h)); err != nil {
			os.Remove(filepath.Dir(blob)) // if empty
			os.Remove(c.folder(repo))
			return "", fmt.Errorf("%s of %s: %w", file, repo, err)
		}
	} else {
		c.advance(h.size)
	}
	if err := c.link(blob, p, file); err != nil {
		return "", err
	}
	os.Remove(c.missing(repo, h.commit, file))
	return p, nil
}

// hasSize follows links to a regular file of a size.
func hasSize(path string, size int64) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Size() == size
}

// link makes pointer a relative link to blob. Where links cannot be made the blob is moved there, as huggingface_hub
// does; if it is itself a link, copying would only double it, and it is an error.
func (c *Client) link(blob, pointer, file string) error {
	if err := os.MkdirAll(filepath.Dir(pointer), 0o777); err != nil {
		return err
	}
	up := strings.Repeat("../", 2+strings.Count(file, "/"))
	target := filepath.FromSlash(up + path.Join("blobs", filepath.Base(blob)))
	if !c.noLinks {
		for n := range 100 {
			temp := fmt.Sprintf("%s.%d-%d.tmp", pointer, os.Getpid(), n)
			err := os.Symlink(target, temp)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err == nil { // some systems say that they made one, and did not
				_, err = os.Lstat(temp)
			}
			if err != nil {
				break
			}
			if err := os.Rename(temp, pointer); err != nil {
				os.Remove(temp)
				return err
			}
			return nil
		}
	}
	if st, err := os.Lstat(blob); err != nil || !st.Mode().IsRegular() {
		return fmt.Errorf("%s: cannot make a link to %s, which is one itself", pointer, blob)
	}
	return os.Rename(blob, pointer)
}

// tag marks the cache for programs that make backups, as huggingface_hub does.
func (c *Client) tag() error {
	p := filepath.Join(c.Cache, "CACHEDIR.TAG")
	if _, err := os.Stat(p); err == nil {
		return nil
	}
	return replace(p, []byte("Signature: 8a477f597d28d172789f06886806bc55\n"+
		"# Downloads that can be fetched again lie here. https://bford.info/cachedir/\n"))
}

// lockPoll is how often a lock that another program has is tried.
const lockPoll = time.Second

// lock takes the lock under which a blob is written. locked is false where the file system has none.
func (c *Client) lock(ctx context.Context, repo, etag string) (unlock func(), locked bool, err error) {
	p := filepath.Join(c.Cache, ".locks", filepath.Base(c.folder(repo)), etag+".lock")
	return c.lockFile(ctx, p)
}

func (c *Client) lockFile(ctx context.Context, p string) (unlock func(), locked bool, err error) {
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		return nil, false, err
	}
	f, err := os.OpenFile(p, os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return nil, false, err
	}
	if runtime.GOOS != "windows" {
		_ = f.Chmod(0o664) // whatever the umask, as Python: users who share a cache share its locks. Not ours: as it is.
	}
	for said := false; ; said = true {
		ok, held := tryLock(f)
		if ok || !held {
			return func() { f.Close() }, ok, nil // the file stays: removing it would race
		}
		if !said {
			c.note("another program is fetching this file; waiting for it (%s)", p)
		}
		if err := c.sleep(ctx, lockPoll); err != nil {
			f.Close()
			return nil, false, err
		}
	}
}

// replace writes a small file in one step.
func replace(p string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		return err
	}
	var f *os.File
	var err error
	for n := range 100 {
		f, err = os.OpenFile(fmt.Sprintf("%s.%d-%d.tmp", p, os.Getpid(), n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), p)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
