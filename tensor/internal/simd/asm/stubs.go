package main

import (
	"bytes"
	"fmt"
	"strings"
)

// stubs collects the Go side: declarations, and the tables of tile kernels by height and width.
type stubs struct {
	declarations bytes.Buffer
	tables       bytes.Buffer
}

func (s *stubs) add(name, in, out, doc string) {
	fmt.Fprintln(&s.declarations)
	for line := range strings.SplitSeq(strings.TrimSpace(doc), "\n") {
		fmt.Fprintln(&s.declarations, strings.TrimRight("// "+line, " "))
	}
	fmt.Fprintf(&s.declarations, "//\n//go:noescape\nfunc %s(%s)%s\n", name, in, results(out))
}

func (s *stubs) bytes() []byte {
	return []byte(header + "package simd\n" + s.declarations.String() + s.tables.String())
}
