package tensor

// callList is a Recorder for any backend: what it is asked to do becomes a list of calls of that backend.
type callList struct {
	Backend
	list  []func()
	ended bool // the run, by a function of Device.Call
}

func (rec *callList) Run() {
	rec.ended = false
	for _, f := range rec.list {
		if f(); rec.ended {
			return
		}
	}
}

func (rec *callList) Close() error { return nil }

func (rec *callList) add(f func()) { rec.list = append(rec.list, f) }

// call has f in the list itself: it is not asked for anything yet.
func (rec *callList) call(f func() bool) {
	rec.add(func() { rec.ended = !f() })
}

// waits is what a program cannot do.
func waits(op string) {
	panic("tensor: " + op + " while a program is recorded: there are no results yet")
}

func (rec *callList) Alloc(int, Kind) Buf { panic("tensor: memory of a program lies in its arena") }
func (rec *callList) Upload(Buf, []float32) {
	panic("tensor: Set while a program is recorded: fill an operand before Run")
}
func (rec *callList) AllocBytes(int) Bytes { panic("tensor: memory of a program lies in its arena") }
func (rec *callList) UploadBytes(Bytes, []byte) {
	panic("tensor: Pictures.Add while a program is recorded: add pictures before")
}
func (rec *callList) Resample(_, _ Buf, _ []CropArgs, _ int) {
	panic("tensor: Resample while a program is recorded: fill an operand before Run")
}
func (rec *callList) Download([]float32, Buf) { waits("Floats") }
func (rec *callList) Sync() error             { waits("Sync"); return nil }

func (rec *callList) Fill(dst Buf, c float64) { rec.add(func() { rec.Backend.Fill(dst, c) }) }
func (rec *callList) Copy2D(dst, src Buf, rows, cols, ldd, lds int) {
	rec.add(func() { rec.Backend.Copy2D(dst, src, rows, cols, ldd, lds) })
}

func (rec *callList) Add(dst, x, y Buf)              { rec.add(func() { rec.Backend.Add(dst, x, y) }) }
func (rec *callList) Mul(dst, x, y Buf)              { rec.add(func() { rec.Backend.Mul(dst, x, y) }) }
func (rec *callList) Scale(dst, x Buf, c float64)    { rec.add(func() { rec.Backend.Scale(dst, x, c) }) }
func (rec *callList) AXPY(dst Buf, c float64, x Buf) { rec.add(func() { rec.Backend.AXPY(dst, c, x) }) }
func (rec *callList) Exp(dst, x Buf)                 { rec.add(func() { rec.Backend.Exp(dst, x) }) }
func (rec *callList) Mask(dst, w, s Buf, t float64) {
	rec.add(func() { rec.Backend.Mask(dst, w, s, t) })
}
func (rec *callList) Activate(dst, x Buf, a Activation) {
	rec.add(func() { rec.Backend.Activate(dst, x, a) })
}
func (rec *callList) ActivateGrad(dst, ct, x Buf, a Activation) {
	rec.add(func() { rec.Backend.ActivateGrad(dst, ct, x, a) })
}

func (rec *callList) Softmax(dst, x Buf, width int) {
	rec.add(func() { rec.Backend.Softmax(dst, x, width) })
}
func (rec *callList) SoftmaxGrad(dst, ct, y Buf, width int) {
	rec.add(func() { rec.Backend.SoftmaxGrad(dst, ct, y, width) })
}
func (rec *callList) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	rec.add(func() { rec.Backend.LayerNorm(dst, stats, x, w, b, width, eps) })
}
func (rec *callList) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	rec.add(func() { rec.Backend.LayerNormGrad(dst, ct, x, stats, w, width) })
}
func (rec *callList) LayerNormParamGrad(dw, db, ct, x, stats Buf, width, lanes int) {
	rec.add(func() { rec.Backend.LayerNormParamGrad(dw, db, ct, x, stats, width, lanes) })
}
func (rec *callList) L2Normalize(dst, norm, x Buf, width int) {
	rec.add(func() { rec.Backend.L2Normalize(dst, norm, x, width) })
}
func (rec *callList) L2NormalizeGrad(dst, ct, y, norm Buf, width int) {
	rec.add(func() { rec.Backend.L2NormalizeGrad(dst, ct, y, norm, width) })
}
func (rec *callList) CrossEntropy(loss, p, x Buf, labels []int32, width int) {
	rec.add(func() { rec.Backend.CrossEntropy(loss, p, x, labels, width) })
}
func (rec *callList) CrossEntropyGrad(dst, ct, p Buf, labels []int32, width int) {
	rec.add(func() { rec.Backend.CrossEntropyGrad(dst, ct, p, labels, width) })
}
func (rec *callList) SoftCrossEntropy(loss, p, q, x, target Buf, width int) {
	rec.add(func() { rec.Backend.SoftCrossEntropy(loss, p, q, x, target, width) })
}
func (rec *callList) SoftCrossEntropyGrad(dst, ct, p, q Buf, width int) {
	rec.add(func() { rec.Backend.SoftCrossEntropyGrad(dst, ct, p, q, width) })
}
func (rec *callList) SumTo(dst, x Buf, lanes int) {
	rec.add(func() { rec.Backend.SumTo(dst, x, lanes) })
}
func (rec *callList) SumSquares(dst, x Buf) { rec.add(func() { rec.Backend.SumSquares(dst, x) }) }
func (rec *callList) Dot(dst, x, y Buf)     { rec.add(func() { rec.Backend.Dot(dst, x, y) }) }
func (rec *callList) CountAbove(dst, x Buf, t float64) {
	rec.add(func() { rec.Backend.CountAbove(dst, x, t) })
}

