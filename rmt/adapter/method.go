package adapter

import (
	"context"
	"flag"

	"fewshot/autograd"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
)

// Methods are the rows of this package in the table of methods.
func Methods() []*method.Method {
	return []*method.Method{
		{
			Name: "clip-adapter", Summary: "two layers behind the image encoder",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &ClipAdapterSettings{DefaultClipAdapter(t.Dataset, t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[ClipAdapterSettings], Begin: beginClipAdapter, Load: loadClipAdapter,
		},
		{
			Name: "tip-adapter", Summary: "a cache of training images beside the text classifier, without training", Validates: true, Epochs: method.NoEpochs.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, nil
			},
			Settings: method.Parse[TipSettings], Begin: beginTip, Load: loadTip,
		},
		{
			Name: "tip-adapter-f", Summary: "that cache, its keys trained", Validates: true, Epochs: method.LastEpoch.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipFSettings{TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, DefaultTipF(t.Dataset)}, nil
			},
			Settings: method.Parse[TipFSettings], Begin: beginTipF, Load: loadTip,
		},
		{
			Name: "tip-adapter-f-test-selected", Summary: "tip-adapter-f as released: its epoch is chosen on the test images", Validates: true, Peeks: true, Epochs: method.LastEpoch.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipFSettings{TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, DefaultTipF(t.Dataset)}, nil
			},
			Settings: method.Parse[TipFSettings], Begin: beginTipFOnTest, Load: loadTip,
		},
		{
			Name: "taskres", Summary: "a learned residual on the text classifier",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TaskResSettings{DefaultTaskRes(t.Dataset, t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[TaskResSettings], Begin: beginTaskRes, Load: loadTaskRes,
		},
		{
			Name: "clip-lora", Summary: "paths of low rank beside the attention of both encoders",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &LoRASettings{DefaultLoRA(t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[LoRASettings], Begin: beginLoRA, Load: loadLoRA,
		},
	}
}

func declareLoop(fs *flag.FlagSet, epochs *int, lr, decay *float64, batch *int) {
	fs.IntVar(epochs, "epochs", *epochs, "epochs")
	fs.Float64Var(lr, "lr", *lr, "learning rate")
	fs.Float64Var(decay, "wd", *decay, "weight decay")
	fs.IntVar(batch, "batch-size", *batch, "images a step")
}

// behindLearned is something learned behind the image encoder for the job's classes.
type behindLearned struct {
	job     *method.Job
	classes []string
	tensors []optim.Named
	head    interface {
		Logits(features *autograd.Var) *autograd.Var
	}
	of   func(ctx context.Context, classes []string) (train.Classifier, error) // for other classes; nil where there is nothing to carry over
	owns []interface{ Release() }
}

func (l *behindLearned) Tensors() []optim.Named { return l.tensors }

// Close gives back all that it owns.
func (l *behindLearned) Close() {
	for _, x := range l.owns {
		x.Release()
	}
	l.owns = nil
}

func (l *behindLearned) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	err := method.SameClasses(l.classes, classes)
	if err != nil && l.of != nil {
		return l.of(ctx, classes)
	}
	return method.Behind{Encoder: l.job.Model.Image, Head: l.head}, err
}
