package serve

import (
	"context"
	"errors"
	"testing"
	"time"
)

// queued is a queue of images, some of which were decoded at a time.
func queued(q *queue, at time.Time, towers ...*tower) (items []*item) {
	for _, t := range towers {
		it := &item{through: through{tower: t}, ctx: context.Background(), done: func([]float32, error) {}}
		q.admit(1)
		q.add(at, it)
		items = append(items, it)
	}
	return items
}

// TestQueue: who is computed with whom, and when. Time is what the test says.
func TestQueue(t *testing.T) {
	a, b := &tower{}, &tower{}
	start := time.Unix(0, 0)
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	fresh := func() *queue {
		a.company, b.company = company{}, company{}
		return &queue{most: 8, batch: 3, delay: 5 * time.Millisecond}
	}

	q := fresh()
	if batch, wait := q.next(start); batch != nil || wait != 0 {
		t.Errorf("nothing: %v, %v", batch, wait)
	}
	queued(q, start, a)
	if batch, _ := q.next(start); len(batch) != 1 {
		t.Errorf("alone, and nobody is coming: a batch of %d", len(batch))
	}

	q = fresh()
	queued(q, ms(0), a)
	q.admit(2) // are being decoded
	if batch, wait := q.next(ms(1)); batch != nil || wait != 4*time.Millisecond {
		t.Errorf("two are coming: a batch of %d, wait %v", len(batch), wait)
	}
	q.withdraw(1)
	queued2 := &item{through: through{tower: a}, ctx: context.Background()}
	q.add(ms(2), queued2) // the other
	if batch, wait := q.next(ms(2)); len(batch) != 2 || wait != 0 {
		t.Errorf("all are there: a batch of %d, wait %v", len(batch), wait)
	}

	q = fresh()
	queued(q, ms(0), a)
	q.admit(1)
	if batch, wait := q.next(ms(5)); len(batch) != 1 || wait != 0 {
		t.Errorf("the deadline has passed: a batch of %d, wait %v", len(batch), wait)
	}

	q = fresh()
	q.admit(1)
	queued(q, ms(0), a, a, a, a)
	if batch, _ := q.next(ms(0)); len(batch) != 3 || q.length() != 2 {
		t.Errorf("more than a batch: %d, and %d are left", len(batch), q.length())
	}

	// The oldest decides whose turn it is, and takes all of its kind; others keep their order.
	q = fresh()
	all := queued(q, ms(0), b, a, b, a)
	batch, _ := q.next(ms(0))
	if len(batch) != 2 || batch[0] != all[0] || batch[1] != all[2] || len(q.items) != 2 || q.items[0] != all[1] {
		t.Errorf("two towers: %v, and %v are left", batch, q.items)
	}

	// Who was answered is waited for while the device is free: two groups that took turns become one.
	q = fresh()
	take := func(now, want int, wait time.Duration) {
		t.Helper()
		if batch, w := q.next(ms(now)); len(batch) != want || w != wait {
			t.Errorf("at %d ms a batch of %d, wait %v; want %d, %v", now, len(batch), w, want, wait)
		}
	}
	queued(q, ms(0), a)
	take(0, 1, 0)
	queued(q, ms(1), a) // another, while the first is computed
	q.finished(a, 1, 16*time.Millisecond, ms(100))
	take(101, 0, 4*time.Millisecond)
	queued(q, ms(102), a) // the first again
	take(102, 2, 0)
	q.finished(a, 2, 16*time.Millisecond, ms(200))
	queued(q, ms(200), a)
	take(202, 0, 3*time.Millisecond)
	take(205, 1, 0) // in vain
	queued(q, ms(206), a)
	q.finished(a, 1, 16*time.Millisecond, ms(300))
	take(301, 1, 0) // not tried
	queued(q, ms(302), a)
	q.finished(a, 1, 16*time.Millisecond, ms(400))
	take(401, 0, 4*time.Millisecond) // tried again
	take(405, 1, 0)
	for i := range 3 {
		queued(q, ms(406), a)
		q.finished(a, 1, 16*time.Millisecond, ms(500+i))
		take(500+i, 1, 0)
	}
	queued(q, ms(600), a)
	q.finished(a, 1, 16*time.Millisecond, ms(600))
	take(601, 0, 4*time.Millisecond)
	queued(q, ms(601), b)
	take(601, 1, 0) // others wait

	q = fresh()
	queued(q, ms(0), a)
	take(0, 1, 0)
	q.finished(a, 1, 16*time.Millisecond, ms(10))
	for i := range 5 { // a client alone never waits
		queued(q, ms(20+i), a)
		take(20+i, 1, 0)
		q.finished(a, 1, 16*time.Millisecond, ms(20+i))
	}

	// Of long batches those that are being decoded are waited for longer, and of short ones nobody that may not come for long.
	q = fresh()
	queued(q, ms(0), a)
	take(0, 1, 0)
	q.finished(a, 1, 800*time.Millisecond, ms(800))
	queued(q, ms(801), a)
	q.admit(1)
	take(810, 0, 91*time.Millisecond)
	q.withdraw(1) // a bad image
	take(811, 1, 0)
	q.finished(a, 1, 2*time.Millisecond, ms(820))
	a.company.expected = 2
	queued(q, ms(820), a)
	take(820, 0, time.Millisecond)
	take(821, 1, 0)

	q = fresh()
	q.delay = 0
	queued(q, ms(0), a)
	q.finished(a, 2, 800*time.Millisecond, ms(0))
	q.admit(1)
	take(0, 1, 0)

	// Who has gone is dropped and told.
	q = fresh()
	all = queued(q, ms(0), a, a)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var told error
	all[0].ctx, all[0].done = ctx, func(_ []float32, err error) { told = err }
	if batch, _ := q.next(ms(0)); len(batch) != 1 || batch[0] != all[1] || !errors.Is(told, context.Canceled) {
		t.Errorf("one has gone: a batch of %d, %v", len(batch), told)
	}

	q = fresh()
	if !q.admit(8) || q.admit(1) {
		t.Error("room for 8 images")
	}
	q.withdraw(3)
	if !q.admit(3) || q.length() != 8 {
		t.Errorf("%d places are taken after three came back and went", q.length())
	}
}
