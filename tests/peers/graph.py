"""A process of peers.py that runs CLIP's vision transformer in ONNX Runtime or OpenVINO, once for a start and then once
for every line of its input, and answers as worker.py does.

The graph is written operator by operator, as whoever wants the most of these programs would: weights are constants,
so that both pack them; ONNX Runtime gets its own fused operators for attention and QuickGELU, OpenVINO the standard
ones, out of which it makes its own; and the last block is computed for the class token alone, as we do.

    python tests/peers/graph.py

checks the graph against model.py in every runtime that is there.
"""

import json
import resource
import sys
import time

import numpy as np

SIZES = {"ViT-B-32": (32, 768, 12, 512), "ViT-B-16": (16, 768, 12, 512), "ViT-L-14": (14, 1024, 24, 768)}
EPS = 1e-5


def weights(model, seed=1):
    """Random weights by the names of model.py."""
    patch, d, layers, embed = SIZES[model]
    r = np.random.default_rng(seed)
    w = {}

    def fresh(name, *shape):
        w[name] = (r.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    fresh("conv1.weight", d, 3, patch, patch)
    w["conv1.weight"] /= np.float32(np.sqrt(3 * patch))
    fresh("class_embedding", d)
    fresh("positional_embedding", (224 // patch) ** 2 + 1, d)
    for ln in ["ln_pre", "ln_post"] + [f"blocks.{i}.{ln}" for i in range(layers) for ln in ("ln_1", "ln_2")]:
        w[ln + ".weight"], w[ln + ".bias"] = np.ones(d, np.float32), np.zeros(d, np.float32)
    for i in range(layers):
        for name, n, k in (("in_proj", 3 * d, d), ("out_proj", d, d), ("c_fc", 4 * d, d), ("c_proj", d, 4 * d)):
            fresh(f"blocks.{i}.{name}.weight", n, k)
            w[f"blocks.{i}.{name}.bias"] = np.zeros(n, np.float32)
    fresh("proj", d, embed)
    return w


def graph(model, batch, w, fused):
    """The model as an ONNX file's bytes; fused uses ONNX Runtime's own operators."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    patch, d, layers, embed = SIZES[model]
    heads, tokens = d // 64, (224 // patch) ** 2 + 1
    nodes, constants, count = [], [], [0]

    def op(kind, *inputs, domain="", **attributes):
        count[0] += 1
        out = f"t{count[0]}"
        nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out

    def const(array):
        count[0] += 1
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), f"c{count[0]}"))
        return f"c{count[0]}"

    def ints(*values):
        return const(np.array(values, np.int64))

    def linear(x, name, rows=slice(None)):
        return op("Add", op("MatMul", x, const(w[name + ".weight"][rows].T)), const(w[name + ".bias"][rows]))

    def norm(x, name):
        return op("LayerNormalization", x, const(w[name + ".weight"]), const(w[name + ".bias"]), axis=-1, epsilon=EPS)

    def attention(q, k, v, queries):
        if fused:
            return op("MultiHeadAttention", q, k, v, domain="com.microsoft", num_heads=heads)

        def split(t, length, *axes):
            return op("Transpose", op("Reshape", t, ints(batch, length, heads, 64)), perm=axes)

        scores = op("MatMul", op("Mul", split(q, queries, 0, 2, 1, 3), const(np.float32(0.125))),
            split(k, tokens, 0, 2, 3, 1))
        y = op("MatMul", op("Softmax", scores, axis=-1), split(v, tokens, 0, 2, 1, 3))
        return op("Reshape", op("Transpose", y, perm=[0, 2, 1, 3]), ints(batch, queries, d))

    def gelu(x):
        if fused:
            return op("QuickGelu", x, domain="com.microsoft", alpha=1.702)
        return op("Mul", x, op("Sigmoid", op("Mul", x, const(np.float32(1.702)))))

    def first(x):
        return op("Slice", x, ints(0), ints(1), ints(1))

    x = op("Conv", "images", const(w["conv1.weight"]), kernel_shape=[patch, patch], strides=[patch, patch])
    x = op("Transpose", op("Reshape", x, ints(batch, d, tokens - 1)), perm=[0, 2, 1])
    x = op("Concat", const(np.tile(w["class_embedding"], (batch, 1, 1))), x, axis=1)
    x = norm(op("Add", x, const(w["positional_embedding"])), "ln_pre")
    for i in range(layers):
        block, queries = f"blocks.{i}.", tokens
        h = norm(x, block + "ln_1")
        hq = h
        if i == layers - 1:
            hq, x, queries = first(h), first(x), 1
        q, k, v = (linear(t, block + "in_proj", slice(j * d, (j + 1) * d)) for j, t in enumerate((hq, h, h)))
        x = op("Add", x, linear(attention(q, k, v, queries), block + "out_proj"))
        x = op("Add", x, linear(gelu(linear(norm(x, block + "ln_2"), block + "c_fc")), block + "c_proj"))
    x = op("MatMul", op("Reshape", norm(x, "ln_post"), ints(batch, d)), const(w["proj"]))
    nodes.append(helper.make_node("Identity", [x], ["features"]))
    g = helper.make_graph(nodes, "clip", [helper.make_tensor_value_info("images", TensorProto.FLOAT,
        [batch, 3, 224, 224])],
                          [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, embed])], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return onnx.ModelProto.SerializeToString(helper.make_model(g, opset_imports=opsets, ir_version=9))


def onnxruntime(model, batch, threads, w):
    import onnxruntime as ort

    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    s = ort.InferenceSession(graph(model, batch, w, True), o, providers=["CPUExecutionProvider"])
    return lambda images: s.run(None, {"images": images})[0], f"ONNX Runtime {ort.__version__}"


def onnxruntime_int8(model, batch, threads, w):
    """Dynamic quantisation, as ONNX Runtime's documentation recommends for transformers: weights by channel, activations
    as they come."""
    import tempfile
    import pathlib

    import onnx
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    with tempfile.TemporaryDirectory() as folder:
        whole, small = pathlib.Path(folder, "model.onnx"), pathlib.Path(folder, "int8.onnx")
        whole.write_bytes(graph(model, batch, w, True))
        quantize_dynamic(whole, small, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        s = ort.InferenceSession(str(small), o, providers=["CPUExecutionProvider"])
    return lambda images: s.run(None, {"images": images})[0], f"ONNX Runtime {ort.__version__} int8"


def openvino(model, batch, threads, w):
    import io

    import openvino as ov

    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32"})
    c = core.compile_model(core.read_model(io.BytesIO(graph(model, batch, w, False))), "CPU")
    return lambda images: c([images])[0], f"OpenVINO {ov.__version__.split('-')[0]}"


RUNTIMES = {"ONNX Runtime": onnxruntime, "OpenVINO": openvino}
INT8 = {"ONNX Runtime int8": onnxruntime_int8}


def images(batch):
    return np.random.default_rng(2).standard_normal((batch, 3, 224, 224)).astype(np.float32)


def check():
    """Features of each runtime beside those of model.py with the same weights."""
    import torch

    import model

    w, x = weights("ViT-B-32"), images(2)
    net = model.encoder("ViT-B-32")
    with torch.no_grad():
        net.load_state_dict({name: torch.from_numpy(v) for name, v in w.items()})
        want = net(torch.from_numpy(x)).numpy()
    for name, start in RUNTIMES.items():
        run, about = start("ViT-B-32", 2, 1, w)
        off = np.abs(run(x) - want).max() / np.abs(want).max()
        print(f"{about}: greatest difference {off:.1e} of the greatest feature")
        if not off < 1e-3:
            raise SystemExit("another function")


def main():
    if len(sys.argv) == 1:
        return check()
    request = json.loads(sys.argv[1])
    run, about = (RUNTIMES | INT8)[request["runtime"]](request["model"], request["batch"], request["threads"],
        weights(request["model"]))
    x = images(request["batch"])
    run(x)
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        start, cpu, calls = time.perf_counter(), time.process_time(), 0
        while calls == 0 or time.perf_counter() - start < 0.5:
            run(x)
            calls += 1
        seconds, cpu = (time.perf_counter() - start) / calls, (time.process_time() - cpu) / calls
        print(json.dumps({"seconds": seconds, "cpu": cpu,
            "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}), flush=True)


if __name__ == "__main__":
    main()
