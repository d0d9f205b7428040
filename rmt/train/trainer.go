package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"fewshot/nn"
	"fewshot/optim"
	"fewshot/tensor"
)

// Trainer makes the steps of a learner.
type Trainer struct {
	Learner    Learner
	Key        tensor.Key // randomness of update rules
	MicroBatch int        // images of a batch that are computed at a time, 0 for all

	dev     *tensor.Device
	groups  []Group
	params  []*nn.Param // of all groups
	groupOf []int       // by parameter
	places  []int       // in the group, by parameter
	steps   int
	sweep   *sweep
	now     attempt
	best    []optim.Named // copies of what is learned, by the best epoch so far; nil where none is kept
}

// New makes a trainer whose parts of a batch have at most micro images; 0 is all.
func New(dev *tensor.Device, l Learner, key tensor.Key, micro int) *Trainer {
	t := &Trainer{Learner: l, Key: key, MicroBatch: micro, dev: dev, groups: l.Groups()}
	seen := map[string]bool{}
	for i := range t.groups {
		g := &t.groups[i]
		if g.Rule == nil {
			g.Rule = firstLane{}
		}
		if g.Factor == 0 {
			g.Factor = 1
		}
		for j, p := range g.Params {
			if seen[p.Name] {
				panic("train: two trained parameters are called " + p.Name)
			}
			seen[p.Name] = true
			p.Trainable = true
			t.params, t.groupOf, t.places = append(t.params, p), append(t.groupOf, i), append(t.places, j)
		}
	}
	return t
}

// Stats describe one step.
type Stats struct {
	Loss    float64 // the first lane's
	Distill float64 // the second lane's; NaN without one
	Correct int     // images of the batch whose largest logit is the label's
}

// ErrNonFinite says that a loss, a trained tensor or an optimizer's state is NaN or infinite.
var ErrNonFinite = errors.New("not finite")

// Steps is the number of steps made.
func (t *Trainer) Steps() int { return t.steps }

// Step is one training step at learning rate lr on images [N, 3, S, S], normalised, with their labels. All losses are
// differentiated in one sweep.
//
// The sweep is recorded at the first step on a tensor of images and run again by those that follow on
// the same tensor, filled anew: then a step allocates nothing. It waits for the device once, before the first update,
// so that what goes wrong with an update is returned by the next step, or by the device's Sync.
//
// When ctx ends before the losses are there, the sweep is cut short; the updates that follow are all made. After this
// or any error the trained tensors are as they were, unless it says that the step before has spoilt them.
func (t *Trainer) Step(ctx context.Context, images *tensor.Tensor, labels []int32, lr float64) (Stats, error) {
	s, err := t.run(ctx, images, labels, attempt{lr: lr, updates: true})
	if err != nil {
		return s, err
	}
	next := 0
	for i := range t.groups {
		g := &t.groups[i]
		first := next
		next += len(g.Params)
		if t.sweep.plan.rests(i) {
			continue
		}
		rule := g.Rule
		if r, ok := rule.(optim.Overall); ok {
			var ws, as, bs []*tensor.Tensor
			for j, p := range g.Params {
				lanes := t.sweep.lanes[first+j]
				ws, as, bs = append(ws, p.Value), append(as, lanes[0]), append(bs, lanes[1])
			}
			rule = r.Over(ws, as, bs)
		}
		for j := first; j < next; j++ {
			if !t.sweep.updated[j] {
				t.apply(rule, j, t.sweep.lanes[j])
			}
		}
	}
	return s, nil
}

// overall reports whether the group's rule has to see all its gradients before an update.
func (g *Group) overall() bool {
	_, ok := g.Rule.(optim.Overall)
	return ok
}

// update is a parameter's by its gradients, in a group whose rule looks at each alone.
func (t *Trainer) update(i int, lanes [2]*tensor.Tensor) {
	t.apply(t.groups[t.groupOf[i]].Rule, i, lanes)
}

// apply is a parameter's update by a rule.
func (t *Trainer) apply(rule optim.Rule, i int, lanes [2]*tensor.Tensor) {
	g, p := &t.groups[t.groupOf[i]], t.params[i]
	if g.Watch != nil {
		g.Watch(t.places[i], t.now.lr*g.Factor, lanes[0])
	}
	rule.Apply(g.Optimizer, p.Value, lanes[0], lanes[1], t.now.key.Name(p.Name))
}

// Gradients makes those of a step, by parameter and loss, and updates nothing. Those of a loss that is not there are
// nil. They are valid until the next step.
func (t *Trainer) Gradients(ctx context.Context, images *tensor.Tensor, labels []int32) (Stats, [][2]*tensor.Tensor, error) {
	s, err := t.run(ctx, images, labels, attempt{})
	if err != nil {
		return s, nil, err
	}
	return s, t.sweep.lanes, nil
}

// attempt is a run of the sweep: what it is for, and what became of it.
type attempt struct {
	lr      float64
	updates bool // follow, or are part of the sweep
	ctx     context.Context
	end     func() (interrupted bool) // what can be cut short

	stats Stats
	key   tensor.Key // of the updates
	again bool       // the plan has changed
	err   error
}

