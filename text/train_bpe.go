package text

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// minPairCount is how often a pair must occur to become a merge. One that occurs once teaches nothing about other
// texts.
const minPairCount = 2

// A countedWord is a distinct word of a corpus, as the symbols that it is made of so far.
type countedWord struct {
	symbols []int32
	count   int
}

// pairs yields the neighbouring symbols of a word.
func (w countedWord) pairs() iter.Seq[pair] {
	return func(yield func(pair) bool) {
		for i := 1; i < len(w.symbols); i++ {
			if !yield(pair{w.symbols[i-1], w.symbols[i]}) {
				return
			}
		}
	}
}

// has tells whether a pair occurs in a word.
func (w countedWord) has(p pair) bool {
	for q := range w.pairs() {
		if q == p {
			return true
		}
	}
	return false
}

// TrainBPE learns a vocabulary from a corpus of captions by byte-pair encoding (Sennrich et al., 2016): again and again
// it makes a merge of the pair of neighbouring symbols that occurs most often, equal ones in the lexical order of their
// spellings. The corpus is cleaned and cut into pieces as in [BPE.Encode], so the merges fit its use.
//
// It learns the given number of merges, fewer if no pair is left that occurs twice; [BPE.Size] tells. The result
// depends on how often words occur in the corpus, not on their order. An error is a caption's *[TextError], or a number
// of merges out of range.
func TrainBPE(corpus iter.Seq[string], merges int) (*BPE, error) {
	if merges < 0 || merges > maxMerges {
		return nil, fmt.Errorf("text: cannot learn %d merges: choose 0 to %d", merges, maxMerges)
	}
	t := newTokenizer(merges)
	words, err := countWords(corpus)
	if err != nil {
		return nil, err
	}
	counts := make(map[pair]int)
	for _, w := range words {
		for p := range w.pairs() {
			counts[p] += w.count
		}
	}
	for len(t.halves) < merges {
		best, ok := t.mostFrequent(counts)
		if !ok {
			break
		}
		// No two pairs make the same symbol: whatever spells it was merged in the same steps wherever it stands.
		if err := t.addMerge(t.symbols[best.left], t.symbols[best.right]); err != nil {
			return nil, fmt.Errorf("text: learning merges: merge %d %w", len(t.halves)+1, err)
		}
		for i := range words {
			t.mergeWord(&words[i], best, counts)
		}
	}
	t.addSpecials()
	return t, nil
}

// countWords counts the distinct pieces of a corpus, special tokens left out, in lexical order.
func countWords(corpus iter.Seq[string]) ([]countedWord, error) {
	counts := make(map[string]int)
	for caption := range corpus {
		cleaned, err := clean(caption)
		if err != nil {
			return nil, err
		}
		for piece := range pieces(cleaned) {
			if piece != startOfText && piece != endOfText {
				counts[piece]++
			}
		}
	}
	var words []countedWord
	for _, piece := range slices.Sorted(maps.Keys(counts)) {
		w := countedWord{count: counts[piece]}
		for i := range len(piece) {
			w.symbols = append(w.symbols, byteID[piece[i]])
		}
		w.symbols[len(w.symbols)-1] += endOfWordIDs
		words = append(words, w)
	}
	return words, nil
}

// mostFrequent is the pair to merge next. The order on pairs is total, so the order of the map is without effect.
func (t *BPE) mostFrequent(counts map[pair]int) (best pair, ok bool) {
	for p, n := range counts {
		if n < minPairCount {
			continue
		}
		if !ok || n > counts[best] || n == counts[best] && t.comparePairs(p, best) < 0 {
			best, ok = p, true
		}
	}
	return best, ok
}

// comparePairs orders pairs by the spelling of their symbols.
func (t *BPE) comparePairs(p, q pair) int {
	if c := strings.Compare(t.symbols[p.left], t.symbols[q.left]); c != 0 {
		return c
	}
	return strings.Compare(t.symbols[p.right], t.symbols[q.right])
}

// mergeWord merges a pair wherever it stands in a word, left to right, and keeps counts up to date.
func (t *BPE) mergeWord(w *countedWord, p pair, counts map[pair]int) {
	if !w.has(p) {
		return
	}
	for q := range w.pairs() {
		if counts[q] -= w.count; counts[q] == 0 {
			delete(counts, q)
		}
	}
	kept := w.symbols[:0]
	for i := 0; i < len(w.symbols); i++ {
		if i+1 < len(w.symbols) && (pair{w.symbols[i], w.symbols[i+1]}) == p {
			kept = append(kept, t.merged[p])
			i++
		} else {
			kept = append(kept, w.symbols[i])
		}
	}
	w.symbols = kept
	for q := range w.pairs() {
		counts[q] += w.count
	}
}
