package datasets_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"fewshot/datasets"
)

// drawn returns a small picture of a class in memory.
func drawn(label int32) datasets.Item {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		log.Fatal(err)
	}
	return datasets.Item{Label: label, Data: b.Bytes()}
}

// A data set drawn in memory is written to disk and opened again by name.
func ExampleExport() {
	root, err := os.MkdirTemp("", "data")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)

	d, err := datasets.New("shapes", "Shapes", "a drawing of a {}.", []string{"red circle", "blue square"},
		[]datasets.Item{drawn(0), drawn(1)}, nil, []datasets.Item{drawn(1)})
	if err != nil {
		log.Fatal(err)
	}
	if err := datasets.Export(filepath.Join(root, "shapes"), d); err != nil {
		log.Fatal(err)
	}
	again, err := datasets.Open(root, "shapes")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Classes, again.Template)
	fmt.Println(again.Train[1].Path, again.SplitHash() == d.SplitHash())
	// Output:
	// [red circle blue square] a drawing of a {}.
	// blue_square/0001.png true
}

// The names of papers and of other programs find the same row.
func ExampleLookup() {
	for _, name := range []string{"fgvc", "caltech-101", "OxfordPets"} {
		spec, _ := datasets.Lookup(name)
		fmt.Println(spec.Name, spec.Counts.Classes, spec.Template)
	}
	// Output:
	// fgvc_aircraft 100 a photo of a {}, a type of aircraft.
	// caltech101 100 a photo of a {}.
	// oxford_pets 37 a photo of a {}, a type of pet.
}

// The base-to-new protocol: draw the shots of all classes, then take the first half of the classes
// for training and the other half for testing.
func ExampleDataset_Subset() {
	var train, test []datasets.Item
	for label := range int32(5) {
		for range 3 {
			train = append(train, drawn(label))
		}
		test = append(test, drawn(label))
	}
	d, err := datasets.New("letters", "Letters", "the letter {}.", []string{"A", "B", "C", "D", "E"}, train, nil, test)
	if err != nil {
		log.Fatal(err)
	}
	few, err := d.FewShot(2, 1)
	if err != nil {
		log.Fatal(err)
	}
	for _, half := range []string{"base", "new"} {
		sub, err := few.Subset(half)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(half, sub.Classes, len(sub.Train), len(sub.Test))
	}
	// Output:
	// base [A B C] 6 3
	// new [D E] 4 2
}
