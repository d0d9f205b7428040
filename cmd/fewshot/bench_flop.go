package main

import "fewshot/vit"

// tokens is the length of the encoder's sequences.
func tokens(c vit.Config) int { return (c.ImageSize/c.Patch)*(c.ImageSize/c.Patch) + 1 }

// blockFLOP counts the products of a transformer block for an image. In the last one the class token is the only query, and
// the heads attend to the tokens themselves, each as wide as all heads: keys and values are never made.
func blockFLOP(c vit.Config, last bool) (in, attention, out, mlp float64) {
	n, w := float64(c.Tokens()), float64(c.Width)
	rows, wide := n, w
	if last {
		rows, wide = 1, float64(c.Heads)*w
	}
	return 2 * 3 * rows * w * w, 2 * 2 * rows * n * wide, 2 * rows * w * w, 2 * 8 * rows * w * w
}

// forwardFLOP counts the products of the image encoder for an image.
func forwardFLOP(c vit.Config) float64 {
	sum := 2*float64(c.Tokens()-1)*float64(3*c.Patch*c.Patch*c.Width) + 2*float64(c.Width*c.Embed)
	for i := range c.Layers {
		in, attention, out, mlp := blockFLOP(c, i == c.Layers-1)
		sum += in + attention + out + mlp
	}
	return sum
}

// stepFLOP counts the products of an AMT step for an image, or with a teacher those of an R-AMT step once some weight is
// off: the student forwards, and the teacher; backwards for one loss, or two, the products to the inputs down to the lowest
// masked weight and those to the masked weights.
func stepFLOP(c vit.Config, teacher bool) float64 {
	passes := 1.0
	if teacher {
		passes = 2
	}
	back := 2 * float64(c.Width*c.Embed)
	for i := range c.Layers {
		in, attention, out, mlp := blockFLOP(c, i == c.Layers-1)
		back += 2*in + 2*attention + 2*out + mlp
		if i == 0 {
			back -= in
		}
	}
	return passes * (forwardFLOP(c) + back)
}
