package hub

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"fewshot/nn/quote"
)

// A StatusError is an answer that is not the one wanted.
type StatusError struct {
	URL    string // without query
	Status int
	Code   string // X-Error-Code: EntryNotFound, RevisionNotFound, RepoNotFound, GatedRepo, …
	Text   string // X-Error-Message
	token  bool   // one was sent
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answered %d %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Code != "" && len(e.Code) < 100 {
		s += " (" + quote.Plain(e.Code) + ")"
	}
	if e.Text != "" {
		s += ": " + quote.String(e.Text)
	}
	return s + e.advice()
}

// advice is what to do.
func (e *StatusError) advice() string {
	token := "; if it is private, set HF_TOKEN to a token that may read it"
	if e.token {
		token = "; the token that was sent may not read it"
	}
	switch {
	case e.Code == "GatedRepo":
		if !e.token {
			return "; accept its terms on its page and set HF_TOKEN"
		}
		return "; accept its terms on its page with the account that the token is from"
	case e.Code == "RepoNotFound":
		return "; check the name" + token
	case e.Code == "EntryNotFound":
		return "; the repository has no such file"
	case e.Code == "RevisionNotFound":
		return "; the repository has no such branch, tag or commit"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return token
	case e.Status == http.StatusNotFound:
		return "; check the name and HF_ENDPOINT"
	}
	return ""
}

// gone says that the hub knows that what was asked for is not there: an old copy is no answer then.
func gone(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && (s.Code == "EntryNotFound" || s.Code == "RevisionNotFound")
}

// statusError reads a failed answer's headers.
func statusError(resp *http.Response) *StatusError {
	return &StatusError{
		URL: bare(resp.Request.URL), Status: resp.StatusCode,
		Code: resp.Header.Get("X-Error-Code"), Text: resp.Header.Get("X-Error-Message"),
		token: resp.Request.Header.Get("Authorization") != "",
	}
}

// bare is an address without its query, which may hold a signature.
func bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// A lie is an answer that contradicts itself, another or its bounds. It is not asked for again.
type lie struct{ msg string }

func (e *lie) Error() string { return e.msg + "; nothing of it was kept" }

func lief(format string, a ...any) error { return &lie{fmt.Sprintf(format, a...)} }
