package synth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt")

// TestGolden compares pictures and captions with recorded ones: the drawn world is a data set, and weights trained on
// it are only worth something while it stays what it is.
func TestGolden(t *testing.T) {
	var got strings.Builder
	record := func(what string, pix []uint8, text string) {
		sum := sha256.Sum256(pix)
		got.WriteString(strings.TrimSpace(what+" "+hex.EncodeToString(sum[:8])+" "+text) + "\n")
	}
	pix := make([]uint8, imageBytes)
	for i := range uint64(40) {
		caption := Pair(pix, 1, i<<(i%40)) // small and large indices
		record("pair", pix, caption)
	}
	// One hash over many pictures reaches every shape, texture, scene and style.
	all := sha256.New()
	for i := range uint64(1500) {
		io.WriteString(all, Pair(pix, 2, i))
		all.Write(pix)
	}
	record("pairs", all.Sum(nil), "")
	for _, task := range Tasks() {
		for _, split := range splits {
			all.Reset()
			for i := range min(task.Len(split), 2*len(task.Classes)) {
				task.Item(pix, 1, split, i)
				all.Write(pix)
			}
			record(task.Name+"/"+split, all.Sum(nil), "")
		}
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("drawn world changed (-recorded +drawn):\n%s", diff)
	}
}

func TestPairDependsOnArgumentsAlone(t *testing.T) {
	const n = 64
	want, captions := make([][]uint8, n), make([]string, n)
	for i := range want {
		want[i] = make([]uint8, imageBytes)
		captions[i] = Pair(want[i], 3, uint64(i))
	}
	if diff := cmp.Diff(captions, Captions(3, n)); diff != "" {
		t.Errorf("Captions differ from Pair's (-Pair +Captions):\n%s", diff)
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			pix := bytes.Repeat([]uint8{0xa5}, imageBytes) // left-overs must not shine through
			for k := range n {
				i := (k*7 + worker*17) % n
				if caption := Pair(pix, 3, uint64(i)); caption != captions[i] || !bytes.Equal(pix, want[i]) {
					t.Errorf("pair %d drawn out of order and at once with others differs", i)
				}
			}
		})
	}
	wait.Wait()
	pix := make([]uint8, imageBytes)
	if Pair(pix, 4, 0); bytes.Equal(pix, want[0]) {
		t.Error("seeds 3 and 4 draw the same picture")
	}
}

func TestCaptions(t *testing.T) {
	const n = 20000
	longest, distinct, vocabulary := 0, map[string]bool{}, map[string]bool{}
	for _, c := range Captions(1, n) {
		for _, r := range c {
			if !(r == ' ' || r == '.' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9') {
				t.Fatalf("caption %q contains %q", c, r)
			}
		}
		words := strings.Fields(strings.TrimSuffix(c, "."))
		if len(words) == 0 || strings.Join(words, " ") != strings.TrimSuffix(c, ".") {
			t.Fatalf("caption %q is not words separated by single spaces", c)
		}
		for i, w := range words {
			vocabulary[w] = true
			if (w == "a" || w == "an") && i+1 < len(words) && words[i+1] != "with" && words[i+1] != "on" {
				if next := words[i+1]; len(next) > 1 && words[max(i-1, 0)] != "letter" && article(next) != w {
					t.Errorf("caption %q: %s %s", c, w, next)
				}
			}
		}
		longest = max(longest, len(words))
		distinct[c] = true
	}
	// The text tower's context has to hold them: one token a word, and the start, stop and full-stop tokens.
	if longest > maxWords {
		t.Errorf("longest caption has %d words, documented maximum %d", longest, maxWords)
	}
	if len(distinct) < n/2 {
		t.Errorf("%d of %d captions are distinct: too few for contrastive training", len(distinct), n)
	}
	for _, task := range Tasks() {
		for _, class := range task.Classes {
			for _, w := range strings.Fields(strings.Trim(strings.ReplaceAll(task.Template, "{}", class), ".")) {
				if !vocabulary[w] {
					t.Errorf("task %s, class %s: captions never say %q", task.Name, class, w)
				}
			}
		}
	}
	t.Logf("%d distinct captions of %d, %d words, longest %d words", len(distinct), n, len(vocabulary), longest)
}

func TestShapesDifferAndFit(t *testing.T) {
	for i := range shapes {
		f := shapes[i].field()
		inside := 0
		for k, d := range f {
			// Glyphs are lines without width: near is as good as inside.
			if i < firstGlyph && d < 0 || i >= firstGlyph && d < unit/10 {
				inside++
			}
			if x, y := k%fieldSide, k/fieldSide; d < 0 && (x < 4 || y < 4 || x >= fieldSide-4 || y >= fieldSide-4) {
				t.Fatalf("shape %s %s reaches the rim of its field", shapes[i].name, shapes[i].detail)
			}
		}
		if inside < fieldSide*fieldSide/20 {
			t.Errorf("shape %s %s covers only %d of %d texels", shapes[i].name, shapes[i].detail, inside, fieldSide*fieldSide)
		}
		for j := range i {
			if *shapes[j].field() == *f && shapes[j].detail == "" && shapes[i].detail == "" {
				t.Errorf("shapes %s and %s are the same", shapes[j].name, shapes[i].name)
			}
		}
	}
}

