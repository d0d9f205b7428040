package main

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/tensor"
	"fewshot/vit"
)

// product is a matrix product of a linear layer with weight [N, K] on M rows.
type product struct {
	Op     string `json:"op"` // forward: y = x·wᵀ; dX = ct·w; dW = ctᵀ·x; square: as dX
	M      int    `json:"m"`
	N      int    `json:"n"`
	K      int    `json:"k"`
	Packed bool   `json:"packed,omitempty"` // w is, before
}

func (p product) String() string {
	s := fmt.Sprintf("%-7s %d×%d×%d", p.Op, p.M, p.N, p.K)
	if p.Packed {
		s += ", packed"
	}
	return s
}

// products are those of the four linear layers of a block, for the tokens of 1 and of 32 images. Backwards to the input
// there are twice as many rows where there are two losses.
func products(tokens, width int) (ps []product) {
	for _, images := range []int{1, 32} {
		for _, layer := range [][2]int{{3 * width, width}, {width, width}, {4 * width, width}, {width, 4 * width}} {
			p := product{M: images * tokens, N: layer[0], K: layer[1]}
			two := p
			two.M *= 2
			ps = append(ps, p.as("forward", false), p.as("dX", false), two.as("dX", false), p.as("dW", false))
			if images == 1 { // for more, packing takes no time to speak of
				ps = append(ps, p.as("forward", true), p.as("dX", true), two.as("dX", true))
			}
		}
	}
	return ps
}

func (p product) as(op string, packed bool) product {
	p.Op, p.Packed = op, packed
	return p
}

// gemmCases are the products. They share their memory.
func gemmCases(b *bench) (*benchGroup, error) {
	g := &benchGroup{}
	most := 0
	var ps []product
	if c, transformer := b.clip.Arch.(vit.Config); transformer {
		ps = products(c.Tokens(), c.Width)
	}
	if n := b.square; n > 0 {
		ps = append(ps, product{Op: "square", M: n, N: n, K: n})
	}
	for _, p := range ps {
		most = max(most, p.M*p.N, p.M*p.K, p.N*p.K)
	}
	var memory [3]*tensor.Tensor // of both operands and of the product
	for i := range memory {
		memory[i] = b.dev.New(tensor.Compute, most)
		tensor.Normal(memory[i], tensor.NewKey(uint64(i)))
	}
	g.close = func() {
		for _, t := range memory {
			t.Release()
		}
	}
	for _, p := range ps {
		flop := 2 * float64(p.M) * float64(p.N) * float64(p.K)
		g.cases = append(g.cases, &benchCase{
			measurement: measurement{Kind: "gemm", Name: p.String(), Product: &p, FLOP: flop}, dev: b.dev,
			repeat: int(1e9/flop) + 1, // those for one image are too short to be timed alone
			open: func() (func() error, func(), error) {
				at := func(i, rows, cols int) *tensor.Tensor { return memory[i].Rows(0, rows*cols).View(rows, cols) }
				var dst, x, y *tensor.Tensor
				var o tensor.GemmOptions
				done := func() {}
				switch p.Op {
				case "forward":
					dst, x, y, o.TransB = at(0, p.M, p.N), at(1, p.M, p.K), at(2, p.N, p.K), true
				case "dX", "square":
					dst, x, y = at(0, p.M, p.K), at(1, p.M, p.N), at(2, p.N, p.K)
				case "dW":
					dst, x, y, o.TransA = at(0, p.N, p.K), at(1, p.M, p.N), at(2, p.M, p.K), true
				}
				if p.Packed {
					w := b.dev.New(tensor.Compute, p.N, p.K)
					tensor.Copy(w, y)
					tensor.Pack(w, o.TransB)
					y, done = w, w.Release
				}
				return func() error {
					tensor.Gemm(dst, x, y, o)
					return nil
				}, done, nil
			},
		})
	}
	return g, nil
}

// inferenceCases are the image encoder on 1, on 32 and on as many images as are asked for, as a recorded program, and
// on 1 with its weights packed before, as encode does.
func inferenceCases(b *bench) (*benchGroup, error) {
	g := &benchGroup{}
	sizes := []int{1, 32}
	if b.batch > stepBatch && b.batch != 32 {
		sizes = append(sizes, b.batch)
	}
	for _, n := range sizes {
		g.cases = append(g.cases, b.inferenceCase(fmt.Sprintf("batch %d", n), n, false))
	}
	g.cases = append(g.cases, b.inferenceCase("batch 1, weights packed", 1, true))
	return g, nil
}

// inferenceCase is the image encoder on n images, with its weights packed meanwhile or not.
func (b *bench) inferenceCase(name string, n int, packed bool) *benchCase {
	flop := float64(n) * forwardFLOP(b.clip.Arch)
	return &benchCase{
		measurement: measurement{Kind: "inference", Name: name, Images: n, FLOP: flop}, dev: b.dev,
		repeat: min(int(1e11/flop), 3), // a single image is over soon enough for hiccups of the machine to count
		open: func() (func() error, func(), error) {
			encoder := b.clip.Image
			if b.dev.Precision() == "int8" {
				if err := encoder.Quantize(); err != nil {
					return nil, nil, err
				}
			}
			if packed {
				encoder.Pack(false)
			}
			images := randomImages(b.dev, encoder, n)
			p, err := b.dev.Record(func() {
				t := autograd.NoGrad(b.dev)
				defer t.Release()
				encoder.Encode(t.Const(images))
			})
			done := func() {
				images.Release()
				encoder.Unpack()
			}
			if err != nil {
				done()
				return nil, nil, err
			}
			run := func() error {
				p.Run()
				return nil
			}
			return run, func() {
				_ = p.Release() // what a device has to complain of is known from its calls
				done()
			}, nil
		},
	}
}
