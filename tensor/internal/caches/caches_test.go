package caches

import "testing"

// The levels of a Zen 4 as CPUID gives them: data, instructions, unified, and a cache of eight cores; then none.
func TestCollect(t *testing.T) {
	levels := []level{
		{1 | 1<<5 | 1<<14, 7<<22 | 63, 63},
		{2 | 1<<5 | 1<<14, 7<<22 | 63, 63},
		{3 | 2<<5 | 1<<14, 7<<22 | 63, 2047},
		{3 | 3<<5 | 15<<14, 15<<22 | 63, 32767},
		{},
	}
	got := collect(func(i int) level { return levels[i] })
	if want := (Sizes{32 << 10, 1 << 20, 32 << 20, 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := collect(func(int) level { return level{} }); got != (Sizes{SharedL2: 1}) {
		t.Errorf("of no caches: %+v", got)
	}
}

// Where the processor says something, it is possible.
func TestOf(t *testing.T) {
	t.Logf("%+v", Of)
	if Of.SharedL2 < 1 || Of.L2 != 0 && Of.L2 < Of.L1 || Of.L3 != 0 && Of.L3 < Of.L2 {
		t.Errorf("%+v", Of)
	}
}
