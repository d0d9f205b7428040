package subword

import (
	"math"
	"slices"
	"unicode/utf8"
)

// A unigram is a model that has a score for each piece: a text is cut where the sum of scores is largest.
type unigram struct {
	ids     map[string]int32 // of pieces that texts are cut into
	score   func(id int32, bytes int) float64
	longest int // bytes of the longest piece
	unknown int32
	penalty float64 // what an unknown character scores
	single  bool    // sums are float32, and so the score of an unknown character
}

// unknownPenalty is how far below the worst piece an unknown character scores.
const unknownPenalty = 10

// A way is the best one to come to a place in the text.
type way struct {
	sum  float64
	from int32 // where the last piece begins; −1 where nothing leads
	id   int32
}

// A cut is a piece of a text.
type cut struct {
	from, to int
	id       int32
}

// best cuts s, in order. Where two ways score the same, the one that was found first wins: its last piece is longer.
func (u *unigram) best(s string) []cut {
	ways := make([]way, len(s)+1)
	for i := range ways {
		ways[i].from = -1
	}
	round := func(x float64) float64 {
		if u.single {
			return float64(float32(x))
		}
		return x
	}
	come := func(at, to int, id int32, score float64) {
		sum := round(score + ways[at].sum)
		if w := &ways[to]; w.from < 0 || sum > w.sum {
			*w = way{sum, int32(at), id}
		}
	}
	for at := 0; at < len(s); {
		_, char := utf8.DecodeRuneInString(s[at:])
		known := false
		for n := 1; n <= u.longest && at+n <= len(s); n++ {
			if at+n < len(s) && !utf8.RuneStart(s[at+n]) {
				continue
			}
			id, ok := u.ids[s[at:at+n]]
			if !ok {
				continue
			}
			come(at, at+n, id, u.score(id, n))
			known = known || n == char
		}
		if !known {
			come(at, at+char, u.unknown, u.penalty)
		}
		at += char
	}
	var cuts []cut
	for to := len(s); to > 0; {
		w := ways[to]
		cuts = append(cuts, cut{int(w.from), to, w.id})
		to = int(w.from)
	}
	slices.Reverse(cuts)
	return cuts
}

// finite says whether a score is a number.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
