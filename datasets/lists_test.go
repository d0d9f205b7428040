package datasets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesFromLists(t *testing.T) {
	for action, want := range map[string]string{
		"ApplyEyeMakeup": "Apply_Eye_Makeup", "YoYo": "Yo_Yo", "Basketball": "Basketball", "TaiChi": "Tai_Chi", "lower": "",
	} {
		if got := actionName(action); got != want {
			t.Errorf("actionName(%q) = %q, want %q", action, got, want)
		}
	}
	for scene, want := range map[string]string{
		"/a/apse/indoor": "indoor apse", "/a/airplane_cabin": "airplane_cabin", "/a/abbey": "abbey", "/odd": "odd",
	} {
		if got := sceneName(scene); got != want {
			t.Errorf("sceneName(%q) = %q, want %q", scene, got, want)
		}
	}
}

func TestListErrors(t *testing.T) {
	two := map[string]int32{"a b": 0, "/a/abbey": 0, "YoYo": 0}
	for _, c := range []struct {
		name  string
		parse func(p *problems, l []line)
		text  string
		want  []string
	}{
		{"variants", func(p *problems, l []line) { parseVariants(p, l, two) }, "1 a b\n2 c\n../3 a b\n4\n",
			[]string{`line 2: variant "c"`, `line 3: path "../3.jpg" leads out`, `line 4: variant ""`}},
		{"pets", func(p *problems, l []line) { parsePets(p, l, map[int32]string{}) }, "A_1 1 1 1\nA_1 1 1\nB_1 1 1 1\nC 2 1 1\nD_1 x 1 1\nE_1 0 1 1\n",
			[]string{"line 2: has 3 fields", `line 3: class id 1 is "b" here and "a" before`, `line 4: image "C"`, `line 5: class id "x"`, `line 6: class id "0"`}},
		{"scenes", func(p *problems, l []line) { parseScenes(p, l, two) }, "/a/abbey/1.jpg\n/b/bar/1.jpg\n",
			[]string{`line 2: "/b/bar/1.jpg" is not an image`}},
		{"actions", func(p *problems, l []line) { parseActions(p, l) }, "1 YoYo\n3 TaiChi\n3 YoYo\n4 lower\n",
			[]string{`line 2: starts with "3", not with 2`, `line 3: action "YoYo" appears a second time`, `line 4: action "" is empty`}},
		{"clips", func(p *problems, l []line) { parseClips(p, l, two) }, "YoYo/v.avi 1\nTaiChi/v.avi 2\nYoYo/../../v.avi 1\n",
			[]string{`line 2: action "TaiChi"`, "line 3: path"}},
		{"names", func(p *problems, l []line) { nameIndex(p, l) }, "a\na\n" + strings.Repeat("b", 2000),
			[]string{`line 2: "a" appears a second time`, "… (2000 bytes) is longer"}},
		{"text", func(p *problems, l []line) {}, "a\x00\n\xff\n" + strings.Repeat("c", 5000),
			[]string{"line 1: contains a control", "line 2: is not UTF-8", "line 3: is longer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := problems{file: "list.txt"}
			c.parse(&p, textLines(&p, []byte(c.text)))
			e := asError(t, p.err(""), c.want...)
			if e.Total != len(c.want) {
				t.Errorf("%d problems, want %d:\n%v", e.Total, len(c.want), e)
			}
		})
	}
}

func TestParseClassnames(t *testing.T) {
	names, warnings, err := parseClassnames("c.txt", []byte("n01443537 goldfish\nn01440764 great white shark \n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []wordnetName{{"n01440764", "great white shark"}, {"n01443537", "goldfish"}}
	if diff := cmp.Diff(want, names, cmp.AllowUnexported(wordnetName{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "not in the order") || !strings.Contains(warnings[1], "has 2 class names") {
		t.Errorf("warnings %q", warnings)
	}
	_, _, err = parseClassnames("c.txt", []byte("tench\nn01440764\nn01440764 a\nn01440764 b\nn0144076x c\n"))
	e := asError(t, err, `line 1: starts with "tench"`, `line 2: class name "" is empty`, "line 4: n01440764 was on line 3", `"n0144076x"`)
	if e.Total != 4 {
		t.Errorf("%d problems", e.Total)
	}
	_, _, err = parseClassnames("c.txt", nil)
	asError(t, err, "is empty")
}

// TestOtherImageNetNames recognises a list that has other ambiguous names than CLIP's, such as the
// WordNet lemmas that torchvision ships.
func TestOtherImageNetNames(t *testing.T) {
	var b strings.Builder
	for i := range imagenetClasses {
		fmt.Fprintf(&b, "%s %s\n", wordnetID(i), map[bool]string{true: "crane", false: fmt.Sprint("name ", i)}[i == 134 || i == 517])
	}
	_, warnings, err := parseClassnames("c.txt", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "two classes here: 1 (crane)") {
		t.Errorf("warnings %q", warnings)
	}
}
