package main

import "strings"

// nearest is the one of names that s was most likely meant to be: with at most a third of its letters, and no more than three,
// written otherwise. "" if there is none.
func nearest(s string, names []string) string {
	best, least := "", 1+min(len(s)/3, 3)
	for _, n := range names {
		if d := editDistance(strings.ToLower(s), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and exchanges of neighbours.
func editDistance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			d := row[j]
			if a[i] != b[j] {
				d++
			}
			d = min(d, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			next[j+1] = d
		}
		before, row = row, next
	}
	return row[len(b)]
}
