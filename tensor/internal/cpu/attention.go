package cpu

import "math"

// AttentionShape is tensor.AttentionShape.
type AttentionShape struct {
	Batch, LenQ, LenKV, Heads, Size int
	ColsQ, ColsKV, Q, K, V          int
	Causal                          bool
}

// seen is how many keys query i sees.
func (s *AttentionShape) seen(i int) int {
	if s.Causal {
		return min(i+1, s.LenKV)
	}
	return s.LenKV
}

// scale is what products of queries and keys are multiplied by.
func scale[T Float](s *AttentionShape) T { return T(1 / math.Sqrt(float64(s.Size))) }

// vectors are the vectors of one head, stride apart.
type vectors[T Float] struct {
	x            []T // from the first vector on
	size, stride int
}

func (v vectors[T]) at(i int) []T { return v.x[i*v.stride:][:v.size] }

// clear zeroes the first n vectors.
func (v vectors[T]) clear(n int) {
	for i := range n {
		clear(v.at(i))
	}
}

// A task is one head of one element of the batch. These are its vectors in tensors of the layouts of q, kv
// and the result, be they values or gradients.

func queries[T Float](s *AttentionShape, q []T, task int) vectors[T] {
	return vectorsOf(s, q, task, s.LenQ, s.ColsQ, s.Q)
}

func keys[T Float](s *AttentionShape, kv []T, task int) vectors[T] {
	return vectorsOf(s, kv, task, s.LenKV, s.ColsKV, s.K)
}

func values[T Float](s *AttentionShape, kv []T, task int) vectors[T] {
	return vectorsOf(s, kv, task, s.LenKV, s.ColsKV, s.V)
}

func results[T Float](s *AttentionShape, out []T, task int) vectors[T] {
	return vectorsOf(s, out, task, s.LenQ, s.Heads*s.Size, 0)
}

func vectorsOf[T Float](s *AttentionShape, x []T, task, length, cols, first int) vectors[T] {
	b, h := task/s.Heads, task%s.Heads
	return vectors[T]{x[b*length*cols+first+h*s.Size:], s.Size, cols}
}

// scores fills p with the scaled products of a query and the first keys.
func scores[T Float](p, q []T, k vectors[T], scale T) {
	for j := range p {
		p[j] = scale * inner(q, k.at(j))
	}
}

// inner is Σ x·y in the elements' format, by four sums.
func inner[T Float](x, y []T) T {
	y = y[:len(x)]
	var s0, s1, s2, s3 T
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += T(x[i] * y[i])
		s1 += T(x[i+1] * y[i+1])
		s2 += T(x[i+2] * y[i+2])
		s3 += T(x[i+3] * y[i+3])
	}
	for ; i < len(x); i++ {
		s0 += T(x[i] * y[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// Attention is, for each head, dst = softmax(q·kᵀ/√Size)·v; lse keeps the logarithms of the denominators.
func (k *Kernels[T]) Attention(dst, lse, q, kv []T, s AttentionShape) {
	tmp := k.scratch(k.pool.Workers() * s.LenKV)
	k.pool.For(s.Batch*s.Heads, 1, func(worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			q, k, v, out := queries(&s, q, t), keys(&s, kv, t), values(&s, kv, t), results(&s, dst, t)
			for i := range s.LenQ {
				p := tmp[worker*s.LenKV:][:s.seen(i)]
				scores(p, q.at(i), k, scale[T](&s))
				lse[t*s.LenQ+i] = T(softmax(p, p))
				sum := out.at(i)
				clear(sum)
				for j, p := range p {
					axpy(sum, p, v.at(j))
				}
			}
		}
	})
}

// AttentionGrad gives the gradients with respect to q and kv for the lanes of ct, from probabilities
// that are computed once more, and once for all lanes:
//
//	dv_j = Σ_i p_ij·ct_i
//	ds_ij = p_ij·(ct_i·v_j − ct_i·out_i)/√Size
//	dq_i = Σ_j ds_ij·k_j
//	dk_j = Σ_i ds_ij·q_i
func (k *Kernels[T]) AttentionGrad(dq, dkv, ct, q, kv, out, lse []T, s AttentionShape, lanes int) {
	tmp := k.scratch(k.pool.Workers() * s.LenKV)
	lenQ, lenKV := len(q), len(kv)
	k.pool.For(s.Batch*s.Heads, 1, func(worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			for l := range lanes {
				queries(&s, Row(dq, l, lenQ), t).clear(s.LenQ)
				keys(&s, Row(dkv, l, lenKV), t).clear(s.LenKV)
				values(&s, Row(dkv, l, lenKV), t).clear(s.LenKV)
			}
			q, k, v, o := queries(&s, q, t), keys(&s, kv, t), values(&s, kv, t), results(&s, out, t)
			for i := range s.LenQ {
				p := tmp[worker*s.LenKV:][:s.seen(i)]
				scores(p, q.at(i), k, scale[T](&s))
				for j := range p {
					p[j] = T(math.Exp(float64(p[j] - lse[t*s.LenQ+i])))
				}
				for l := range lanes {
					c := results(&s, Row(ct, l, len(out)), t).at(i)
					gq := queries(&s, Row(dq, l, lenQ), t).at(i)
					gk, gv := keys(&s, Row(dkv, l, lenKV), t), values(&s, Row(dkv, l, lenKV), t)
					mean := inner(c, o.at(i))
					for j, p := range p {
						axpy(gv.at(j), p, c)
						ds := scale[T](&s) * p * (inner(c, v.at(j)) - mean)
						axpy(gq, ds, k.at(j))
						axpy(gk.at(j), ds, q.at(i))
					}
				}
			}
		}
	})
}