func TestSineIsAccurate(t *testing.T) {
	for _, c := range []struct{ angle, want int32 }{
		{0, 0}, {turn / 12, one / 2}, {turn / 8, 11585}, {turn / 4, one}, {turn / 2, 0}, {3 * turn / 4, -one}, {-turn / 4, -one},
	} {
		if got := sin(c.angle); abs(got-c.want) > 7 { // turn/12 is not a whole number of steps
			t.Errorf("sin(%d) = %d, want %d", c.angle, got, c.want)
		}
	}
	for a := range int32(turn) {
		if e := sin(a)*sin(a) + cos(a)*cos(a) - one*one; abs(e) > 2*one {
			t.Errorf("sin²+cos² at %d is off by %d/2²⁸", a, e)
		}
	}
}

func TestTasks(t *testing.T) {
	pix := make([]uint8, imageBytes)
	seen := map[[32]byte]string{}
	numbers := map[int]bool{}
	for _, task := range Tasks() {
		n := len(task.Classes)
		if n < 10 || n > 50 {
			t.Errorf("task %s has %d classes, want 10 to 50", task.Name, n)
		}
		if sorted := slices.Sorted(slices.Values(task.Classes)); len(slices.Compact(sorted)) != n {
			t.Errorf("task %s repeats a class name", task.Name)
		}
		if strings.Count(task.Template, "{}") != 1 {
			t.Errorf("task %s: template %q", task.Name, task.Template)
		}
		if numbers[task.number] {
			t.Errorf("task %s shares its random streams with another", task.Name)
		}
		numbers[task.number] = true
		if found, ok := Lookup(task.Name); !ok || found.Title != task.Title {
			t.Errorf("Lookup(%q) does not find it", task.Name)
		}
		for split, what := range map[string]string{"shift": task.Shift, "shift2": task.Shift2} {
			if (what != "") != (task.Len(split) > 0) {
				t.Errorf("task %s: shifted test set %q has %d pictures", task.Name, what, task.Len(split))
			}
		}
		for _, split := range splits {
			count := make([]int, n)
			size := task.Len(split)
			if strings.HasPrefix(split, "test") && size > maxTest {
				t.Errorf("task %s has %d test pictures, want at most %d", task.Name, size, maxTest)
			}
			for i := range size {
				label := task.Item(pix, 1, split, i)
				count[label]++
				sum := sha256.Sum256(pix)
				if other, ok := seen[sum]; ok {
					t.Errorf("%s/%s picture %d was drawn before, in %s", task.Name, split, i, other)
				}
				seen[sum] = task.Name + "/" + split
			}
			if slices.Max(count) != slices.Min(count) {
				t.Errorf("task %s, split %s is unbalanced: %v", task.Name, split, count)
			}
		}
	}
	if _, ok := Lookup("nothing"); ok {
		t.Error(`Lookup("nothing") finds a task`)
	}
}

func TestMisusePanics(t *testing.T) {
	task, _ := Lookup("scenes")
	pix := make([]uint8, imageBytes)
	for name, f := range map[string]func(){
		"short buffer":   func() { Pair(pix[1:], 0, 0) },
		"unknown split":  func() { task.Len("validation") },
		"index past end": func() { task.Item(pix, 0, "test", task.Len("test")) },
		"negative index": func() { task.Item(pix, 0, "test", -1) },
		"no such set":    func() { task.Item(pix, 0, "shift", 0) },
	} {
		func() {
			defer func() {
				if message, ok := recover().(string); !ok || !strings.HasPrefix(message, "synth: ") {
					t.Errorf("%s: no panic of ours", name)
				}
			}()
			f()
		}()
	}
}

func TestDrawingDoesNotAllocate(t *testing.T) {
	pix := make([]uint8, imageBytes)
	for i := range uint64(600) { // the first use of a shape computes its field
		Pair(pix, 1, i)
	}
	i := uint64(0)
	// The caption string is the one allocation of a pair; a task's item keeps its content on the heap.
	if n := testing.AllocsPerRun(500, func() { Pair(pix, 1, i); i++ }); n > 1 {
		t.Errorf("Pair allocates %v times", n)
	}
	for _, task := range Tasks() {
		for i := range task.Len("test") {
			task.Item(pix, 1, "test", i)
		}
		if n := testing.AllocsPerRun(100, func() { task.Item(pix, 1, "test", 0) }); n > 2 {
			t.Errorf("task %s: Item allocates %v times", task.Name, n)
		}
	}
}

func TestEncodePNG(t *testing.T) {
	pix := make([]uint8, imageBytes)
	Pair(pix, 1, 5)
	file, err := EncodePNG(pix)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for y := range Size {
		for x := range Size {
			r, g, b, _ := m.At(x, y).RGBA()
			if got := [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}; got != [3]uint8(pix[(y*Size+x)*3:]) {
				t.Fatalf("pixel (%d, %d) is %v after a round trip, was %v", x, y, got, pix[(y*Size+x)*3:][:3])
			}
		}
	}
	if _, err := EncodePNG(pix[1:]); err == nil {
		t.Error("EncodePNG takes a picture of a wrong size")
	}
}
