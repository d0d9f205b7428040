package datasets

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"fewshot/datasets/internal/imaging"
	"fewshot/nn/quote"
)

// CheckOptions say how thorough Check is.
type CheckOptions struct {
	// Open says how the data set is opened.
	Open Options
	// Decode, if set, is called with every image's path and bytes and returns why it can not be
	// decoded, or nil. Without it an image is judged by its first bytes. It is called from Workers
	// goroutines at a time.
	Decode func(path string, data []byte) error
	// Names is how many files of each kind the report names; 20 if 0.
	Names int
	// Workers is how many images are looked at at a time; 1 if 0. It does not change the report.
	Workers int
	// Progress, if set, is called now and then, from one goroutine at a time, with the number of
	// images looked at so far and in all.
	Progress func(done, total int)
}

// A Report is what Check found.
type Report struct {
	// Name, Title and Dir are the data set's id, its name for people and its folder.
	Name  string `json:"name"`
	Title string `json:"title"`
	Dir   string `json:"dir"`
	// Needs lists the files of the published layout and which of them are there; empty for people's
	// own folders.
	Needs []NeedState `json:"needs,omitempty"`
	// Problem is why the data set does not open; the fields from Split to Unreadable are then empty.
	Problem string `json:"problem,omitempty"`
	// Split says where the division into training and test images comes from; Generated, that it is
	// not the published one; SplitHash is Dataset.SplitHash.
	Split     string `json:"split,omitempty"`
	Generated bool   `json:"generated,omitempty"`
	SplitHash string `json:"split_sha256,omitempty"`
	// Got and Want are the sizes found and published. Want is zero for people's own folders.
	Got  Counts `json:"got"`
	Want Counts `json:"want"`
	// Missing are the images that are not there.
	Missing FileList `json:"missing"`
	// Unreadable are the images that are there and no good, with the reason.
	Unreadable FileList `json:"unreadable"`
	// Copies are images of one part with the same bytes as one of another: results on them say too much. Mislabeled are
	// images of a part with the same bytes and another label.
	Copies     FileList `json:"copies"`
	Mislabeled FileList `json:"mislabeled"`
	// Notes are Dataset.Notes.
	Notes []string `json:"notes,omitempty"`
	// Warnings are Dataset.Warnings.
	Warnings []string `json:"warnings,omitempty"`
	// Several is the folder, where it is no data set but holds several; see In.
	Several string `json:"several,omitempty"`
	// Hints say what to fetch and where it goes, for what is missing.
	Hints []string `json:"hints,omitempty"`
}

// A NeedState is a Need and whether it is there.
type NeedState struct {
	Path    string `json:"path"`
	What    string `json:"what"`
	Present bool   `json:"present"`
}

// A FileList counts files and names the first of them, in the order of the splits.
type FileList struct {
	Total int      `json:"total"`
	First []string `json:"first,omitempty"`
}

// OK reports whether the data set opens and all its images are good. Warnings do not count.
func (r *Report) OK() bool {
	return r.Problem == "" && r.Missing.Total == 0 && r.Unreadable.Total == 0
}

// Check opens the data set that Open(root, name) would and looks at every image of it. What is wrong
// with the data set is in the report, even where it does not open; the error is for an unknown name
// and for a cancelled context.
func Check(ctx context.Context, root, name string, opts CheckOptions) (*Report, error) {
	if opts.Names <= 0 {
		opts.Names = 20
	}
	opts.Workers = max(opts.Workers, 1)
	r := &Report{Name: name, Title: name}
	spec := lookup(name)
	if spec != nil {
		r.survey(root, spec)
	}
	d, err := OpenWith(root, name, opts.Open)
	if _, unknown := errors.AsType[*UnknownError](err); unknown {
		return nil, err
	}
	if err != nil {
		r.Problem = err.Error()
		if s, ok := errors.AsType[*severalError](err); ok {
			r.Several = s.dir
		}
		if spec == nil {
			r.Name, r.Title, r.Dir = filepath.Base(name), filepath.Base(name), name
		}
	} else {
		r.Name, r.Title = d.Name, d.Title
		if spec == nil {
			r.Dir = d.Root
		}
		r.Split, r.Generated, r.SplitHash = d.Split, d.Generated, d.SplitHash()
		r.Got, r.Notes, r.Warnings = d.Counts(), d.Notes, d.Warnings
		if err := r.inspect(ctx, d, opts); err != nil {
			return nil, err
		}
	}
	_, own := errors.AsType[*ownFolderError](err)
	switch {
	case own: // the problem says what to do
	case spec != nil:
		r.advise(spec)
	case r.Missing.Total > 0 && d.home != "" && filepath.Clean(d.home) != filepath.Clean(d.Root):
		r.Hints = append(r.Hints, fmt.Sprintf("the images were looked for in %s and in %s", quote.Plain(d.Root), quote.Plain(d.home)))
	case r.Missing.Total > 0:
		r.Hints = append(r.Hints, "the images were looked for in "+quote.Plain(d.Root))
	}
	return r, nil
}

