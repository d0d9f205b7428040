package main

import (
	"encoding/json"
	"strings"
	"testing"

	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

// FuzzResult reads a result.json as info does. What is an object is printed.
func FuzzResult(f *testing.F) {
	whole, err := json.Marshal(run.Result{Kind: "result", Model: "embedded", Dataset: "few", ZeroShot: &run.Accuracy{}, Epochs: []train.Epoch{{Epoch: 3}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"model":"\u001b[2J","dataset":3,"test":{"accuracy":1e308},"zeroshot":null,"epochs":[null]}`))
	f.Add([]byte(`{"sparsity":{"Off":1,"Total":-9223372036854775808},"train_images":9e99}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := isResult(b)
		if string(b) == string(whole) && err != nil {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		var out strings.Builder
		(&runInfo{Path: "run", Finished: true, Result: b}).print(&out)
		if printed := out.String(); !strings.HasPrefix(printed, "run: finished run\n") {
			t.Fatalf("%q", printed)
		}
	})
}
