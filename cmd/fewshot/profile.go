package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pkg/profile"
)

// profiles are what a run of a command can be measured by, and the files that package profile writes.
var profiles = []struct {
	file   string
	packed bool // by gzip
	mode   func(*profile.Profile)
	dir    func(*commonFlags) string
}{
	{"cpu.pprof", true, profile.CPUProfile, func(c *commonFlags) string { return c.cpu }},
	{"mem.pprof", true, profile.MemProfile, func(c *commonFlags) string { return c.memory }},
	{"trace.out", false, profile.TraceProfile, func(c *commonFlags) string { return c.tracer }},
}

// profile starts what was asked for; stop ends it, and says where it is. A profile that is not whole is an error.
func (c *commonFlags) profile(errw io.Writer) (stop func() error, err error) {
	chosen := -1
	for i, p := range profiles {
		if p.dir(c) == "" {
			continue
		}
		if chosen >= 0 {
			return nil, usagef("-cpuprofile, -memprofile and -trace exclude each other: each would disturb the other's figures")
		}
		chosen = i
	}
	if chosen < 0 {
		return func() error { return nil }, nil
	}
	is := profiles[chosen]
	dir := filepath.Clean(is.dir(c))
	if err := profileFolder(dir); err != nil {
		return nil, err
	}
	p := profile.Start(is.mode, profile.ProfilePath(dir), profile.Quiet, profile.NoShutdownHook)
	return func() error {
		p.Stop()
		if err := wholeProfile(filepath.Join(dir, is.file), is.packed); err != nil {
			return err
		}
		fmt.Fprintf(errw, "profile written to %s\n", dir)
		return nil
	}, nil
}

// profileFolder makes the folder, and refuses what the profiler would end the program for, or wait for: a file in its
// place, a pipe in a profile's.
func profileFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("the folder for a profile: %w", err)
	}
	for _, is := range profiles {
		path := filepath.Join(dir, is.file)
		if s, err := os.Stat(path); err == nil && !s.Mode().IsRegular() {
			return fmt.Errorf("the folder for a profile: %s is no regular file; remove it", path)
		}
	}
	if err := hasRoom(dir, nil); err != nil {
		return fmt.Errorf("the folder for a profile: %w", err)
	}
	return nil
}

// wholeProfile looks at what the profiler has left: it passes over errors of writing, as on a full disk. What is packed
// shows where it was cut off; of a trace nothing does, so that it is asked whether there is room for more, and there
// was none if there is none now.
func wholeProfile(path string, packed bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the profile: %w", err)
	}
	defer f.Close()
	if packed {
		var z *gzip.Reader
		if z, err = gzip.NewReader(f); err == nil {
			_, err = io.Copy(io.Discard, z)
		}
	} else if _, err = f.Read(make([]byte, 1)); err == nil {
		err = hasRoom(filepath.Dir(path), make([]byte, 1<<16))
	}
	if err != nil {
		return fmt.Errorf("the profile %s is not whole, as when a disk is full: %w", path, err)
	}
	return nil
}

// hasRoom is an error unless a file of these bytes can be made in the folder.
func hasRoom(dir string, content []byte) error {
	probe, err := os.CreateTemp(dir, ".profile-*")
	if err != nil {
		return err
	}
	_, err = probe.Write(content)
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}
