package tensor

import "runtime"

func init() { Register("cpu", openCPU) }

// openCPU opens the processor in float32.
func openCPU(arg string, o Options) (Backend, error) {
	if err := checkHost(arg, o.Precision, "float32"); err != nil {
		return nil, err
	}
	h, err := newHost(o, func(b Buf) []float32 { return b.F32 }, func(v []float32) Buf { return Buf{F32: v, Size: 4} })
	if err != nil {
		return nil, err
	}
	h.about = "cpu " + runtime.GOARCH + " float32, " + workers(h.pool.Workers()) + ", portable"
	return h, nil
}
