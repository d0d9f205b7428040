package serve

import (
	"context"
	"time"
)

// item is an image that waits.
type item struct {
	through
	pixels []float32 // [3, S, S]
	ctx    context.Context
	done   func(logits []float32, err error)

	// When it came into the queue, its batch was begun, and the device was done with that.
	since, began, computed time.Time
}

// queue is what waits for the device. It knows no clock: whoever asks says what time it is.
type queue struct {
	most  int           // images, those on their way included
	batch int           // images that are taken together
	delay time.Duration // how long one waits for those on their way

	items  []*item
	coming int       // images that were admitted and are being decoded
	free   time.Time // when the device was done with the last batch
}

// company is what a queue knows of those who ask a tower.
type company struct {
	took     time.Duration // of the last batch, on the device
	expected int           // images that there are if all ask again who were answered last
	waited   bool          // for them, this time
	misses   int           // times that waiting was in vain, as 2^n - 1
	skip     int           // batches until it is tried again
}

// length is how many images there are, with those on their way.
func (q *queue) length() int { return len(q.items) + q.coming }

// admit makes places for n images that will come, or reports that there are none.
func (q *queue) admit(n int) bool {
	if q.length()+n > q.most {
		return false
	}
	q.coming += n
	return true
}

// withdraw gives up places of images that will not come.
func (q *queue) withdraw(n int) { q.coming -= n }

// add puts images that were admitted into the queue.
func (q *queue) add(now time.Time, items ...*item) {
	for _, it := range items {
		it.since = now
	}
	q.coming -= len(items)
	q.items = append(q.items, items...)
}

// next takes a batch out: the oldest image's tower decides, and all that wait for the same are taken, as many as fit. Images whose requests
// are over are dropped.
//
// If others may be worth waiting for while the device is free, it says how long: some are being decoded, or those who were answered last
// may ask again. Clients that do so stay together, where else they would fall into groups that take turns. One that asks alone never waits;
// and where waiting was in vain it is tried again after one batch more, then after three, seven and so on, up to 63.
//
// The deadline is for what may not come. What is being decoded will, and of a large model's batch it is worth more than the deadline: an eighth of
// the time that the last one took. Nor is it worth half a batch's time to wait for who may ask again.
func (q *queue) next(now time.Time) (batch []*item, wait time.Duration) {
	kept := q.items[:0]
	for _, it := range q.items {
		if err := it.ctx.Err(); err != nil {
			it.done(nil, err)
			continue
		}
		kept = append(kept, it)
	}
	clear(q.items[len(kept):])
	q.items = kept
	if len(q.items) == 0 {
		return nil, 0
	}
	first, same := q.items[0], 0
	for _, it := range q.items {
		if it.tower == first.tower {
			same++
		}
	}
	from := first.since
	if from.Before(q.free) {
		from = q.free
	}
	c := &first.tower.company
	missing := same < min(c.expected, q.batch)
	alone := same == len(q.items) // who else waits could be computed meanwhile
	asking := missing && c.skip == 0
	var patience time.Duration
	switch {
	case q.delay == 0: // whoever wants no batches gets none
	case q.coming > 0:
		patience = max(q.delay, c.took/8)
	case asking:
		patience = min(q.delay, c.took/2)
	}
	if wait = from.Add(patience).Sub(now); wait > 0 && same < q.batch && alone {
		c.waited = c.waited || asking
		return nil, wait
	}
	c.taken(missing)
	rest := q.items[:0]
	for _, it := range q.items {
		if it.tower == first.tower && len(batch) < q.batch {
			batch = append(batch, it)
		} else {
			rest = append(rest, it)
		}
	}
	clear(q.items[len(rest):])
	q.items = rest
	return batch, 0
}

// taken learns from a batch that was taken, with all who were expected or without.
func (c *company) taken(missing bool) {
	switch {
	case c.waited && missing:
		c.misses = min(2*c.misses+1, 63)
		c.skip = c.misses
	case c.waited:
		c.misses = 0
	case c.skip > 0:
		c.skip--
	}
	c.waited = false
}

// finished is told when n images of a tower have been computed, for how long, and are about to be answered.
func (q *queue) finished(t *tower, n int, took time.Duration, now time.Time) {
	q.free = now
	t.company.took, t.company.expected = took, n
	for _, it := range q.items {
		if it.tower == t {
			t.company.expected++
		}
	}
}
