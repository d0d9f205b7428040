package main

import (
	"flag"

	"fewshot/tensor"
)

// commonFlags are on every command.
type commonFlags struct {
	json                bool
	cpu, memory, tracer string
}

func (c *commonFlags) declare(fs *flag.FlagSet) {
	fs.BoolVar(&c.json, "json", false, "print one JSON object a line, the last one the result")
	fs.StringVar(&c.cpu, "cpuprofile", "", "write a CPU profile, cpu.pprof, into this `folder`")
	fs.StringVar(&c.memory, "memprofile", "", "write a memory profile, mem.pprof, into this `folder`")
	fs.StringVar(&c.tracer, "trace", "", "write an execution trace, trace.out, into this `folder`")
}

// deviceFlags choose where to compute.
type deviceFlags struct {
	name, precision string
	workers         int
	strassen        strassen
	inference       bool // nothing is trained
}

// tests declares the flags of a command that trains nothing.
func (d *deviceFlags) tests(fs *flag.FlagSet) {
	d.inference = true
	d.declare(fs)
	fs.Lookup("precision").Usage += "; or int8 (with AVX512_VNNI about half the time of float32)"
}

func (d *deviceFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&d.name, "device", "cpu", "where to compute: cpu, or cuda:0 in a binary built with -tags cuda")
	fs.StringVar(&d.precision, "precision", "float32", "number format of activations and weights: float32, or bf16 (half the memory; with AVX512_BF16 about 0.6 of the time, else somewhat more)")
	d.strassen.declare(fs)
	fs.IntVar(&d.workers, "workers", 0, "worker threads, 0 for one a core; results do not depend on it")
}

// trainable refuses a -precision that nothing is trained in.
func trainable(precision string) error {
	if precision == "int8" {
		return usagef("-precision int8 is for inference, as eval, zeroshot, encode, predict and serve do; what is trained needs float32 or bf16")
	}
	return nil
}

func (d *deviceFlags) open() (*tensor.Device, error) {
	if d.workers < 0 {
		return nil, usagef("-workers %d: not a number of threads", d.workers)
	}
	if !d.inference {
		if err := trainable(d.precision); err != nil {
			return nil, err
		}
	}
	switch {
	case d.precision != "int8":
	case d.name == "cpu" && !tensor.Int8Pays():
		return nil, usagef("-precision int8: this processor has no AVX512_VNNI, without which float32 is faster")
	}
	return tensor.Open(d.name, tensor.Options{Workers: d.workers, Precision: d.precision, Strassen: d.strassen.permitted()})
}
