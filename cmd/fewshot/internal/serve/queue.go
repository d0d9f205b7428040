package serve

import (
	"context"
	"time"
)

// item is an image that waits.
type item struct {
	tower  *tower
	head   *head     // behind the tower
	pixels []float32 // [3, S, S]
	ctx    context.Context
	since  time.Time // when it came into the queue
	done   func(logits []float32, err error)
}

// queue is what waits for the device. It knows no clock: whoever asks says what time it is.
type queue struct {
	most  int           // images, those on their way included
	batch int           // images that are taken together
	delay time.Duration // how long one waits for those on their way

	items  []*item
	coming int // images that were admitted and are being decoded
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
// If others may be worth waiting for, it says how long: some are being decoded, or there were more the last time. Clients that ask again as
// soon as they are answered then stay together, where else they would fall into groups that take turns; one that asks alone never
// waits, and one that is left alone waits once.
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
	alone := same == len(q.items) // who else waits could be computed meanwhile
	if wait = first.since.Add(q.delay).Sub(now); wait > 0 && same < q.batch && alone && (q.coming > 0 || same < first.tower.usual) {
		return nil, wait
	}
	first.tower.usual = same
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
