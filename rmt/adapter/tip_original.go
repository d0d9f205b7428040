package adapter

import (
	"context"
	"fmt"

	"fewshot/rmt/method"
	"fewshot/rmt/train"
)

// beginTipFOnTest is tip-adapter-f by the protocol of the released program (gaopengcuhk/Tip-Adapter, main.py and main_imagenet.py): the
// epoch is the one with most *test* images right, α and β are chosen on validation images, or on test images where a data set has no
// others, and of the two classifiers, before and after that choice, the one that has more test images right is reported. Its accuracy
// is what publications compare with, and is too high by what the choice gains.
func beginTipFOnTest(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*TipFSettings)
	if j.Data.Count(method.Test) == 0 {
		return nil, fmt.Errorf("tip-adapter-f-test-selected chooses its epoch by test images, and the data set has none")
	}
	if err := j.NeedClasses("tip-adapter-f-test-selected"); err != nil {
		return nil, err
	}
	data, encoder, err := j.Data.Frozen(c.Train.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	l := &cached{behindLearned: behindLearned{job: j, classes: j.Classes}, source: c.TipSettings, chooseOn: method.Val}
	if j.Data.Count(method.Val) == 0 {
		l.chooseOn = method.Test
	}
	if err := l.make(ctx); err != nil {
		l.Close()
		return nil, err
	}
	tests, err := l.features(ctx, method.Test)
	if err != nil {
		l.Close()
		return nil, err
	}
	f, err := NewTipF(l.tip, encoder, tests, c.Train)
	if err != nil {
		l.Close()
		return nil, err
	}
	l.owns = append(l.owns, f)
	t := &method.Training{Learned: l, Figures: map[string]float64{},
		Run: &train.Run{Trainer: train.New(j.Dev, f, j.Key("tip-adapter-f"), j.Micro(c.Train.Batch)), Epochs: c.Train.Epochs, PerStep: true,
			Schedule: c.Train.Schedule(data.Batches()), Data: data}}
	t.Solve = func(context.Context) error {
		epoch, before := f.Best()
		s, err := l.tip.Search(l.val, c.TipConfig)
		if err != nil {
			return err
		}
		first := *l.tip
		l.tip.Alpha, l.tip.Beta = s.Alpha, s.Beta
		if l.tip.Correct(tests) <= before {
			l.tip.Alpha, l.tip.Beta = first.Alpha, first.Beta
		}
		l.finish()
		t.Figures["alpha"], t.Figures["beta"], t.Figures["best_epoch"] = l.tip.Alpha, l.tip.Beta, float64(epoch)
		return nil
	}
	return t, nil
}
