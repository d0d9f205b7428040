"""Matrix products by the C libraries that gemm.py compares with, a process for each.

    python tests/peers/blas.py '{"library": "OpenBLAS", "threads": 2}'

says what it is, and then answers each line `op m n k` of its input with the seconds of a product, the median of
several. Rows are in C's order, as in PyTorch: forward is y = x·wᵀ for x [m, k] and w [n, k], dX is y·w, dW is yᵀ·x.
Operands are float32, or bfloat16 in the libraries whose names say so.
"""

import ctypes
import glob
import json
import os
import statistics
import sys
import sysconfig
import time

# Operations that a timing should have at least, so that short products are repeated.
ENOUGH = 1e9


class Products:
    """The product of each kind, as a call without arguments, of a library with cblas_sgemm."""

    def __init__(self, sgemm):
        import numpy as np

        self.sgemm, self.np = sgemm, np
        sgemm.restype = None
        sgemm.argtypes = [ctypes.c_int] * 6 + [ctypes.c_float, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p,
            ctypes.c_int, ctypes.c_float, ctypes.c_void_p, ctypes.c_int]

    def multiply(self, ta, tb, m, n, k):
        """[m, n] = op(a)·op(b)."""
        random = self.np.random.default_rng(1)
        a = random.standard_normal((k, m) if ta else (m, k), dtype="float32")
        b = random.standard_normal((n, k) if tb else (k, n), dtype="float32")
        c = self.np.zeros((m, n), dtype="float32")
        row_major, plain, transposed = 101, 111, 112
        arguments = (row_major, transposed if ta else plain, transposed if tb else plain, m, n, k, 1.0, a.ctypes.data,
            a.shape[1], b.ctypes.data, b.shape[1], 0.0,
                     c.ctypes.data, n)

        def call():
            self.sgemm(*arguments)
            return c

        call.operands = a, b  # held as long as the call
        expected = (a.T if ta else a)[:4] @ (b.T if tb else b)
        if not self.np.allclose(call()[:4], expected, rtol=1e-3, atol=1e-2):
            raise SystemExit("a wrong product")
        return call

    def forward(self, m, n, k):
        return self.multiply(False, True, m, n, k)

    def dX(self, m, n, k):
        return self.multiply(False, False, m, k, n)

    def dW(self, m, n, k):
        return self.multiply(True, False, n, k, m)


def openblas(threads):
    import scipy_openblas32

    folder = scipy_openblas32.get_lib_dir()
    lib = ctypes.CDLL(glob.glob(os.path.join(folder, "libscipy_openblas*.so"))[0])
    lib.scipy_openblas_set_num_threads(threads)
    lib.scipy_openblas_get_config.restype = ctypes.c_char_p
    lib.scipy_openblas_get_corename.restype = ctypes.c_char_p
    version = lib.scipy_openblas_get_config().decode().split()[1]
    return f"OpenBLAS {version}, {lib.scipy_openblas_get_corename().decode()}", Products(lib.scipy_cblas_sgemm)


def onednn_library():
    class Version(ctypes.Structure):
        _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int)]

    lib = ctypes.CDLL(os.path.join(sysconfig.get_config_var("prefix"), "lib", "libdnnl.so.3"))
    lib.dnnl_version.restype = ctypes.POINTER(Version)
    v = lib.dnnl_version().contents

    def sgemm(_, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        letter = {111: b"N", 112: b"T"}
        size = ctypes.c_int64
        lib.dnnl_sgemm(ctypes.c_char(letter[ta]), ctypes.c_char(letter[tb]), size(m), size(n), size(k),
            ctypes.c_float(alpha), ctypes.c_void_p(a), size(lda),
                       ctypes.c_void_p(b), size(ldb), ctypes.c_float(beta), ctypes.c_void_p(c), size(ldc))

    return f"oneDNN {v.major}.{v.minor}.{v.patch}, dnnl_sgemm", Products(sgemm)


class Torch:
    """PyTorch's products, by MKL in float32 and by oneDNN in bfloat16."""

    def __init__(self, threads, bf16=False):
        import torch

        torch.set_num_threads(threads)
        self.torch, self.dtype = torch, torch.bfloat16 if bf16 else torch.float32

    def tensors(self, m, n, k):
        return (self.torch.randn(shape).to(self.dtype) for shape in ((m, k), (n, k), (m, n)))

    def forward(self, m, n, k):
        x, w, y = self.tensors(m, n, k)
        return lambda: self.torch.mm(x, w.t(), out=y)

    def dX(self, m, n, k):
        x, w, y = self.tensors(m, n, k)
        return lambda: self.torch.mm(y, w, out=x)

    def dW(self, m, n, k):
        x, w, y = self.tensors(m, n, k)
        return lambda: self.torch.mm(y.t(), x, out=w)


class Packed(Torch):
    """oneDNN as it comes with PyTorch, its weights packed before."""

    def linear(self, x, weight):
        op = self.torch.ops.mkldnn
        packed = op._reorder_linear_weight(weight.contiguous(), len(x))
        return lambda: op._linear_pointwise(x, packed, None, "none", [], "")

    def forward(self, m, n, k):
        x, w, _ = self.tensors(m, n, k)
        return self.linear(x, w)

    def dX(self, m, n, k):
        _, w, y = self.tensors(m, n, k)
        return self.linear(y, w.t())

    def dW(self, m, n, k):
        return None  # there is no weight to be packed


def torch_version(name):
    import torch

    if name == "MKL":
        text = torch.__config__.show()
        return "MKL " + text.split("Math Kernel Library Version ")[1].split()[0] + ", torch.mm"
    return "oneDNN " + torch.__config__.show().split("MKL-DNN v")[1].split()[0] + " of PyTorch"


LIBRARIES = {
    "OpenBLAS": openblas,
    "oneDNN": lambda threads: onednn_library(),
    "MKL": lambda threads: (torch_version("MKL"), Torch(threads)),
    "MKL for Intel": lambda threads: (torch_version("MKL") + ", told that the processor is Intel's", Torch(threads)),
    "oneDNN packed": lambda threads: (torch_version("oneDNN") + ", weights packed before", Packed(threads)),
}
BF16_LIBRARIES = {
    "oneDNN bf16": lambda threads: (torch_version("oneDNN") + ", torch.mm in bfloat16", Torch(threads, True)),
    "oneDNN bf16 packed": lambda threads: (torch_version("oneDNN") + ", bfloat16, weights packed before",
        Packed(threads, True)),
}


def seconds(call, flop):
    n = int(ENOUGH / flop) + 1
    call()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(n):
            call()
        times.append((time.perf_counter() - start) / n)
    return statistics.median(times)


def main():
    request = json.loads(sys.argv[1])
    about, products = (LIBRARIES | BF16_LIBRARIES)[request["library"]](request["threads"])
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        op, m, n, k = line.split()
        m, n, k = int(m), int(n), int(k)
        call = getattr(products, op)(m, n, k)
        print(json.dumps(call and seconds(call, 2 * m * n * k)), flush=True)


if __name__ == "__main__":
    main()
