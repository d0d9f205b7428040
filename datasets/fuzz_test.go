package datasets

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// checkItems fails for an item that no reader may let through.
func checkItems(t *testing.T, items []Item, classes int) {
	for _, it := range items {
		if !fs.ValidPath(it.Path) || it.Path == "." || strings.ContainsAny(it.Path, "\\\x00") {
			t.Fatalf("path %q got through", it.Path)
		}
		if it.Label < 0 || int(it.Label) >= classes {
			t.Fatalf("label %d got through; there are %d classes", it.Label, classes)
		}
	}
}

// checkProblems fails for a message that a hostile file could use to flood a terminal.
func checkProblems(t *testing.T, err error) {
	if err == nil {
		return
	}
	e := asError(t, err)
	if e.Total < 1 || len(e.Problems) > maxProblems || len(e.Problems) > e.Total {
		t.Fatalf("%d problems of %d", len(e.Problems), e.Total)
	}
	for _, p := range e.Problems {
		if len(p) > 2000 || strings.ContainsAny(p, "\x00\x1b") {
			t.Fatalf("message %q", p)
		}
	}
}

func FuzzSplitJSON(f *testing.F) {
	f.Add([]byte(goodSplit))
	f.Add([]byte(one(`["a", 0, "a"], ["../b", 1.5, null], [[[{}]]], 3`)))
	f.Add([]byte(`{"train": {"a": [1, {"b": null}]}, "train": []}`))
	f.Add([]byte(`{"train": [], "val": [], "test": [["caf\u00e9", 0, "\ud83d\ude00"]]} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSplit("s.json", data)
		checkProblems(t, err)
		if err != nil {
			return
		}
		used := make([]bool, len(s.classes))
		for _, part := range s.parts() {
			checkItems(t, part.items, len(s.classes))
			for _, it := range part.items {
				used[it.Label] = true
				if it.Class != s.classes[it.Label] {
					t.Fatalf("%q has class %q, its label %q", it.Path, it.Class, s.classes[it.Label])
				}
			}
		}
		if slices.Contains(used, false) || len(used) == 0 {
			t.Fatalf("a label without items: %v", used)
		}
		d := &Dataset{Train: s.train, Val: s.val, Test: s.test, Classes: s.classes}
		d.finish()
		if len(s.train) > 0 {
			if _, err := d.FewShot(2, 1); err != nil {
				t.Fatal(err)
			}
		}
		// What was read can be written and is read the same.
		again, err := parseSplit("s.json", []byte(splitJSON(t, s.train, s.val, s.test)))
		if err != nil {
			t.Fatal(err)
		}
		d2 := &Dataset{Train: again.train, Val: again.val, Test: again.test, Classes: again.classes}
		d2.finish()
		if d2.SplitHash() != d.SplitHash() {
			t.Fatal("writing and reading changed the split")
		}
	})
}

func FuzzClassnames(f *testing.F) {
	f.Add([]byte("n01440764 tench\nn01443537 goldfish\n"))
	f.Add([]byte("n01443537 b\r\n\r\nn01440764  a\nn01440764 c\nx y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, _, err := parseClassnames("c.txt", data)
		checkProblems(t, err)
		for i, n := range names {
			if !isWordnetID(n.id) || checkClass(n.name) != "" || i > 0 && n.id <= names[i-1].id {
				t.Fatalf("name %d is %+v", i, n)
			}
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add([]byte("F-16A/B\nDouglas A 1\n"), []byte("0034309 Douglas A 1\n../1 F-16A/B\n"))
	f.Add([]byte("/a/abbey\n/a/apse/indoor\n"), []byte("/a/apse/indoor/sun_9.jpg\n"))
	f.Add([]byte("1 ApplyEyeMakeup\n2 YoYo\n"), []byte("YoYo/v_a.avi 2\n"))
	f.Add([]byte("x"), []byte("Abyssinian_201 1 1 1\nGreat_Pyrenees_101 2 2 1\n"))
	f.Fuzz(func(t *testing.T, names, list []byte) {
		p := problems{file: "list.txt"}
		heads, rows := textLines(&p, names), textLines(&p, list)
		classes, index := nameIndex(&p, heads)
		checkItems(t, parseVariants(&p, rows, index), len(classes))
		checkItems(t, parseScenes(&p, rows, index), len(classes))
		for _, c := range classes {
			sceneName(c)
		}
		_, index = parseActions(&p, heads)
		checkItems(t, parseClips(&p, rows, index), len(heads))
		breeds := make(map[int32]string)
		for _, it := range parsePets(&p, rows, breeds) {
			if _, ok := breeds[it.Label]; !ok {
				t.Fatalf("label %d has no breed", it.Label)
			}
			checkItems(t, []Item{it}, int(it.Label)+1)
		}
		checkProblems(t, p.err(""))
	})
}
