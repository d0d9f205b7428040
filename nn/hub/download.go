package hub

import (
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fewshot/nn/quote"
)

// incompleteSuffix is what huggingface_hub called unfinished downloads while it resumed them itself.
const incompleteSuffix = ".incomplete"

// contentHash begins a blob's hash: its name says which.
func contentHash(etag string, size int64) hash.Hash {
	if len(etag) == 64 {
		return sha256.New()
	}
	h := sha1.New() // git's, by which it names files
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// A fetch is one file on its way to path.
type fetch struct {
	c       *Client
	h       head
	path    string
	refresh func(context.Context) (*url.URL, error) // where to go when the address has expired

	f    *os.File
	done int64
	sum  hash.Hash
}

// fetch brings the content that h announces to path: nothing is there before its length and hash are right. What has
// arrived when the connection or the program ends stays beside it and is continued, by this call or a later one. The
// caller holds the lock; unique says that there is none, and what is unfinished goes.
func (c *Client) fetch(ctx context.Context, h head, path string, unique bool, refresh func(context.Context) (*url.URL, error)) (err error) {
	name := path + incompleteSuffix
	if unique {
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+incompleteSuffix)
		if err != nil {
			return err
		}
		name = f.Name()
		f.Close()
		defer os.Remove(name)
	}
	if st, err := os.Lstat(name); err == nil && !st.Mode().IsRegular() {
		if err := os.Remove(name); err != nil { // a link: what it leads to is not ours
			return err
		}
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	d := &fetch{c: c, h: h, path: path, refresh: refresh, f: f}
	err = d.run(ctx)
	if e := f.Close(); err == nil {
		err = e
	}
	var lied *lie
	switch {
	case errors.As(err, &lied), err != nil && d.done == 0:
		os.Remove(name)
	case err == nil:
		err = os.Rename(name, path)
	}
	return err
}

func (d *fetch) run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return err
	}
	before := d.done
	if before > 0 {
		d.c.note("%s: going on at byte %d of %d", filepath.Base(d.path), before, d.h.size)
	}
	for {
		if err := d.receive(ctx); err != nil {
			return err
		}
		got := hex.EncodeToString(d.sum.Sum(nil))
		if got == d.h.etag {
			return d.f.Sync()
		}
		if before == 0 {
			return lief("%s: the content's hash is %s, the hub announced %s", bare(d.h.url), got, d.h.etag)
		}
		// What an earlier call left need not have been right.
		d.c.note("%s: what was left of an earlier download is damaged; beginning again", filepath.Base(d.path))
		if err := d.restart(); err != nil {
			return err
		}
		before = 0
	}
}

// begin takes in what is there already.
func (d *fetch) begin() error {
	st, err := d.f.Stat()
	if err != nil {
		return err
	}
	if st.Size() > d.h.size {
		return d.restart()
	}
	d.sum = contentHash(d.h.etag, d.h.size)
	d.done, err = io.Copy(d.sum, d.f)
	d.c.advance(d.done)
	return err
}

func (d *fetch) restart() error {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.c.advance(-d.done)
	d.done, d.sum = 0, contentHash(d.h.etag, d.h.size)
	return d.f.Truncate(0)
}

func (c *Client) advance(n int64) {
	if c.Advance != nil && n != 0 {
		c.Advance(n)
	}
}

// receive reads to the announced length, going on where a connection broke, as long as each of a few attempts brings
// something.
func (d *fetch) receive(ctx context.Context) error {
	refreshed := false
	for idle := 0; d.done < d.h.size; {
		at := d.done
		err := d.part(ctx)
		var status *StatusError
		var lied *lie
		var local *fs.PathError
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &lied), errors.As(err, &local):
			return err
		case errors.As(err, &status):
			expired := status.Status == http.StatusForbidden || status.Status == http.StatusUnauthorized || status.Status == http.StatusGone
			if !expired || refreshed || d.refresh == nil || sameOrigin(d.h.url, d.c.Endpoint) {
				return err
			}
			refreshed = true
			if d.h.url, err = d.refresh(ctx); err != nil {
				return err
			}
			continue
		}
		if d.done > at {
			idle, refreshed = 0, false
		}
		if idle++; idle > maxRetries {
			return err
		}
		d.c.note("%v after %d of %d bytes; going on", err, d.done, d.h.size)
		if err := d.c.sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// part is one request for the rest.
