package serve

import (
	"fmt"
	"time"
)

// Options are the limits of a server.
type Options struct {
	Listen string   // address to listen on
	Hosts  []string // further names that requests may be addressed to; on other interfaces than loopback any may, unless some are given

	Batch int           // most images computed together
	Delay time.Duration // how long an image may wait for others that are on their way
	Queue int           // most images that wait

	Body   int64 // bytes of a request's body, and of what it unpacks to
	Bodies int64 // bytes of all bodies at one time
	Pixels int64 // of an image
	Images int   // of a request
	Labels int   // that a request may bring

	Connections int           // at one time
	Header      time.Duration // for a request's header, and for a connection without a request
	Request     time.Duration // for a request, from its header to its answer
	Drain       time.Duration // for requests that are under way when the server ends

	Control bool   // clients may load and unload tasks
	Version string // of the program
}

// Defaults are for a machine that has other things to do.
func Defaults() Options {
	return Options{Listen: "127.0.0.1:8000", Batch: 32, Delay: 5 * time.Millisecond, Queue: 256, Body: 16 << 20, Bodies: 256 << 20, Pixels: 40_000_000,
		Images: 64, Labels: 256, Connections: 512, Header: 10 * time.Second, Request: 30 * time.Second, Drain: 20 * time.Second}
}

// Validate reports the first limit that makes no sense, by its flag.
func (o Options) Validate() error {
	const most = 1 << 20
	switch {
	case o.Batch < 1 || o.Batch > 4096:
		return fmt.Errorf("-batch-size %d: 1 to 4096 images", o.Batch)
	case o.Delay < 0 || o.Delay > time.Minute:
		return fmt.Errorf("-batch-delay %v: 0 to a minute", o.Delay)
	case o.Images < 1 || o.Images > most:
		return fmt.Errorf("-max-images %d: 1 to %d", o.Images, most)
	case o.Queue < 2*o.Images || o.Queue > most:
		return fmt.Errorf("-queue %d: at least twice -max-images, as a comparison takes two places an image, so %d, and at most %d", o.Queue, 2*o.Images, most)
	case o.Body < 1024 || o.Body > 1<<30:
		return fmt.Errorf("-max-body %d: 1024 bytes to 1 GiB", o.Body)
	case o.Bodies < 4*o.Body: // one that is packed is there twice, and twice more while it is copied
		return fmt.Errorf("-max-bodies %d: at least four times -max-body, %d", o.Bodies, 4*o.Body)
	case o.Pixels < 1 || o.Pixels > 178_956_970:
		return fmt.Errorf("-max-pixels %d: 1 to 178956970", o.Pixels)
	case o.Labels < 2 || o.Labels > 10_000:
		return fmt.Errorf("-max-labels %d: 2 to 10000", o.Labels)
	case o.Connections < 1 || o.Connections > most:
		return fmt.Errorf("-connections %d: 1 to %d", o.Connections, most)
	}
	for _, d := range []struct {
		flag string
		d    time.Duration
	}{{"header-time", o.Header}, {"request-time", o.Request}, {"drain-time", o.Drain}} {
		if d.d <= 0 || d.d > time.Hour {
			return fmt.Errorf("-%s %v: more than 0, at most an hour", d.flag, d.d)
		}
	}
	return nil
}
