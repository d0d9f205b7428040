package datasets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// Digest returns the SHA-256, in hexadecimal, of what items teach: the class names, and each item's label and the
// contents of its file, in order. items must be items of d. Where SplitHash tells which images were taken by their
// names, this tells whether they still hold the same pictures; names do not matter to it, so that a data set in
// memory and its copy on disk agree.
//
// It reads every image once, as many at a time as there are processors. The error is that of the first image which
// cannot be read, an *Error naming the file, or the context's.
func (d *Dataset) Digest(ctx context.Context, items []Item) (string, error) {
	sums := make([][sha256.Size]byte, len(items))
	errs := make([]error, len(items))
	each(ctx, len(items), func(i int) { sums[i], errs[i] = d.sum(items[i]) })
	if err := ctx.Err(); err != nil {
		return "", err
	}
	h := splitHasher{sha256.New()}
	h.text("fewshot sample 1")
	h.number(len(d.Classes))
	for _, c := range d.Classes {
		h.text(c)
	}
	h.number(len(items))
	for i, it := range items {
		if errs[i] != nil {
			return "", errs[i]
		}
		h.number(int(it.Label))
		h.text(string(sums[i][:]))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// each calls do for every number below n, several at a time, until ctx is done.
func each(ctx context.Context, n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	workers.Wait()
}

// sum returns the SHA-256 of an item's contents, without holding them.
func (d *Dataset) sum(it Item) (sum [sha256.Size]byte, err error) {
	if it.Data != nil {
		return sha256.Sum256(it.Data), nil
	}
	file := filepath.Join(d.Root, filepath.FromSlash(it.Path))
	f, size, err := d.open(it.Path)
	if err != nil {
		return sum, d.openError(file, err)
	}
	defer f.Close()
	if size > MaxImageBytes {
		return sum, tooLarge(file, size)
	}
	h := sha256.New()
	if _, err := io.CopyN(h, f, size); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return sum, readError(file, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