// survey records which files of the published layout are there.
func (r *Report) survey(root string, spec *Spec) {
	r.Name, r.Title, r.Want = spec.Name, spec.Title, spec.Counts
	dir, images, err := spec.locate(root)
	if err != nil {
		dir = filepath.Join(root, filepath.FromSlash(spec.dirs[0]))
	}
	r.Dir = dir
	for _, n := range spec.Needs {
		r.Needs = append(r.Needs, NeedState{n.Path, n.What, spec.has(n, root, dir, images)})
	}
}

// has reports whether a need is met, in the published layout or one of the others. images is the
// image folder, or empty if there is none.
func (spec *Spec) has(n Need, root, dir, images string) bool {
	places := []string{filepath.Join(dir, filepath.FromSlash(n.Path))}
	base := path.Base(n.Path)
	switch {
	case base == classnamesFile:
		for _, p := range classnamesPlaces(root, dir) {
			places = append(places, filepath.Join(p, base))
		}
	case images != "" && slices.Contains(spec.mounts, base):
		places = append(places, filepath.Join(images, base))
	}
	return slices.ContainsFunc(places, func(p string) bool {
		_, err := os.Stat(p)
		return err == nil
	})
}

// advise turns what is missing into what to do.
func (r *Report) advise(spec *Spec) {
	incomplete := r.Missing.Total > 0
	for _, n := range r.Needs {
		if !n.Present {
			incomplete = true
			r.Hints = append(r.Hints, fmt.Sprintf("%s comes from: %s", filepath.Join(r.Dir, filepath.FromSlash(n.Path)), n.What))
		}
	}
	if incomplete {
		if spec.Note != "" {
			r.Hints = append(r.Hints, spec.Note)
		}
		r.Hints = append(r.Hints, fmt.Sprintf("downloads and layout: %s, section %s", coopDocument, cmp.Or(spec.section, spec.Title)))
	}
}

// verdict is what looking at one image gave; the zero value is a good one.
type verdict struct {
	missing bool
	reason  string // why it is unreadable
	start   uint64 // a hash of its size and its first bytes
}

