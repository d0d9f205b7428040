package tests

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// rules say who may import whom. "a: b c" means that package a, with everything below it that has no line of its own,
// may import b and c, with what belongs to them in the same way, and nothing else of ours. Within one line's packages
// imports are free. The lines are policy: a build that breaks one is mended in the code that breaks it.
const rules = `
# Numbers on a device. What they are for is not known here, so that any use can be put on top.
tensor:

# Pictures, labels and splits. Training from files and from memory differ by nothing that is in here.
datasets:

# One more device, behind the same interface as the others.
cuda: tensor

# Gradients need numbers; numbers do not know of gradients.
autograd: tensor

# An update rule sees values and gradients as tensors. How the gradients came about is none of its business.
optim: tensor

# Layers, and checkpoints in nn/checkpoint.
nn: autograd tensor

# What fetches models knows names, lengths and hashes of files, and not what is in them.
nn/hub:

# Other programs' formats are written from tensors by name; that they become a network is nothing to it.
nn/export: nn

# The two halves of CLIP do not know each other, nor that anyone puts masks on their weights.
vit:  nn autograd tensor
text: text/subword nn autograd tensor

# Tokenizers of relatives turn bytes into ids, and know of no encoder.
text/subword:

# The loop that all methods share takes any learner. Masks take any encoder of images: they are handed one, and do not know vit.
rmt/train: nn autograd optim tensor
rmt:       rmt/train nn autograd optim tensor

# CLIP as a whole, and what its images go through; what a method is to the program.
rmt/clip:   datasets vit text text/subword nn autograd tensor
rmt/method: rmt/clip rmt/train vit text nn autograd optim tensor

# What is learned before the encoders, behind them, beside them, and of all they are made of.
rmt/probe:   rmt/method rmt/clip rmt/train vit text nn autograd optim tensor
rmt/adapter: rmt/method rmt/clip rmt/probe rmt/train vit text nn autograd optim tensor
rmt/prompt:  rmt/method rmt/clip rmt/train vit text nn autograd optim tensor

# A run as a value, and all that it takes put together.
rmt/run: rmt rmt/train rmt/clip rmt/method rmt/probe rmt/adapter rmt/prompt datasets vit text nn autograd optim tensor

# Lists of runs: what runs are made of is opened by whoever executes them.
rmt/plan: rmt/run rmt rmt/train rmt/clip rmt/method datasets nn tensor

# The paper's tables and figures, as such lists and their layout.
rmt/plan/paper: rmt/plan rmt/run rmt/method rmt datasets

# Where everything meets.
cmd/fewshot: tensor autograd cuda optim nn nn/hub nn/export vit text rmt rmt/train rmt/clip rmt/method rmt/probe rmt/adapter rmt/prompt rmt/run rmt/plan rmt/plan/paper datasets
tests:       tensor autograd cuda optim nn nn/hub nn/export vit text rmt rmt/train rmt/clip rmt/method rmt/probe rmt/adapter rmt/prompt rmt/run rmt/plan rmt/plan/paper datasets cmd/fewshot
`

// leaves are packages that import nothing of ours and that all of ours may import, whatever the rules say, with the
// reason.
var leaves = map[string]string{
	"nn/quote":    "what strangers wrote is made harmless in messages by one function, on either side of the program",
	"nn/words":    "numbers agree with what they count by one function, wherever people read them, and what they meant is guessed by one",
	"rmt/cputime": "what runs, methods' benchmarks and the program's own have cost is measured by one function",
}

// restricted are packages of the standard library that only some of ours may use outside their tests, with the
// reason. A name stands for the package and for all below it.
var restricted = map[string]struct {
	allowed []string
	reason  string
}{
	"C":            {[]string{"cuda"}, "the program builds without a C compiler"},
	"unsafe":       {[]string{"cuda", "tensor/internal"}, "memory is handled in one place"},
	"net":          {[]string{"nn/hub", "cmd/fewshot/internal/serve"}, "who reads the program for what it sends has two places to look at"},
	"os":           {[]string{"cmd", "datasets", "nn/checkpoint", "nn/hub", "rmt", "tensor/internal/simd/asm", "tests/peers"}, "files are opened where errors can name them"},
	"math/rand":    {nil, "randomness is a tensor.Key and an index, never a hidden stream"},
	"math/rand/v2": {nil, "randomness is a tensor.Key and an index, never a hidden stream"},
	"reflect":      {nil, "what types can say is checked when compiling"},
	"testing":      {[]string{"tensor/tensortest", "autograd/gradcheck"}, "test support stays out of the program"},
}

