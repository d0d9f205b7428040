package hub

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"fewshot/nn/quote"
)

// A head is what a hub says of a file before it sends it.
type head struct {
	commit string
	etag   string // SHA-256, or git's SHA-1, in hex
	size   int64
	url    *url.URL // where the content comes from
}

// head asks for a file's metadata. Redirects are followed while they stay with the hub; one that leads elsewhere
// carries the metadata itself.
func (c *Client) head(ctx context.Context, repo, rev, file string, retries int) (head, error) {
	u := c.resolve(repo, rev, file)
	first := u
	for range maxRedirects + 1 {
		resp, err := c.send(ctx, http.MethodHead, u, 0, retries)
		if err != nil {
			return head{}, err
		}
		resp.Body.Close()
		redirect := isRedirect(resp.StatusCode)
		if redirect {
			to, err := target(resp)
			if err != nil {
				return head{}, err
			}
			if c.ofHub(to, u) {
				u = to
				continue
			}
			u = to
		} else if resp.StatusCode != http.StatusOK {
			e := statusError(resp)
			if e.Code == "EntryNotFound" {
				c.noteMissing(repo, rev, resp.Header.Get("X-Repo-Commit"), file)
			}
			return head{}, e
		}
		h, err := readHead(resp, redirect)
		if err != nil {
			return head{}, err
		}
		if isCommit(rev) && h.commit != rev {
			return head{}, lief("%s: asked for commit %s, the hub answers for %s", bare(first), rev, h.commit)
		}
		h.url = u
		if resp.Header.Get("X-Xet-Hash") != "" {
			h.url = first // the redirect is for Xet's own clients
		}
		return h, nil
	}
	return head{}, lief("%s: more than %d redirects", bare(first), maxRedirects)
}

func readHead(resp *http.Response, redirect bool) (h head, err error) {
	from := bare(resp.Request.URL)
	if h.commit = resp.Header.Get("X-Repo-Commit"); !isCommit(h.commit) {
		return h, lief("%s does not seem to be a hub: its answer has no commit (X-Repo-Commit)", from)
	}
	etag := resp.Header.Get("X-Linked-Etag")
	if etag == "" {
		etag = resp.Header.Get("ETag")
	}
	h.etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if !isHash(h.etag) {
		return h, lief("%s: ETag %s is neither a SHA-256 nor a git SHA-1, so the content could not be checked", from, quote.String(etag))
	}
	length := resp.Header.Get("X-Linked-Size")
	if length == "" && !redirect {
		length = resp.Header.Get("Content-Length")
	}
	if h.size, err = strconv.ParseInt(length, 10, 64); err != nil || h.size < 0 || h.size > maxFile {
		return h, lief("%s: length %s; want a number of bytes up to %d", from, quote.String(length), int64(maxFile))
	}
	return h, nil
}

// isHash tells what a blob may be named by.
func isHash(s string) bool { return (len(s) == 40 || len(s) == 64) && isHex(s) }
