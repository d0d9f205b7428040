package main

import "fewshot/vit"

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
func forwardFLOP(arch vit.Arch) float64 {
	if net, ok := arch.(vit.ResNetConfig); ok {
		all, _ := netFLOP(net)
		return all
	}
	c := arch.(vit.Config)
	sum := 2*float64(c.Tokens()-1)*float64(3*c.Patch*c.Patch*c.Width) + 2*float64(c.Width*c.Embed)
	for i := range c.Layers {
		in, attention, out, mlp := blockFLOP(c, i == c.Layers-1)
		sum += in + attention + out + mlp
	}
	return sum
}

// netFLOP counts the products of a ResNet for an image, and those of its first convolution, before which no gradient
// goes. The attention pool has one query, of which each head attends to the pixels themselves.
func netFLOP(c vit.ResNetConfig) (all, first float64) {
	conv := func(size, in, out, window int) float64 { return 2 * float64(size*size*in*out) * float64(window*window) }
	size, half := c.ImageSize/2, c.Width/2
	first = conv(size, 3, half, 3)
	all = first + conv(size, half, half, 3) + conv(size, half, c.Width, 3)
	size, in := size/2, c.Width
	for stage, blocks := range c.Layers {
		inside := c.Width << stage
		for b := range blocks {
			all += conv(size, in, inside, 1) + conv(size, inside, inside, 3)
			if b == 0 && stage > 0 {
				size /= 2
			}
			all += conv(size, inside, 4*inside, 1)
			if b == 0 {
				all += conv(size, in, 4*inside, 1)
			}
			in = 4 * inside
		}
	}
	w, tokens := float64(in), float64(size*size+1)
	return all + 2*3*w*w + 2*2*float64(c.Heads)*w*tokens + 2*w*float64(c.Embed), first
}

// stepFLOP counts the products of an AMT step for an image, or with a teacher those of an R-AMT step once some weight is
// off: the student forwards, and the teacher; backwards for one loss, or two, the products to the inputs down to the lowest
// masked weight and those to the masked weights. A ResNet's step is one of PMT, whose masks are on all weights.
func stepFLOP(arch vit.Arch, teacher bool) float64 {
	passes := 1.0
	if teacher {
		passes = 2
	}
	if net, ok := arch.(vit.ResNetConfig); ok {
		all, first := netFLOP(net)
		return passes * (3*all - first)
	}
	c := arch.(vit.Config)
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
