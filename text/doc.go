// Package text turns words into CLIP features: tokenizers, the text encoder, and the zero-shot classifier head made of
// class names.
//
// # Tokenizers
//
// A [Tokenizer] turns a text into ids. CLIP's own is [BPE], with the ids of OpenAI's SimpleTokenizer: a text is cleaned
// (clean.go, unescape.go, lower.go), cut into pieces (pieces.go), and each piece merged by its vocabulary (bpe.go), which
// [ReadVocabulary] reads from any of the forms in which people have it and [TrainBPE] learns. [Relative] is that of a
// relative of CLIP's, as SigLIP, from files that package text/subword reads.
//
// # The encoder
//
// An [Encoder] is built over the tensors of a checkpoint with OpenAI's names; [ConfigOf] reads its sizes off their shapes.
// [Encoder.Encode] takes tokenised texts of any lengths to features [N, Embed]. In a causal network no position sees a
// later one, so each text is run up to its end alone, and what texts have in common at their beginning once: a [Layout]
// says how the tokens of several texts lie in the rows of one matrix. Methods that learn vectors in the place of words
// (package rmt/prompt) lay out their own, and call [Encoder.EncodeRows].
//
// # Classifiers
//
// [Classifier] makes one feature of length 1 for each class, of one prompt template or of several, by either [Order] in
// which features may be normalised and averaged; [PromptClassifier] does so of prompts that each class has for itself.
package text
