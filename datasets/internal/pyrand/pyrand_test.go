package pyrand

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutputs(t *testing.T) {
	for seed, want := range map[uint64][]uint32{
		1: {577090037, 2444712010, 3639700191, 3445702192, 3280387012},
		2: {4106135923, 3707026329, 4070888059, 3646664648, 242886303},
		3: {1022050301, 2545373330, 2337446730, 560161641, 1588945316},
	} {
		r := New(seed)
		for i, w := range want {
			if got := r.Uint32(); got != w {
				t.Errorf("seed %d, output %d: %d, want %d", seed, i, got, w)
			}
		}
	}
}

// TestPublished holds the draws that the few-shot protocol makes, each group from a fresh seed.
func TestPublished(t *testing.T) {
	type draw struct {
		n, k int
		want []int
	}
	for _, c := range []struct {
		seed  uint64
		draws []draw
	}{
		{1, []draw{
			{41, 16, []int{8, 36, 4, 16, 7, 31, 28, 30, 24, 13, 3, 15, 0, 26, 12, 35}},
			{100, 16, []int{77, 97, 98, 0, 89, 57, 34, 92, 29, 75, 13, 40, 3, 2, 83, 69}},
			{20, 4, []int{0, 12, 6, 13}},
		}},
		{1, []draw{{1300, 16, []int{275, 1165, 129, 522, 241, 1014, 920, 967, 777, 429, 192, 999, 58, 798, 886, 1244}}}},
		{1, []draw{{30, 1, []int{4}}, {30, 2, []int{18, 27}}, {22, 4, []int{2, 8, 3, 15}}}},
		{2, []draw{{41, 16, []int{3, 5, 39, 23, 10, 19, 16, 13, 2, 36, 33, 20, 12, 25, 37, 34}}}},
		{2, []draw{{1300, 16, []int{115, 187, 173, 739, 346, 631, 515, 1240, 434, 1242, 73, 1190, 324, 882, 805, 1042}}}},
		{3, []draw{{41, 16, []int{15, 37, 34, 8, 23, 30, 4, 0, 35, 16, 17, 7, 6, 22, 40, 32}}}},
		{3, []draw{{1300, 16, []int{487, 1213, 1114, 267, 757, 1236, 970, 1281, 1189, 134, 1240, 26, 960, 531, 1128, 479}}}},
	} {
		r := New(c.seed)
		for _, d := range c.draws {
			if diff := cmp.Diff(d.want, r.Sample(d.n, d.k)); diff != "" {
				t.Errorf("seed %d: sample(range(%d), %d) (-want +got):\n%s", c.seed, d.n, d.k, diff)
			}
		}
	}
	for seed, want := range map[uint64][]int{
		1: {6, 8, 9, 7, 5, 3, 0, 4, 1, 2},
		2: {5, 9, 3, 4, 6, 7, 2, 8, 1, 0},
		3: {1, 5, 6, 0, 9, 4, 7, 2, 8, 3},
	} {
		if diff := cmp.Diff(want, shuffled(New(seed), 10)); diff != "" {
			t.Errorf("seed %d: shuffle(range(10)) (-want +got):\n%s", seed, diff)
		}
	}
}

func shuffled(r *Rand, n int) []int {
	x := make([]int, n)
	for i := range x {
		x[i] = i
	}
	r.Shuffle(n, func(i, j int) { x[i], x[j] = x[j], x[i] })
	return x
}

// TestVectors replays testdata/vectors.json, which testdata/vectors.py made with CPython.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cases []struct {
			Seed  string
			Calls []struct {
				Op     string
				Args   []int
				Result []string
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Cases) == 0 {
		t.Fatal("testdata/vectors.json holds no cases")
	}
	for _, c := range doc.Cases {
		seed, err := strconv.ParseUint(c.Seed, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		r := New(seed)
		for _, call := range c.Calls {
			got := make([]string, 0, len(call.Result))
			ints := func(x []int) {
				for _, v := range x {
					got = append(got, strconv.Itoa(v))
				}
			}
			switch call.Op {
			case "getrandbits":
				for range call.Result {
					got = append(got, strconv.FormatUint(r.Getrandbits(call.Args[0]), 10))
				}
			case "randbelow":
				for range call.Result {
					ints([]int{r.Randbelow(call.Args[0])})
				}
			case "sample":
				ints(r.Sample(call.Args[0], call.Args[1]))
			case "shuffle":
				ints(shuffled(r, call.Args[0]))
			default:
				t.Fatalf("unknown operation %q", call.Op)
			}
			if diff := cmp.Diff(call.Result, got); diff != "" {
				t.Fatalf("seed %s: %s%v (-want +got):\n%s", c.Seed, call.Op, call.Args, diff)
			}
		}
	}
}

func ExampleRand_Sample() {
	r := New(1)
	fmt.Println(r.Sample(30, 1), r.Sample(30, 2), r.Sample(22, 4))
	// Output: [4] [18 27] [2 8 3 15]
}

// numpy.random.seed(seed), then numpy.random.choice(n, k, replace=False) one after the other, by numpy 2.4.6.
func TestNumPyChoice(t *testing.T) {
	type draw struct {
		n, k int
		want []int
	}
	for seed, draws := range map[uint32][]draw{
		1:         {{10, 4, []int{2, 9, 6, 4}}, {1, 1, []int{0}}, {41, 3, []int{30, 2, 16}}, {1300, 3, []int{493, 408, 953}}},
		2:         {{10, 4, []int{4, 1, 5, 0}}, {1, 1, []int{0}}, {41, 3, []int{37, 36, 32}}, {1300, 3, []int{818, 760, 1237}}},
		1<<32 - 1: {{10, 4, []int{6, 9, 5, 1}}, {1, 1, []int{0}}, {41, 3, []int{38, 19, 34}}, {1300, 3, []int{309, 244, 1054}}},
	} {
		r := NewNumPy(seed)
		for _, d := range draws {
			if diff := cmp.Diff(d.want, r.Choice(d.n, d.k)); diff != "" {
				t.Errorf("seed %d: choice(%d, %d) (-want +got):\n%s", seed, d.n, d.k, diff)
			}
		}
	}
}
