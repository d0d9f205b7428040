package vit_test

import (
	"fmt"
	"log"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/vit"
)

// constant is a checkpoint of these shapes whose values are all one.
type constant struct{ shapes }

func (constant) Read(_ string, dst []float32) error {
	for i := range dst {
		dst[i] = 1
	}
	return nil
}

// The sizes of an encoder are read off its checkpoint; what shapes do not tell, as the activation, is given.
func ExampleArchOf() {
	src := checkpoint(768, 16, 197, 512, 12, 3072)
	arch, err := vit.ArchOf(src, vit.Config{Activation: tensor.QuickGELU})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(arch.Name())
	fmt.Printf("%+v\n", arch.Sizes())
	// Output:
	// ViT-B/16
	// {Image:224 Embed:512 Heads:12 Tokens:197}
}

// Images become features: an encoder of one block, 64 wide, for images of 4×4 patches of 8 pixels.
func ExampleEncoder_Encode() {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	src := constant{checkpoint(64, 8, 17, 32, 1, 256)}
	arch, err := vit.ArchOf(src, vit.Config{Activation: tensor.QuickGELU})
	if err != nil {
		log.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	encoder := arch.Build(w)
	if err := w.Err(); err != nil {
		log.Fatal(err)
	}
	size := arch.Sizes().Image
	tape := autograd.NoGrad(dev)
	defer tape.Release()
	images := tape.Const(dev.Zeros(tensor.Compute, 2, 3, size, size)) // [N, 3, S, S], normalised
	fmt.Println(size, encoder.Encode(images).Shape())
	// Output: 32 [2 32]
}
