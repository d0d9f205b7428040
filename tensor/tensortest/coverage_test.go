package tensortest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// methodsOf lists the methods of package tensor's Backend, from the interfaces that it is made of.
func methodsOf(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../backend.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	interfaces := map[string]*ast.InterfaceType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok {
			if i, ok := s.Type.(*ast.InterfaceType); ok {
				interfaces[s.Name.Name] = i
			}
		}
		return true
	})
	var collect func(name string)
	collect = func(name string) {
		i, ok := interfaces[name]
		if !ok {
			t.Fatalf("backend.go has no interface %s", name)
		}
		for _, m := range i.Methods.List {
			if len(m.Names) == 0 {
				collect(m.Type.(*ast.Ident).Name)
			}
			for _, n := range m.Names {
				names = append(names, n.Name)
			}
		}
	}
	collect("Backend")
	return names
}

// elsewhere are methods without a case of their own.
var elsewhere = map[string]string{"Free": "the case Alloc frees", "FreeBytes": "the case AllocBytes frees", "Close": "Run and SameBits close"}

func TestEveryBackendMethodHasACase(t *testing.T) {
	methods := methodsOf(t)
	if len(methods) < 40 {
		t.Fatalf("found only the methods %v", methods)
	}
	var covered []string
	for _, c := range table() {
		covered = append(covered, c.method())
		if !slices.Contains(methods, c.method()) {
			t.Errorf("case %q is about no method of tensor.Backend", c.name)
		}
	}
	for _, m := range methods {
		if !slices.Contains(covered, m) && elsewhere[m] == "" {
			t.Errorf("tensor.Backend.%s has no case", m)
		}
	}
}

// Each function of package tensor that takes a tensor is called from the file here that has the name of
// the function's own; one that takes several must be seen to refuse shapes that do not fit.
func TestEveryCheckedFunctionIsCalled(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			tensors := tensorParameters(f)
			if tensors == 0 {
				continue
			}
			found++
			name, here := f.Name.Name, filepath.Base(path)
			source, err := os.ReadFile(here)
			if err != nil {
				t.Errorf("tensor.%s: %v", name, err)
				continue
			}
			if !regexp.MustCompile(`\btensor\.` + name + `\b`).Match(source) {
				t.Errorf("%s does not call tensor.%s", here, name)
			}
			if tensors > 1 && !regexp.MustCompile(`(rejects|bad|suffixed)\("`+name+`\b`).Match(source) {
				t.Errorf("%s does not try tensor.%s with shapes that do not fit", here, name)
			}
		}
	}
	if found < 40 {
		t.Errorf("found only %d functions", found)
	}
}

// tensorParameters counts the parameters of type *Tensor.
func tensorParameters(f *ast.FuncDecl) (n int) {
	for _, p := range f.Type.Params.List {
		if star, ok := p.Type.(*ast.StarExpr); ok {
			if id, ok := star.X.(*ast.Ident); ok && id.Name == "Tensor" {
				n += len(p.Names)
			}
		}
	}
	return n
}
