// Package words makes numbers agree with what they count, in what people read, and says how far a word is from the one
// that they meant.
package words

import (
	"strconv"
	"strings"
)

// Count is a number with what is counted, the plural by its ending: 1 image, 2 images, 3 classes, 4 entries. Words
// before the last are as they are: 2 test images.
func Count(n int, thing string) string {
	return Plural(n, thing, plural(thing))
}

// Plural is a number and the words after it, of one or of several.
func Plural(n int, one, several string) string {
	if n == 1 {
		several = one
	}
	return strconv.Itoa(n) + " " + several
}

func plural(thing string) string {
	for _, end := range []string{"s", "x", "sh", "tch"} {
		if strings.HasSuffix(thing, end) {
			return thing + "es"
		}
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])) {
		return stem + "ies"
	}
	return thing + "s"
}
