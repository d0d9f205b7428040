package method

import (
	"maps"
	"slices"
)

// Order are the names of given flags in the order in which they are set: first those that change what others are where these are not given, which
// settings name by a method Presets. Set later, a convention would take back what was given beside it.
func Order(s Settings, given map[string]string) []string {
	names := slices.Sorted(maps.Keys(given))
	of, ok := s.(interface{ Presets() []string })
	if !ok {
		return names
	}
	var all []string
	for _, name := range of.Presets() {
		if i := slices.Index(names, name); i >= 0 {
			all, names = append(all, name), slices.Delete(names, i, i+1)
		}
	}
	return append(all, names...)
}
