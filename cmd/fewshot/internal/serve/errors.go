package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// failure is an answer that says what was wrong with a request, or with the server.
type failure struct {
	status int
	text   string
	retry  time.Duration // after which it may be worth another try; 0 for never
	reason string        // in metrics, of what the server refused for its own sake
}

func (f *failure) Error() string { return f.text }

// badf is a mistake in the request.
func badf(format string, a ...any) error {
	return &failure{status: http.StatusBadRequest, text: fmt.Sprintf(format, a...)}
}

// statusf is any other.
func statusf(status int, format string, a ...any) error {
	return &failure{status: status, text: fmt.Sprintf(format, a...)}
}

// overf refuses for lack of room.
func overf(status int, reason string, retry time.Duration, format string, a ...any) error {
	return &failure{status: status, text: fmt.Sprintf(format, a...), retry: max(retry, time.Second), reason: reason}
}

// fault is a fault of the program in a request.
type fault struct {
	value any
	stack []byte
}

func (f *fault) Error() string { return "a fault of the program; its operator can read more" }

// ErrCutOff is the error of a server that was told to end and did not get to the end of what was under way.
var ErrCutOff = errors.New("requests were still under way")

// errGone is the error of a client that went away; nobody reads its answer.
var errGone = &failure{status: 499, text: "the client went away"}

// asFailure is what an error is to a client.
func (s *Server) asFailure(err error) *failure {
	var f *failure
	var p *fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &p):
		s.note("a fault of the program in a request, please report it: %v\n%s", p.value, p.stack)
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{status: http.StatusServiceUnavailable, text: fmt.Sprintf("the request took longer than %v (-request-time); try again later", s.opt.Request),
			retry: time.Second, reason: "time"}
	case errors.Is(err, context.Canceled):
		return errGone
	}
	return &failure{status: http.StatusInternalServerError, text: err.Error()}
}

// fail answers with an error, in the form that clients of the Open Inference Protocol and of Hugging Face read.
func (s *Server) fail(w http.ResponseWriter, err error) {
	f := s.asFailure(err)
	if f.reason != "" {
		s.metrics.refused.WithLabelValues(f.reason).Inc()
	}
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.retry+time.Second-1)/time.Second)))
	}
	writeJSON(w, f.status, map[string]string{"error": f.text})
}

// writeJSON answers. What cannot be written has no reader.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // a number that is none
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
