package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawVectors is testdata/fewshot.json, which testdata/fewshot.py made with CPython.
type drawVectors struct {
	Draws []struct {
		Seed       uint64
		Shots      int
		Train, Val []int
	}
	Sizes    []int
	ThreeWay [][3][]int `json:"three_way"`
	Labels   []int32
	Train    []int
	Val      []int
}

func readDrawVectors(t *testing.T) (v drawVectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/fewshot.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// openSynthetic opens testdata/split_zhou_Synthetic.json as a data set without images.
func openSynthetic(t *testing.T) *Dataset {
	t.Helper()
	d, err := OpenFolder("testdata", "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFewShotIsDassls(t *testing.T) {
	d := openSynthetic(t)
	before := d.SplitHash()
	v := readDrawVectors(t)
	if len(v.Draws) != 15 {
		t.Fatalf("%d draws in the fixture, want 15", len(v.Draws))
	}
	for _, want := range v.Draws {
		got, err := d.FewShot(want.Shots, want.Seed)
		if err != nil {
			t.Fatal(err)
		}
		pick := func(items []Item, index []int) (out []Item) {
			for _, i := range index {
				out = append(out, items[i])
			}
			return out
		}
		if diff := cmp.Diff(pick(d.Train, want.Train), got.Train); diff != "" {
			t.Fatalf("seed %d, %d shots, train (-want +got):\n%s", want.Seed, want.Shots, diff)
		}
		if diff := cmp.Diff(pick(d.Val, want.Val), got.Val); diff != "" {
			t.Fatalf("seed %d, %d shots, val (-want +got):\n%s", want.Seed, want.Shots, diff)
		}
		if diff := cmp.Diff(d.Test, got.Test); diff != "" {
			t.Fatalf("test changed:\n%s", diff)
		}
	}
	if d.SplitHash() != before {
		t.Error("FewShot changed its data set")
	}
}

func TestFewShotAll(t *testing.T) {
	d := openSynthetic(t)
	for _, shots := range []int{0, -1} {
		all, err := d.FewShot(shots, 1)
		if err != nil {
			t.Fatal(err)
		}
		if all.SplitHash() != d.SplitHash() {
			t.Errorf("%d shots is not everything", shots)
		}
	}
	few, err := d.FewShot(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantWarning(t, few, "fewer than 16 training images: 6 (thing 3, thing 5, thing 4, …)")
	if len(d.Warnings) != 0 {
		t.Errorf("warnings of the whole data set: %q", d.Warnings)
	}
}

// TestPublishedSplit draws from the real split file of Caltech101, where a data root is named. The
// digests are of the drawn paths, from testdata/fewshot.py.
func TestPublishedSplit(t *testing.T) {
	root := os.Getenv("FEWSHOT_DATA")
	if root == "" {
		t.Skip("FEWSHOT_DATA does not name a data root")
	}
	file := filepath.Join(root, "caltech-101", "split_zhou_Caltech101.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	d := &Dataset{Name: "caltech101", Title: "Caltech101"}
	if err := d.useSplitFile(file, data); err != nil {
		t.Fatal(err)
	}
	d.finish()
	spec, _ := Lookup("caltech101")
	d.compare(spec.Counts)
	if len(d.Warnings) != 0 {
		t.Errorf("warnings: %q", d.Warnings)
	}
	for _, c := range []struct {
		seed  uint64
		shots int
		want  string
	}{
		{1, 1, "7c6caa4f8de17d8f0f856204e09c21a044d645fe154d226e3d8d6b6b82147766"},
		{1, 16, "227259a57d0da32c948a621166ca4b2f7fe193fa5dcf84d084ac07130d5c3679"},
		{2, 8, "0318dbb6bb56f8d3d71e6e78b180293145fe5bfd1bb171b298620ea6930bea0f"},
		{3, 16, "43acea3b0c7fb11877c684267bf6d3eb5fd526ce7c4ebb7fa26b1f24d3e4b328"},
	} {
		few, err := d.FewShot(c.shots, c.seed)
		if err != nil {
			t.Fatal(err)
		}
		names := append(paths(few.Train), paths(few.Val)...)
		sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("seed %d, %d shots: digest %s, want %s", c.seed, c.shots, got, c.want)
		}
	}
}

func TestGeneratedDivisions(t *testing.T) {
	v := readDrawVectors(t)
	var classes []folder
	for y, n := range v.Sizes {
		c := folder{name: fmt.Sprint(y)}
		for i := range n {
			c.images = append(c.images, fmt.Sprintf("%d/%d", y, i))
		}
		classes = append(classes, c)
	}
	s, err := Division{}.folders("here", classes)
	if err != nil {
		t.Fatal(err)
	}
	for k, part := range s.parts() {
		var want []Item
		for y, division := range v.ThreeWay {
			for _, i := range division[k] {
				want = append(want, Item{Path: fmt.Sprintf("%d/%d", y, i), Label: int32(y)})
			}
		}
		if diff := cmp.Diff(want, part.items); diff != "" {
			t.Errorf("%s (-want +got):\n%s", part.name, diff)
		}
	}

	items := make([]Item, len(v.Labels))
	for i, y := range v.Labels {
		items[i] = Item{Path: fmt.Sprint(i), Label: y}
	}
	train, val, err := divideTrainVal("there", items)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		got  []Item
		want []int
	}{{"train", train, v.Train}, {"val", val, v.Val}} {
		var want []Item
		for _, i := range c.want {
			want = append(want, items[i])
		}
		if diff := cmp.Diff(want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	_, _, err = divideTrainVal("there", items[:1])
	asError(t, err, "there: label 0: has 1 training image,")
}

func TestShareRoundsHalfToEven(t *testing.T) {
	for n, want := range map[int]int{1: 0, 3: 2, 5: 2, 7: 4, 9: 4} {
		if got := share(n, 0.5); got != want {
			t.Errorf("round(%d·0.5) = %d, want %d", n, got, want)
		}
	}
}

func TestSubset(t *testing.T) {
	d := openSynthetic(t) // 17 classes
	few, err := d.FewShot(4, 2)
	if err != nil {
		t.Fatal(err)
	}
	base, err := few.Subset("base")
	if err != nil {
		t.Fatal(err)
	}
	rest, err := few.Subset("new")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(few.Classes, append(append([]string(nil), base.Classes...), rest.Classes...)); diff != "" {
		t.Errorf("classes of the halves:\n%s", diff)
	}
	if len(base.Classes) != 9 || len(rest.Classes) != 8 {
		t.Errorf("%d base and %d new classes, want 9 and 8", len(base.Classes), len(rest.Classes))
	}
	for i, part := range few.splits() {
		b, n := base.splits()[i].items, rest.splits()[i].items
		for _, it := range part.items {
			half, offset := &b, int32(0)
			if it.Label >= 9 {
				half, offset = &n, 9
			}
			if len(*half) == 0 {
				t.Fatalf("%s: too few items", part.name)
			}
			want := it
			want.Label -= offset
			if diff := cmp.Diff(want, (*half)[0]); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", part.name, diff)
			}
			*half = (*half)[1:]
		}
		if len(b)+len(n) != 0 {
			t.Errorf("%s: items left over", part.name)
		}
	}
	all, err := few.Subset("all")
	if err != nil {
		t.Fatal(err)
	}
	if all.SplitHash() != few.SplitHash() {
		t.Error("the subset of all classes differs")
	}
	if _, err := few.Subset("old"); err == nil || !strings.Contains(err.Error(), "all, base and new") {
		t.Errorf("error %v", err)
	}
	one := &Dataset{Name: "one", Classes: []string{"a"}}
	if _, err := one.Subset("new"); err == nil {
		t.Error("no error for an empty half")
	}
}

// TestBaseSizes holds the numbers of base classes that papers report.
func TestBaseSizes(t *testing.T) {
	for name, want := range map[string]int{
		"imagenet": 500, "caltech101": 50, "oxford_pets": 19, "stanford_cars": 98, "oxford_flowers": 51,
		"food101": 51, "fgvc_aircraft": 50, "sun397": 199, "dtd": 24, "eurosat": 5, "ucf101": 51,
	} {
		spec, _ := Lookup(name)
		d := &Dataset{Name: name, Classes: make([]string, spec.Counts.Classes)}
		base, err := d.Subset("base")
		if err != nil {
			t.Fatal(err)
		}
		if got := len(base.Classes); got != want {
			t.Errorf("%s: %d base classes, want %d", name, got, want)
		}
	}
}

func TestSplitHash(t *testing.T) {
	build := func() *Dataset {
		return &Dataset{
			Classes: []string{"a", "b"},
			Train:   []Item{{Path: "x", Label: 0, Class: "a"}},
			Test:    []Item{{Path: "y", Label: 1, Class: "b"}, {Data: []byte{1}, Label: 1, Class: "b"}},
		}
	}
	base := build().SplitHash()
	if build().SplitHash() != base {
		t.Error("equal splits have different hashes")
	}
	for what, change := range map[string]func(*Dataset){
		"path":      func(d *Dataset) { d.Train[0].Path = "z" },
		"label":     func(d *Dataset) { d.Test[0].Label = 0 },
		"class":     func(d *Dataset) { d.Classes[0] = "c" },
		"order":     func(d *Dataset) { d.Test[0], d.Test[1] = d.Test[1], d.Test[0] },
		"data":      func(d *Dataset) { d.Test[1].Data = []byte{2} },
		"split":     func(d *Dataset) { d.Val, d.Train = d.Train, nil },
		"less":      func(d *Dataset) { d.Test = d.Test[:1] },
		"no class":  func(d *Dataset) { d.Classes = d.Classes[:1] },
		"seam":      func(d *Dataset) { d.Classes = []string{"ab", ""} },
		"item name": func(d *Dataset) { d.Train[0].Class = "A" },
	} {
		d := build()
		change(d)
		if d.SplitHash() == base {
			t.Errorf("a change of %s does not change the hash", what)
		}
	}
	d := build()
	d.Root, d.Name, d.Warnings = "elsewhere", "other", []string{"w"}
	if d.SplitHash() != base {
		t.Error("the hash depends on the place")
	}
}
