package run

import (
	"context"
	"testing"

	"fewshot/datasets"
	"fewshot/rmt/train"
)

// Trials of one set of templates have their class features in common, and those of other templates not.
func TestTrialsShareHeads(t *testing.T) {
	dev, m := embedded(t)
	classes := []string{"red circle", "blue square", "green star"}
	r := Request{Dev: dev, Model: m, Data: &datasets.Dataset{Name: "three", Classes: classes}, UI: &said{}}
	var trials []*Trial
	for i, template := range []string{"a {}.", "a {}.", "one {}."} {
		l, err := OpenEach([]Given{{saveMask(t, m, 3+i, classes), true}})
		if err != nil {
			t.Fatal(err)
		}
		defer l[0].Close()
		trials = append(trials, &Trial{Loaded: l[0], Templates: []string{template}})
	}
	cs, release, err := r.Apply(context.Background(), trials, false)
	defer release()
	if err != nil {
		t.Fatal(err)
	}
	var heads []train.Head
	for _, c := range cs {
		heads = append(heads, c.(train.Model).Head)
	}
	if heads[0].Classes != heads[1].Classes || heads[0].Classes == heads[2].Classes {
		t.Error("class features were not computed once for each set of templates")
	}
}

// One trial without learned texts gives the text encoder of a model of its own back, and no other does.
func TestTrialGivesTextBack(t *testing.T) {
	for _, own := range []bool{false, true} {
		dev, m := embedded(t)
		classes := []string{"red circle", "blue square", "green star"}
		r := Request{Dev: dev, Model: m, Data: &datasets.Dataset{Name: "three", Classes: classes}, UI: &said{}, Own: own}
		l, err := OpenEach([]Given{{saveMask(t, m, 3, classes), true}})
		if err != nil {
			t.Fatal(err)
		}
		defer l[0].Close()
		_, release, err := r.Apply(context.Background(), []*Trial{{Loaded: l[0], Templates: []string{"a {}."}}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if gone := m.Text.Params()[0].Value == nil; gone != own {
			t.Errorf("own %t: the text encoder is gone: %t", own, gone)
		}
		release()
	}
}
