package quote

import (
	"regexp"
	"strings"
)

// ordinary is a word that a shell takes as it is.
var ordinary = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)

// Shell is a command line, or a part of one, that a POSIX shell reads as these words, and PowerShell, too, unless there
// are quotation marks in them.
func Shell(words ...string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if !ordinary.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		b.WriteString(w)
	}
	return b.String()
}
