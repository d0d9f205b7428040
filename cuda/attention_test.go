//go:build cuda

package cuda

import (
	"strconv"
	"strings"
	"testing"

	"fewshot/tensor"
)

// hopper and ampere are bytes of shared memory that a block may have on an H100 or H200, and on an A100.
const hopper, ampere = 227 << 10, 163 << 10

// Which kernel is used depends on the head, the format and on what fits in shared memory: one is found to be in use
// by its failing.
func TestWaysOfAttention(t *testing.T) {
	simulated(t)
	for _, c := range []struct {
		precision        string
		shared           int
		size, queries    int
		keys             int
		forward, adjoint string
	}{
		{"bf16", hopper, 64, 197, 197, "attention_mma", "attention_grad_mma"},
		{"bf16", hopper, 64, 1, 197, "attention_mma", "attention_grad_mma"},
		{"bf16", hopper, 64, 257, 257, "attention_mma", "attention_grad_mma"},
		{"bf16", hopper, 64, 273, 273, "attention_mma", "attention_grad_q"},
		{"bf16", hopper, 64, 1, 896, "attention_mma", "attention_grad_mma"},
		{"bf16", hopper, 64, 1, 909, "attention", "attention_grad_mma"},
		{"bf16", ampere, 64, 197, 197, "attention_mma", "attention_grad_mma"},
		{"bf16", ampere, 64, 257, 257, "attention_mma", "attention_grad_q"},
		{"bf16", hopper, 32, 197, 197, "attention", "attention_grad_q"},
		{"float32", hopper, 64, 197, 197, "attention", "attention_grad_q"},
	} {
		t.Setenv("FEWSHOT_SIM_SHARED", strconv.Itoa(c.shared))
		for _, kernel := range []string{c.forward, c.adjoint} {
			d := device(t, tensor.Options{Precision: c.precision})
			q, kv := d.Zeros(tensor.Compute, 1, c.queries, c.size), d.Zeros(tensor.Compute, 1, c.keys, 2*c.size)
			out, lse := d.Zeros(tensor.Compute, 1, c.queries, c.size), d.Zeros(tensor.Full, 1, 1, c.queries)
			o := tensor.AttentionOptions{Heads: 1, V: c.size}
			t.Setenv("FEWSHOT_SIM_FAIL", kernel)
			if kernel == c.forward {
				tensor.Attention(out, lse, q, kv, o)
			} else {
				dq, dkv := d.New(tensor.Compute, 2, 1, c.queries, c.size), d.New(tensor.Compute, 2, 1, c.keys, 2*c.size)
				tensor.AttentionGrad(dq, dkv, d.Zeros(tensor.Compute, 2, 1, c.queries, c.size), q, kv, out, lse, o)
			}
			if err := d.Sync(); err == nil || !strings.Contains(err.Error(), "ILLEGAL_ADDRESS") {
				t.Errorf("%+v: %s is not used: %v", c, kernel, err)
			}
			t.Setenv("FEWSHOT_SIM_FAIL", "")
			d.Close()
		}
	}
}

// Where P does not fit beside dS it is made again for each lane, to the same bits.
func TestAttentionWithLessSharedMemory(t *testing.T) {
	simulated(t)
	const tokens, width = 70, 2 * 64
	gradients := func(shared int) []float32 {
		t.Setenv("FEWSHOT_SIM_SHARED", strconv.Itoa(shared))
		d := device(t, tensor.Options{Precision: "bf16", Poison: true})
		defer closeDevice(t, d)
		numbers := func(seed uint64, shape ...int) *tensor.Tensor {
			x := d.New(tensor.Compute, shape...)
			tensor.Normal(x, tensor.NewKey(seed))
			return x
		}
		qkv, o := numbers(1, 2, tokens, 3*width), tensor.AttentionOptions{Heads: 2, K: width, V: 2 * width}
		out, lse := d.New(tensor.Compute, 2, tokens, width), d.New(tensor.Full, 2, 2, tokens)
		tensor.Attention(out, lse, qkv, qkv, o)
		grad := d.New(tensor.Compute, 3, 2, tokens, 3*width)
		tensor.AttentionGrad(grad, grad, numbers(2, 3, 2, tokens, width), qkv, qkv, out, lse, o)
		return grad.Floats()
	}
	const tiles = (tokens + edge - 1) / edge
	const without = 2*tiles*edge*rowBytes + tiles*tiles*tileBytes + 2*4*tiles*edge
	kept, again := gradients(hopper), gradients(without)
	if !same(kept, again) {
		t.Error("the gradients differ")
	}
	for _, v := range kept {
		if v != v {
			t.Fatal("there is a NaN")
		}
	}
}
