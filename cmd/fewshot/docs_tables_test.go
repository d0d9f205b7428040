package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTablesDocument has docs/tables.sh make its page in small: some brief runs, real ones, and all tables and figures
// of what these left. The page that is kept has the same commands, sheets, rows, columns, figures of the paper, and
// notes; its own figures have the same form.
func TestTablesDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of training")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(program, " ") {
		t.Skip("the script takes commands of several words apart at blanks")
	}
	dir := t.TempDir()
	runs, small := filepath.Join(dir, "runs"), filepath.Join(dir, "small")
	budget := []string{"-runs", runs, "-max-images", "16"}
	must(t, append([]string{"figure", "7", "-seeds", "1,2", "-rows", "r-amt", "-sets", "oxford_pets"}, budget...)...)
	must(t, append([]string{"figure", "5", "-seeds", "1", "-rows", "oxford_pets"}, budget...)...)
	must(t, append([]string{"figure", "3", "-seeds", "1", "-rows", "oxford_pets"}, budget...)...)
	c := exec.Command(sh, "docs/tables.sh")
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), asProgram+"=1", "FEWSHOT="+program, "RUNS="+runs, "SMALL="+small, "DOCS="+dir, "MORE=-collect -max-images 16",
		"PRETRAIN=-steps 2 -batch-size 4 -layers 1 -text-layers 1 -width 64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kept, made := sections(string(read(t, filepath.Join("..", "..", "docs", "tables.md")))), sections(string(read(t, filepath.Join(dir, "tables.md"))))
	if len(kept) != len(made) || len(kept) < 10 {
		t.Fatalf("docs/tables.md has %d sections, docs/tables.sh makes %d", len(kept), len(made))
	}
	filled := 0
	for i := range kept {
		n, faults := sameForm(kept[i], made[i])
		filled += n
		head, _, _ := strings.Cut(kept[i], "\n")
		for _, f := range faults {
			t.Errorf("docs/tables.md, %s: %s; docs/tables.sh makes it anew", head, f)
		}
	}
	if filled < 20 { // of the runs above, in Table 17 and Figures 3, 4, 5 and 7
		t.Errorf("the brief runs are in %d places", filled)
	}
	for _, n := range []string{"3", "4", "5", "7"} {
		if s := string(read(t, filepath.Join(dir, "figure"+n+".svg"))); !strings.Contains(s, "<svg") {
			t.Errorf("figure %s is no picture", n)
		}
	}
}

// sections are what stands before the first heading of a command, and what stands below each.
func sections(page string) []string {
	return strings.Split(page, "\n## ")
}

var (
	ownFigure = regexp.MustCompile(`^(\*\*)?[-+]?\d+(\.\d+)?(±\d+(\.\d+)?)?(\*\*)?$`)
	atMost    = regexp.MustCompile(`at most \d+ training images`)
	ofTheRuns = regexp.MustCompile(`^(Made on |\d+ of \d+ runs are not done|\d+ runs? of masks switched off|± is )`)
)

// sameForm says what of two sections differs but by what runs there were: figures, which may be missing, in tables, and
// notes about them. n counts the measured figures that both have.
func sameForm(kept, made string) (n int, faults []string) {
	a, notesA := apart(kept)
	b, notesB := apart(made)
	if !slices.Equal(notesA, notesB) {
		for _, s := range notesA {
			if !slices.Contains(notesB, s) {
				faults = append(faults, "has the note, which the script does not make: "+s)
			}
		}
		for _, s := range notesB {
			if !slices.Contains(notesA, s) {
				faults = append(faults, "does not have the note: "+s)
			}
		}
	}
	if len(a) != len(b) {
		return 0, append(faults, "has other lines")
	}
	for i := range a {
		x, y := strings.Split(a[i], "|"), strings.Split(b[i], "|")
		same := len(x) == len(y)
		for j := 0; same && j < len(x); j++ {
			v, w := strings.TrimSpace(x[j]), strings.TrimSpace(y[j])
			switch {
			case v == w && !ownFigure.MatchString(v):
			case w == "" && ownFigure.MatchString(v): // no run of it
			case ownFigure.MatchString(v) && ownFigure.MatchString(w) && shape(v) == shape(w):
				if shape(v) > 0 { // no number of shots or of images
					n++
				}
			default:
				same = false
			}
		}
		if !same {
			faults = append(faults, "has the line "+a[i]+" in the place of "+b[i])
		}
	}
	return n, faults
}

// shape is how many digits a figure has behind its point.
func shape(figure string) int {
	figure = strings.Trim(figure, "*")
	mean, _, _ := strings.Cut(figure, "±")
	_, rest, _ := strings.Cut(mean, ".")
	return len(rest)
}

// apart are the lines of a section, and its notes, each in a line, without those of what runs there were.
func apart(section string) (lines, notes []string) {
	for line := range strings.SplitSeq(section, "\n") {
		switch rest, note := strings.CutPrefix(line, "- "); {
		case note:
			notes = append(notes, rest)
		case len(notes) > 0 && strings.HasPrefix(line, "  "):
			notes[len(notes)-1] += " " + strings.TrimSpace(line)
		default:
			lines = append(lines, line)
		}
	}
	notes = slices.DeleteFunc(notes, ofTheRuns.MatchString)
	for i := range notes {
		notes[i] = atMost.ReplaceAllString(notes[i], "at most N training images")
		if models, ok := strings.CutPrefix(notes[i], "Backbone: "); ok { // sorted by their paths, of which the page has the ends
			all := strings.Split(strings.TrimSuffix(models, "."), ", ")
			slices.Sort(all)
			notes[i] = "Backbone: " + strings.Join(all, ", ")
		}
	}
	slices.Sort(notes)
	return lines, notes
}
