package synth_test

import (
	"fmt"

	"fewshot/datasets/synth"
)

func ExamplePair() {
	pix := make([]uint8, synth.Size*synth.Size*3)
	for i := range uint64(5) {
		fmt.Println(synth.Pair(pix, 1, 16*i)) // one of each album
	}
	// Output:
	// a photo of a heart
	// here is the black number 7
	// an image of a grey shape
	// a drawing of a star with four points.
	// a photo of the pink letter p on a black background
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
