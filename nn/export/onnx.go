package export

import (
	"io"
	"math"
	"strconv"

	"fewshot/nn/checkpoint"
)

// Versions of the format: opset 17 has LayerNormalization; IR 8 goes with it. Newer ones gain nothing here, and some of
// their operators have no kernel in onnxruntime.
const (
	onnxOpset = 17
	onnxIR    = 8
)

// maxOnnx is how large a graph may be with its weights inside: readers refuse messages of 2 GiB.
const maxOnnx = 2_000_000_000

// Element types of ONNX's TensorProto.
const (
	onnxFloat = 1
	onnxInt64 = 7
)

// A constant is an initializer: a tensor of the model, or values made here.
type constant struct {
	name  string
	dtype int64
	shape []int
	bytes int64
	write func(io.Writer) error
}

// A graph is an ONNX graph being built. A value is known by its name.
type graph struct {
	name      string
	model     *Model
	nodes     []message
	constants []constant
	known     map[string]bool
	inputs    []message
	outputs   []message
	count     int
}

func newGraph(name string, m *Model) *graph {
	m.made = map[string][]float32{}
	return &graph{name: name, model: m, known: map[string]bool{}}
}

// A dim is the size of an axis: a number, or a name for what is not fixed.
type dim any

func valueInfo(name string, dtype int64, dims ...dim) message {
	var shape message
	for _, d := range dims {
		var one message
		switch d := d.(type) {
		case int:
			one.int(1, int64(d))
		case string:
			one.str(2, d)
		}
		shape.sub(1, one)
	}
	var tensor, kind, info message
	tensor.int(1, dtype)
	tensor.sub(2, shape)
	kind.sub(1, tensor)
	info.str(1, name)
	info.sub(2, kind)
	return info
}

func (g *graph) input(name string, dtype int64, dims ...dim) string {
	g.inputs = append(g.inputs, valueInfo(name, dtype, dims...))
	return name
}

// output gives a value the name of one of the graph's outputs.
func (g *graph) output(value, name string, dims ...dim) {
	g.node("Identity", []string{value}, name)
	g.outputs = append(g.outputs, valueInfo(name, onnxFloat, dims...))
}

type attribute struct {
	name  string
	value any // int, float64, []int
}

// node adds one operation with one result, and names it.
func (g *graph) node(op string, inputs []string, output string, attributes ...attribute) string {
	g.count++
	if output == "" {
		output = op + "_" + strconv.Itoa(g.count)
	}
	var n message
	for _, in := range inputs {
		n.str(1, in)
	}
	n.str(2, output)
	n.str(3, op+"_"+strconv.Itoa(g.count)+"_node")
	n.str(4, op)
	for _, a := range attributes {
		n.sub(5, a.message())
	}
	g.nodes = append(g.nodes, n)
	return output
}

func (a attribute) message() (m message) {
	const typeFloat, typeInt, typeInts = 1, 2, 7
	m.str(1, a.name)
	switch v := a.value.(type) {
	case float64:
		m.float(2, math.Float32bits(float32(v)))
		m.int(20, typeFloat)
	case int:
		m.int(3, int64(v))
		m.int(20, typeInt)
	case []int:
		for _, i := range v {
			m.int(8, int64(i))
		}
		m.int(20, typeInts)
	}
	return m
}

func (g *graph) add(c constant) string {
	if !g.known[c.name] {
		g.known[c.name] = true
		g.constants = append(g.constants, c)
	}
	return c.name
}

// weight is one of the model's tensors.
func (g *graph) weight(name string) string { return g.tensor(name, name, false) }

// matrix is a weight [out, in] as MatMul takes it, [in, out].
func (g *graph) matrix(name string) string { return g.tensor(name+"_transposed", name, true) }

func (g *graph) tensor(as, name string, transposed bool) string {
	e := g.model.entry(as, name, 0, 1, transposed)
	n := int64(4)
	for _, d := range e.Shape {
		n *= int64(d)
	}
	return g.add(constant{as, onnxFloat, e.Shape, n, e.Data})
}

// floats is a constant made here.
func (g *graph) floats(name string, shape []int, values ...float32) string {
	g.model.made[name] = values
	return g.add(constant{name, onnxFloat, shape, int64(4 * len(values)), checkpoint.Float32s(values, checkpoint.F32)})
}

func (g *graph) scalar(v float64) string {
	return g.floats("scalar_"+strconv.FormatFloat(v, 'g', -1, 64), []int{}, float32(v))
}

func (g *graph) ints(v ...int) string {
	b := make([]byte, 0, 8*len(v))
	name := "ints"
	for _, n := range v {
		for i := range 8 {
			b = append(b, byte(uint64(int64(n))>>(8*i)))
		}
		name += "_" + strconv.Itoa(n)
	}
	return g.add(constant{name, onnxInt64, []int{len(v)}, int64(len(b)), checkpoint.Bytes(b)})
}

func (g *graph) op(op string, inputs ...string) string { return g.node(op, inputs, "") }

func (g *graph) reshape(x string, shape ...int) string { return g.op("Reshape", x, g.ints(shape...)) }
