#!/usr/bin/env python3
"""Compiles the kernels to PTX with NVRTC and writes the manifest that stale_test.go checks.

    compile.py LIBDIR PTXAS     LIBDIR holds libnvrtc.so.12, PTXAS is a ptxas of the same release

build.sh beside this fetches the pinned compiler and calls it.
"""
import ctypes, glob, hashlib, os, re, subprocess, sys

WANT = (12, 4)                 # PTX 8.4, which drivers from 550 (CUDA 12.4) on accept
OPTIONS = ["--gpu-architecture=compute_80", "--std=c++17"]
CHECK = ["sm_80", "sm_90"]     # what ptxas reports on

def main(libdir, ptxas):
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(here)
    builtins = glob.glob(os.path.join(libdir, "libnvrtc-builtins.so.*"))[0]
    ctypes.CDLL(builtins, ctypes.RTLD_GLOBAL)
    rtc = ctypes.CDLL(os.path.join(libdir, "libnvrtc.so.12"))
    major, minor = ctypes.c_int(), ctypes.c_int()
    rtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    if (major.value, minor.value) != WANT:
        sys.exit(f"NVRTC {major.value}.{minor.value}, but the pinned one is {WANT[0]}.{WANT[1]}")
    headers = {h: open(h, "rb").read() for h in sorted(glob.glob("*.cuh"))}
    manifest = [f"compiler NVRTC {WANT[0]}.{WANT[1]} {' '.join(OPTIONS)}"]
    for name, text in headers.items():
        manifest.append(f"{hashlib.sha256(text).hexdigest()} {name}")
    spills = False
    for source in sorted(glob.glob("*.cu")):
        text = open(source, "rb").read()
        ptx = compile_one(rtc, source, text, headers)
        target = source[:-3] + ".ptx"
        with open(target, "wb") as f:
            f.write(ptx)
        for name, data in ((source, text), (target, ptx)):
            manifest.append(f"{hashlib.sha256(data).hexdigest()} {name}")
        for arch in CHECK:
            spills |= report(ptxas, target, arch)
    if spills:
        sys.exit("registers are spilled: see above")
    with open("MANIFEST", "w") as f:
        f.write("\n".join(manifest) + "\n")

def compile_one(rtc, source, text, headers):
    prog = ctypes.c_void_p()
    names = (ctypes.c_char_p * len(headers))(*[n.encode() for n in headers])
    texts = (ctypes.c_char_p * len(headers))(*headers.values())
    check(rtc, rtc.nvrtcCreateProgram(ctypes.byref(prog), text, source.encode(), len(headers), texts, names))
    options = (ctypes.c_char_p * len(OPTIONS))(*[o.encode() for o in OPTIONS])
    status = rtc.nvrtcCompileProgram(prog, len(OPTIONS), options)
    size = ctypes.c_size_t()
    rtc.nvrtcGetProgramLogSize(prog, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    rtc.nvrtcGetProgramLog(prog, log)
    if log.value.strip():
        print(log.value.decode())
    check(rtc, status)
    check(rtc, rtc.nvrtcGetPTXSize(prog, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    check(rtc, rtc.nvrtcGetPTX(prog, ptx))
    # Comments and blank lines say nothing, and would make every difference between versions larger.
    lines = [l.rstrip() for l in ptx.value.decode().splitlines()]
    return ("\n".join(l for l in lines if l and not l.startswith("//")) + "\n").encode()

def check(rtc, status):
    if status:
        rtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(rtc.nvrtcGetErrorString(status).decode())

def report(ptxas, ptx, arch):
    """Prints registers and shared memory of each kernel; true if any spills."""
    out = subprocess.run([ptxas, "-v", f"-arch={arch}", "-o", os.devnull, ptx], capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    name, spilled = "?", False
    for line in out.stderr.splitlines():
        if m := re.search(r"Compiling entry function '(\w+)'", line):
            name = m[1]
        if m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            frame = [int(v) for v in m.groups()]
        if m := re.search(r"Used (\d+) registers.*", line):
            print(f"{arch} {name:28} {m[0]}" + (f"  STACK AND SPILLS {frame}" if any(frame[1:])
                else f"  stack {frame[0]}" if frame[0] else ""))
            spilled |= any(frame[1:])
    return spilled

main(*sys.argv[1:])
