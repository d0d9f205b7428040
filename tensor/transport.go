package tensor

import "math"

// SinkhornOptions are those of Sinkhorn.
type SinkhornOptions struct {
	Eps       float64 // of the entropy; at least LeastEps
	Most      int     // iterations
	Threshold float64 // of how far the rows' factors move in the mean, below which a problem is done
	Together  bool    // all problems are done at once, by the mean over all of them, in place of each by its own
}

// LeastEps is the smallest Eps of Sinkhorn whose factors float64 has room for.
const LeastEps = 1.0 / 256

// SinkhornArgs are what a backend is given: dst and s are [Batch, Rows, Columns, Classes].
type SinkhornArgs struct {
	Batch, Rows, Columns, Classes int
	Eps, Threshold                float64
	Most                          int
	Together                      bool
}

// Sinkhorn gives optimal transport plans with entropy (Cuturi, Sinkhorn distances, 2013) between rows and columns of equal weights, for
// similarities s [B, M, N, C] of at most 1 in size: a problem of M×N for each image and class. dst is s's shape, and apart from it.
// Columns of a plan sum to 1/N exactly, rows to 1/M when it has converged. A device may have no kernel for Together.
func Sinkhorn(dst, s *Tensor, o SinkhornOptions) {
	check(s.Rank() == 4 && sameLen(dst, s) && !dst.overlaps(s) && dst.Kind() == Full && s.Kind() == Full && o.Eps >= LeastEps && o.Most >= 1 && !math.IsNaN(o.Threshold),
		"Sinkhorn", "dst and s Full [B,M,N,C] apart from each other, Eps at least LeastEps, an iteration", "dst s", dst, s)
	if s.Len() == 0 {
		return
	}
	dst.dev.backend.Sinkhorn(dst.buf, s.buf, SinkhornArgs{s.shape[0], s.shape[1], s.shape[2], s.shape[3], o.Eps, o.Threshold, o.Most, o.Together})
}
