package datasets

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// open opens the image at path, and returns its size.
//
// It is looked for where the path says, and then where the folders of a data set lie that was unpacked or written in
// another way. Whatever is opened is below home, or below Root or a mount where these are links that lead out of it.
func (d *Dataset) open(p string) (*os.File, int64, error) {
	if d.Root == "" || !fs.ValidPath(p) {
		return nil, 0, errBadPath
	}
	if s, ok := d.packed[p]; ok {
		f, size, err := d.openFile(s.file)
		if err == nil && s.offset > size-s.size {
			err = errors.New("the file became shorter since it was opened")
		}
		if err == nil {
			_, err = f.Seek(s.offset, io.SeekStart)
		}
		return f, s.size, err
	}
	var first error
	for _, name := range d.names(p) {
		f, size, err := d.openAt(name)
		if err == nil {
			return f, size, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, 0, first
}

// names are the paths below home that may be meant by an image's path, the likeliest first.
func (d *Dataset) names(p string) []string {
	root := d.inHome()
	names := []string{path.Join(root, p)}
	first, rest, deep := strings.Cut(p, "/")
	if root != "." {
		names = append(names, path.Join(root, path.Base(root), p)) // 2750/2750/…
	}
	if deep {
		names = append(names, path.Join(root, first, p)) // cars_train/cars_train/…
	}
	if d.loose {
		names = append(names, p) // images/… in the data set's own split file
		if deep && first == filepath.Base(d.confines()) {
			names = append(names, rest, path.Join(root, rest)) // DATASET/images/…
		}
	}
	return names
}

// confines is the folder that confines the images.
func (d *Dataset) confines() string {
	if d.home == "" {
		return d.Root
	}
	return d.home
}

// inHome is Root's path below home; "." where they are one.
func (d *Dataset) inHome() string {
	if d.home == "" {
		return "."
	}
	rel, err := filepath.Rel(d.home, d.Root)
	if err != nil {
		return "."
	}
	return filepath.ToSlash(rel)
}

// openAt opens the file at a path below home.
func (d *Dataset) openAt(name string) (*os.File, int64, error) {
	f, size, err := openBelow(d.confines(), name)
	if !leadsOut(err) {
		return f, size, err
	}
	// The folder itself may be a link, and then confines what is in it.
	if p, ok := below(name, d.inHome()); ok {
		for _, m := range d.mounts {
			if rest, ok := below(p, m); ok {
				return openBelow(filepath.Join(d.Root, filepath.FromSlash(m)), rest)
			}
		}
		if d.home != "" {
			return openBelow(d.Root, p)
		}
	}
	return f, size, err
}

// below cuts the folder dir off a path, if it is in there.
func below(p, dir string) (rest string, ok bool) {
	if dir == "." {
		return p, true
	}
	return strings.CutPrefix(p, dir+"/")
}

// openBelow opens a regular file at a path that may not leave dir, and returns its size. Accents may be spelt in one
// character or in two.
func openBelow(dir, name string) (*os.File, int64, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	// Opening a pipe would wait for its writer, so the kind is asked before, and the size after.
	info, err := root.Stat(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) && norm.NFD.String(name) != norm.NFC.String(name) {
		name = respell(root, name)
		info, err = root.Stat(filepath.FromSlash(name))
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errNotRegular
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, 0, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// respell gives a path the spelling that its folders and its file have, as far as they are there.
func respell(root *os.Root, name string) string {
	done := "."
	for part := range strings.SplitSeq(name, "/") {
		next := path.Join(done, part)
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			if _, err := root.Stat(filepath.FromSlash(next)); err == nil {
				break
			}
			next = path.Join(done, form.String(part))
		}
		done = next
	}
	return done
}

// confine opens the folder that confines the folder sub of Root, and gives sub's name below that.
func (d *Dataset) confine(sub string) (*os.Root, string, error) {
	name := path.Join(d.inHome(), sub)
	root, err := os.OpenRoot(d.confines())
	if err != nil {
		return nil, "", err
	}
	if _, err = root.Stat(filepath.FromSlash(name)); err == nil || !leadsOut(err) {
		return root, name, nil
	}
	root.Close()
	root, err = os.OpenRoot(filepath.Join(d.Root, filepath.FromSlash(sub)))
	return root, ".", err
}

// leadsOut reports whether a file was refused because a link on the way to it leads out of the folder that confines it.
func leadsOut(err error) bool {
	return err != nil && strings.Contains(err.Error(), "escapes from parent")
}
