package tensor

import "math"

var nan = math.NaN()

// Backend is what a device must implement: kernels on raw memory and counts. The checked entry points
// of this package guarantee lengths, so kernels cannot fail on shapes; trouble of the device itself is
// kept and returned by Sync. Comments give the meaning of each kernel as the loop that defines it;
// package tensortest holds every definition once more, naive and in float64, and runs it against each device.
//
// "Suffix" operands repeat: their element for index i is i mod their length. That is how a saved
// activation meets the cotangents of several losses.
type Backend interface {
	Memory
	Elementwise
	Rowwise
	Matrix
	Convolution
	Layout
	Imaging
	Update
	Transport
}

// Memory moves numbers.
type Memory interface {
	Describe() string
	Kernels() string        // see Device.Kernels
	ElementSize(k Kind) int // bytes
	Alloc(n int, k Kind) Buf
	Free(b Buf)
	Upload(dst Buf, src []float32)
	Download(dst []float32, src Buf)
	Fill(dst Buf, c float64)
	// Copy2D: dst[r*ldd+c] = src[r*lds+c] for r < rows, c < cols. Formats may differ: Copy2D converts.
	Copy2D(dst, src Buf, rows, cols, ldd, lds int)
	Sync() error
	Close() error
}

// Elementwise kernels. y is a suffix operand unless it says otherwise.
type Elementwise interface {
	Add(dst, x, y Buf)                 // dst[i] = x[i] + y[i mod |y|]
	Mul(dst, x, y Buf)                 // dst[i] = x[i] · y[i mod |y|]
	Scale(dst, x Buf, c float64)       // dst[i] = c·x[i]
	AXPY(dst Buf, c float64, x Buf)    // dst[i] += c·x[i]
	Exp(dst, x Buf)                    // dst[i] = eˣ
	Mask(dst, w, s Buf, t float64)     // dst[i] = w[i] where s[i] > t, else 0
	Activate(dst, x Buf, a Activation) // dst[i] = a(x[i])
	// ActivateGrad: dst[i] = ct[i] · a'(x[i mod |x|])
	ActivateGrad(dst, ct, x Buf, a Activation)
}

// Rowwise kernels work on rows of the given width. In gradients the saved operands are suffix operands
// by whole rows: row r of the cotangent meets row r mod (saved rows).
type Rowwise interface {
	Softmax(dst, x Buf, width int)
	SoftmaxGrad(dst, ct, y Buf, width int) // dst = y·(ct − Σ ct·y)
	// LayerNorm: dst = (x−µ)·r·w + b with r = 1/√(var+eps), biased variance; stats holds µ, r a row.
	LayerNorm(dst, stats, x, w, b Buf, width int, eps float64)
	// LayerNormGrad: dst = r·(g − mean(g) − x̂·mean(g·x̂)), g = ct·w, x̂ = (x−µ)·r
	LayerNormGrad(dst, ct, x, stats, w Buf, width int)
	// LayerNormParamGrad: for each lane k, dw[k] = Σ_rows ct·x̂, db[k] = Σ_rows ct
	LayerNormParamGrad(dw, db, ct, x, stats Buf, width, lanes int)
	L2Normalize(dst, norm, x Buf, width int)         // dst = x/‖x‖₂, norm holds ‖x‖₂ a row
	L2NormalizeGrad(dst, ct, y, norm Buf, width int) // dst = (ct − y·Σ ct·y)/‖x‖
	// CrossEntropy: p = softmax(x); loss = mean_r −log p[r, labels[r]]
	CrossEntropy(loss, p, x Buf, labels []int32, width int)
	// CrossEntropyGrad: dst[k] = ct[k]·(p − onehot(labels))/rows for each lane k
	CrossEntropyGrad(dst, ct, p Buf, labels []int32, width int)
	// SoftCrossEntropy: p = softmax(x), q = softmax(target); loss = mean_r −Σ q·log p
	SoftCrossEntropy(loss, p, q, x, target Buf, width int)
	// SoftCrossEntropyGrad: dst[k] = ct[k]·(p − q)/rows for each lane k
	SoftCrossEntropyGrad(dst, ct, p, q Buf, width int)
	// SumTo: dst[k·n+j] = Σ_r x[(k·R+r)·n+j], R = |x|/(lanes·n), n = |dst|/lanes
	SumTo(dst, x Buf, lanes int)
	SumSquares(dst, x Buf)            // dst[0] = Σ x²
	Dot(dst, x, y Buf)                // dst[0] = Σ x·y
	CountAbove(dst, x Buf, t float64) // dst[0] = how many x[i] > t, exactly, of up to 2²⁴
}

// Matrix kernels.
type Matrix interface {
	Gemm(g GemmArgs)
	Attention(dst, lse, q, kv Buf, s AttentionShape)
	AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int)
}

// GemmArgs: dst[i] = op(a[i])·op(b[i]) (+ add[i]) (+ bias on each row), for i < Batch. Matrices are
// row-major with leading dimensions; element strides between the matrices of a batch, 0 to reuse one. add has the
// kind and the layout of dst, and is dst itself or apart from it.
type GemmArgs struct {
	Dst, A, B, Add, Bias      Buf // Add.N == 0, Bias.N == 0: none
	M, N, K                   int
	TransA, TransB            bool
	LDA, LDB, LDC             int
	Batch                     int
	StrideA, StrideB, StrideC int
}

