package datasets

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// An UnknownError is returned for a data set that is neither in the table nor a folder.
type UnknownError struct {
	Root, Name string
	// Nearest is a name that may be meant, or empty.
	Nearest string
}

func unknown(root, name string) *UnknownError {
	return &UnknownError{root, name, nearest(root, name)}
}

// Error lists the names that would be known.
func (e *UnknownError) Error() string {
	hint := ""
	if e.Nearest != "" {
		hint = fmt.Sprintf(". Did you mean %s?", quote.Plain(e.Nearest))
	}
	return fmt.Sprintf("unknown data set %s: not a folder in %s (a path needs a slash, as in %s) and not one of %s%s",
		quote.String(e.Name), quote.Plain(e.Root), quote.Plain("./"+e.Name), strings.Join(Names(), ", "), hint)
}

// nearest is the name of a data set, of the table or a folder in root, that differs from name by few letters, or "".
func nearest(root, name string) string {
	best, least := "", 1+len(fold(name))/3
	try := func(known, spelling string) {
		if n := words.Distance(fold(name), fold(spelling)); n < least {
			best, least = known, n
		}
	}
	for i := range table {
		for _, spelling := range append([]string{table[i].Name, table[i].Title}, table[i].aliases...) {
			try(table[i].Name, spelling)
		}
	}
	entries, _ := os.ReadDir(root) // a root that cannot be listed has no near names
	for _, e := range entries {
		if !isJunk(e.Name()) && isDir(filepath.Join(root, e.Name())) {
			try(e.Name(), e.Name())
		}
	}
	return best
}
