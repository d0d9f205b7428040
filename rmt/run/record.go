package run

import "fewshot/rmt/train"

// Recorder is told a run's numbers as they come, for whoever watches from outside, as TensorBoard. A run that is resumed tells again what is
// computed again, and it comes out the same.
type Recorder interface {
	// Epoch is told of each epoch, those before a run was resumed among them. Sparsity is not known of these.
	Epoch(EpochEvent) error
	// End is told of what came out.
	End(*Result) error
	Close() error
}

// record tells the recorder, if there is one. One that fails is told nothing more: what is learned is worth more than its log.
func (r *Request) record(tell func(Recorder) error) {
	if r.recorder == nil {
		return
	}
	if err := tell(r.recorder); err != nil {
		r.UI.Warn("the log of the run ends here: %v", err)
		r.recorder.Close()
		r.recorder = nil
	}
}

// recordEpochs tells of epochs that other processes have trained.
func (r *Request) recordEpochs(all []train.Epoch) {
	for _, e := range all {
		r.record(func(c Recorder) error { return c.Epoch(EpochEvent{Kind: "epoch", Epoch: e}) })
	}
}
