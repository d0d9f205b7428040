package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"fewshot/nn/quote"
)

// budget is how many bytes of bodies may be held at one time.
type budget struct {
	most int64
	used atomic.Int64
}

// take reports whether there is room for n more.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// holding is what one request holds of a budget.
type holding struct {
	of *budget
	n  int64
}

// grow takes n bytes more.
func (h *holding) grow(n int64) error {
	if !h.of.take(n) {
		return overf(http.StatusServiceUnavailable, "bodies", time.Second, "the bodies of requests take all %d bytes that are set aside (-max-bodies); try again later", h.of.most)
	}
	h.n += n
	return nil
}

func (h *holding) release() {
	h.of.give(h.n)
	h.n = 0
}

// readBody is a request's body, unpacked, within the limits. It counts until release.
func (s *Server) readBody(r *http.Request) (body []byte, release func(), err error) {
	most := s.opt.Body
	if r.ContentLength > most {
		return nil, nil, statusf(http.StatusRequestEntityTooLarge, "the body has %d bytes; at most %d are read (-max-body)", r.ContentLength, most)
	}
	packed := r.Header.Get("Content-Encoding")
	if packed != "" && packed != "identity" && packed != "gzip" && packed != "deflate" {
		return nil, nil, statusf(http.StatusUnsupportedMediaType, "Content-Encoding %s: there are gzip and deflate", quote.String(packed))
	}
	h := &holding{of: &s.bodies}
	body, err = readAll(r.Body, r.ContentLength, most, h)
	if err == nil {
		body, err = unpack(packed, body, most, h)
	}
	if err != nil {
		h.release()
		if ctxErr := r.Context().Err(); ctxErr != nil {
			err = ctxErr
		}
		return nil, nil, bodyError(err, most)
	}
	return body, h.release, nil
}

var errTooLong = errors.New("too long")

// bodyError says why a body could not be read.
func bodyError(err error, most int64) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, errTooLong):
		return statusf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes, unpacked (-max-body)", most)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return statusf(http.StatusRequestTimeout, "the body did not come in time (-request-time)")
	}
	return badf("the body cannot be read: %s", quote.Text(err.Error()))
}

// readAll reads at most that many bytes. Memory is taken as bytes come, and not as they are announced, if they are: slow clients hold little.
func readAll(r io.Reader, announced, most int64, h *holding) ([]byte, error) {
	first := min(16<<10, most+1)
	if announced >= 0 {
		first = min(first, announced+1) // one more, so that the end is seen
	}
	if err := h.grow(first); err != nil {
		return nil, err
	}
	b := make([]byte, 0, first)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > most:
			return nil, errTooLong
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		case len(b) < cap(b):
			continue
		}
		// While it is copied both are there.
		was := int64(cap(b))
		now := min(2*was, most+1)
		if err := h.grow(now); err != nil {
			return nil, err
		}
		b = append(make([]byte, 0, now), b...)
		h.of.give(was)
		h.n -= was
	}
}

// unpack undoes a content encoding. What clients call deflate is zlib's format (RFC 1950).
func unpack(packed string, body []byte, most int64, h *holding) ([]byte, error) {
	var r io.Reader
	var err error
	switch packed {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return body, nil
	}
	if err == nil {
		body, err = readAll(r, -1, most, h)
	}
	var f *failure
	if err != nil && !errors.Is(err, errTooLong) && !errors.As(err, &f) {
		err = badf("the body is no %s: %s", packed, quote.Text(err.Error()))
	}
	return body, err
}

// headerLength is Inference-Header-Content-Length: how much of a body is JSON, before tensors in binary; all, as -1, where it is not given.
func headerLength(h http.Header, body int) (int, error) {
	v := h.Get("Inference-Header-Content-Length")
	if v == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > body {
		return 0, badf("Inference-Header-Content-Length %s: a number of bytes of the body, which has %d", quote.String(v), body)
	}
	return n, nil
}
