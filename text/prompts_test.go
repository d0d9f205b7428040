package text

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
)

// Prompts of each class give what templates give that say the same, and a class's own number of them changes no other
// class.
func TestPromptClassifier(t *testing.T) {
	dev, e, tok := classifierRig(t, "ref")
	want, err := Classifier(context.Background(), e, tok, dev, classNames, templateNames, NormalizeFirst)
	if err != nil {
		t.Fatal(err)
	}
	prompts := make([][]string, len(classNames))
	for i, class := range classNames {
		for _, template := range templateNames {
			prompts[i] = append(prompts[i], strings.ReplaceAll(template, "{}", class))
		}
	}
	prompts[0] = prompts[0][:1]
	prompts[1] = append(prompts[1], strings.Repeat("a long prompt ", 100)) // it is cut
	got, err := PromptClassifier(context.Background(), e, tok, dev, prompts, NormalizeFirst)
	if err != nil {
		t.Fatal(err)
	}
	one, err := Classifier(context.Background(), e, tok, dev, classNames[:1], templateNames[:1], NormalizeFirst)
	if err != nil {
		t.Fatal(err)
	}
	for i := range classNames {
		length := 0.0
		same := want.Index(i).Float64s()
		if i == 0 {
			same = one.Index(0).Float64s()
		}
		for j, v := range got.Index(i).Float64s() {
			length += v * v
			if i != 1 && !(math.Abs(v-same[j]) <= 1e-14) { // tens of roundings of numbers below 1
				t.Fatalf("class %d, element %d: %.17g, want %.17g", i, j, v, same[j])
			}
		}
		if math.Abs(length-1) > 1e-14 {
			t.Errorf("class %d has length² %.17g", i, length)
		}
	}
	if slices.Equal(got.Index(1).Float64s(), want.Index(1).Float64s()) {
		t.Error("a prompt more changes nothing")
	}
	for _, bad := range [][][]string{nil, {{"a"}, {}}} {
		if _, err := PromptClassifier(context.Background(), e, tok, dev, bad, NormalizeFirst); err == nil {
			t.Errorf("%q gave a classifier", bad)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := PromptClassifier(ctx, e, tok, dev, prompts, NormalizeFirst); err != context.Canceled {
		t.Errorf("error %v", err)
	}
}
