package text

import (
	"cmp"
	"fmt"
	"slices"

	"fewshot/autograd"
)

// Layout is how the tokens of several texts lie in the rows of one matrix: nothing is padded that need not be, and what
// texts have in common at their beginning is there once, if the layout says so. No position of a causal network sees a
// later one, so that a prefix is the same in all texts: both are exact, to the bit where products of more rows are (see
// package tensor).
type Layout struct {
	groups    []autograd.Sequences
	rows      int
	positions []int32 // by row: its place in a text
	ends      []int32 // by text: the row of its end-of-text token
	keys      []int32 // by row: the row whose key and value it has; nil where that is itself
}

// Rows is how many rows there are.
func (l *Layout) Rows() int { return l.rows }

// Positions are the places in their texts that rows stand for.
func (l *Layout) Positions() []int32 { return l.positions }

// add appends count sequences of n rows each, behind a prefix, and returns the first of their rows.
func (l *Layout) add(count, n, prefix, shared int) int {
	first := l.rows
	l.groups = append(l.groups, autograd.Sequences{First: first, Count: count, Len: n, Prefix: prefix, Shared: shared})
	for range count {
		for i := range n {
			l.positions = append(l.positions, int32(shared+i))
		}
	}
	l.rows += count * n
	return first
}

// Continued lays out texts that continue the same first shared tokens: text i has lengths[i] more, at least one, the
// last of which is its end. Rows are those of the prefix, then of the texts, in their order where lengths are equal.
// where[i] is the first row of text i. With shared 0, texts have nothing in common.
func Continued(shared int, lengths []int) (l *Layout, where []int) {
	l, where = &Layout{ends: make([]int32, len(lengths))}, make([]int, len(lengths))
	if shared > 0 {
		l.add(1, shared, 0, 0)
	}
	l.continued(0, shared, lengths, indices(len(lengths)), where)
	return l, where
}

// Apart lays out texts of length rows each that have nothing in common, as those are run that see their padding. ends
// are where in a text its feature is read.
func Apart(length int, ends []int32) *Layout {
	l := &Layout{}
	l.add(len(ends), length, 0, 0)
	for i, at := range ends {
		l.ends = append(l.ends, int32(i*length)+at)
	}
	return l
}

// continued appends texts behind a prefix, the shortest first.
func (l *Layout) continued(prefix, shared int, lengths, texts, where []int) {
	texts = slices.Clone(texts)
	slices.SortStableFunc(texts, func(i, j int) int { return cmp.Compare(lengths[i], lengths[j]) })
	for len(texts) > 0 {
		n := lengths[texts[0]]
		count := 1
		for count < len(texts) && lengths[texts[count]] == n {
			count++
		}
		first := l.add(count, n, prefix, shared)
		for k, i := range texts[:count] {
			where[i] = first + k*n
			l.ends[i] = int32(where[i] + n - 1)
		}
		texts = texts[count:]
	}
}

// Combine puts layouts one behind the other; the rows of each follow those of the one before.
func Combine(layouts ...*Layout) *Layout {
	all := &Layout{}
	for _, l := range layouts {
		for _, g := range l.groups {
			g.First += all.rows
			if g.Shared > 0 {
				g.Prefix += all.rows
			}
			all.groups = append(all.groups, g)
		}
		for _, e := range l.ends {
			all.ends = append(all.ends, e+int32(all.rows))
		}
		all.positions = append(all.positions, l.positions...)
		all.rows += l.rows
	}
	return all
}

// layoutOf is a layout of tokenised texts, each up to its end, that has as few rows as prefixes which texts share can
// save, and the rows' ids.
func layoutOf(texts [][]int32) (*Layout, []int32) {
	order := indices(len(texts))
	slices.SortStableFunc(order, func(i, j int) int { return slices.Compare(texts[i], texts[j]) })
	l, where := &Layout{ends: make([]int32, len(texts))}, make([]int, len(texts))
	lengths := make([]int, len(texts))
	shared := make([]int, len(texts))
	var ids []int32
	families, _ := fewest(texts, order, 0)
	for i, f := range families {
		if len(f.texts) == 1 {
			families[i].shared = 0
		}
	}
	// All prefixes come first, those of equal length as one group.
	slices.SortStableFunc(families, func(a, b family) int { return cmp.Compare(a.shared, b.shared) })
	prefix := make([]int, len(families))
	for i := 0; i < len(families); {
		n, count := families[i].shared, 1
		for i+count < len(families) && families[i+count].shared == n {
			count++
		}
		if n > 0 {
			first := l.add(count, n, 0, 0)
			for k := range count {
				prefix[i+k] = first + k*n
				ids = append(ids, texts[families[i+k].texts[0]][:n]...)
			}
		}
		i += count
	}
	var alone []int
	for _, f := range families {
		for _, i := range f.texts {
			shared[i], lengths[i] = f.shared, len(texts[i])-f.shared
		}
		if f.shared == 0 {
			alone = append(alone, f.texts...)
		}
	}
	l.continued(0, 0, lengths, alone, where)
	for k, f := range families {
		if f.shared > 0 {
			l.continued(prefix[k], f.shared, lengths, f.texts, where)
		}
	}
	ids = slices.Grow(ids, l.rows-len(ids))[:l.rows]
	for i, text := range texts {
		copy(ids[where[i]:], text[shared[i]:])
	}
	return l, ids
}

// family are texts that share their first tokens.
type family struct {
	shared int
	texts  []int
}

// fewest divides texts, sorted and equal in their first from tokens, into families such that there are as few rows as
// can be.
func fewest(texts [][]int32, order []int, from int) (best []family, rows int) {
	first, last := texts[order[0]], texts[order[len(order)-1]]
	shared, most := from, min(len(first), len(last))-1 // an end is nobody's prefix
	for shared < most && first[shared] == last[shared] {
		shared++
	}
	total := 0
	for _, i := range order {
		total += len(texts[i])
	}
	best, rows = []family{{shared, order}}, total-(len(order)-1)*shared
	if first[shared] == last[shared] { // one text, or equal ones
		return best, rows
	}
	var apart []family
	sum := 0
	for len(order) > 0 {
		n := 1
		for n < len(order) && texts[order[n]][shared] == texts[order[0]][shared] {
			n++
		}
		f, r := fewest(texts, order[:n], shared)
		apart, sum, order = append(apart, f...), sum+r, order[n:]
	}
	if sum < rows {
		return apart, sum
	}
	return best, rows
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// check panics unless there is an embedding for each row.
func (l *Layout) check(x *autograd.Var, width int) {
	if s := x.Shape(); len(s) != 2 || s[0] != l.rows || s[1] != width {
		panic(fmt.Sprintf("text: embeddings %v for texts of %d rows of %d", s, l.rows, width))
	}
}
