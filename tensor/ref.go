package tensor

func init() { Register("ref", openRef) }

// openRef opens the oracle: the portable kernels in float64, for checks of gradients and of other devices.
func openRef(arg string, o Options) (Backend, error) {
	if err := checkHost(arg, o.Precision, "float64"); err != nil {
		return nil, err
	}
	h, err := newHost(o, func(b Buf) []float64 { return b.F64 }, func(v []float64) Buf { return Buf{F64: v, Size: 8} })
	if err != nil {
		return nil, err
	}
	h.kinds = "ref"
	h.about = "ref float64, " + workers(h.pool.Workers()) + ", portable"
	return h, nil
}
