package subword

// A Queue is a binary heap of candidates with the smallest first. container/heap would allocate for each.
type Queue []Candidate

// A Candidate is a merge that can be made: its rank in the upper half, its place in the lower, so that integers sort
// as candidates do.
type Candidate uint64

// NewCandidate is the merge of a rank at a place.
func NewCandidate(rank, at int32) Candidate { return Candidate(rank)<<32 | Candidate(uint32(at)) }

// Rank is the merge's place in the order of merges.
func (c Candidate) Rank() int32 { return int32(c >> 32) }

// At is where the merge's left symbol stands.
func (c Candidate) At() int32 { return int32(uint32(c)) }

// Push adds a candidate.
func (q *Queue) Push(c Candidate) {
	h := append(*q, c)
	i := len(h) - 1
	for i > 0 && c < h[(i-1)/2] {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = c
	*q = h
}

// Pop takes the smallest candidate.
func (q *Queue) Pop() Candidate {
	h := *q
	top, c := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if c <= h[child] {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = c
	return top
}
