package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// wellKnown are methods whose names are their whole explanation, as they satisfy interfaces of the standard
// library.
var wellKnown = []string{"Error", "Is", "String", "Unwrap"}

// TestEverythingExportedIsExplained asks a package comment of every package, and a doc comment of every exported
// function, type, constant, variable, and method of an exported type. Packages below an internal directory and
// commands have no surface.
func TestEverythingExportedIsExplained(t *testing.T) {
	bad, seen := unexplained(t, os.DirFS(".."))
	for _, b := range bad {
		t.Error(b)
	}
	if seen < 300 {
		t.Errorf("only %d exported names were seen", seen)
	}
}

func TestUnexplainedIsFound(t *testing.T) {
	tree := fstest.MapFS{
		"a/doc.go":             {Data: []byte("// Package a is explained.\npackage a\n")},
		"a/a.go":               {Data: []byte("package a\n\nfunc F() {}\n\n// G is explained.\nfunc G() {}\n\ntype T int\n\nfunc (T) M() {}\n\nfunc (T) String() string { return \"\" }\n\ntype hidden int\n\nfunc (hidden) M() {}\n")},
		"a/values.go":          {Data: []byte("package a\n\nconst C = 1\n\nconst (\n\tK T = iota // K is explained.\n\tL\n)\n\n// All of these are explained.\nconst (\n\tD = 1\n\tE = 2\n)\n\nvar (\n\tV = 1\n\tW = 2 // W is explained.\n)\n")},
		"a/a_test.go":          {Data: []byte("package a\n\nfunc TestX() {}\n")},
		"a/internal/b/b.go":    {Data: []byte("package b\n\nfunc F() {}\n")},
		"a/testdata/c.go":      {Data: []byte("package c\n\nfunc F() {}\n")},
		"b/b.go":               {Data: []byte("package b\n")},
		"cmd/x/main.go":        {Data: []byte("package main\n\nfunc Exported() {}\n")},
		"a/generic/generic.go": {Data: []byte("// Package generic is explained.\npackage generic\n\n// T is explained.\ntype T[K any] struct{}\n\nfunc (*T[K]) M() {}\n")},
	}
	want := []string{"a.C", "a.F", "a.T", "a.T.M", "a.V", "a/generic.T.M", "b: no package comment", "cmd/x: no package comment"}
	got, _ := unexplained(t, tree)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// unexplained lists what has no comment, sorted, and counts what should have one.
func unexplained(t *testing.T, root fs.FS) (bad []string, seen int) {
	t.Helper()
	explained := map[string]bool{} // packages with a comment
	need := func(pkg string, ok bool, names ...string) {
		seen++
		if !ok {
			bad = append(bad, pkg+"."+strings.Join(names, "."))
		}
	}
	eachGoFile(t, root, parser.ParseComments|parser.SkipObjectResolution, func(name string, f *ast.File) {
		pkg := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") || slices.Contains(strings.Split(pkg, "/"), "internal") {
			return
		}
		explained[pkg] = explained[pkg] || f.Doc != nil
		if f.Name.Name == "main" {
			return
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				switch of := receiver(d); {
				case !d.Name.IsExported():
				case d.Recv == nil:
					need(pkg, d.Doc != nil, d.Name.Name)
				case ast.IsExported(of) && !slices.Contains(wellKnown, d.Name.Name):
					need(pkg, d.Doc != nil, of, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							need(pkg, d.Doc != nil || s.Doc != nil, s.Name.Name)
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								// The values of an enumeration are explained by its type.
								need(pkg, d.Doc != nil || s.Doc != nil || s.Comment != nil || d.Tok == token.CONST && s.Values == nil, n.Name)
							}
						}
					}
				}
			}
		}
	})
	for pkg, ok := range explained {
		if !ok {
			bad = append(bad, pkg+": no package comment")
		}
	}
	slices.Sort(bad)
	return bad, seen
}

// receiver is the name of the type that f is a method of.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	x := f.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}
