package text_test

import (
	"fmt"
	"log"
	"slices"
	"strings"

	"fewshot/text"
)

// A vocabulary of a few merges. OpenAI's is read in the same way from bpe_simple_vocab_16e6.txt.gz.
func ExampleReadMerges() {
	const merges = `#version: 0.2
d o
do g</w>
c a
ca t</w>
`
	tok, err := text.ReadMerges("merges.txt", strings.NewReader(merges))
	if err != nil {
		log.Fatal(err)
	}
	ids, err := tok.Tokenize("A  dog &amp; a CAT", 77, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids)
	fmt.Println(tok.Decode(ids))
	fmt.Println(tok.Size(), "ids, start", tok.SOT(), "end", tok.EOT())
	// Output:
	// [516 320 513 261 320 515 517]
	// <|startoftext|>a dog & a cat <|endoftext|>
	// 518 ids, start 516 end 517
}

// A text that is too long for the context is an error that names it, unless it may be cut.
func ExampleBPE_Tokenize() {
	tok, err := text.TrainBPE(slices.Values([]string{"a red circle", "a red square", "a blue circle"}), 20)
	if err != nil {
		log.Fatal(err)
	}
	_, err = tok.Tokenize("a red circle on a blue square", 8, false)
	fmt.Println(err)
	ids, err := tok.Tokenize("a red circle on a blue square", 8, true)
	fmt.Println(len(ids), ids[7] == tok.EOT(), err)
	// Output:
	// text "a red circle on a blue square" makes 18 tokens (start and end included), the context holds 8: shorten it
	// 8 true <nil>
}

// Learning a vocabulary from captions, and writing it in the form that Hugging Face's tokenizers read.
func ExampleTrainBPE() {
	captions := []string{"low low low", "lower", "slow"}
	tok, err := text.TrainBPE(slices.Values(captions), 3)
	if err != nil {
		log.Fatal(err)
	}
	var b strings.Builder
	if err := tok.WriteMerges(&b); err != nil {
		log.Fatal(err)
	}
	fmt.Print(b.String())
	// Output:
	// #version: 0.2
	// l o
	// lo w</w>
}
