package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// maxTreeDepth bounds the folders within folders of a data set; links could make it endless.
const maxTreeDepth = 32

// tree is a folder of a data set as it was found: names only. What machines leave behind ([isJunk]) is not in it.
type tree struct {
	name   string   // the last part of path
	path   string   // below the data set's Root, with slashes; "" for Root itself
	dirs   []*tree  // sorted by name
	images []string // names of files called like an image directly in it, sorted
	others []string // names of other files directly in it, sorted
	count  int      // images in it and below
	broken string   // why it was not read: a link that leads nowhere, or out of the data set
}

// isJunk reports whether a file or folder is what a system, a NAS, an archiver or a notebook left behind. Nothing of
// it is data.
func isJunk(name string) bool {
	if strings.HasPrefix(name, ".") {
		return true
	}
	switch strings.ToLower(name) {
	case "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "synoindex_media_info", // Synology, QNAP
		"__macosx", "icon\r", // macOS; a class may be called icon
		"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "recycler", // Windows
		"lost+found", // ext4
		"__pycache__":
		return true
	}
	if name == "Thumbs" { // a folder of viewers; a class may be called thumbs
		return true
	}
	return strings.HasSuffix(strings.ToLower(name), "@synoeastream") || strings.HasSuffix(strings.ToLower(name), "@synoresource")
}

// isImageName reports whether a file is called like an image that this program reads.
func isImageName(name string) bool {
	return slices.Contains(imageNames, strings.ToLower(path.Ext(name)))
}

var imageNames = []string{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
	".pnm"}

// unreadNames are endings of pictures that this program does not read.
var unreadNames = []string{".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd",
	".dng", ".cr2", ".nef", ".dcm", ".ico", ".tga"}

// walk reads the folder sub of the data set, "" for Root itself, and all below it.
//
// A link to a folder is followed where it stays inside the data set. Folders that people do put elsewhere (partOf
// names them) may be links that lead out; they become mounts.
func (d *Dataset) walk(sub string) (*tree, error) {
	dir := filepath.Join(d.Root, filepath.FromSlash(sub))
	root, name, err := d.confine(sub)
	if err != nil {
		return nil, readError(dir, err)
	}
	defer root.Close()
	t := &tree{name: path.Base(sub), path: sub}
	w := walker{d: d, fsys: root.FS()}
	if err := w.read(t, filepath.ToSlash(name), nil); err != nil {
		return nil, err
	}
	return t, nil
}

type walker struct {
	d    *Dataset
	fsys fs.FS
}

// read fills in t from the folder name of fsys. above are the folders that lead to it, to recognise links that turn
// back.
func (w *walker) read(t *tree, name string, above []fs.FileInfo) error {
	dir := filepath.Join(w.d.Root, filepath.FromSlash(t.path))
	entries, err := fs.ReadDir(w.fsys, name)
	if err != nil {
		return readError(dir, err)
	}
	if len(above) == maxTreeDepth {
		return fault(dir, nil, "", "is nested more than %d folders deep", maxTreeDepth)
	}
	info, err := fs.Stat(w.fsys, name)
	if err != nil {
		return readError(dir, err)
	}
	above = append(above, info)
	for _, e := range entries {
		if isJunk(e.Name()) {
			continue
		}
		child := &tree{name: e.Name(), path: path.Join(t.path, e.Name())}
		isDir, in, inner := e.IsDir(), w, path.Join(name, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			// A link called like an image is judged when it is read, as any image is.
			info, err := fs.Stat(w.fsys, inner)
			switch {
			case err == nil && info.IsDir() && slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }):
				child.broken = "is a symbolic link to a folder that it is in"
			case err == nil:
				isDir = info.IsDir()
			case !isImageName(child.name):
				if in = w.d.mount(child); in != nil {
					isDir, inner = true, "."
				} else {
					child.broken = readError(child.name, err).Problems[0]
					if errors.Is(err, fs.ErrNotExist) {
						child.broken = "is a symbolic link that leads nowhere"
					}
				}
			}
			if child.broken != "" {
				t.dirs = append(t.dirs, child)
				continue
			}
		}
		switch {
		case isDir:
			if err := in.read(child, inner, above); err != nil {
				return err
			}
			t.dirs = append(t.dirs, child)
			t.count += child.count
		case isImageName(child.name):
			t.images = append(t.images, child.name)
			t.count++
		default:
			t.others = append(t.others, child.name)
		}
	}
	return nil
}

// mount makes a mount of a folder that is a link out of the data set, if its name is one that people give to such
// links.
func (d *Dataset) mount(t *tree) *walker {
	if partOf(t.name) == "" {
		return nil
	}
	root, err := os.OpenRoot(filepath.Join(d.Root, filepath.FromSlash(t.path)))
	if err != nil {
		return nil
	}
	d.mounts = append(d.mounts, t.path)
	return &walker{d, root.FS()} // the root is closed by the garbage collector; there are three at most
}

// live are the folders with images in them.
func (t *tree) live() []*tree {
	var live []*tree
	for _, c := range t.dirs {
		if c.count > 0 {
			live = append(live, c)
		}
	}
	return live
}

// flat reports whether t has images and no folders of images.
func (t *tree) flat() bool { return len(t.images) > 0 && len(t.live()) == 0 }

// bare reports whether t has nothing in it, or pictures of kinds that are not read: a class whose images are missing.
func (t *tree) bare() bool {
	pictures, others := 0, 0
	t.each(func(t *tree) {
		for _, name := range t.others {
			if others++; slices.Contains(unreadNames, strings.ToLower(path.Ext(name))) {
				pictures++
			}
		}
	})
	return others == 0 || pictures > 0
}

// all returns the paths of the images in t and below, sorted.
func (t *tree) all() []string {
	paths := make([]string, 0, t.count)
	t.each(func(t *tree) {
		for _, name := range t.images {
			paths = append(paths, path.Join(t.path, name))
		}
	})
	slices.Sort(paths)
	return paths
}

// each calls do for t and all folders below.
func (t *tree) each(do func(*tree)) {
	do(t)
	for _, c := range t.dirs {
		c.each(do)
	}
}

// shown names folders in a message, with a slash behind.
func shown(trees []*tree) string {
	const limit = 6
	var names []string
	for _, t := range trees[:min(limit, len(trees))] {
		names = append(names, quote.Plain(t.name+"/"))
	}
	if len(trees) > limit {
		names = append(names, fmt.Sprintf("… (%d in all)", len(trees)))
	}
	return strings.Join(names, ", ")
}

// why says why t has no images, from the files that are there.
func (t *tree) why() string {
	kinds := make(map[string]int)
	var names []string
	t.each(func(t *tree) {
		for _, name := range t.others {
			ext := strings.ToLower(path.Ext(name))
			if kinds[ext]++; kinds[ext] == 1 {
				names = append(names, quote.Plain(name))
			}
		}
	})
	if len(names) == 0 {
		return "has no images"
	}
	if kinds[".arrow"] > 0 {
		return "has no images: it has " + names[0] + ", as save_to_disk of Hugging Face's datasets writes; what its to_parquet writes is read"
	}
	return "has no images: it has " + strings.Join(names[:min(3, len(names))], ", ") + "; images are files ending in " + strings.Join(imageNames, ", ")
}
