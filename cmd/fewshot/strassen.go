package main

import (
	"flag"
	"fmt"
	"strconv"

	"fewshot/tensor"
)

// strassen is the flag -strassen: whether large products are computed by that algorithm, or, if not given, where the
// kernels in use gain by it.
type strassen struct{ given, on bool }

func (s *strassen) declare(fs *flag.FlagSet) {
	fs.Var(s, "strassen", "on CPUs in float32, multiply large matrices by Strassen's algorithm: `auto`, true or false; with AVX-512, where auto is true, "+
		"about a seventh less time, larger rounding errors; without it features have the same bits in any batch")
}

func (s *strassen) String() string {
	if !s.given {
		return "auto"
	}
	return strconv.FormatBool(s.on)
}

// Set makes s a flag.Value.
func (s *strassen) Set(text string) error {
	if text == "auto" {
		*s = strassen{}
		return nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("want auto, true or false")
	}
	*s = strassen{true, on}
	return nil
}

// IsBoolFlag permits -strassen without a value.
func (s *strassen) IsBoolFlag() bool { return true }

// permitted is what a device is opened with.
func (s *strassen) permitted() bool {
	if s.given {
		return s.on
	}
	return tensor.StrassenPays()
}
