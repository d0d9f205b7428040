package clip_test

import (
	"context"
	"fmt"
	"log"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// Zero-shot classification by the small CLIP in the program: a checkpoint's path in place of its name opens any other.
func Example() {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	ctx := context.Background()
	model, err := clip.Options{Path: clip.Embedded}.Open(dev)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Source.Close()

	task, _ := synth.Lookup("compounds") // pictures of coloured shapes
	var items []datasets.Item
	pix := make([]uint8, synth.Size*synth.Size*3)
	for i := range 4 {
		label := task.Item(pix, 1, "test", 9*i)
		picture, err := synth.EncodePNG(pix)
		if err != nil {
			log.Fatal(err)
		}
		items = append(items, datasets.Item{Label: int32(label), Data: picture})
	}
	data := &datasets.Dataset{Classes: task.Classes, Test: items}
	classes, err := model.Classifier(ctx, dev, task.Classes, []string{task.Template}) // [C, D]
	if err != nil {
		log.Fatal(err)
	}
	defer classes.Release()
	for batch, err := range datasets.LoadImages(ctx, data, data.Test, model.Transform, 2, 1) {
		if err != nil {
			log.Fatal(err)
		}
		size := model.Transform.Size
		tape := autograd.NoGrad(dev)
		images := dev.From(batch.Pixels, len(batch.Labels), 3, size, size)
		features := autograd.L2Normalize(model.Image.Encode(tape.Const(images)))
		cosines := autograd.Linear(features, tape.Const(classes), nil).Value
		for i, label := range batch.Labels {
			row, best := cosines.Index(i).Floats(), 0
			for c, v := range row {
				if v > row[best] {
					best = c
				}
			}
			fmt.Printf("%s: taken for %s\n", data.Classes[label], data.Classes[best])
		}
		tape.Release()
		images.Release()
	}
	// Output:
	// red star: taken for red star
	// orange cup: taken for red heart
	// green house: taken for green house
	// purple fish: taken for purple fish
}
