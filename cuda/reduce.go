//go:build cuda

package cuda

import "fewshot/tensor"

// sumCols is how many columns a block of the kernels that sum over rows takes.
const sumCols = 32

// chunkRows is how many rows make one partial sum: so many that there are at most 512 of them.
func chunkRows(rows int) int { return max(64, parts(rows, 512)) }

// SumTo goes by way of partial sums where there are many rows.
func (b *backend) SumTo(dst, x tensor.Buf, lanes int) {
	if dst.N == 0 {
		return
	}
	cols, rows := dst.N/lanes, x.N/dst.N
	chunk := chunkRows(rows)
	if rows <= 4*chunk {
		b.sumRows(at(dst), at(x), lanes, rows, cols, max(rows, 1))
		return
	}
	chunks := parts(rows, chunk)
	b.scratch.reset(b)
	part := floats(b.scratch.take(b, 4*lanes*chunks*cols), lanes*chunks*cols)
	b.sumRows(part, at(x), lanes, rows, cols, chunk)
	b.sumRows(at(dst), part, lanes, chunks, cols, chunks)
}

// sumRows is dst [lanes, parts, cols] = sums over chunk rows each of x [lanes, rows, cols].
func (b *backend) sumRows(dst, x mem, lanes, rows, cols, chunk int) {
	launch(b, "sum_rows", lanes*max(parts(rows, chunk), 1)*parts(cols, sumCols), struct {
		dst, x                   mem
		lanes, rows, cols, chunk int64
	}{dst, x, int64(lanes), int64(rows), int64(cols), int64(chunk)})
}

func (b *backend) SumSquares(dst, x tensor.Buf) { b.Dot(dst, x, x) }

func (b *backend) Dot(dst, x, y tensor.Buf) {
	part := b.partial(x.N)
	launch(b, "dot", int(part.n), binary{part, at(x), at(y)})
	b.total(at(dst), part, 1)
}

// CountAbove adds up whole numbers, and so to the same in any order.
func (b *backend) CountAbove(dst, x tensor.Buf, t float64) {
	part := b.partial(x.N)
	launch(b, "count_above", int(part.n), unary{dst: part, x: at(x), c: float32(t)})
	b.total(at(dst), part, 1)
}

// partial is room for what the blocks make of n elements that are to become one number.
func (b *backend) partial(n int) mem {
	const steps = 4 // packs a thread
	blocks := parts(n, threads*pack*steps)
	b.scratch.reset(b)
	return floats(b.scratch.take(b, 4*blocks), blocks)
}

// total is dst[0] = Σ x / divisor.
func (b *backend) total(dst, x mem, divisor int) {
	launch(b, "total", 1, struct {
		dst, x  mem
		divisor int64
	}{dst, x, int64(divisor)})
}
