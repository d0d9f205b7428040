package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"fewshot/nn/hub"
	"fewshot/rmt/clip"
)

// fetch makes the path of a model's name: what exists here stays; what else may be a name is looked for in the caches and
// on the network, and the model is then opened from there.
func (m *modelFlags) fetch(ctx context.Context, u *ui) error {
	if m.Path == "" || m.Path == clip.Embedded {
		return nil
	}
	if _, err := os.Stat(m.Path); !errors.Is(err, fs.ErrNotExist) {
		return nil // opened, or refused with its reason, by who reads it
	}
	name, ok, err := hub.ParseName(m.Path)
	switch {
	case err != nil:
		return usagef("-model: %v", err)
	case !ok:
		if near := nearest(m.Path, hub.OpenAINames()); near != "" {
			return usagef("-model %s: there is no such file or folder; did you mean %s?", m.Path, near)
		}
		return nil
	}
	c, err := hub.FromEnvironment(os.LookupEnv)
	if err != nil {
		return err
	}
	c.UserAgent = version()
	c.Offline = c.Offline || m.offline
	c.Note = func(s string) { u.Warn("%s", s) }
	c.Begin = func(what string, size int64) {
		u.Note("fetching %s, %s, into %s", what, bytesText(size), c.FolderOf(name))
		var done int64
		var advance func(int, string)
		advance, c.End = u.bytes(what, size)
		c.Advance = func(n int64) {
			done += n
			advance(int(done), "")
		}
	}
	path, err := c.Model(ctx, name)
	if err != nil {
		if why := unreached(err); why != nil && ctx.Err() == nil {
			if err = why; name.OpenAI == "" {
				err = fmt.Errorf("%w. OpenAI's models are called %s", err, strings.Join(hub.OpenAINames(), ", "))
			}
			return fmt.Errorf("%s is no file or folder here, and as a model's name it is in no cache: %w", m.Path, err)
		}
		if near := nearest(m.Path, hub.OpenAINames()); near != "" && name.OpenAI == "" {
			err = fmt.Errorf("%w (OpenAI's own is called %s)", err, near)
		}
		return fmt.Errorf("%s is no file or folder here, and as a model's name: %w", m.Path, err)
	}
	m.Name, m.Path = m.Path, path
	return nil
}

// unreached says that there was no answer from the network, without the address that was asked; nil of other errors.
func unreached(err error) error {
	var down interface { // package net's Error
		error
		Timeout() bool
	}
	var file *fs.PathError // the system's errors have a Timeout too, whatever they are about
	if !errors.As(err, &down) || errors.As(err, &file) {
		return nil
	}
	var cause error = down
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(inner) {
		cause = inner
	}
	return fmt.Errorf("the network cannot be reached (%w)", cause)
}

// bytesText is a size as people say it.
func bytesText(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= unit.size {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(unit.size)), ".0") + " " + unit.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
