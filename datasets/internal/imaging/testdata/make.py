"""Writes the picture fixtures of package imaging and what Pillow makes of each.

    python make.py [RAWDIR]

Every picture goes to this folder; pictures.txt gets one line for each: name, width, height, and the SHA-256 of the bytes of
Image.open(name).convert("RGB"). With RAWDIR those bytes are also written there, one file for each, to look into a mismatch.
Pictures that Pillow cannot write are assembled here from parts that it can. Made with Pillow 13.0.0 (libjpeg-turbo 3.2.0,
libwebp 1.6.0); the pictures themselves may come out different with other versions, their pixels must not.
"""

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

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
    files[f"gray{depth}-trns.png"] = png(W, H, depth, 0, scanlines(a, depth), chunk(b"tRNS", struct.pack(">H", int(a[3, 3]))))
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
