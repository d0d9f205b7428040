package tensor

// Patches cuts images [N,C,H,W] into rows [N, (H/p)·(W/p), C·p·p], each in the order of a convolution
// weight: a convolution with kernel = stride = p is then a multiplication.
func Patches(dst, images *Tensor, p int) {
	check(images.Rank() == 4 && p > 0 && images.Dim(1)%p == 0 && images.Dim(2)%p == 0 && sameLen(dst, images), "Patches",
		"images [N,C,H,W] with p dividing H and W, dst [N,(H/p)(W/p),C·p·p]", "dst images", dst, images)
	dst.dev.backend.Patches(dst.buf, images.buf, images.shape[0], images.shape[1], images.shape[2], images.shape[3], p)
}

// CopyBlocks copies n blocks: block i of src, at i·srcStride elements, to block i of dst, at i·dstStride.
// It is how rows are taken out of, and put into, the second axis of a tensor.
func CopyBlocks(dst, src *Tensor, n, size, dstAt, dstStride, srcAt, srcStride int) {
	if n == 0 || size == 0 {
		return
	}
	check(dstAt+(n-1)*dstStride+size <= dst.Len() && srcAt+(n-1)*srcStride+size <= src.Len(), "CopyBlocks", "blocks lie inside", "dst src", dst, src)
	dst.dev.backend.Copy2D(dst.buf.Slice(dstAt, dst.Len()), src.buf.Slice(srcAt, src.Len()), n, size, dstStride, srcStride)
}

// Gather is dst row r = table row ids[r]; ids must lie in [0, rows of table).
func Gather(dst, table *Tensor, ids []int32) {
	n, w := rows(table)
	check(dst.Len() == len(ids)*w, "Gather", "dst one row an id", "dst table", dst, table)
	checkIDs("Gather", ids, n)
	dst.dev.backend.Gather(dst.buf, table.buf, ids, w)
}

// ScatterAdd adds row r of each lane of x [K, len(ids), width] to row ids[r] of the same lane of
// dst [K, rows, width], in the order of r.
func ScatterAdd(dst, x *Tensor, ids []int32) {
	k := lanes("ScatterAdd", x)
	_, w := rows(dst)
	check(x.Len() == k*len(ids)*w && dst.Rank() >= 2 && dst.shape[0] == k, "ScatterAdd", "dst [K,rows,width], x [K,ids,width]", "dst x", dst, x)
	checkIDs("ScatterAdd", ids, dst.Len()/max(k*w, 1))
	dst.dev.backend.ScatterAdd(dst.buf, x.buf, ids, w, k)
}

func checkIDs(op string, ids []int32, n int) {
	for _, id := range ids {
		if id < 0 || int(id) >= n {
			panic(&ShapeError{Op: op, Rule: "ids name rows of the table", Operands: []Operand{{"id", []int{int(id)}}, {"rows", []int{n}}}})
		}
	}
}