// inspect looks at every image and fills in Missing and Unreadable.
func (r *Report) inspect(ctx context.Context, d *Dataset, opts CheckOptions) error {
	var all []Item
	var part []string // by item
	for _, s := range d.splits() {
		all = append(all, s.items...)
		part = append(part, slices.Repeat([]string{s.name}, len(s.items))...)
	}
	verdicts := make([]verdict, len(all))
	var next atomic.Int64
	var progress sync.Mutex
	done := 0
	const chunk = 64
	var workers sync.WaitGroup
	for range opts.Workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				lo := int(next.Add(chunk)) - chunk
				if lo >= len(all) {
					return
				}
				hi := min(lo+chunk, len(all))
				for i := lo; i < hi; i++ {
					verdicts[i] = d.look(all[i], opts.Decode)
				}
				if opts.Progress != nil {
					progress.Lock()
					done += hi - lo
					opts.Progress(done, len(all))
					progress.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, v := range verdicts {
		switch {
		case v.missing:
			r.Missing.add(all[i].Path, opts.Names)
		case v.reason != "":
			r.Unreadable.add(fmt.Sprintf("%s: %s", all[i].Path, v.reason), opts.Names)
		}
	}
	return r.findCopies(ctx, d, all, part, verdicts, opts)
}

// findCopies looks for images with the same bytes in different parts, or with different labels. What begins alike is
// read whole.
func (r *Report) findCopies(ctx context.Context, d *Dataset, all []Item, part []string, verdicts []verdict, opts CheckOptions) error {
	differ := func(i, j int) bool {
		return all[i].Path != all[j].Path && (part[i] != part[j] || all[i].Label != all[j].Label)
	}
	byStart := make(map[uint64][]int)
	for i, v := range verdicts {
		if !v.missing && v.reason == "" {
			byStart[v.start] = append(byStart[v.start], i)
		}
	}
	var suspects []int
	for i, v := range verdicts {
		if slices.ContainsFunc(byStart[v.start], func(j int) bool { return differ(i, j) }) && !v.missing && v.reason == "" {
			suspects = append(suspects, i)
		}
	}
	sums := make([][sha256.Size]byte, len(suspects))
	errs := make([]error, len(suspects))
	each(ctx, len(suspects), func(k int) { sums[k], errs[k] = d.sum(all[suspects[k]]) })
	if err := ctx.Err(); err != nil {
		return err
	}
	first := make(map[[sha256.Size]byte][]int)
	for k, i := range suspects {
		if errs[k] != nil {
			continue // it was readable a moment ago; training will name it
		}
		for _, j := range first[sums[k]] {
			if !differ(i, j) {
				continue
			}
			if part[i] == part[j] {
				r.Mislabeled.add(fmt.Sprintf("%s, %s, is %s, %s", all[i].Path, quote.String(all[i].Class), all[j].Path, quote.String(all[j].Class)), opts.Names)
			} else {
				r.Copies.add(fmt.Sprintf("%s (%s) is %s (%s)", all[i].Path, part[i], all[j].Path, part[j]), opts.Names)
			}
			break
		}
		if len(first[sums[k]]) < 8 { // of thousands of equal images not every pair is compared
			first[sums[k]] = append(first[sums[k]], i)
		}
	}
	return nil
}

func (l *FileList) add(name string, limit int) {
	if l.Total++; len(l.First) < limit {
		l.First = append(l.First, name)
	}
}

// headBytes is how much of an image's beginning is read to judge it: with its size it tells most images apart.
const headBytes = 4096

// look judges one image.
func (d *Dataset) look(it Item, decode func(string, []byte) error) verdict {
	head, size, err := d.head(it, decode != nil)
	if err != nil {
		return unreadable(err)
	}
	if len(head) == 0 {
		return verdict{reason: "is empty"}
	}
	switch format, decoded := imaging.Format(head); {
	case format == "":
		return verdict{reason: "is not an image of a format that is read; it starts with " + quote.String(string(head[:min(16, len(head))]))}
	case !decoded:
		return verdict{reason: "is a " + format + " image, which is not read; convert it to PNG or JPEG"}
	case decode != nil:
		if err := decode(it.Path, head); err != nil {
			return unreadable(err)
		}
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d ", size)
	h.Write(head[:min(headBytes, len(head))])
	return verdict{start: h.Sum64()}
}

// head returns an item's first bytes, or all of them, and its size.
func (d *Dataset) head(it Item, whole bool) ([]byte, int64, error) {
	if whole || it.Data != nil {
		data, err := d.ReadItem(it)
		return data, int64(len(data)), err
	}
	file := filepath.Join(d.Root, filepath.FromSlash(it.Path))
	f, size, err := d.open(it.Path)
	if err != nil {
		return nil, 0, d.openError(file, err)
	}
	defer f.Close()
	if size > MaxImageBytes {
		return nil, 0, tooLarge(file, size)
	}
	head := make([]byte, min(size, headBytes))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, 0, readError(file, err)
	}
	return head, size, nil
}

func unreadable(err error) verdict {
	if errors.Is(err, fs.ErrNotExist) {
		return verdict{missing: true}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return verdict{reason: e.Problems[0]}
	}
	if e, ok := errors.AsType[*ImageError](err); ok {
		return verdict{reason: e.Fault()}
	}
	return verdict{reason: err.Error()}
}

// imageFormat is the file name extension of the format that an image's first bytes announce, or "" for those that are
// not read.
func imageFormat(head []byte) string {
	name, _ := imaging.Format(head)
	return map[string]string{"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WebP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "PNM": ".ppm"}[name]
}

// Verify makes sure that the images of d are there before a long run begins. It returns an *Error
// naming the first files that are not, or that can not be read, and their number; it does not look
// into them.
func (d *Dataset) Verify(ctx context.Context) error {
	p := problems{file: d.Root}
	for _, part := range d.splits() {
		for _, it := range part.items {
			if err := ctx.Err(); err != nil {
				return err
			}
			if it.Data != nil {
				continue
			}
			f, _, err := d.open(it.Path)
			if err != nil {
				p.add("%s: %s", quote.Plain(it.Path), readError(it.Path, err).Problems[0])
				continue
			}
			f.Close()
		}
	}
	return p.err("fewshot data check lists what to fetch")
}
