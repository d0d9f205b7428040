package datasets

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%s) in %s\n", r.Title, r.Name, r.Dir)
	for _, n := range r.Needs {
		mark := "there  "
		if !n.Present {
			mark = "MISSING"
		}
		fmt.Fprintf(&b, "  %s  %s\n", mark, n.Path)
	}
	if r.Problem != "" {
		fmt.Fprintf(&b, "\nIt does not open:\n  %s\n", indent(r.Problem))
	} else {
		r.writeCounts(&b)
		r.Missing.write(&b, "image missing", "images missing")
		r.Unreadable.write(&b, "image unreadable", "images unreadable")
		r.Copies.write(&b, "image that is in more than one part, under different names: what is tested was trained on",
			"images that are in more than one part, under different names: what is tested was trained on")
		r.Mislabeled.write(&b, "image that has another label under another name", "images that have another label under another name")
	}
	writeList(&b, "How it was read", r.Notes)
	writeList(&b, "Warnings", r.Warnings)
	writeList(&b, "What to do", r.Hints)
	if r.OK() {
		fmt.Fprintf(&b, "\nAll images are there and look like images.\n")
	}
	_, err := io.WriteString(w, quote.Text(b.String()))
	return err
}

// writeCounts writes the table of sizes.
func (r *Report) writeCounts(b *bytes.Buffer) {
	known := r.Want != Counts{}
	fmt.Fprintf(b, "\n%10s %9s", "", "found")
	if known {
		fmt.Fprintf(b, " %9s", "published")
	}
	b.WriteByte('\n')
	for _, row := range []struct {
		what      string
		got, want int
	}{
		{"classes", r.Got.Classes, r.Want.Classes},
		{"train", r.Got.Train, r.Want.Train},
		{"val", r.Got.Val, r.Want.Val},
		{"test", r.Got.Test, r.Want.Test},
	} {
		fmt.Fprintf(b, "%10s %9d", row.what, row.got)
		if known {
			fmt.Fprintf(b, " %9d", row.want)
			if row.got != row.want {
				b.WriteString("  differs")
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "split: %s\nsplit SHA-256: %s\n", r.Split, r.SplitHash)
}

// write names the files of a list and counts the rest.
func (l *FileList) write(b *bytes.Buffer, one, several string) {
	if l.Total == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", words.Plural(l.Total, one, several))
	for _, f := range l.First {
		fmt.Fprintf(b, "  %s\n", f)
	}
	if rest := l.Total - len(l.First); rest > 0 {
		fmt.Fprintf(b, "  … and %d more\n", rest)
	}
}

func writeList(b *bytes.Buffer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(b, "  - %s\n", indent(l))
	}
}

// indent sets the further lines of a text below its first.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n    ") }
