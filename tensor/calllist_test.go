package tensor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"testing"
)

// A method of Backend that callList does not declare would be that of the backend inside it, and be done at once while a
// program is recorded, and never again.
func TestCallListIsComplete(t *testing.T) {
	notRecorded := []string{"Describe", "Kernels", "ElementSize", "Free", "FreeBytes", "Close"}
	file, err := parser.ParseFile(token.NewFileSet(), "calllist.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
			declared = append(declared, f.Name.Name)
		}
	}
	backend := reflect.TypeFor[Backend]()
	for i := range backend.NumMethod() {
		if name := backend.Method(i).Name; !slices.Contains(declared, name) && !slices.Contains(notRecorded, name) {
			t.Errorf("callList does not record %s", name)
		}
	}
}