// run makes the gradients of a step, and of the updates those that are part of the sweep.
func (t *Trainer) run(ctx context.Context, images *tensor.Tensor, labels []int32, a attempt) (Stats, error) {
	t.now = a
	t.now.ctx, t.now.stats.Distill = ctx, math.NaN()
	plan, inside := t.Learner.Plan(), a.updates && t.dev.Calls()
	if !t.sweep.serves(images, labels, plan, inside) {
		if err := t.Release(); err != nil {
			return t.now.stats, err
		}
		var err error
		if t.sweep, err = t.record(images, len(labels), plan, inside); err != nil {
			return t.now.stats, err
		}
	}
	copy(t.sweep.labels, labels)
	t.Learner.Begin(t.steps)
	t.now.end = t.dev.Interruptible(ctx)
	t.sweep.program.Run()
	if !inside {
		t.judge()
	}
	if t.now.again {
		return t.run(ctx, images, labels, a)
	}
	return t.now.stats, t.now.err
}

// judge reads what the sweep reports, which waits for the device, and says whether its gradients are of any good. If
// so, updates may follow: from here on nothing is cut short.
func (t *Trainer) judge() bool {
	s, a := t.sweep, &t.now
	s.report.ReadFloat64s(s.values)
	if a.end() {
		a.err = a.ctx.Err()
		return false
	}
	for i, v := range s.squares {
		if !finite(v) {
			a.err = t.nonFinite("%s after step %d", t.params[i].Name, t.steps)
			return false
		}
	}
	a.stats.Loss, a.stats.Correct = s.losses[0], s.correct()
	for i, v := range s.losses {
		if !finite(v) {
			a.err = t.nonFinite("%s loss of step %d is %v and", [...]string{"cross-entropy", "distillation"}[i], t.steps+1, v)
			return false
		}
	}
	if a.again = t.Learner.Counted(s.counts); a.again {
		return false
	}
	if s.plan.Lanes > 1 {
		a.stats.Distill = s.losses[1]
	}
	if a.updates {
		t.begin()
	}
	return true
}

// begin begins the updates of a step.
func (t *Trainer) begin() {
	t.now.key = t.Key.Fold(uint64(t.steps))
	t.steps++
	for i, g := range t.groups {
		if !t.sweep.plan.rests(i) {
			g.Optimizer.Tick(t.now.lr * g.Factor)
		}
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// nonFinite is the error for something that is no number. What a broken device returns is none either; its own error
// says more.
func (t *Trainer) nonFinite(format string, a ...any) error {
	if err := t.dev.Sync(); err != nil {
		return err
	}
	return fmt.Errorf(format+" is %w: a smaller learning rate or penalty may help", append(a, ErrNonFinite)...)
}

// Check reports the first trained tensor, or tensor of an optimizer, that is not finite.
func (t *Trainer) Check() error {
	sum := t.dev.New(tensor.Full)
	defer sum.Release()
	for _, s := range t.state() {
		tensor.SumSquares(sum, s.Tensor)
		if !finite(sum.Item()) {
			return t.nonFinite("%s after step %d", s.Name, t.steps)
		}
	}
	return t.dev.Sync()
}

// Release gives back what steps keep for the next: the memory of the sweep. The trainer can go on.
func (t *Trainer) Release() error {
	if t.sweep == nil {
		return nil
	}
	p := t.sweep.program
	t.sweep = nil
	return p.Release()
}

// Close gives back all that the trainer took, the state of its optimizers included. What was learned stays, and
// nothing can be trained further.
func (t *Trainer) Close() error {
	for _, g := range t.groups {
		for _, p := range g.Params {
			g.Optimizer.Release(p.Value)
		}
	}
	for _, s := range t.best {
		s.Tensor.Release()
	}
	t.best = nil
	return t.Release()
}

// KeepBest makes room for what the best epoch has learned. Checkpoints have it from here on.
func (t *Trainer) KeepBest() {
	for _, s := range t.learned() {
		t.best = append(t.best, optim.Named{Name: "best/" + s.Name, Tensor: s.Tensor.Device().New(tensor.Full, s.Tensor.Shape()...)})
	}
	t.keep()
}

// keep keeps what is learned now.
func (t *Trainer) keep() {
	for i, s := range t.learned() {
		tensor.Copy(t.best[i].Tensor, s.Tensor)
	}
}

// TakeBest puts the best epoch's tensors in the place of those learned since, and gives the room for them back.
func (t *Trainer) TakeBest() {
	for i, s := range t.learned() {
		tensor.Copy(s.Tensor, t.best[i].Tensor)
		t.best[i].Tensor.Release()
	}
	t.best = nil
	t.Learner.Restored()
}

// learned lists what a method leaves, and what it is restored from: trained tensors and the learner's state, without
// the optimizers'.
func (t *Trainer) learned() []optim.Named {
	var all []optim.Named
	for _, g := range t.groups {
		for _, p := range g.Params {
			all = append(all, optim.Named{Name: "trained/" + p.Name, Tensor: p.Value})
		}
	}
	for _, s := range t.Learner.State() {
		all = append(all, optim.Named{Name: "state/" + s.Name, Tensor: s.Tensor})
	}
	return all
}

// state lists everything that changes from step to step, under fixed names.
func (t *Trainer) state() []optim.Named {
	var all []optim.Named
	for _, g := range t.groups {
		for _, p := range g.Params {
			all = append(all, optim.Named{Name: "trained/" + p.Name, Tensor: p.Value})
			for _, s := range g.Optimizer.State(p.Value) {
				all = append(all, optim.Named{Name: s.Name + "/" + p.Name, Tensor: s.Tensor})
			}
		}
	}
	for _, s := range t.Learner.State() {
		all = append(all, optim.Named{Name: "state/" + s.Name, Tensor: s.Tensor})
	}
	return append(all, t.best...)
}

// setSteps takes up the count of a checkpoint.
func (t *Trainer) setSteps(n int) {
	t.steps = n
	for _, g := range t.groups {
		g.Optimizer.SetSteps(n)
	}
	t.Learner.Restored()
}
