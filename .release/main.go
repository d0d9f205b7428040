// Release builds the program for every system that releases are made for, packs each with its manual, completions and the
// licences of what is in it, and writes the checksums:
//
//	go run ./.release/main.go -out dist
//
// One checkout and one Go give the same bytes on every machine: binaries without paths and build times, archives with files
// in order, of the commit's time, and of nobody.
//
// It lies in a folder whose name begins with a dot, as the go command passes over such in ./...: it is for those who make
// releases and no part of the program.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var targets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

func main() {
	out := flag.String("out", "dist", "folder to write into, which must not exist yet")
	version := flag.String("version", "", "version in the names of files (default: git describe)")
	only := flag.String("only", strings.Join(targets, ","), "targets, separated by commas")
	flag.Parse()
	if err := release(*out, *version, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func release(out, version string, targets []string) error {
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s exists; give a new folder", out)
	}
	if version == "" {
		v, err := output("git", "describe", "--tags", "--always", "--dirty")
		if err != nil {
			return fmt.Errorf("%w; give -version", err)
		}
		version = v
	}
	made := time.Unix(0, 0)
	if s, err := output("git", "log", "-1", "--format=%ct"); err == nil {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			made = time.Unix(n, 0).UTC()
		}
	}
	temp, err := os.MkdirTemp("", "fewshot-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	here := filepath.Join(temp, "here")
	if err := build("", here); err != nil {
		return err
	}
	common, err := beside(here, temp)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	var sums strings.Builder
	for _, target := range targets {
		goos, goarch, ok := strings.Cut(target, "/")
		if !ok {
			return fmt.Errorf("target %q; want system/processor, as linux/amd64", target)
		}
		binary := filepath.Join(temp, strings.ReplaceAll(target, "/", "-"))
		if err := build(target, binary); err != nil {
			return err
		}
		b, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		name, file, pack := fmt.Sprintf("fewshot-%s-%s-%s", version, goos, goarch), "fewshot", tarball
		archive := name + ".tar.gz"
		if goos == "windows" {
			archive, file, pack = name+".zip", "fewshot.exe", zipped
		}
		var packed bytes.Buffer
		if err := pack(&packed, name, append([]entry{{file, b, 0o755}}, common...), made); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, archive), packed.Bytes(), 0o666); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(packed.Bytes()), archive)
		fmt.Printf("%s  %.1f MB\n", archive, float64(packed.Len())/1e6)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o666)
}

// build builds the program for a target, or for this machine. It has its commit, whatever go env -w says, since results name the program's version.
func build(target, to string) error {
	cmd := exec.Command("go", "build", "-buildvcs=auto", "-trimpath", "-ldflags=-s -w -buildid=", "-o", to, "./cmd/fewshot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOAMD64=v1")
	if goos, goarch, ok := strings.Cut(target, "/"); ok {
		cmd.Env = append(cmd.Env, "GOOS="+goos, "GOARCH="+goarch)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", target, err)
	}
	return nil
}

// An entry is a file of an archive.
type entry struct {
	name    string
	content []byte
	mode    os.FileMode
}

// beside are the files that go with every binary.
func beside(program, temp string) (all []entry, err error) {
	for _, name := range []string{"LICENSE", "README.md"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, entry{name, b, 0o644})
	}
	manual := filepath.Join(temp, "man")
	if _, err := output(program, "manual", "-out", manual); err != nil {
		return nil, err
	}
	pages, err := os.ReadDir(manual)
	if err != nil {
		return nil, err
	}
	for _, p := range pages {
		b, err := os.ReadFile(filepath.Join(manual, p.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, entry{"man/man1/" + p.Name(), b, 0o644})
	}
	for shell, name := range map[string]string{"bash": "fewshot.bash", "zsh": "_fewshot", "fish": "fewshot.fish"} {
		script, err := exec.Command(program, "completion", shell).Output()
		if err != nil {
			return nil, err
		}
		all = append(all, entry{"completions/" + name, script, 0o644})
	}
	licences, err := licences()
	all = append(all, licences...)
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, err
}

// licences are those of the modules that are in the program, which have to go with it, and Go's own.
func licences() (all []entry, err error) {
	list, err := output("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "./cmd/fewshot")
	if err != nil {
		return nil, err
	}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := []string{"go\t" + root}
	for _, line := range strings.Split(list, "\n") {
		if line != "" && !slices.Contains(modules, line) {
			modules = append(modules, line)
		}
	}
	for _, m := range modules {
		path, dir, _ := strings.Cut(m, "\t")
		var found bool
		for _, name := range []string{"LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			all, found = append(all, entry{"licenses/" + strings.ReplaceAll(path, "/", "-") + ".txt", b, 0o644}), true
			break
		}
		if !found {
			return nil, fmt.Errorf("%s: no licence in %s; it could not be given on", path, dir)
		}
	}
	return all, nil
}

func tarball(w io.Writer, root string, files []entry, made time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: root + "/" + f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: made, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := t.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func zipped(w io.Writer, root string, files []entry, made time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: root + "/" + f.name, Method: zip.Deflate, Modified: made}
		h.SetMode(f.mode)
		to, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := to.Write(f.content); err != nil {
			return err
		}
	}
	return z.Close()
}

// output runs a program and returns what it prints.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(b)), nil
}