// AttentionShape describes scaled dot-product attention over packed projections. Rows of q are ColsQ
// wide and hold the query at column Q; rows of kv are ColsKV wide and hold key and value at columns K
// and V; each is Heads·Size wide. q may be kv. dst is [Batch, LenQ, Heads·Size]; lse, the logarithm of
// each row's softmax denominator, is [Batch, Heads, LenQ]. Causal hides keys after the query's position.
type AttentionShape struct {
	Batch, LenQ, LenKV, Heads, Size int
	ColsQ, ColsKV, Q, K, V          int
	Causal                          bool
}

// Convolution kernels, on images whose channels are the last axis. The window of a pixel (y, x) of the result begins at pixel
// (y·Stride−p, x·Stride−p) of the image, p = (Size−1)/2; outside of the image all is 0.
type Convolution interface {
	// Conv: dst[n,y,x,o] = Σ_{i,j,c} x[n, y·Stride+i−p, x·Stride+j−p, c]·w[(i·Size+j)·C+c, o] (+ add[n,y,x,o]) (+ bias[o])
	Conv(dst, x, w, add, bias Buf, s ConvShape)
	// ConvGrad: dx[n,y,x,c] = Σ ct[n,v,u,o]·w[(i·Size+j)·C+c, o] over o and all windows (v,u) whose (i,j) is (y,x)
	ConvGrad(dx, ct, w Buf, s ConvShape)
	// ConvWeightGrad: for each lane k, dw[k,(i·Size+j)·C+c, o] = Σ_{n,y,x} x[n, y·Stride+i−p, x·Stride+j−p, c]·ct[k,n,y,x,o]
	ConvWeightGrad(dw, x, ct Buf, s ConvShape, lanes int)
	AvgPool(dst, x Buf, s PoolShape)     // dst[n,y,x,c] = mean of x[n, y·Size+i, x·Size+j, c], i, j < Size
	AvgPoolGrad(dx, ct Buf, s PoolShape) // dx[n,y,x,c] = ct[n, y/Size, x/Size, c]/Size²
}

// ConvShape is the sizes of a convolution of N images of H×W pixels and C channels to O channels.
type ConvShape struct{ N, H, W, C, O, Size, Stride int }

// OutH is the height of the result.
func (s ConvShape) OutH() int { return ConvOut(s.H, s.Stride) }

// OutW is the width of the result.
func (s ConvShape) OutW() int { return ConvOut(s.W, s.Stride) }

// PoolShape is the sizes of a pooling of N images of H×W pixels and C channels over squares of Size, which divides H and W.
type PoolShape struct{ N, H, W, C, Size int }

// Layout kernels rearrange.
type Layout interface {
	// Patches: images [n,c,h,w] to rows [n, (h/p)·(w/p), c·p·p], in the order of a convolution weight
	Patches(dst, x Buf, n, c, h, w, p int)
	// Gather: dst row r = table row ids[r]
	Gather(dst, table Buf, ids []int32, width int)
	// ScatterAdd: for each lane, dst row ids[r] += x row r, in the order of r; dst is [lanes, |table|]
	ScatterAdd(dst, x Buf, ids []int32, width, lanes int)
	Uniform(dst Buf, k Key) // dst[i] = k.Uniform(i)
	Normal(dst Buf, k Key)  // dst[i] = k.Normal(i)
}

// Imaging keeps pictures as bytes, and makes images of them.
type Imaging interface {
	AllocBytes(n int) Bytes
	FreeBytes(b Bytes)
	UploadBytes(dst Bytes, src []byte)
	// Resample: dst[i,ch,y,x] = levels[ch, v], where with c = crops[i] and x' = size−1−x if c.Flip, else x
	//	h[r,ch] = round8(Σ_k pix[r·stride + 3·(from+k) + ch]·w[k]) with from, w of output x' of c.Columns
	//	v       = round8(Σ_k h[from+k,ch]·w[k])                    with from, w of output y of c.Rows
	// and round8(s) = (s + 2²¹) >> 22, clipped to 0..255. Where c.RowsFirst is set, h comes of c.Rows and v of c.Columns. All
	// of it is exact.
	Resample(dst, levels Buf, crops []CropArgs, size int)
}

// Update kernels change parameters in place.
type Update interface {
	// GradDrop writes one gradient from two lanes (see GradDropArgs)
	GradDrop(dst, a, b Buf, r GradDropArgs)
	// SignAgree: dst = a+b where their signs agree (or b = 0 and keepZero), else 0
	SignAgree(dst, a, b Buf, keepZero bool)
	// SignDrop is GradSignDrop of Chen et al. 2020: P = ½(1+(a+b)/(|a|+|b|)); each of a, b is kept where
	// (positive and P > U) or (negative and P < U); dst = Σ kept
	SignDrop(dst, a, b Buf, k Key)
	Adam(w, m, v, g Buf, a AdamArgs)
	// GradDropAdam is GradDrop followed by Adam, in one pass over the memory
	GradDropAdam(w, m, v, ga, gb Buf, r GradDropArgs, a AdamArgs)
	// SGD: g' = g + decay·w; v = momentum·v + g'; w −= lr·v
	SGD(w, v, g Buf, lr, momentum, decay float64)
}

// Transport kernels match sets with sets.
type Transport interface {
	// Sinkhorn: with k = exp((s−1)/Eps), for each b and c r[m] = q[j] = 1, then at most Most times
	//	r'[m] = 1/(M·Σ_j k[m,j]·q[j]), q[j] = 1/(N·Σ_m k[m,j]·r'[m])
	// until the mean over m of |r'−r| is below Threshold, or if Together, that over all b, c and m is; dst = r·k·q
	Sinkhorn(dst, s Buf, a SinkhornArgs)
}
