package text

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// learnByRecounting is training as it is defined: count all pairs, merge the first of the most frequent, start over.
func learnByRecounting(t *testing.T, corpus []string, merges int) *BPE {
	tok := newTokenizer(0)
	var words [][]string
	for _, caption := range corpus {
		cleaned, err := clean(caption)
		if err != nil {
			t.Fatal(err)
		}
		for piece := range pieces(cleaned) {
			var word []string
			for i := range len(piece) {
				word = append(word, string(byteLetter[piece[i]]))
			}
			word[len(word)-1] += endOfWord
			words = append(words, word)
		}
	}
	for range merges {
		counts := map[[2]string]int{}
		for _, w := range words {
			for i := 1; i < len(w); i++ {
				counts[[2]string{w[i-1], w[i]}]++
			}
		}
		var best [2]string
		for p, n := range counts {
			if n >= 2 && (counts[best] == 0 || cmp.Or(-cmp.Compare(n, counts[best]), slices.Compare(p[:], best[:])) < 0) {
				best = p
			}
		}
		if counts[best] == 0 {
			break
		}
		if err := tok.addMerge(best[0], best[1]); err != nil {
			t.Fatal(err)
		}
		for k, w := range words {
			for i := 1; i < len(w); i++ {
				if w[i-1] == best[0] && w[i] == best[1] {
					w = slices.Replace(w, i-1, i+1, best[0]+best[1])
				}
			}
			words[k] = w
		}
	}
	tok.addSpecials()
	return tok
}

func TestTrainBPEEqualsRecounting(t *testing.T) {
	check := func(corpus []string, merges int) {
		t.Helper()
		got, err := TrainBPE(slices.Values(corpus), merges)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := mergesOf(t, got), mergesOf(t, learnByRecounting(t, corpus, merges)); a != b {
			t.Fatalf("%d merges of %q:\n got %s\nwant %s", merges, corpus, a, b)
		}
	}
	for _, merges := range []int{0, 1, 10, 100, 500} {
		check(smallCorpus, merges)
	}
	// Random words of few letters: runs that overlap with themselves, and many ties.
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		letters := 1 + rng.IntN(3)
		corpus := make([]string, 1+rng.IntN(12))
		for i := range corpus {
			word := make([]byte, 1+rng.IntN(12))
			for k := range word {
				word[k] = 'a' + byte(rng.IntN(letters))
			}
			corpus[i] = string(word)
		}
		check(corpus, 30)
	}
}

func TestTrainBPE(t *testing.T) {
	// Worked by hand. In "low low lower lowest" o-w is in lower and lowest, l-o in all four and so first; in low the w
	// ends the word. Then lo-w</w> and lo-w twice each: "w" sorts before "w</w>". Then lo-w</w>, and low-e.
	tok, err := TrainBPE(slices.Values([]string{"low low lower lowest <|endoftext|>"}), 4)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mergesOf(t, tok), "#version: 0.2\nl o\nlo w\nlo w</w>\nlow e\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	forward, err := TrainBPE(slices.Values(smallCorpus), 50)
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(smallCorpus)
	slices.Reverse(reversed)
	backward, err := TrainBPE(slices.Values(reversed), 50)
	if err != nil {
		t.Fatal(err)
	}
	if mergesOf(t, forward) != mergesOf(t, backward) {
		t.Error("the order of the corpus changes the merges")
	}
	if got, want := forward.Size(), 512+50+2; got != want {
		t.Errorf("size %d, want %d", got, want)
	}

	// A corpus that runs out of pairs: every word that occurs twice is one symbol, and no more is learnt.
	all, err := TrainBPE(slices.Values([]string{"dog cat", "cat dog", "once"}), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mergesOf(t, all), "#version: 0.2\na t</w>\nc at</w>\nd o\ndo g</w>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTrainBPERefuses(t *testing.T) {
	var bad *TextError
	if _, err := TrainBPE(slices.Values([]string{"fine", "not\xff"}), 10); !errors.As(err, &bad) || bad.Text != "not\xff" {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{-1, maxMerges + 1} {
		if _, err := TrainBPE(slices.Values(smallCorpus), n); err == nil || !strings.Contains(err.Error(), "cannot learn") {
			t.Errorf("%d merges: %v", n, err)
		}
	}
}
