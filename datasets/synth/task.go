package synth

import (
	"fmt"
	"slices"
	"strings"
)

// Task is a few-shot classification problem in the drawn world, in a style that pre-training never shows.
type Task struct {
	Name     string   // as on the command line
	Title    string   // one line for people
	Template string   // CLIP prompt with {} for the class name
	Classes  []string // class names by label
	Shift    string   // what the shifted test set is, or "" if there is none
	Shift2   string   // what the second one is

	number  int // separates the tasks' random streams; never reuse one
	compose func(p *picture, s *source, label int)

	home, away, away2 *domain // of train, val and test; of shift; of shift2
}

// Pictures of each class in the pools. Test sets keep below maxTest pictures in total.
const (
	trainPerClass = 32
	valPerClass   = 8
	testPerClass  = 40
	maxTest       = 1000
)

// splits in the order of their stream numbers.
var splits = [...]string{"train", "val", "test", "shift", "shift2"}

// Tasks returns all tasks, in a fixed order.
func Tasks() []Task {
	return []Task{
		{
			Name: "things", Title: "36 things on worn prints", Template: "a photo of a {}.",
			Classes: names(things), Shift: "the same things as blueprints", Shift2: "the same things on wet tiles",
			number: 0, compose: composeThing, home: &woodcut, away: &blueprint, away2: &puddle,
		},
		{
			Name: "compounds", Title: "8 colours × 5 shapes under stage lamps", Template: "a photo of a {}.",
			Classes: compoundNames(),
			number:  1, compose: composeCompound, home: &stage,
		},
		{
			Name: "textures", Title: "12 textures on cloth", Template: "a photo of a {} texture.",
			Classes: textureNames(),
			number:  2, compose: composeTexture, home: &cloth,
		},
		{
			Name: "counts", Title: "one to five things, small or large, on a radar screen", Template: "a photo of {}.",
			Classes: countNames(),
			number:  3, compose: composeCount, home: &radar,
		},
		{
			Name: "places", Title: "a star or a circle at 9 places", Template: "a photo of a {}.",
			Classes: placeNames(),
			number:  4, compose: composePlace, home: &stage,
		},
		{
			Name: "letters", Title: "26 letters on posters in negative", Template: "a photo of the letter {}.",
			Classes: strings.Split("abcdefghijklmnopqrstuvwxyz", ""), Shift: "the same letters as blueprints",
			number: 5, compose: composeLetter, home: &poster, away: &blueprint,
		},
		{
			Name: "scenes", Title: "13 scenes on old postcards", Template: "a photo of {}.",
			Classes: sceneNames(),
			number:  6, compose: composeScene, home: &postcard,
		},
		{
			Name: "parts", Title: "stars, flowers and gears by their number of parts", Template: "a photo of a {}.",
			Classes: partNames(),
			number:  7, compose: composePart, home: &engraving,
		},
		{
			Name: "digits", Title: "ten digits on rusty plates", Template: "a photo of the number {}.",
			Classes: strings.Split("0123456789", ""),
			number:  8, compose: composeDigit, home: &plate,
		},
		{
			Name: "patterns", Title: "5 textures × 4 shapes on wallpaper", Template: "a photo of a {}.",
			Classes: patternNames(),
			number:  9, compose: composePatterned, home: &wallpaper,
		},
		{
			Name: "stacks", Title: "two of five things, one of them above the other, on slides", Template: "a photo of a {}.",
			Classes: stackNames(),
			number:  10, compose: composeStack, home: &slide,
		},
	}
}

// Lookup returns the task of a name.
func Lookup(name string) (Task, bool) {
	all := Tasks()
	i := slices.IndexFunc(all, func(t Task) bool { return t.Name == name })
	if i < 0 {
		return Task{}, false
	}
	return all[i], true
}

// Len returns the number of pictures in a split: "train", "val", "test", "shift" or "shift2". It is 0 for the last
// two where the task has no such test set, and a multiple of len(t.Classes) always.
func (t Task) Len(split string) int {
	test := min(testPerClass, maxTest/len(t.Classes))
	per := [len(splits)]int{trainPerClass, valPerClass, test, test, test}
	k := splitNumber(split)
	if t.domain(split) == nil {
		return 0
	}
	return per[k] * len(t.Classes)
}

// domain is the style of a split's pictures; nil where there are none.
func (t Task) domain(split string) *domain {
	switch split {
	case "shift":
		return t.away
	case "shift2":
		return t.away2
	}
	return t.home
}

func splitNumber(split string) int {
	k := slices.Index(splits[:], split)
	if k < 0 {
		panic(fmt.Sprintf("synth: unknown split %q, want one of %q", split, splits))
	}
	return k
}

// Item draws picture index of a split into dst, Size×Size×3 bytes (rows from the top, RGB), and returns its label,
// index mod len(t.Classes). It depends on the task, seed, split and index alone and may be called from many
// goroutines. It panics if dst has another length, or if index is not in [0, t.Len(split)).
func (t Task) Item(dst []uint8, seed uint64, split string, index int) (label int) {
	c := canvasOf(dst)
	if n := t.Len(split); index < 0 || index >= n {
		panic(fmt.Sprintf("synth: task %s, split %s: index %d outside [0, %d)", t.Name, split, index, n))
	}
	d := t.domain(split)
	label = index % len(t.Classes)
	stream := purpose(16*t.number + splitNumber(split))
	content := newSource(seed, taskContent+stream, uint64(index))
	var p picture
	p.setting = d.backdrop(&content)
	p.count = 1
	t.compose(&p, &content, label)
	paint := newSource(seed, taskPaint+stream, uint64(index))
	d.render(c, &p, &paint)
	return label
}