func (d *fetch) part(ctx context.Context) error {
	resp, err := d.c.get(ctx, d.h.url, d.done, maxRetries)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	from := bare(resp.Request.URL)
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return d.encoded(resp, from, encoding)
	}
	switch {
	case d.done > 0 && resp.StatusCode == http.StatusPartialContent:
		if start, total, ok := contentRange(resp.Header.Get("Content-Range")); !ok || start != d.done || total >= 0 && total != d.h.size {
			return lief("%s: asked for bytes %d- of %d, answered with Content-Range %s", from, d.done, d.h.size,
				quote.String(resp.Header.Get("Content-Range")))
		}
	case resp.StatusCode == http.StatusOK:
		if err := d.restart(); err != nil { // no ranges here
			return err
		}
	case d.done > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return lief("%s has no byte %d of a file of %d", from, d.done, d.h.size)
	default:
		return lief("%s answered %d to a request for content", from, resp.StatusCode)
	}
	rest := d.h.size - d.done
	if n := resp.ContentLength; n >= 0 && n != rest {
		return lief("%s sends %d bytes, %d were announced", from, n, rest)
	}
	if err := d.copy(resp.Body); err != nil {
		return &transportError{from, err}
	}
	switch unbounded := resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.ProtoMajor == 1; {
	case d.done < d.h.size && unbounded: // ends with the connection, whatever ends that
		return &transportError{from, io.ErrUnexpectedEOF}
	case d.done < d.h.size:
		return lief("%s ended after %d of %d bytes", from, d.done, d.h.size)
	}
	if n, _ := io.ReadFull(resp.Body, make([]byte, 1)); n > 0 {
		return lief("%s sends more than the %d bytes that were announced", from, d.h.size)
	}
	return nil
}

// encoded is an answer that was compressed though nobody asked for it. It cannot be continued in its middle.
func (d *fetch) encoded(resp *http.Response, from, encoding string) error {
	if encoding != "gzip" || resp.StatusCode != http.StatusOK {
		return lief("%s: Content-Encoding %s, which was not asked for", from, quote.String(encoding))
	}
	if err := d.restart(); err != nil {
		return err
	}
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		return lief("%s: %v", from, err)
	}
	if err := d.copy(z); err != nil {
		return errors.Join(&transportError{from, err}, d.restart())
	}
	n, err := io.ReadFull(z, make([]byte, 1))
	switch {
	case n > 0:
		return lief("%s sends more than the %d bytes that were announced", from, d.h.size)
	case err != io.EOF:
		return lief("%s: %v", from, err)
	case d.done < d.h.size:
		return lief("%s ended after %d of %d bytes", from, d.done, d.h.size)
	}
	return nil
}

// copy appends at most what is missing. Errors are the reader's, or *fs.PathError.
func (d *fetch) copy(r io.Reader) error {
	buf := make([]byte, 1<<18)
	for d.done < d.h.size {
		n, err := r.Read(buf[:min(int64(len(buf)), d.h.size-d.done)])
		if n > 0 {
			if _, err := d.f.Write(buf[:n]); err != nil {
				return err
			}
			d.sum.Write(buf[:n])
			d.done += int64(n)
			d.c.advance(int64(n))
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// contentRange parses "bytes 10-19/20"; total is -1 for *.
func contentRange(s string) (start, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, of, slash := strings.Cut(s, "/")
	first, last, dash := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	var err3 error
	if of != "*" {
		total, err3 = strconv.ParseInt(of, 10, 64)
	}
	ok = ok && slash && dash && err1 == nil && err2 == nil && err3 == nil && 0 <= start && start <= end
	return start, total, ok && (total < 0 || end == total-1)
}