func (rec *callList) Gemm(g GemmArgs) { rec.add(func() { rec.Backend.Gemm(g) }) }
func (rec *callList) Attention(dst, lse, q, kv Buf, s AttentionShape) {
	rec.add(func() { rec.Backend.Attention(dst, lse, q, kv, s) })
}
func (rec *callList) AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int) {
	rec.add(func() { rec.Backend.AttentionGrad(dq, dkv, ct, q, kv, out, lse, s, lanes) })
}

func (rec *callList) Conv(dst, x, w, add, bias Buf, s ConvShape) {
	rec.add(func() { rec.Backend.Conv(dst, x, w, add, bias, s) })
}
func (rec *callList) ConvGrad(dx, ct, w Buf, s ConvShape) {
	rec.add(func() { rec.Backend.ConvGrad(dx, ct, w, s) })
}
func (rec *callList) ConvWeightGrad(dw, x, ct Buf, s ConvShape, lanes int) {
	rec.add(func() { rec.Backend.ConvWeightGrad(dw, x, ct, s, lanes) })
}
func (rec *callList) AvgPool(dst, x Buf, s PoolShape) {
	rec.add(func() { rec.Backend.AvgPool(dst, x, s) })
}
func (rec *callList) AvgPoolGrad(dx, ct Buf, s PoolShape) {
	rec.add(func() { rec.Backend.AvgPoolGrad(dx, ct, s) })
}

func (rec *callList) Patches(dst, x Buf, n, c, h, w, p int) {
	rec.add(func() { rec.Backend.Patches(dst, x, n, c, h, w, p) })
}
func (rec *callList) Gather(dst, table Buf, ids []int32, width int) {
	rec.add(func() { rec.Backend.Gather(dst, table, ids, width) })
}
func (rec *callList) ScatterAdd(dst, x Buf, ids []int32, width, lanes int) {
	rec.add(func() { rec.Backend.ScatterAdd(dst, x, ids, width, lanes) })
}
func (rec *callList) Uniform(dst Buf, k Key) { rec.add(func() { rec.Backend.Uniform(dst, k) }) }
func (rec *callList) Normal(dst Buf, k Key)  { rec.add(func() { rec.Backend.Normal(dst, k) }) }

func (rec *callList) GradDrop(dst, a, b Buf, r GradDropArgs) {
	rec.add(func() { rec.Backend.GradDrop(dst, a, b, r) })
}
func (rec *callList) SignAgree(dst, a, b Buf, keepZero bool) {
	rec.add(func() { rec.Backend.SignAgree(dst, a, b, keepZero) })
}
func (rec *callList) SignDrop(dst, a, b Buf, k Key) {
	rec.add(func() { rec.Backend.SignDrop(dst, a, b, k) })
}
func (rec *callList) Adam(w, m, v, g Buf, a AdamArgs) {
	rec.add(func() { rec.Backend.Adam(w, m, v, g, a) })
}
func (rec *callList) GradDropAdam(w, m, v, ga, gb Buf, r GradDropArgs, a AdamArgs) {
	rec.add(func() { rec.Backend.GradDropAdam(w, m, v, ga, gb, r, a) })
}
func (rec *callList) SGD(w, v, g Buf, lr, momentum, decay float64) {
	rec.add(func() { rec.Backend.SGD(w, v, g, lr, momentum, decay) })
}

func (rec *callList) Sinkhorn(dst, s Buf, a SinkhornArgs) {
	rec.add(func() { rec.Backend.Sinkhorn(dst, s, a) })
}
