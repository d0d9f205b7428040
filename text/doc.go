// Package text turns words into CLIP features: the byte-pair tokenizer, the text encoder, and the
// zero-shot classifier head made of class names.
package text
