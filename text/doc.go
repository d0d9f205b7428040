// Package text turns words into CLIP features: tokenizers (CLIP's byte pairs, and those of its relatives, whose files
// text/subword reads), the text encoder, and the zero-shot classifier head made of class names.
package text
