"""Prints the path of the libcublasLt that came with PyTorch, or nothing."""
import glob
import os
import sysconfig

try:
    import nvidia

    roots = list(nvidia.__path__)
except ImportError:
    roots = [os.path.join(sysconfig.get_paths()["purelib"], "nvidia")]
found = [f for r in roots for v in (13, 12) for f in sorted(glob.glob(f"{r}/*/lib/libcublasLt.so.{v}"))]
print(found[0] if found else "")
