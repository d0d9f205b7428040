package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// Server answers requests by one model and its tasks.
type Server struct {
	opt        Options
	engine     *engine
	texts      *texts
	repository *repository
	metrics    *metrics
	plain      statistics // of the untouched model
	bodies     budget
	handler    http.Handler
	given      []string // tasks of the command line
	note       func(format string, a ...any)

	ready       atomic.Bool
	connections atomic.Int64
	loopback    atomic.Bool // whoever asks sits on this machine
}

// Config is what a server serves.
type Config struct {
	Dev    *tensor.Device
	Model  *clip.Model
	Tasks  []Spec
	Folder string                        // of further tasks; "" for none
	Masks  []string                      // files of masks, for what was trained under them
	Note   func(format string, a ...any) // told what happens; it may be called by several goroutines at once
}

// New prepares a server. Nothing is loaded yet.
func New(c Config, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return newServer(c, o, wallClock{})
}

func newServer(c Config, o Options, now clock) (*Server, error) {
	mt := newMetrics()
	c.Model.Image.Pack(false) // once, for all tasks and batches to come
	e := newEngine(c.Dev, c.Model, o, now, mt)
	s := &Server{opt: o, engine: e, texts: newTexts(e), metrics: mt, bodies: budget{most: o.Bodies}, note: serial(c.Note)}
	s.repository = &repository{engine: e, folder: c.Folder, masks: c.Masks, note: s.note, entries: map[string]*entry{}}
	for _, spec := range c.Tasks {
		if err := CheckName(spec.Name); err != nil {
			return nil, err
		}
		if s.repository.entries[spec.Name] != nil {
			return nil, fmt.Errorf("two tasks are called %s", spec.Name)
		}
		s.repository.entries[spec.Name] = &entry{spec: spec}
		s.given = append(s.given, spec.Name)
	}
	mt.gauges(e.places, s.repository.loaded, s.bodies.used.Load, func() int { return int(s.connections.Load()) })
	s.handler = s.middleware(s.routes())
	return s, nil
}

// serial lets one goroutine at a time call f.
func serial(f func(string, ...any)) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		if f != nil {
			f(format, a...)
		}
	}
}

// routes are all addresses.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, f http.HandlerFunc) { mux.HandleFunc(pattern, f) }
	s.routeOIP(handle)
	s.routeHF(handle)
	s.routePage(handle)
	handle("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	handle("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			s.fail(w, overf(http.StatusServiceUnavailable, "not ready", time.Second, "tasks are being loaded, or the server is shutting down"))
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.Handle("GET /metrics", s.metrics.handler())
	// What is nowhere, or somewhere by another method.
	handle("/", func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range []string{http.MethodGet, http.MethodPost} {
			other := *r
			other.Method = m
			if _, pattern := mux.Handler(&other); pattern != "/" && pattern != "" {
				allowed = append(allowed, m)
			}
		}
		if allowed == nil {
			s.fail(w, statusf(http.StatusNotFound, "there is nothing at %s", quote.String(r.URL.Path)))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, statusf(http.StatusMethodNotAllowed, "%s takes %s, not %s", quote.String(r.URL.Path), strings.Join(allowed, " and "), quote.String(r.Method)))
	})
	return mux
}

