package main

import (
	"strings"

	"fewshot/nn/words"
)

// nearest is the one of names that s was most likely meant to be: with at most a third of its letters, and no more than three,
// written otherwise. "" if there is none.
func nearest(s string, names []string) string {
	best, least := "", 1+min(len(s)/3, 3)
	for _, n := range names {
		if d := words.Distance(strings.ToLower(s), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}
