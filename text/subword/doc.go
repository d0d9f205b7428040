// Package subword reads the tokenizers of CLIP's relatives from their own files, strictly and with bounds, and gives
// the ids that the libraries which wrote them give:
//
//	spiece.model, tokenizer.model   SentencePiece: unigram and BPE models, with the precompiled normalizer and byte fallback
//	tokenizer.json                  Hugging Face's tokenizers: Unigram, BPE and WordPiece models with the steps around them
//	vocab.txt                       BERT's word pieces
//
// The two libraries differ where one would expect them to be equal: the first normalizes by the longest rule that
// fits, the second by the shortest that a grapheme begins with; the first joins unknown characters only where bytes
// do not spell them, the second knows no bytes unless the file says so; and what the second calls an added token is
// cut out of a text before anything else. So each file is read by the rules of its own library. What a text goes
// through before (lower case, punctuation) and what stands around its ids is the affair of package text.
//
// A file that has a step which is not computed here is refused by the step's name.
package subword

// A Tokenizer turns texts into ids and back. It never changes once read and may be used by several goroutines at once.
type Tokenizer interface {
	// Size is the number of the model's pieces. Tokens that were added have ids behind theirs.
	Size() int
	// Append appends the ids of a text, which must be UTF-8, without what stands around it.
	Append(ids []int32, text string) []int32
	// Around are the ids that the file puts before a text and behind it.
	Around() (before, behind []int32)
	// ID is that of a piece as it is spelt in the file.
	ID(piece string) (int32, bool)
	// Decode is the text that ids spell, for people to read. Ids that there are not show as U+FFFD.
	Decode(ids []int32) string
}

// Limits on what is read. The largest files in use are Gemma's, of 256,000 pieces and 34 MB as JSON, and XLM-V's, of
// 901,629.
const (
	MaxFile   = 128 << 20 // bytes
	maxPieces = 1 << 22
	maxPiece  = 4096 // bytes of a piece; that of Claude has runs of 512 blanks, of two bytes each
	maxAdded  = 1 << 14
)

// A FileError tells what is wrong with a file.
type FileError struct {
	File   string
	Reason string
}

// Error gives file and reason.
func (e *FileError) Error() string { return e.File + ": " + e.Reason }
