package serve

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// triton are the parameters of a request that mean something to Triton, each with the kinds of JSON that it takes. Here only the first has an
// effect. Tasks have no state, and requests are answered in turn, each within the server's own time: of a model so configured Triton passes over
// the others, too.
var triton = map[string]string{
	"binary_data_output": "true or false", "sequence_id": "a number or a string", "sequence_start": "true or false", "sequence_end": "true or false",
	"priority": "a number", "timeout": "a number", "triton_enable_empty_final_response": "true or false",
}

// custom is what Triton takes for parameters that it does not know, which it leaves to the model.
const custom = "a number, a string, true or false"

// checkParameters refuses what Triton refuses: its own parameters with what they cannot be, others with lists and objects, and unknown ones that
// begin as its own do.
func checkParameters(parameters map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		want, known := triton[name]
		switch {
		case !known && strings.HasPrefix(name, "triton_"):
			return badf("parameter %s: names that begin with triton_ are Triton's, and it has none such", quote.String(name))
		case !known:
			want = custom
		}
		kind := "a list or an object"
		switch (string(parameters[name]) + " ")[0] {
		case '"':
			kind = "a string"
		case 't', 'f':
			kind = "true or false"
		case 'n':
			if name == "binary_data_output" { // flag takes it for false
				continue
			}
			kind = "null"
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			kind = "a number"
		}
		if !strings.Contains(want, kind) {
			return badf("parameter %s is %s, not %s", quote.String(name), want, kind)
		}
	}
	return nil
}
