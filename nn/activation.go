package nn

import (
	"fmt"
	"strings"

	"fewshot/tensor"
)

// activations are those that models have, by the names that checkpoints and flags give them.
var activations = []tensor.Activation{tensor.QuickGELU, tensor.GELU, tensor.TanhGELU}

// ActivationNamed finds an activation by its name: quickgelu, gelu or gelu-tanh.
func ActivationNamed(name string) (tensor.Activation, error) {
	var names []string
	for _, a := range activations {
		if a.String() == name {
			return a, nil
		}
		names = append(names, a.String())
	}
	return 0, fmt.Errorf("there are %s", strings.Join(names, ", "))
}