// recorder remembers an answer's status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// middleware is around every request: who may ask, for how long, and what is counted.
func (s *Server) middleware(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.engine.clock.Now()
		ctx, cancel := context.WithTimeout(r.Context(), s.opt.Request)
		defer cancel()
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				err := s.asFailure(&fault{p, debug.Stack()})
				if rec.status == 0 {
					s.fail(rec, err)
				}
			}
			endpoint := "other"
			if r.Pattern != "" && r.Pattern != "/" {
				endpoint = r.Pattern
			}
			s.metrics.requests.WithLabelValues(endpoint, strconv.Itoa(rec.status)).Inc()
			s.metrics.seconds.WithLabelValues(endpoint).Observe(s.engine.clock.Now().Sub(start).Seconds())
		}()
		h := rec.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !s.mine(r.Host) {
			s.fail(rec, statusf(http.StatusMisdirectedRequest, "host %s is none of this server's names; -host NAME adds one", quote.String(r.Host)))
			return
		}
		if err := origins.Check(r); err != nil {
			s.fail(rec, statusf(http.StatusForbidden, "a page of another origin may not do that"))
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// mine reports whether a request is addressed to one of the server's names. Names that resolve to this machine's loopback interface can be
// made by anybody, and a browser that was sent to one would hand a stranger's page whatever the server says; so there only the names
// that are known to be this machine's count, and addresses, which need no resolving.
func (s *Server) mine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if slices.ContainsFunc(s.opt.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	if !s.loopback.Load() {
		return len(s.opt.Hosts) == 0
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Listen opens the server's address.
func (s *Server) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", s.opt.Listen)
	if err != nil {
		return nil, fmt.Errorf("-listen %s: %w", quote.Plain(s.opt.Listen), err)
	}
	return l, nil
}

// Serve answers requests until ctx ends, and then those that are under way, within the bound. hangup has the folder of tasks looked at
// again. The listener is closed when it returns.
func (s *Server) Serve(ctx context.Context, l net.Listener, hangup <-chan os.Signal) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		s.loopback.Store(a.IP.IsLoopback())
	}
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: s.opt.Header, ReadTimeout: s.opt.Request, WriteTimeout: 2 * s.opt.Request,
		IdleTimeout: s.opt.Request, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	type end struct {
		panicked any
		stack    []byte
		err      error
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		defer func() {
			if e.panicked = recover(); e.panicked != nil {
				e.stack = debug.Stack()
			}
			ended <- e
		}()
		e.err = s.engine.run()
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(&limited{Listener: l, server: s}) }()

	err := s.start(ctx)
	if err == nil {
		s.ready.Store(true)
		s.note("serving on http://%s", l.Addr())
	}
	stopped := end{}
	over := err != nil
	for !over {
		select {
		case <-ctx.Done():
			over = true
		case <-hangup:
			if err := s.repository.scan(ctx); err != nil {
				s.note("tasks are not looked at again: %v", err)
			}
		case err = <-served:
			over = true
		case stopped = <-ended:
			over = true
		}
	}
	s.ready.Store(false)
	if stopped.panicked == nil && stopped.err == nil && err == nil {
		s.note("shutting down; requests that are under way have %v", s.opt.Drain)
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Drain)
	defer cancel()
	if shutErr := server.Shutdown(drain); shutErr != nil {
		server.Close()
		if err == nil {
			err = fmt.Errorf("%w after %v (-drain-time), and were cut off", ErrCutOff, s.opt.Drain)
		}
	}
	s.engine.end()
	if stopped.panicked == nil && stopped.err == nil {
		stopped = <-ended // the batch at hand at most, as no request is left
	}
	if stopped.panicked != nil {
		panic(fmt.Sprintf("%v\n%s", stopped.panicked, stopped.stack))
	}
	return errors.Join(err, stopped.err)
}

// start loads the tasks. One that was named must load; of those in the folder what does not is said.
func (s *Server) start(ctx context.Context) error {
	for _, name := range s.given {
		if err := s.repository.load(ctx, name); err != nil {
			return fmt.Errorf("task %s: %w", name, err)
		}
	}
	if s.repository.folder == "" {
		return nil
	}
	return s.repository.scan(ctx)
}

// limited bounds the connections of a listener: one too many is told so and closed.
type limited struct {
	net.Listener
	server *Server
}

// tooMany is its answer.
var tooMany = func() string {
	const body = `{"error":"the server has as many connections as it takes (-connections); try later"}`
	return fmt.Sprintf("HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.server.connections.Add(1) <= int64(l.server.opt.Connections) {
			return &counted{Conn: c, server: l.server}, nil
		}
		l.server.connections.Add(-1)
		l.server.metrics.refused.WithLabelValues("connections").Inc()
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // into an empty buffer: it does not wait
		_, _ = io.WriteString(c, tooMany)
		_ = c.Close()
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	server *Server
	once   sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.server.connections.Add(-1) })
	return c.Conn.Close()
}
