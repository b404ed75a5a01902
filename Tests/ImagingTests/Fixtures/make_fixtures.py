"""Makes the picture fixtures, manifest.json and pixels.bin beside this file.

Run with Pillow, NumPy and OpenCV: `python3 make_fixtures.py`. Pixels expected of opaque files are
Pillow's `Image.open(file).convert("RGB")`, those of files with alpha are blended over white by the
formula in `over_white`, resampled ones are OpenCV's INTER_AREA.
"""

import io
import json
import pathlib
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, HEIGHT = 13, 11
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# First column, first row, column step, row step of each Adam7 pass.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

cases, refused, resamplings = [], [], []
levels = bytearray()


def stored(pixels):
    """Puts pixels into pixels.bin and returns where."""
    levels.extend(np.ascontiguousarray(pixels).tobytes())
    return len(levels) - pixels.size


def over_white(rgba):
    """Blends 8-bit RGBA over white, rounded to nearest."""
    rgba = rgba.astype(np.int64)
    rgb, a = rgba[..., :3], rgba[..., 3:]
    return ((rgb * a + 255 * (255 - a) + 127) // 255).astype(np.uint8)


def picture(width=WIDTH, height=HEIGHT, channels=3, seed=1):
    """A smooth picture with noise, so that lossy formats and filters have work."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (11 + 3 * c) + y * (7 - 2 * c) + 40 * c) % 256 for c in range(channels)]
    noise = rng.integers(-12, 13, (height, width, channels))
    return np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)


def save(name, data, expected, tolerance=0):
    """Writes a file and records the pixels expected of it."""
    (HERE / name).write_bytes(data)
    assert expected.dtype == np.uint8 and expected.shape[2] == 3, name
    cases.append({
        "file": name, "width": expected.shape[1], "height": expected.shape[0],
        "tolerance": tolerance, "pixels": stored(expected),
    })


def refuse(name, data, error):
    """Writes a file that is refused with one of ImageError's cases."""
    (HERE / name).write_bytes(data)
    refused.append({"file": name, "error": error})


def opened(data):
    """What Pillow sees."""
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def chunk(kind, data):
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, depth):
    """(h, w, c) samples as PNG rows with the filter types taken in turn."""
    h, w, c = samples.shape
    pixel_bytes = max(1, c * depth // 8)
    previous, out = np.zeros(0, np.uint8), b""
    for y in range(h):
        if depth == 16:
            row = np.frombuffer(samples[y].astype(">u2").tobytes(), np.uint8)
        elif depth == 8:
            row = samples[y].astype(np.uint8).reshape(-1)
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in samples[y].reshape(-1))
            bits += "0" * (-len(bits) % 8)
            row = np.array([int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)], np.uint8)
        row = row.astype(np.int64)
        up = previous if len(previous) else np.zeros_like(row)
        left = np.concatenate([np.zeros(pixel_bytes, np.int64), row])[:len(row)]
        corner = np.concatenate([np.zeros(pixel_bytes, np.int64), up])[:len(row)]
        p = left + up - corner
        pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
        paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
        kind = y % 5
        predicted = [0 * row, left, up, (left + up) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        previous = row
    return out


def png(samples, color, depth, interlaced=False, before=(), after=(), size=None):
    """A PNG file of (h, w, c) samples; `size` lies about the header's width and height."""
    h, w, _ = samples.shape
    if interlaced:
        parts = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
        raw = b"".join(packed_rows(p, depth) for p in parts if p.size)
    else:
        raw = packed_rows(samples, depth)
    ihdr = struct.pack(">IIBBBBB", *(size or (w, h)), depth, color, 0, 0, int(interlaced))
    chunks = [chunk(b"IHDR", ihdr), *before, chunk(b"IDAT", zlib.compress(raw, 9)), *after]
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def png_samples(color, depth):
    """Samples of a color type at a depth."""
    c = CHANNELS[color]
    high = picture(channels=c, seed=color * 20 + depth).astype(np.int64)
    if depth == 16:
        return high * 256 + picture(channels=c, seed=99)[::-1].astype(np.int64)
    return high >> (8 - depth)


def make_png():
    """Every color type, depth and interlace, with and without transparent colors."""
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)] + [(3, d) for d in (1, 2, 4, 8)]
    kinds += [(4, 8), (4, 16), (6, 8), (6, 16)]
    words = {0: "gray", 2: "rgb", 3: "palette", 4: "gray-alpha", 6: "rgba"}
    palette = np.random.default_rng(7).integers(0, 256, (256, 3), dtype=np.uint8)
    for color, depth in kinds:
        samples = png_samples(color, depth)
        before = []
        if color == 3:
            before = [chunk(b"PLTE", palette[:2 ** depth].tobytes())]
        eight = samples >> 8 if depth == 16 else samples
        if color in (4, 6):
            rgba = np.repeat(eight[..., :1], 3, -1) if color == 4 else eight[..., :3]
            expected = over_white(np.concatenate([rgba, eight[..., -1:]], -1))
        for interlaced in (False, True):
            data = png(samples, color, depth, interlaced, before)
            if color == 0 and depth == 16:
                expected = np.repeat(eight, 3, -1).astype(np.uint8)
            elif color not in (4, 6):
                expected = opened(data)
            save(f"{words[color]}-{depth}{'-interlaced' if interlaced else ''}.png", data, expected)

    # tRNS: alpha for the first palette entries, one transparent color elsewhere.
    for depth in (1, 4, 8):
        samples, n = png_samples(3, depth), 2 ** depth
        alpha = np.random.default_rng(depth).integers(0, 256, (n + 1) // 2 + 1, dtype=np.uint8)[:n]
        chunks = [chunk(b"PLTE", palette[:n].tobytes()), chunk(b"tRNS", alpha.tobytes())]
        full = np.full(256, 255, np.uint8)
        full[:len(alpha)] = alpha
        rgba = np.concatenate([palette[samples[..., 0]], full[samples]], -1)
        save(f"palette-{depth}-trns.png", png(samples, 3, depth, False, chunks), over_white(rgba))
    for color, depth in ((0, 2), (0, 8), (0, 16), (2, 8), (2, 16)):
        samples = png_samples(color, depth)
        key = samples[4, 5].copy()
        # A color equal in the high bytes only is not the transparent one.
        if depth == 16:
            samples[6, 6] = key ^ 1
        clear = (samples == key).all(-1)
        scale = {2: 85, 8: 1}.get(depth)
        eight = samples >> 8 if depth == 16 else samples * scale
        expected = np.broadcast_to(eight, eight.shape[:2] + (3,)).astype(np.uint8).copy()
        expected[clear] = 255
        trns = chunk(b"tRNS", key.astype(">u2").tobytes())
        name = f"{words[color]}-{depth}-trns.png"
        save(name, png(samples, color, depth, False, [trns]), expected)

    # Chunks that must not change pixels: gamma, a profile that unpacks to 16 MiB, broken text.
    bomb = zlib.compress(bytes(1 << 24), 9)
    samples = png_samples(2, 8)
    extras = [chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"iCCP", b"p\0\0" + bomb),
              chunk(b"sBIT", b"\5\5\5"), chunk(b"bKGD", b"\0\1\0\2\0\3")]
    plain = png(samples, 2, 8)
    save("ancillary.png", png(samples, 2, 8, False, extras[:1] + extras[2:]), opened(plain))
    save("profile-bomb.png", png(samples, 2, 8, False, [extras[1]]), opened(plain))
    texts = [chunk(b"tEXt", b"Title\0caf\xe9"), chunk(b"zTXt", b"Packed\0\0" + zlib.compress(b"x" * 99)),
             chunk(b"iTXt", b"Comment\0\0\0de\0\0" + "grüße 猫".encode()),
             chunk(b"zTXt", b"Bomb\0\0" + bomb)]
    save("texts.png", png(samples, 2, 8, False, texts), opened(plain))
    (HERE / "opaque.png").write_bytes(plain)

    for name, size in (("bomb-square.png", (30000, 30000)), ("bomb-wide.png", (2 ** 31 - 1, 1)),
                       ("bomb-side.png", (32769, 1))):
        refuse(name, png(samples, 2, 8, size=size), "tooLarge")
    refuse("zero-width.png", png(samples, 2, 8, size=(0, 5)), "broken")
    refuse("cut-in-pixels.png", plain[:len(plain) // 2], "truncated")
    refuse("cut-before-end.png", plain[:-12], "truncated")
    refuse("cut-after-signature.png", plain[:8], "truncated")
    damaged = bytearray(plain)
    damaged[60] ^= 0x10
    refuse("wrong-checksum.png", bytes(damaged), "broken")
    refuse("few-rows.png", png(samples, 2, 8, size=(13, 400)), "broken")
    refuse("depth-3.png", plain[:24] + b"\3" + plain[25:], "broken")


def encoded(image, form, **options):
    """A file made by Pillow."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def make_jpeg():
    """Baseline, progressive, subsampled, gray, CMYK."""
    image = Image.fromarray(picture(21, 17, seed=3))
    kinds = {
        "baseline": dict(quality=90), "progressive": dict(quality=85, progressive=True),
        "full-chroma": dict(quality=95, subsampling=0), "half-chroma": dict(quality=80, subsampling=1),
        "restarts": dict(quality=80, restart_marker_rows=1), "rgb": dict(quality=90, keep_rgb=True),
    }
    for name, options in kinds.items():
        data = encoded(image, "JPEG", **options)
        save(f"{name}.jpg", data, opened(data))
    gray = encoded(image.convert("L"), "JPEG", quality=90)
    save("gray.jpg", gray, opened(gray))
    inks = encoded(Image.fromarray(picture(21, 17, 4, seed=4), "CMYK"), "JPEG", quality=95)
    save("cmyk.jpg", inks, opened(inks))
    base = encoded(image, "JPEG", quality=90)
    save("without-end-marker.jpg", base[:-2], opened(base))
    save("garbage-behind.jpg", base + b"more bytes", opened(base))
    progressive = encoded(image, "JPEG", quality=85, progressive=True)

    def sized(width, height):
        at = base.index(b"\xff\xc0") + 5
        return base[:at] + struct.pack(">HH", height, width) + base[at + 4:]

    refuse("bomb-square.jpg", sized(30000, 30000), "tooLarge")
    refuse("bomb-side.jpg", sized(65500, 1), "tooLarge")
    refuse("zero-height.jpg", sized(13, 0), "broken")
    refuse("cut-in-pixels.jpg", base[:-60], "truncated")
    refuse("cut-in-header.jpg", base[:40], "truncated")
    refuse("cut-between-scans.jpg", progressive[:progressive.rindex(b"\xff\xda")], "truncated")
    refuse("few-rows.jpg", sized(21, 400), "broken")
    refuse("twelve-bit.jpg", base.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "unsupported")
    tiny = encoded(image.crop((0, 0, 8, 8)), "JPEG", quality=50, progressive=True)
    first = tiny.index(b"\xff\xda")
    scan = tiny[first:tiny.index(b"\xff\xc4", first)]
    many = tiny[:first] + scan * 250 + tiny[first:]
    refuse("many-scans.jpg", many, "broken")


def make_webp():
    """Lossy, lossless, alpha, animated."""
    image = Image.fromarray(picture(21, 17, seed=5))
    rgba = picture(21, 17, 4, seed=6)
    for name, options in (("lossy", dict(quality=80)), ("lossless", dict(lossless=True))):
        data = encoded(image, "WEBP", **options)
        save(f"{name}.webp", data, opened(data))
        data = encoded(Image.fromarray(rgba), "WEBP", exact=True, **options)
        seen = np.array(Image.open(io.BytesIO(data)).convert("RGBA"))
        save(f"{name}-alpha.webp", data, over_white(seen))
    still = encoded(image, "WEBP", quality=80)
    frames = [Image.fromarray(picture(21, 17, seed=s)) for s in (8, 9)]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    save("animated.webp", moving, np.array(frames[0]))
    at = still.index(b"\x9d\x01\x2a") + 3
    big = still[:at] + struct.pack("<HH", 16383, 16383) + still[at + 4:]
    refuse("bomb-square.webp", big, "tooLarge")
    refuse("cut-in-pixels.webp", still[:len(still) // 2], "truncated")
    refuse("cut-in-header.webp", still[:16], "truncated")
    refuse("wrong-frame.webp", still[:at - 3] + b"\0\0\0" + still[at:], "broken")


def make_orientations():
    """EXIF's eight orientations in each format, both byte orders."""
    pixels = picture(16, 8, seed=11)
    # A block pattern, so that a lossy codec keeps it and a wrong turn is far off.
    pixels[:4, :4] = (255, 0, 0)
    image = Image.fromarray(pixels)
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        exif[0x010F] = "camera"
        for name, form, options in (("png", "PNG", {}), ("jpg", "JPEG", dict(quality=95)),
                                    ("webp", "WEBP", dict(lossless=True))):
            data = encoded(image, form, exif=exif, **options)
            turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            save(f"orientation-{value}.{name}", data, np.array(turned.convert("RGB")))
    samples = pixels.astype(np.int64)
    big = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    save("orientation-big-endian.png", png(samples, 2, 8, after=[chunk(b"eXIf", big)]),
         np.rot90(pixels, -1))
    absurd = big[:10] + big[10:18] + b"\0\x09" + big[20:]
    save("orientation-absurd.png", png(samples, 2, 8, before=[chunk(b"eXIf", absurd)]), pixels)
    lost = b"MM\0\x2a\xff\xff\xff\xff" + big[8:]
    save("orientation-lost.png", png(samples, 2, 8, before=[chunk(b"eXIf", lost)]), pixels)


def make_resamplings():
    """INTER_AREA by whole, fractional, growing and mixed ratios."""
    pairs = [((24, 18), (12, 9)), ((24, 18), (8, 6)), ((24, 18), (24, 6)), ((24, 18), (6, 18)),
             ((49, 7), (1, 1)), ((31, 23), (17, 12)), ((31, 23), (30, 22)), ((31, 23), (5, 22)),
             ((7, 5), (14, 10)), ((7, 5), (21, 20)), ((7, 5), (16, 9)), ((31, 23), (40, 11)),
             ((31, 23), (12, 40)), ((16, 16), (8, 32)), ((20, 20), (20, 33)), ((1, 1), (6, 5)),
             ((1, 30), (4, 7)), ((37, 1), (16, 16)), ((33, 47), (32, 48)), ((64, 3), (48, 16))]
    for i, ((w, h), (tw, th)) in enumerate(pairs):
        pixels = np.random.default_rng(i).integers(0, 256, (h, w, 3), dtype=np.uint8)
        out = cv2.resize(pixels, (tw, th), interpolation=cv2.INTER_AREA)
        resamplings.append({
            "sourceWidth": w, "sourceHeight": h, "width": tw, "height": th,
            "source": stored(pixels),
            "pixels": stored(out),
        })


def main():
    for old in HERE.iterdir():
        if old.suffix in (".png", ".jpg", ".webp", ".json", ".bin"):
            old.unlink()
    make_png()
    make_jpeg()
    make_webp()
    make_orientations()
    make_resamplings()
    manifest = {"cases": cases, "refused": refused, "resamplings": resamplings}
    (HERE / "pixels.bin").write_bytes(levels)
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=0) + "\n")
    print(len(cases), "cases,", len(refused), "refused,", len(resamplings), "resamplings,",
          sum(f.stat().st_size for f in HERE.iterdir()), "bytes")


if __name__ == "__main__":
    main()
