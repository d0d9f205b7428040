// Package predict is the text around fewshot predict: lists of paths, rows of predictions as CSV or JSON lines, and the file that they
// are written to, which can be gone on with.
package predict