// modules are the packages of others that may be used, with who may use them outside tests. A name stands for the
// package and for all below it. What each is for is said in the README.
var modules = map[string][]string{
	"github.com/google/go-cmp":            nil, // tests only
	"github.com/mumax/3/cuda/cu":          {"cuda"},
	"github.com/pkg/profile":              {"cmd"},
	"golang.org/x/image":                  {"cmd", "datasets"},
	"golang.org/x/sys":                    {"cmd", "cuda", "datasets/internal", "nn/checkpoint", "nn/hub", "rmt/cputime", "rmt/run", "tensor/internal"},
	"golang.org/x/term":                   {"cmd"},
	"golang.org/x/text":                   {"datasets", "text"},
	"gonum.org/v1/gonum":                  {"rmt/plan", "rmt/probe"},
	"gonum.org/v1/plot":                   {"cmd/fewshot/internal/draw"},
	"github.com/prometheus/client_golang": {"cmd/fewshot/internal/serve"},
}

// underCUDA are the packages that only files with a build constraint on the tag cuda may import.
var underCUDA = []string{"cuda", "github.com/mumax/3/cuda/cu"}

func TestImports(t *testing.T) {
	bad, seen := faults(t, os.DirFS(".."), "fewshot")
	for _, b := range bad {
		t.Error(b)
	}
	// A walk that lost its way would find nothing wrong.
	for _, want := range []string{"tensor", "tensor/internal/simd", "autograd", "optim", "nn", "nn/checkpoint", "nn/hub", "vit", "text", "rmt", "datasets", "cmd/fewshot", "tests"} {
		if !slices.Contains(seen, want) {
			t.Errorf("no file of package %s was read", want)
		}
	}
}

