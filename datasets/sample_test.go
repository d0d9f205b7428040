package datasets

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallPets is a data set with a published layout: 6 training and 4 validation images of two classes.
func smallPets(t *testing.T) *Dataset {
	t.Helper()
	item := func(n int) Item {
		return Item{Path: fmt.Sprintf("%s_%d.jpg", []string{"Abyssinian", "beagle"}[n%2], n), Label: int32(n % 2), Class: []string{"abyssinian", "beagle"}[n%2]}
	}
	var train, val, test []Item
	for n := range 6 {
		train = append(train, item(n))
	}
	for n := 10; n < 14; n++ {
		val = append(val, item(n))
	}
	test = append(test, item(20), item(21))
	root := t.TempDir()
	writeFile(t, root, "oxford_pets/split_zhou_OxfordPets.json", splitJSON(t, train, val, test))
	writeImages(t, root, "oxford_pets/images/x.jpg")
	d, err := Open(root, "oxford_pets")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSample(t *testing.T) {
	d := smallPets(t)
	dir := t.TempDir()
	// As cross_modal_adaptation's few_shot_split.py writes them, and as 2SFS's readers take them.
	writeFile(t, dir, "shot_1-seed_1.json", `{
    "train": {
        "data": [
            {"impath": "./data/oxford_pets/images/beagle_5.jpg", "label": 1, "classname": "beagle"},
            {"impath": "./data/oxford_pets/images/Abyssinian_0.jpg", "label": 0, "classname": "abyssinian"}
        ],
        "indices": [5, 0]
    },
    "val": {"data": [{"impath": "./data/oxford_pets/images/beagle_11.jpg", "label": 1, "classname": "beagle"}], "indices": [1]}
}`)
	writeFile(t, dir, "shot_1-seed_1_train.jsonl", "\ufeff"+`{"_impath": "/home/someone/oxford_pets/images/beagle_5.jpg", "_label": 1, "_domain": 0, "_classname": "beagle"}
{"_impath": "C:\\data\\oxford_pets\\images\\Abyssinian_0.jpg", "_label": 0, "_domain": 0, "_classname": "abyssinian"}
`)
	writeFile(t, dir, "shot_1-seed_1_val.jsonl", `{"_impath": "beagle_11.jpg", "_label": 1, "_domain": 0, "_classname": "beagle"}`)
	for _, name := range []string{"shot_1-seed_1.json", "shot_1-seed_1_train.jsonl"} {
		s, err := d.Sample(filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([][]string{{"beagle_5.jpg", "Abyssinian_0.jpg"}, {"beagle_11.jpg"}}, [][]string{paths(s.Train), paths(s.Val)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if s.MostShots() != 1 || len(s.Test) != 2 || len(d.Train) != 6 {
			t.Errorf("%s: %d shots, %v", name, s.MostShots(), s.Counts())
		}
	}
	writeFile(t, dir, "shot_1-seed_1_val.jsonl", `{"_impath": "beagle_99.jpg", "_label": 1}`)
	_, err := d.Sample(filepath.Join(dir, "shot_1-seed_1_train.jsonl"))
	asError(t, err, `shot_1-seed_1_val.jsonl, line 1: "beagle_99.jpg" is not a validation image`)
	entry := func(path string, label int) string {
		return fmt.Sprintf(`{"impath": %q, "label": %d, "classname": "x"}`+"\n", path, label)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"other images":   {entry("images/beagle_99.jpg", 1), []string{`line 1: "images/beagle_99.jpg" is not a training image of oxford_pets`, "divided as there"}},
		"a test image":   {entry("images/beagle_21.jpg", 1), []string{"is not a training image"}},
		"other label":    {entry("beagle_1.jpg", 0), []string{`has label 0 ("x") here and 1 ("beagle") in oxford_pets`}},
		"twice":          {entry("beagle_1.jpg", 1) + "\n" + entry("a/beagle_1.jpg", 1), []string{"line 3", "is in the sample already, at line 1"}},
		"no path":        {`{"label": 1}`, []string{"line 1: has no impath"}},
		"no label":       {`{"impath": "x"}`, []string{"has no label"}},
		"label is text":  {`{"impath": "x", "label": "one"}`, []string{"line 1"}},
		"label is half":  {`{"impath": "x", "label": 1.5}`, []string{"label is \"1.5\""}},
		"cut short":      {"{\n\"train\": {\n", []string{"unexpected end of JSON input"}},
		"nothing":        {"", []string{"names no images"}},
		"a pickle":       {"\x80\x04\x95", []string{"is a Python pickle", "-shots and -seed draw the same"}},
		"without a list": {`{"train": {"indices": []}}`, []string{`train: has no "data"`}},
	} {
		writeFile(t, dir, "bad.jsonl", c.text)
		_, err := d.Sample(filepath.Join(dir, "bad.jsonl"))
		asError(t, err, c.want...)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestPrompts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cupl.json")
	classes := []string{"pink primrose", "hard-leaved pocket orchid", "Caf\u00e9"}
	writeFile(t, dir, "cupl.json", `{"hard-leaved pocket orchid": ["An orchid.", "Two\n lines."], "Pink_Primrose": ["A primrose."], "cafe\u0301": ["A \"caf\u00e9\"."], "more": ["x"]}`)
	prompts, warnings, err := ReadPrompts(file, classes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"A primrose."}, {"An orchid.", "Two lines."}, {"A \"caf\u00e9\"."}}, prompts); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "1 (more)") {
		t.Errorf("warnings %q", warnings)
	}
	for text, want := range map[string]string{
		`{"pink primrose": ["x"]}`: "has no prompts for 2 (hard-leaved pocket orchid, Caf\u00e9)",
		`{"a": []}`:                `"a": has 0 prompts`,
		`{"a": ["x"], "A": ["y"]}`: `"a" and "A" are the same class`,
		`{"a": "x"}`:               `"a": is not a list of texts`,
		`{"a": ["x", " "]}`:        `"a"[1]: is empty`,
		`{"a": ["\u001b[31m"]}`:    "contains a control character",
		`[]`:                       "does not begin with an object",
		`{"a": ["x"]`:              "ends in the middle",
		`{"a": ["x"]}}`:            "text follows the end",
		`{"a": ["x"]}]`:            "text follows the end",
		`{"a": ["` + strings.Repeat("x", 5000) + `"]}`: "longer than",
	} {
		writeFile(t, dir, "cupl.json", text)
		_, _, err := ReadPrompts(file, classes)
		asError(t, err, want, "as CuPL has it")
	}
	writeFile(t, dir, "cupl.json", `{"missile": ["x"], "tench": ["y"]}`)
	if prompts, warnings, err = ReadPrompts(file, []string{"missile", "tench", "missile"}); err != nil || len(warnings) > 0 || len(prompts[2]) != 1 {
		t.Errorf("two classes of one name: %q, %q, %v", prompts, warnings, err)
	}
	writeFile(t, dir, "templates.txt", "\ufeffa photo of a {}.\r\n\r\nart of the {}.\n")
	templates, err := ReadTemplates(filepath.Join(dir, "templates.txt"))
	if err != nil || !slices.Equal(templates, []string{"a photo of a {}.", "art of the {}."}) {
		t.Errorf("%q, %v", templates, err)
	}
}

func FuzzSample(f *testing.F) {
	f.Add([]byte(`{"train": {"data": [{"impath": "a/b.jpg", "label": 0, "classname": "x"}], "indices": [0]}, "val": {"data": []}}`))
	f.Add([]byte("{\"_impath\": \"/x/b.jpg\", \"_label\": 0}\n{\"impath\": \"c.jpg\", \"label\": 1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		train, val, _, err := parseSample("s.json", data)
		checkProblems(t, err)
		if err != nil {
			return
		}
		d := &Dataset{Name: "d", Train: []Item{{Path: "b.jpg", Label: 0, Class: "a"}, {Path: "c.jpg", Label: 1, Class: "b"}}}
		p := problems{file: "s.json"}
		if n := len(d.match(&p, train, d.Train, "training")); n > 2 || n > len(train) {
			t.Fatalf("%d images of 2", n)
		}
		d.match(&p, val, d.Val, "validation")
		if err := p.err(""); err != nil {
			checkProblems(t, err)
		}
	})
}

func FuzzPrompts(f *testing.F) {
	f.Add([]byte(`{"cat": ["a cat", "the\ncat"], "Big_Dog": ["x"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		prompts, _, err := parsePrompts("p.json", data, []string{"cat", "big dog"})
		checkProblems(t, err)
		if err != nil {
			return
		}
		var plain map[string][]string
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(data), "\ufeff")), &plain); err != nil {
			t.Fatalf("took %q: %v", data, err)
		}
		for _, list := range prompts {
			if len(list) == 0 {
				t.Fatal("a class without a prompt")
			}
			for _, s := range list {
				if clean, problem := cleanPrompt(s); problem != "" || clean != s {
					t.Fatalf("prompt %q", s)
				}
			}
		}
	})
}

func FuzzTemplates(f *testing.F) {
	f.Add([]byte("\ufeffa photo of a {}.\r\nart of the {}.\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		templates, err := parseTemplates("t.txt", data)
		checkProblems(t, err)
		for _, s := range templates {
			if err == nil && checkTemplate(s) != "" {
				t.Fatalf("template %q", s)
			}
		}
	})
}
