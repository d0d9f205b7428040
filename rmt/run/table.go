package run

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/rmt/adapter"
	"fewshot/rmt/method"
	"fewshot/rmt/probe"
	"fewshot/rmt/prompt"
)

// Methods is the table of all methods: each package's rows, in the order in which they are shown.
func Methods() []*method.Method {
	return slices.Concat(maskMethods(), prompt.Methods(), adapter.Methods(), probe.Methods())
}

// Lookup finds a method by name.
func Lookup(name string) (*method.Method, error) {
	var names []string
	for _, m := range Methods() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("method %q is not known; there are %s", name, strings.Join(names, ", "))
}
