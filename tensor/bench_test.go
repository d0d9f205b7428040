package tensor_test

import (
	"fmt"
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/internal/simd"
)

// BenchmarkKernels times the kernels of cpu at the sizes of ViT-B/16 with 32 images (Gemm and Attention:
// with 4), with all kernels that this machine has. MB/s count every operand once; for Gemm and Attention
// they are MFLOP/s.
func BenchmarkKernels(b *testing.B) {
	const batch, tokens, width, lanes = 32, 197, 768, 2
	const rows, n = batch * tokens, batch * tokens * width
	for _, kernels := range simd.Variants() {
		for _, workers := range []int{1, 2} {
			restore := simd.Use(kernels)
			d, err := tensor.Open("cpu", tensor.Options{Workers: workers})
			if err != nil {
				b.Fatal(err)
			}
			fresh := func(shape ...int) *tensor.Tensor {
				t := d.New(tensor.Compute, shape...)
				tensor.Uniform(t, tensor.NewKey(1))
				return t
			}
			x, y, z := fresh(batch, tokens, width), fresh(batch, tokens, width), fresh(batch, tokens, width)
			ct, ct2 := fresh(lanes, batch, tokens, width), fresh(lanes, batch, tokens, width)
			stats, w, bias := fresh(rows, 2), fresh(width), fresh(width)
			dw, db, one := fresh(lanes, width), fresh(lanes, width), fresh(1)
			images, patches := fresh(batch, 3, 224, 224), fresh(batch, 196, width)
			table, ids := fresh(49408, 512), make([]int32, 3200)
			prompts := fresh(100, 32, 512)
			square, w4 := fresh(width, width), fresh(4*width, width)
			x4, y4, z4 := fresh(4*tokens, width), fresh(4*tokens, 4*width), fresh(4*width, width)
			qkv, out, lse, dqkv := fresh(4, tokens, 3*width), fresh(4, tokens, width), fresh(4, 12, tokens), fresh(lanes, 4, tokens, 3*width)
			ct4 := fresh(lanes, 4, tokens, width)
			attention := tensor.AttentionOptions{Heads: 12, K: width, V: 2 * width}
			const attentionFlop = 4 * 4 * 12 * tokens * tokens * 64
			adam := tensor.AdamArgs{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}
			for _, c := range []struct {
				name string
				size int64
				f    func()
			}{
				{"Add", 12 * n, func() { tensor.Add(y, x, z) }},
				{"Add:suffix", 8 * n, func() { tensor.Add(y, x, w) }},
				{"Mask", 12 * n, func() { tensor.Mask(y, x, z, 0.02) }},
				{"Copy", 8 * n, func() { tensor.Copy(y, x) }},
				{"Activate:QuickGELU", 8 * n, func() { tensor.Activate(y, x, tensor.QuickGELU) }},
				{"ActivateGrad:QuickGELU", 20 * n, func() { tensor.ActivateGrad(ct2, ct, x, tensor.QuickGELU) }},
				{"Activate:GELU", 8 * n, func() { tensor.Activate(y, x, tensor.GELU) }},
				{"Activate:ReLU", 8 * n, func() { tensor.Activate(y, x, tensor.ReLU) }},
				{"Softmax", 8 * n, func() { tensor.Softmax(y, x) }},
				{"LayerNorm", 8 * n, func() { tensor.LayerNorm(y, stats, x, w, bias, 1e-5) }},
				{"LayerNormGrad", 20 * n, func() { tensor.LayerNormGrad(ct2, ct, x, stats, w) }},
				{"LayerNormParamGrad", 12 * n, func() { tensor.LayerNormParamGrad(dw, db, ct, x, stats) }},
				{"L2Normalize", 8 * n, func() { tensor.L2Normalize(y, stats.View(2*rows).Rows(0, rows), x) }},
				{"SumTo:row", 8 * n, func() { tensor.SumTo(dw, ct) }},
				{"SumTo:image", 8 * n, func() { tensor.SumTo(x4.View(4, tokens, width).Rows(0, lanes), ct) }},
				{"SumSquares", 4 * n, func() { tensor.SumSquares(one, x) }},
				{"CountAbove", 4 * n, func() { tensor.CountAbove(one, x, 0.5) }},
				{"Patches", 8 * batch * 3 * 224 * 224, func() { tensor.Patches(patches, images, 16) }},
				{"Gather", 8 * 3200 * 512, func() { tensor.Gather(prompts, table, ids) }},
				{"ScatterAdd", 8 * 3200 * 512, func() { tensor.ScatterAdd(table.View(1, 49408, 512), prompts.View(1, 3200, 512), ids) }},
				{"GradDropAdam", 32 * n, func() { tensor.GradDropAdam(x, y, z, ct.Index(0), ct.Index(1), tensor.GradDropOptions{Leak: 1}, adam) }},
				{"Adam", 28 * n, func() { tensor.Adam(x, y, z, ct.Index(0), adam) }},
				{"Uniform", 4 * n, func() { tensor.Uniform(y, tensor.NewKey(2)) }},
				{"Normal", 4 * n, func() { tensor.Normal(y, tensor.NewKey(2)) }},
				{"Gemm:XWt", 2 * 4 * tokens * width * 4 * width, func() { tensor.Gemm(y4, x4, w4, tensor.GemmOptions{TransB: true}) }},
				{"Gemm:YW", 2 * 4 * tokens * width * 4 * width, func() { tensor.Gemm(x4, y4, w4, tensor.GemmOptions{}) }},
				{"Gemm:YtX", 2 * 4 * tokens * width * 4 * width, func() { tensor.Gemm(z4, y4, x4, tensor.GemmOptions{TransA: true}) }},
				{"Gemm:class", 2 * 32 * width * width, func() { tensor.Gemm(x4.Rows(0, 32), x4.Rows(32, 64), square, tensor.GemmOptions{TransB: true}) }},
				{"Attention", attentionFlop, func() { tensor.Attention(out, lse, qkv, qkv, attention) }},
				{"AttentionGrad", attentionFlop / 2 * (1 + 4*lanes), func() { tensor.AttentionGrad(dqkv, dqkv, ct4, qkv, qkv, out, lse, attention) }},
			} {
				name := kernels
				if name == "" {
					name = "portable"
				}
				b.Run(fmt.Sprintf("%s/kernels=%s/workers=%d", c.name, name, workers), func(b *testing.B) {
					b.SetBytes(c.size)
					for b.Loop() {
						c.f()
					}
				})
			}
			if err := d.Close(); err != nil {
				b.Error(err)
			}
			restore()
		}
	}
}