// TestImportRulesBite breaks each rule once, beside a use that is just allowed.
func TestImportRulesBite(t *testing.T) {
	tree := fstest.MapFS{}
	for name, src := range map[string]string{
		"tensor/ok.go":              `package tensor; import _ "m/tensor/internal/cpu"`,
		"tensor/internal/cpu/ok.go": `package cpu; import _ "unsafe"`,
		"tensor/tensortest/ok.go":   `package tensortest; import _ "testing"`,
		"tensor/x_test.go":          `package tensor; import (_ "os"; _ "reflect"; _ "math/rand/v2"; _ "github.com/google/go-cmp/cmp")`,
		"vit/ok.go":                 `package vit; import (_ "m/nn"; _ "m/nn/checkpoint"; _ "m/tensor")`,
		"nn/quote/ok.go":            `package quote; import _ "strconv"`,
		"datasets/leaf.go":          `package datasets; import _ "m/nn/quote"`,
		"text/ok.go":                `package text; import _ "golang.org/x/text/unicode/norm"`,
		"cuda/doc.go":               `package cuda`,
		"cuda/ok.go":                "//go:build cuda && linux\n\npackage cuda; import (_ \"C\"; _ \"unsafe\"; _ \"github.com/mumax/3/cuda/cu\")",
		"cmd/fewshot/cuda.go":       "//go:build cuda\n\npackage main; import _ \"m/cuda\"",
		"tests/ok_test.go":          `package tests; import (_ "m/rmt"; _ "m/vit"; _ "testing")`,
		"vit/testdata/skipped.go":   `package skipped; import _ "m/rmt"`,
		"_skipped/skipped.go":       `package skipped; import _ "m/rmt"`,
		".skipped/skipped.go":       `package skipped; import _ "m/rmt"`,

		"tensor/up.go":              `package tensor; import _ "m/autograd"`,
		"datasets/ours.go":          `package datasets; import _ "m/tensor"`,
		"vit/down_test.go":          `package vit; import _ "m/rmt"`,
		"rmt/train/up.go":           `package train; import _ "m/rmt"`,
		"rmt/sideways.go":           "//go:build windows && arm64\n\npackage rmt; import _ \"m/vit\"",
		"nn/quote/up.go":            `package quote; import _ "m/nn"`,
		"datasets/beside.go":        `package datasets; import _ "m/nn/quoted"`,
		"nn/deep.go":                `package nn; import _ "m/optim/sub"`,
		"autograd/rand.go":          `package autograd; import _ "math/rand"`,
		"autograd/rand2.go":         `package autograd; import _ "math/rand/v2"`,
		"optim/reflect.go":          `package optim; import _ "reflect"`,
		"vit/unsafe.go":             `package vit; import _ "unsafe"`,
		"nn/os.go":                  `package nn; import _ "os"`,
		"nn/http.go":                `package nn; import _ "net/http/cookiejar"`,
		"nn/room.go":                `package nn; import _ "m/nn/hub"`,
		"nn/hub/up.go":              `package hub; import _ "m/nn"`,
		"nn/export/ok.go":           `package export; import _ "m/nn/checkpoint"`,
		"nn/export/deep.go":         `package export; import _ "m/nn/hub"`,
		"nn/hub/sub/ok.go":          `package sub; import (_ "m/nn/hub"; _ "net/http"; _ "os")`,
		"text/testing.go":           `package text; import _ "testing"`,
		"nn/c.go":                   `package nn; import "C"`,
		"datasets/module.go":        `package datasets; import _ "github.com/x/y"`,
		"vit/module.go":             `package vit; import _ "golang.org/x/text/unicode/norm"`,
		"rmt/cmp.go":                `package rmt; import _ "github.com/google/go-cmp/cmp"`,
		"cuda/parent.go":            "//go:build cuda\n\npackage cuda; import _ \"github.com/mumax/3/cuda\"",
		"cuda/untagged.go":          `package cuda; import _ "github.com/mumax/3/cuda/cu"`,
		"cmd/fewshot/untagged.go":   `package main; import _ "m/cuda"`,
		"cmd/fewshot/not.go":        "//go:build !cuda\n\npackage main; import _ \"m/cuda\"",
		"cmd/fewshot/wrongly.go":    "//go:build cuda || linux\n\npackage main; import _ \"m/cuda\"",
		"surprise/surprise.go":      `package surprise`,
		"cmd/other/main.go":         `package main`,
		"tests/import_of_itself.go": `package tests; import _ "m/surprise"`,
	} {
		tree[name] = &fstest.MapFile{Data: []byte(src)}
	}
	want := []string{
		"autograd/rand.go: math/rand is for no package: randomness is a tensor.Key and an index, never a hidden stream",
		"autograd/rand2.go: math/rand/v2 is for no package: randomness is a tensor.Key and an index, never a hidden stream",
		"cmd/fewshot/not.go: cuda may only be imported under //go:build cuda",
		"cmd/fewshot/untagged.go: cuda may only be imported under //go:build cuda",
		"cmd/fewshot/wrongly.go: cuda may only be imported under //go:build cuda",
		"cmd/other: not in the rules",
		"cuda/parent.go: github.com/mumax/3/cuda is not among the modules that may be used",
		"cuda/untagged.go: github.com/mumax/3/cuda/cu may only be imported under //go:build cuda",
		"datasets/beside.go: datasets may not import nn",
		"datasets/module.go: github.com/x/y is not among the modules that may be used",
		"datasets/ours.go: datasets may not import tensor",
		"nn/c.go: C is for cuda: the program builds without a C compiler",
		"nn/deep.go: nn may not import optim",
		"nn/export/deep.go: nn/export may not import nn/hub",
		"nn/http.go: net/http/cookiejar is for nn/hub, cmd/fewshot/internal/serve: who reads the program for what it sends has two places to look at",
		"nn/hub/up.go: nn/hub may not import nn",
		"nn/os.go: os is for cmd, datasets, nn/checkpoint, nn/hub, rmt, tensor/internal/simd/asm, tests/peers: files are opened where errors can name them",
		"nn/quote/up.go: nn/quote is a leaf and may not import nn",
		"nn/room.go: nn may not import nn/hub",
		"optim/reflect.go: reflect is for no package: what types can say is checked when compiling",
		"rmt/cmp.go: github.com/google/go-cmp/cmp is for tests",
		"rmt/sideways.go: rmt may not import vit",
		"rmt/train/up.go: rmt/train may not import rmt",
		"surprise: not in the rules",
		"tensor/up.go: tensor may not import autograd",
		"tests/import_of_itself.go: tests may not import surprise",
		"text/testing.go: testing is for tensor/tensortest, autograd/gradcheck: test support stays out of the program",
		"vit/down_test.go: vit may not import rmt",
		"vit/module.go: golang.org/x/text/unicode/norm is for datasets, text",
		"vit/unsafe.go: unsafe is for cuda, tensor/internal: memory is handled in one place",
	}
	got, _ := faults(t, tree, "m")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// faults reads every Go file of a module, whatever its build constraints, and lists what breaks the rules,
// sorted, and the packages that it read.
func faults(t *testing.T, root fs.FS, module string) (bad, packages []string) {
	t.Helper()
	may := parseRules()
	eachGoFile(t, root, parser.ImportsOnly|parser.ParseComments, func(name string, f *ast.File) {
		pkg := path.Dir(name)
		if !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
			if _, ok := may[room(may, pkg)]; !ok {
				bad = append(bad, pkg+": not in the rules")
			}
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if fault := judge(may, module, name, f, p); fault != "" {
				bad = append(bad, name+": "+fault)
			}
		}
	})
	slices.Sort(bad)
	return bad, packages
}

