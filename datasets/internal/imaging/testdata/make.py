"""Writes the picture fixtures of package imaging and what Pillow makes of each.

    python make.py [RAWDIR]

Every picture goes to this folder; pictures.txt gets one line for each: name, width, height, and the SHA-256 of the
bytes of Image.open(name).convert("RGB"). With RAWDIR those bytes are also written there, one file for each, to look
into a mismatch. Pictures that Pillow cannot write are assembled here from parts that it can. Made with Pillow 13.0.0
(libjpeg-turbo 3.2.0, libwebp 1.6.0); the pictures themselves may come out different with other versions, their pixels
must not.
"""

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

HERE = Path(__file__).parent
rng = np.random.default_rng(1)


def picture(w, h, noise=25.0):
    """A smooth coloured pattern with edges and noise."""
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack(
        [
            127 + 110 * np.sin(x / 5.0) * np.cos(y / 7.0),
            255.0 * x / w + 60 * ((x // 9 + y // 7) % 2),
            127 + 120 * np.sin((x + y) / 4.0),
        ],
        -1,
    )
    return Image.fromarray((a + rng.normal(0, noise, a.shape)).clip(0, 255).astype(np.uint8))


files = {}


def encode(image, format, **options):
    b = io.BytesIO()
    image.save(b, format, **options)
    return b.getvalue()


def jpg(name, image, **options):
    files[name + ".jpg"] = encode(image, "JPEG", **options)
    return files[name + ".jpg"]


# --- JPEG ------------------------------------------------------------------------------------------------------------------


def segments(data):
    """Splits a JPEG file into (marker, payload) up to the first scan, and the rest."""
    out, p = [], 2
    while True:
        marker = data[p + 1]
        n = struct.unpack(">H", data[p + 2 : p + 4])[0]
        out.append((marker, data[p + 4 : p + 2 + n]))
        p += 2 + n
        if marker == 0xDA:
            return out, data[p:]


def join(parts, rest):
    return b"\xff\xd8" + b"".join(b"\xff" + bytes([m]) + struct.pack(">H", len(b) + 2) + b for m, b in parts) + rest


def patch(data, edit):
    """Applies edit(marker, payload) -> payload or None (drop) to every segment before the first scan."""
    parts, rest = segments(data)
    parts = [(m, edit(m, b)) for m, b in parts]
    return join([(m, b) for m, b in parts if b is not None], rest)


def sampling(data, factors, size):
    """Rewrites the sampling factors and the size in the frame header."""

    def edit(m, b):
        if m not in (0xC0, 0xC2):
            return b
        b = bytearray(b)
        struct.pack_into(">HH", b, 1, size[1], size[0])
        for i, f in enumerate(factors):
            b[7 + 3 * i] = f
        return bytes(b)

    return patch(data, edit)


photo = picture(67, 45)
jpg("gray", photo.convert("L"), quality=90)
jpg("gray-progressive", photo.convert("L"), quality=90, progressive=True)
for n, s in ((444, 0), (422, 1), (420, 2)):
    jpg(f"{n}", photo, quality=85, subsampling=s)
    jpg(f"{n}-progressive", photo, quality=85, subsampling=s, progressive=True)
jpg("420-large", picture(203, 131, 8), quality=92)
jpg("420-optimized", photo, quality=60, optimize=True)
jpg("420-restart-blocks", photo, quality=80, restart_marker_blocks=2)
jpg("420-restart-rows-progressive", photo, quality=80, restart_marker_rows=1, progressive=True)
jpg("q1", picture(67, 45, 120), quality=1)
jpg("q1-444-progressive", picture(67, 45, 120), quality=1, subsampling=0, progressive=True)
jpg("q100", picture(67, 45, 120), quality=100)
jpg("q100-444", picture(67, 45, 120), quality=100, subsampling=0)
jpg("binary-noise", Image.fromarray(rng.integers(0, 2, (40, 40, 3), dtype=np.uint8) * 255), quality=100, subsampling=0)
jpg("rgb", photo, quality=85, keep_rgb=True)
for w, h in ((1, 1), (2, 2), (3, 3), (4, 1), (1, 9), (5, 4), (6, 17), (16, 16), (17, 16), (33, 2)):
    jpg(f"420-{w}x{h}", picture(w, h), quality=90)
for w, h in ((1, 1), (3, 2), (4, 3), (5, 5)):
    jpg(f"422-{w}x{h}", picture(w, h), quality=90, subsampling=1)

exif = Image.Exif()
exif[0x0112] = 6
jpg("orientation", photo, quality=80, exif=exif)

cmyk = Image.fromarray(np.concatenate([np.asarray(photo), np.asarray(picture(67, 45))[:, :, :1]], 2), "CMYK")
data = jpg("cmyk", cmyk, quality=90)
jpg("cmyk-progressive", cmyk, quality=90, progressive=True)
files["ycck.jpg"] = patch(data, lambda m, b: b[:11] + b"\x02" if m == 0xEE else b)
files["cmyk-no-adobe.jpg"] = patch(data, lambda m, b: None if m == 0xEE else b)

data = files["444.jpg"]
files["ycc-no-jfif.jpg"] = patch(data, lambda m, b: None if m == 0xE0 else b)
adobe = (0xEE, b"Adobe\0\x64\0\0\0\0\0")
parts, rest = segments(data)
files["rgb-adobe.jpg"] = join([adobe] + [p for p in parts if p[0] != 0xE0], rest)
files["ycc-jfif-and-adobe.jpg"] = join(parts[:1] + [adobe] + parts[1:], rest)
parts, rest = segments(files["rgb.jpg"])
files["rgb-ids.jpg"] = join([p for p in parts if p[0] not in (0xE0, 0xEE)], rest)
# The same entropy-coded data under other sampling factors is another, still lawful picture.
files["440.jpg"] = sampling(files["422.jpg"], (0x12, 0x11, 0x11), (45 - 5, 67 + 13))
files["440-progressive.jpg"] = sampling(files["422-progressive.jpg"], (0x12, 0x11, 0x11), (40, 80))
files["411.jpg"] = sampling(files["420.jpg"], (0x41, 0x11, 0x11), (155, 23))
files["vertical-411.jpg"] = sampling(files["420.jpg"], (0x14, 0x11, 0x11), (23, 155))


def scans(name, factors, w, h):
    """A file of three scans of one component each, taken from three greyscale files of the components' sizes."""
    hmax, vmax = max(f >> 4 for f in factors), max(f & 15 for f in factors)
    body, specs = b"", b""
    for i, f in enumerate(factors):
        size = -(-w * (f >> 4) // hmax), -(-h * (f & 15) // vmax)
        parts, rest = segments(encode(picture(*size).split()[i], "JPEG", quality=85))
        body += b"\xff\xda\0\x08\x01" + bytes([i + 1]) + b"\0\0\x3f\0" + rest[:-2]
        specs += bytes([i + 1, f, 0])
    frame = b"\x08" + struct.pack(">HH", h, w) + b"\x03" + specs
    parts = [p for p in parts if p[0] not in (0xC0, 0xDA)] + [(0xC0, frame)]
    files[name + ".jpg"] = join(parts, body + b"\xff\xd9")


scans("scans-444", (0x11, 0x11, 0x11), 43, 29)
scans("scans-420", (0x22, 0x11, 0x11), 43, 29)
scans("scans-mixed", (0x22, 0x21, 0x12), 43, 29)
scans("scans-red-subsampled", (0x12, 0x22, 0x11), 43, 29)
scans("scans-luma-subsampled", (0x11, 0x22, 0x21), 43, 29)
scans("scans-fourfold", (0x44, 0x11, 0x42), 43, 29)
scans("scans-equal-factors", (0x22, 0x22, 0x22), 43, 29)


def wide(m, b):
    """8-bit quantization tables as 16-bit ones."""
    if m != 0xDB:
        return b
    out = b""
    while b:
        out += bytes([b[0] | 0x10]) + b"".join(struct.pack(">H", q) for q in b[1:65])
        b = b[65:]
    return out


files["wide-quantization.jpg"] = patch(files["420.jpg"], wide)
data = files["420.jpg"]
files["junk-before-end.jpg"] = data[:-2] + b"\0\x01junk\xff\0more" + data[-2:]
files["junk-after-end.jpg"] = data + b"anything"
files["fill-bytes.jpg"] = data[:2] + b"\xff\xff" + data[2:-2] + b"\xff\xff" + data[-2:]
# Data that ends early, but properly: libjpeg pads.
data = files["444.jpg"]
n = len(join(*segments(data))) - len(segments(data)[1])
for i, at in enumerate((0.2, 0.5, 0.9)):
    cut = data[: n + int(len(segments(data)[1]) * at)].rstrip(b"\xff")
    files[f"ends-early-{i}.jpg"] = cut + b"\xff\xd9"
data = files["420-restart-blocks.jpg"]
at = data.index(b"\xff\xd3")
files["ends-early-in-interval.jpg"] = data[: at - 9].rstrip(b"\xff") + data[at:]
data = files["gray-progressive.jpg"]
files["ends-early-progressive.jpg"] = data[:-32].rstrip(b"\xff") + data[-2:]


# --- PNG -------------------------------------------------------------------------------------------------------------------


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(w, h, depth, color, rows, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def scanlines(samples, depth):
    """samples: [h, w * channels]. Filter type 0."""
    out = b""
    for row in samples:
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth)[::-1]) & 1
            packed = np.packbits(bits.reshape(-1)).tobytes()
        out += b"\0" + packed
    return out


def noise(h, w, channels, depth):
    return rng.integers(0, 1 << depth, (h, w * channels)).astype(np.uint32)


W, H = 21, 13
for depth in (1, 2, 4, 8, 16):
    a = noise(H, W, 1, depth)
    a[0, :4] = [0, 1, (1 << depth) - 1, 300 % (1 << depth)]
    files[f"gray{depth}.png"] = png(W, H, depth, 0, scanlines(a, depth))
    files[f"gray{depth}-trns.png"] = png(W, H, depth, 0, scanlines(a, depth),
        chunk(b"tRNS", struct.pack(">H", int(a[3, 3]))))
for depth in (8, 16):
    a = noise(H, W, 3, depth)
    files[f"rgb{depth}.png"] = png(W, H, depth, 2, scanlines(a, depth))
    trns = chunk(b"tRNS", struct.pack(">HHH", *map(int, a[2, 3:6])))
    files[f"rgb{depth}-trns.png"] = png(W, H, depth, 2, scanlines(a, depth), trns)
    files[f"graya{depth}.png"] = png(W, H, depth, 4, scanlines(noise(H, W, 2, depth), depth))
    files[f"rgba{depth}.png"] = png(W, H, depth, 6, scanlines(noise(H, W, 4, depth), depth))
for depth in (1, 2, 4, 8):
    palette = rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes()
    a = scanlines(noise(H, W, 1, depth), depth)
    files[f"palette{depth}.png"] = png(W, H, depth, 3, a, chunk(b"PLTE", palette))
    files[f"palette{depth}-trns.png"] = png(W, H, depth, 3, a, chunk(b"PLTE", palette) + chunk(b"tRNS", b"\0\x80"))
files["palette-short.png"] = png(W, H, 4, 3, scanlines(noise(H, W, 1, 4), 4), chunk(b"PLTE", bytes(range(9, 9 + 15))))
a = np.asarray(picture(W, H)).reshape(H, W, 3).astype(np.uint32)
passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
rows = b""
for x0, y0, dx, dy in passes:
    part = a[y0::dy, x0::dx]
    rows += scanlines(part.reshape(part.shape[0], -1), 8)
files["interlaced.png"] = png(W, H, 8, 2, rows, interlace=1)
files["filtered.png"] = encode(picture(41, 33, 4), "PNG", optimize=True)
files["png-named.jpg"] = files["filtered.png"]

# --- GIF -------------------------------------------------------------------------------------------------------------------

quantized = picture(37, 29).quantize(40)
files["palette.gif"] = data = encode(quantized, "GIF", interlace=0)
files["interlaced.gif"] = encode(quantized, "GIF", interlace=1)
files["gray.gif"] = encode(picture(37, 29).convert("L"), "GIF")
files["transparent.gif"] = encode(quantized, "GIF", transparency=7)
frames = [picture(37, 29).quantize(16) for _ in range(3)]
files["animated.gif"] = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
files["canvas.gif"] = data[:6] + struct.pack("<HH", 45, 33) + data[10:]
data = files["transparent.gif"]
files["canvas-transparent.gif"] = data[:6] + struct.pack("<HH", 45, 33) + data[10:]
at = files["palette.gif"].index(b"\x2c\0\0\0\0\x25\0\x1d\0")
moved = bytearray(files["canvas.gif"])
struct.pack_into("<HH", moved, at + 1, 5, 3)
files["canvas-offset.gif"] = bytes(moved)
struct.pack_into("<HH", moved, at + 1, 20, 30)
files["frame-beyond-canvas.gif"] = bytes(moved)
flags = data[10]
size = 3 << ((flags & 7) + 1)
at = data.index(b"\x2c\0\0\0\0\x25\0\x1d\0")
files["local-palette.gif"] = (
    data[:10] + bytes([flags & 0x70]) + data[11:13] + data[13 + size : at + 9]
    + bytes([0x80 | flags & 7]) + data[13 : 13 + size] + data[at + 10 :]
)
files["no-palette.gif"] = data[:10] + bytes([flags & 0x70]) + data[11:13] + data[13 + size :]
files["no-trailer.gif"] = data[:-1]

# --- WebP and BMP ----------------------------------------------------------------------------------------------------------

alpha = picture(37, 29).copy()
alpha.putalpha(picture(37, 29).convert("L"))
for w, h in ((67, 45), (64, 48), (1, 1), (2, 2), (3, 1), (1, 4)):
    files[f"lossy-{w}x{h}.webp"] = encode(picture(w, h), "WEBP", quality=80)
files["lossless.webp"] = encode(picture(37, 29), "WEBP", lossless=True)
files["lossless-alpha.webp"] = encode(alpha, "WEBP", lossless=True, exact=True)
files["lossy-alpha.webp"] = encode(alpha, "WEBP", quality=70)
files["lossy-exif.webp"] = encode(picture(37, 29), "WEBP", quality=70, exif=exif)

files["rgb.bmp"] = encode(picture(37, 29), "BMP")
files["gray.bmp"] = encode(picture(37, 29).convert("L"), "BMP")
files["palette.bmp"] = encode(quantized, "BMP")
files["bilevel.bmp"] = encode(picture(37, 29).convert("1"), "BMP")
files["rgba.bmp"] = encode(alpha, "BMP")
data = bytearray(files["rgb.bmp"])
struct.pack_into("<i", data, 22, -29)
files["top-down.bmp"] = bytes(data)

# --- JPEG that is incomplete, and yet read ---------------------------------------------------------------------------------


def scan_starts(data):
    """Where the tables and the header of each scan begin: after the end of the one before."""
    parts, rest = segments(data)
    starts, p = [], len(data) - len(rest)
    while True:
        p += 1
        if data[p - 1] == 0xFF and data[p] != 0 and not 0xD0 <= data[p] <= 0xD7:
            if data[p] == 0xD9:
                return starts
            starts.append(p - 1)
            p += 1
            while data[p - 1] != 0xDA or data[p - 2] != 0xFF:
                p += struct.unpack(">H", data[p : p + 2])[0] + 2
            p += struct.unpack(">H", data[p : p + 2])[0]


for name in ("gray", "444", "420"):
    data = files[name + "-progressive.jpg"]
    for i, at in enumerate(scan_starts(data)):
        files[f"missing-scans-{name}-{i}.jpg"] = data[:at] + b"\xff\xd9"
# Few blocks, an odd number of rows of them, and other sampling factors.
for w, h in ((5, 4), (9, 40), (33, 17), (65, 24)):
    data = jpg(f"420-{w}x{h}-progressive", picture(w, h), quality=70, progressive=True)
    for i in (0, 2, 5):
        files[f"missing-scans-{w}x{h}-{i}.jpg"] = data[: scan_starts(data)[i]] + b"\xff\xd9"
data = files["440-progressive.jpg"]
files["missing-scans-440.jpg"] = data[: scan_starts(data)[1]] + b"\xff\xd9"
# A scan that ends early, and those after it missing.
data = files["420-progressive.jpg"]
starts = scan_starts(data)
for i in (1, 4, 6):
    cut = data[: (starts[i] + starts[i + 1] * 3) // 4].rstrip(b"\xff")
    files[f"ends-early-and-missing-scans-{i}.jpg"] = cut + b"\xff\xd9"

for name in ("420", "gray", "420-restart-blocks"):
    data = files[name + ".jpg"]
    files[f"no-tables-{name}.jpg"] = patch(data, lambda m, b: None if m == 0xC4 else b)
    files[f"no-end-{name}.jpg"] = data[:-2] + b"\0" * 40

# --- PNG that ends after its picture ---------------------------------------------------------------------------------------

data = files["filtered.png"]
files["no-end.png"] = data[:-12]
files["no-end-nor-checksum.png"] = data[:-14]
files["no-end-but-zeros.png"] = data[:-12] + b"\0" * 30

# --- animated WebP ---------------------------------------------------------------------------------------------------------

still = [picture(37, 29) for _ in range(3)]
clear = [p.copy() for p in still]
for p in clear:
    p.putalpha(picture(37, 29).convert("L"))
files["animated-lossy.webp"] = encode(still[0], "WEBP", save_all=True, append_images=still[1:], quality=80)
files["animated-lossless.webp"] = encode(still[0], "WEBP", save_all=True, append_images=still[1:], lossless=True)
files["animated-lossy-alpha.webp"] = encode(clear[0], "WEBP", save_all=True, append_images=clear[1:], quality=80)
files["animated-lossless-alpha.webp"] = encode(
    clear[0], "WEBP", save_all=True, append_images=clear[1:], lossless=True, exact=True, background=(9, 99, 199, 255)
)


def canvas(data, w, h, x, y):
    """Puts the first frame on a larger canvas, with a background that nobody is to see."""
    b = bytearray(data)
    b[24:30] = struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]
    at = b.index(b"ANMF") + 8
    b[at : at + 6] = struct.pack("<I", x // 2)[:3] + struct.pack("<I", y // 2)[:3]
    at = b.index(b"ANIM") + 8
    b[at : at + 4] = b"\x10\x80\xf0\xff"
    return bytes(b)


for name in ("lossy", "lossless-alpha"):
    files[f"animated-canvas-{name}.webp"] = canvas(files[f"animated-{name}.webp"], 51, 40, 6, 8)

# --- BMP of all kinds ------------------------------------------------------------------------------------------------------


def bmp(w, h, depth, rows, header=40, compression=0, masks=(), palette=b"", colors=0, offset=True):
    """rows: h arrays of bytes, top row first."""
    body = b"".join(bytes(r) + b"\0" * (-len(r) % 4) for r in reversed(rows))
    if header == 12:
        info = struct.pack("<IHHHH", 12, w, h, 1, depth)
    else:
        info = struct.pack("<IiiHHIIiiII", header, w, h, 1, depth, compression, len(body), 0, 0, colors, 0)
    masks = b"".join(struct.pack("<I", m) for m in masks)
    rest = (info + masks).ljust(header, b"\0") + palette
    at = 14 + len(rest) if offset else 0
    return b"BM" + struct.pack("<IHHI", 14 + len(rest) + len(body), 0, 0, at) + rest + body


w, h = 23, 5
deep = [rng.integers(0, 256, 2 * w, dtype=np.uint8) for _ in range(h)]
files["bits16.bmp"] = bmp(w, h, 16, deep)
files["bits16-565.bmp"] = bmp(w, h, 16, deep, compression=3, masks=(0xF800, 0x7E0, 0x1F))
files["bits16-555-v4.bmp"] = bmp(w, h, 16, deep, header=108, compression=3, masks=(0x7C00, 0x3E0, 0x1F, 0))
# Every level of 5 and of 6 bits.
levels = [np.arange(64, dtype="<u2").view(np.uint8), (np.arange(64, dtype="<u2") << 5).view(np.uint8),
    (np.arange(64) << 10).astype("<u2").view(np.uint8)]
files["bits16-levels.bmp"] = bmp(64, 3, 16, levels)
files["bits16-565-levels.bmp"] = bmp(64, 3, 16, levels, compression=3, masks=(0xF800, 0x7E0, 0x1F))
full = [rng.integers(0, 256, 4 * w, dtype=np.uint8) for _ in range(h)]
files["bits32.bmp"] = bmp(w, h, 32, full)
for i, masks in enumerate(
    (
        (0xFF0000, 0xFF00, 0xFF),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    )
):
    files[f"bits32-masks{i}.bmp"] = bmp(w, h, 32, full, header=(56, 124)[i % 2] if i else 40, compression=3,
        masks=masks)
rgb24 = [rng.integers(0, 256, 3 * w, dtype=np.uint8) for _ in range(h)]
files["bits24-masks.bmp"] = bmp(w, h, 24, rgb24, header=52, compression=3, masks=(0xFF0000, 0xFF00, 0xFF))
files["os2.bmp"] = bmp(w, h, 24, rgb24, header=12)
files["os2-v2.bmp"] = bmp(w, h, 24, rgb24, header=64)
for depth in (1, 4, 8):
    indices = [rng.integers(0, 256, (w * depth + 7) // 8, dtype=np.uint8) for _ in range(h)]
    colours = rng.integers(0, 256, 4 << depth, dtype=np.uint8).tobytes()
    files[f"palette{depth}.bmp"] = bmp(w, h, depth, indices, palette=colours)
    files[f"palette{depth}-os2.bmp"] = bmp(w, h, depth, indices, header=12, palette=colours[: 3 << depth])
few = [rng.integers(0, 6, w, dtype=np.uint8) for _ in range(h)]
files["palette-six.bmp"] = bmp(w, h, 8, few, palette=colours[:24], colors=6)
files["palette-no-offset.bmp"] = bmp(w, h, 8, few, palette=colours[:24], colors=6, offset=False)
data = bytearray(files["palette-six.bmp"])
struct.pack_into("<I", data, 10, 54)
files["palette-offset-of-palette.bmp"] = bytes(data)
files["palette-index-beyond.bmp"] = bmp(w, h, 8, [rng.integers(0, 256, w, dtype=np.uint8) for _ in range(h)],
    palette=colours[:24], colors=6)
data = bytearray(files["bits16.bmp"])
struct.pack_into("<i", data, 22, -h)
files["bits16-top-down.bmp"] = bytes(data)
files["no-padding-at-end.bmp"] = files["os2.bmp"][:-3]

# --- PPM, PGM, PBM ---------------------------------------------------------------------------------------------------------

w, h = 13, 7


def pnm(name, kind, most, channels, comment=""):
    a = rng.integers(0, most + 1, (h, w * channels))
    a[0, :4] = [0, most, most // 2, most // 3]
    head = f"P{kind}\n{comment}{w} {h}\n" + (f"{most}\n" if kind not in "14" else "")
    if kind in "123":
        body = "\n".join(" ".join(map(str, row)) for row in a).encode() + b"\n"
    elif kind == "4":
        body = np.packbits(a.astype(np.uint8), axis=1).tobytes()
    else:
        body = a.astype("u1" if most < 256 else ">u2").tobytes()
    files[name] = head.encode() + body


pnm("bits.pbm", "4", 1, 1)
pnm("bits-plain.pbm", "1", 1, 1)
files["bits-dense.pbm"] = files["bits-plain.pbm"][:8] + files["bits-plain.pbm"][8:].replace(b" ", b"")
pnm("comment.ppm", "6", 255, 3, "# a comment\n# and another 7 8\n")
for most in (1, 7, 100, 255, 256, 1000, 65535):
    for kind, channels in (("2", 1), ("3", 3), ("5", 1), ("6", 3)):
        pnm(f"{'plain' if kind in '23' else 'raw'}{most}.{'ppm' if channels == 3 else 'pgm'}", kind, most, channels)
files["plain-comment.ppm"] = files["plain100.ppm"].replace(b" ", b" # eleven 12\n", 20).replace(b"P3\n13 # eleven 12\n",
    b"P3\n13 ")
files["beyond-largest.pgm"] = b"P5 2 2 100\n" + bytes([0, 100, 101, 255])
files["blanks.pgm"] = b"P5\t\r\n 2\v2\f255 " + bytes([1, 2, 3, 4])

# --- TIFF ------------------------------------------------------------------------------------------------------------------


def tiff(name, image, compression=None, **tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[int(tag[1:])] = value
    files[name + ".tif"] = encode(image, "TIFF", compression=compression, tiffinfo=info)


photo = picture(37, 29)
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"):
    tiff("rgb-" + compression, photo, compression, t278=7)
    tiff("gray-" + compression, photo.convert("L"), compression)
    tiff("palette-" + compression, photo.quantize(40), compression)
    tiff("bilevel-" + compression, photo.convert("1"), compression)
    tiff("alpha-" + compression, alpha, compression)
for compression in ("group3", "group4"):
    tiff("bilevel-" + compression, photo.convert("1"), compression)
for compression in ("tiff_lzw", "tiff_adobe_deflate"):
    for what, image in (("rgb", photo), ("gray", photo.convert("L")), ("alpha", alpha)):
        tiff(f"{what}-predicted-{compression}", image, compression, t317=2)
for o in range(1, 10):
    tiff(f"orientation{o}", photo.crop((0, 0, 9, 5)), t274=o)
gray16 = Image.fromarray(rng.integers(0, 65536, (9, 13), dtype=np.uint16))
for compression in ("raw", "tiff_lzw"):
    tiff("gray16-" + compression, gray16, compression)


def tiff_file(order, w, h, tags, strips):
    """A file of entries (tag, type, values) and strips of bytes, for what Pillow does not write."""
    e = "<" if order == "II" else ">"
    sizes = {1: "B", 3: "H", 4: "I"}
    data = b"".join(strips)
    offsets, at = [], 8
    for s in strips:
        offsets.append(at)
        at += len(s)
    data += b"\0" * (at % 2)
    at += at % 2
    tags = dict(tags)
    tags |= {256: (3, [w]), 257: (3, [h]), 273: (4, offsets), 279: (4, [len(s) for s in strips])}
    entries, extra, base = b"", b"", at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        v = struct.pack(f"{e}{len(values)}{sizes[kind]}", *values)
        if len(v) > 4:
            extra += b"\0" * (len(extra) % 2)
            pointer = struct.pack(e + "I", base + len(extra))
            extra += v
            v = pointer
        entries += struct.pack(e + "HHI", tag, kind, len(values)) + v.ljust(4, b"\0")
    head = order.encode() + struct.pack(e + "HI", 42, at)
    return head + data + struct.pack(e + "H", len(tags)) + entries + b"\0\0\0\0" + extra


for order in ("II", "MM"):
    e = "<" if order == "II" else ">"
    for samples, extra in ((3, None), (4, 2)):
        a = rng.integers(0, 65536, (9, 13 * samples)).astype(e + "u2")
        tags = {258: (3, [16] * samples), 259: (3, [1]), 262: (3, [2]), 277: (3, [samples]), 278: (3, [4])}
        if extra is not None:
            tags[338] = (3, [extra])
        raw = [a[y : y + 4].tobytes() for y in range(0, 9, 4)]
        files[f"rgb16-{samples}-{order}.tif"] = tiff_file(order, 13, 9, tags, raw)
        packed = [zlib.compress(s) for s in raw]
        files[f"rgb16-{samples}-{order}-deflate.tif"] = tiff_file(order, 13, 9, tags | {259: (3, [8])}, packed)
        d = a.reshape(9, 13, samples)
        d = np.concatenate([d[:, :1], d[:, 1:] - d[:, :-1]], 1).astype(e + "u2").reshape(9, -1)
        packed = [zlib.compress(d[y : y + 4].tobytes()) for y in range(0, 9, 4)]
        files[f"rgb16-{samples}-{order}-predicted.tif"] = tiff_file(order, 13, 9, tags | {259: (3, [8]), 317: (3, [2])},
            packed)
    a = rng.integers(0, 65536, (9, 13)).astype(e + "u2")
    a[0, :5] = [0, 1, 255, 256, 65535]
    files[f"gray16-{order}.tif"] = tiff_file(order, 13, 9, {258: (3, [16]), 259: (3, [1]), 262: (3, [1]),
        277: (3, [1])}, [a.tobytes()])
    a = rng.integers(0, 256, (9, 13 * 4), dtype=np.uint8)
    a[0, :16] = [200, 100, 50, 0, 200, 100, 50, 255, 200, 100, 50, 60, 10, 5, 3, 20]
    tags = {258: (3, [8] * 4), 259: (3, [1]), 262: (3, [2]), 277: (3, [4]), 338: (3, [1])}
    files[f"premultiplied-{order}.tif"] = tiff_file(order, 13, 9, tags, [a.tobytes()])
a = rng.integers(0, 256, (9, 13), dtype=np.uint8)
files["white-is-zero.tif"] = tiff_file("II", 13, 9, {258: (3, [8]), 259: (3, [1]), 262: (3, [0]), 277: (3, [1])},
    [a.tobytes()])
bits = np.packbits(a & 1, axis=1).tobytes()
files["white-is-zero-bits.tif"] = tiff_file("II", 13, 9, {258: (3, [1]), 259: (3, [1]), 262: (3, [0]), 277: (3, [1])},
    [bits])
files["no-bits-per-sample.tif"] = tiff_file("MM", 13, 9, {259: (3, [1]), 262: (3, [1])}, [bits])
colours = rng.integers(0, 65536, 768).tolist()
files["palette-of-16-bits.tif"] = tiff_file(
    "II", 13, 9, {258: (3, [8]), 259: (3, [1]), 262: (3, [3]), 277: (3, [1]), 320: (3, colours)}, [a.tobytes()]
)
for compression in (3, 4):
    data = files[f"bilevel-group{compression}.tif"]
    at = struct.unpack("<I", data[4:8])[0]
    strip = data[8 : 8 + [struct.unpack("<HHII", data[at + 2 + 12 * i :][:12])[3] for i in range(8)][7]]
    tags = {258: (3, [1]), 259: (3, [compression]), 262: (3, [0]), 277: (3, [1])}
    files[f"bilevel-white-is-zero-group{compression}.tif"] = tiff_file("MM", 37, 29, tags, [strip])
files["several.tif"] = encode(photo, "TIFF", save_all=True, append_images=[picture(9, 9)])

# ---------------------------------------------------------------------------------------------------------------------------

lines = []
for name, data in sorted(files.items()):
    try:
        im = Image.open(io.BytesIO(data))
        im = im.convert("RGB")
    except Exception as e:
        sys.exit(f"{name}: {e}")
    (HERE / name).write_bytes(data)
    raw = im.tobytes()
    lines.append(f"{name} {im.width} {im.height} {hashlib.sha256(raw).hexdigest()}\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1], name + ".rgb").write_bytes(raw)
(HERE / "pictures.txt").write_text("".join(lines))
print(f"{len(files)} pictures, {sum(map(len, files.values()))} bytes")
