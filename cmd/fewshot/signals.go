package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
)

// received is why a context ended.
type received struct{ os.Signal }

func (r received) Error() string { return "received " + r.String() }

// interruptible is a context that ends with the first of the signals, which is then its cause.
func interruptible(signals ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := make(chan os.Signal, 1)
	signal.Notify(c, signals...)
	go func() {
		select {
		case s := <-c:
			cancel(received{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		cancel(nil)
	}
}

// receivedBy is the signal that ended a context; nil where it was something else.
func receivedBy(ctx context.Context) os.Signal {
	var r received
	if errors.As(context.Cause(ctx), &r) {
		return r.Signal
	}
	return nil
}
