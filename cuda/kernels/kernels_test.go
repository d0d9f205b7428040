package kernels

import (
	"slices"
	"strings"
	"testing"
)

func TestEntryPoints(t *testing.T) {
	got, err := entryPoints(`.version 8.4
.visible .entry add(
	.param .align 8 .b8 add_param_0[72]
)
.maxntid 256, 1, 1
{
}
.visible .entry mul(
	.param .align 8 .b8 mul_param_0[8]
)
{
}
`)
	if want := []Kernel{{"add", 72}, {"mul", 8}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for name, ptx := range map[string]string{
		"no parameter":   ".visible .entry none(\n)\n{}",
		"a number":       ".visible .entry number(\n.param .u64 number_param_0\n)\n{}",
		"two parameters": ".visible .entry two(\n.param .b8 two_param_0[8],\n.param .b8 two_param_1[8]\n)\n{}",
	} {
		if _, err := entryPoints(ptx); err == nil || !strings.Contains(err.Error(), "not just one argument") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
