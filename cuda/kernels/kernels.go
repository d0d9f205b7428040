// Package kernels is the device code: CUDA C++ in files named after the families of package tensor, and the PTX
// that build.sh makes of it with a pinned compiler. Both are committed, so that nothing but a driver is needed
// to run, and nothing of CUDA's to build.
package kernels

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed *.ptx
var files embed.FS

// Kernel is an entry of a module.
type Kernel struct {
	Name     string
	ArgBytes int // size of its one argument
}

// Module is the PTX of one family.
type Module struct {
	Family  string
	PTX     []byte // ends in a zero byte, as the driver wants it
	Kernels []Kernel
}

// Modules are all kernels, by family.
func Modules() ([]Module, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Module
	for _, e := range entries {
		ptx, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		k, err := entryPoints(string(ptx))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, Module{Family: strings.TrimSuffix(e.Name(), ".ptx"), PTX: append(ptx, 0), Kernels: k})
	}
	return all, nil
}

// entryPoints reads names and argument sizes off PTX, where a kernel begins with
//
//	.visible .entry add(
//	.param .align 8 .b8 add_param_0[72]
//	)
func entryPoints(ptx string) ([]Kernel, error) {
	var all []Kernel
	for {
		_, rest, found := strings.Cut(ptx, ".visible .entry ")
		if !found {
			return all, nil
		}
		name, rest, _ := strings.Cut(rest, "(")
		_, size, _ := strings.Cut(rest, name+"_param_0[")
		digits, after, _ := strings.Cut(size, "]")
		n, err := strconv.Atoi(digits)
		if err != nil || !strings.HasPrefix(strings.TrimSpace(after), ")") {
			return nil, fmt.Errorf("kernel %s has not just one argument, a structure", name)
		}
		all = append(all, Kernel{name, n})
		ptx = after
	}
}