// eachGoFile parses every Go file below root that the go command would see under some build constraints.
func eachGoFile(t *testing.T, root fs.FS, mode parser.Mode, do func(name string, f *ast.File)) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); d.IsDir() && name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, mode)
		if err == nil {
			do(name, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// judge says what is wrong with an import of p in a file, or nothing.
func judge(may map[string][]string, module, name string, f *ast.File, p string) string {
	pkg, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	p, ours := strings.CutPrefix(p, module+"/")
	if from := room(may, pkg); slices.Contains(underCUDA, p) && (!ours || from != "cuda") && !needsTag(f, "cuda") {
		return p + " may only be imported under //go:build cuda"
	}
	switch host, _, _ := strings.Cut(p, "/"); {
	case ours && leaves[pkg] != "" && p != pkg:
		return pkg + " is a leaf and may not import " + p
	case ours && leaves[p] != "":
	case ours:
		if from, to := room(may, pkg), room(may, p); from != to && !slices.Contains(may[from], to) {
			return from + " may not import " + to
		}
	case strings.Contains(host, "."):
		users, ok := owners(p)
		switch {
		case !ok:
			return p + " is not among the modules that may be used"
		case test || within(pkg, users):
		case users == nil:
			return p + " is for tests"
		default:
			return p + " is for " + strings.Join(users, ", ")
		}
	default:
		name := p
		r, ok := restricted[name]
		for !ok && strings.Contains(name, "/") {
			name = path.Dir(name)
			r, ok = restricted[name]
		}
		switch {
		case !ok || test || within(pkg, r.allowed):
		case r.allowed == nil:
			return p + " is for no package: " + r.reason
		default:
			return p + " is for " + strings.Join(r.allowed, ", ") + ": " + r.reason
		}
	}
	return ""
}

// owners are the packages that may use package p of another module.
func owners(p string) (users []string, ok bool) {
	for m, users := range modules {
		if within(p, []string{m}) {
			return users, true
		}
	}
	return nil, false
}

// room is the package with a line in the rules that p is or lies below, the nearest; without one its top-level
// package, or command.
func room(may map[string][]string, p string) string {
	for r := p; r != "."; r = path.Dir(r) {
		if _, ok := may[r]; ok {
			return r
		}
	}
	parts := strings.SplitN(p, "/", 3)
	if parts[0] == "cmd" && len(parts) > 1 {
		return "cmd/" + parts[1]
	}
	return parts[0]
}

// within reports whether p is one of the packages or below one.
func within(p string, packages []string) bool {
	return slices.ContainsFunc(packages, func(q string) bool { return p == q || strings.HasPrefix(p, q+"/") })
}

// needsTag reports whether f has a build constraint that cannot hold without the tag.
func needsTag(f *ast.File, tag string) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if x, err := constraint.Parse(c.Text); err == nil {
				return implies(x, tag)
			}
		}
	}
	return false
}

func implies(x constraint.Expr, tag string) bool {
	switch x := x.(type) {
	case *constraint.TagExpr:
		return x.Tag == tag
	case *constraint.AndExpr:
		return implies(x.X, tag) || implies(x.Y, tag)
	case *constraint.OrExpr:
		return implies(x.X, tag) && implies(x.Y, tag)
	}
	return false
}

func parseRules() map[string][]string {
	may := map[string][]string{}
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		p, deps, ok := strings.Cut(line, ":")
		if !ok || may[p] != nil {
			panic(fmt.Sprintf("rule %q: want one line a package, as \"a: b c\"", line))
		}
		may[p] = append([]string{}, strings.Fields(deps)...)
	}
	return may
}
