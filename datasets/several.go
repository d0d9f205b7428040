package datasets

import (
	"os"
	"path/filepath"
	"slices"
)

// severalError is why a folder that holds data sets is none.
type severalError struct{ dir string }

func (e *severalError) Error() string { return e.dir + " holds data sets" }

// In lists what lies in a data root, by the names that [Open] takes with it: data sets of the table in its order,
// then other folders.
func In(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, readError(root, err)
	}
	var names, taken []string
	for i := range table {
		dir, _, err := table[i].locate(root)
		if err != nil {
			continue
		}
		names = append(names, table[i].Name)
		if rel, err := filepath.Rel(root, dir); err == nil {
			taken = append(taken, firstPart(rel))
		}
	}
	for _, e := range entries {
		if name := e.Name(); !isJunk(name) && !slices.Contains(taken, name) && isDir(filepath.Join(root, name)) {
			names = append(names, name)
		}
	}
	return names, nil
}

// firstPart is the folder that a path begins with.
func firstPart(path string) string {
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(path) {
		path = dir
	}
	return path
}
