package synth_test

import (
	"fmt"

	"fewshot/datasets/synth"
)

func ExamplePair() {
	pix := make([]uint8, synth.Size*synth.Size*3)
	for i := range uint64(5) {
		fmt.Println(synth.Pair(pix, 1, i))
	}
	// Output:
	// a photo of the letter i on black.
	// a clover
	// a photo of the orange letter y on a blue background.
	// a photo of lined paper
	// a pale painting of a pink letter w.
}

func ExampleTask_Item() {
	task, _ := synth.Lookup("things")
	pix := make([]uint8, synth.Size*synth.Size*3)
	for i := range 3 {
		label := task.Item(pix, 1, "train", i)
		fmt.Println(label, task.Classes[label])
	}
	fmt.Println(len(task.Classes), "classes,", task.Len("train"), "training pictures")
	// Output:
	// 0 triangle
	// 1 star
	// 2 cross
	// 36 classes, 1152 training pictures
}
