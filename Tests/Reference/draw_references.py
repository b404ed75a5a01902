"""Draw the reference pictures of the golden tasks: a face, a jacket and a style, from shapes and gradients alone.

    draw_references.py OUT
"""
import sys
import numpy as np
from PIL import Image, ImageDraw


def gradient(w, h, seed):
    corner = np.random.default_rng(seed).uniform(0, 255, (4, 3))
    y, x = np.mgrid[0:h, 0:w]
    fx, fy = (x / (w - 1))[..., None], (y / (h - 1))[..., None]
    top, bottom = (1 - fx) * corner[0] + fx * corner[1], (1 - fx) * corner[2] + fx * corner[3]
    return Image.fromarray(((1 - fy) * top + fy * bottom).round().astype(np.uint8))


def face(w, h):
    picture = gradient(w, h, 1)
    d = ImageDraw.Draw(picture)
    d.ellipse([w * 0.2, h * 0.1, w * 0.8, h * 0.9], fill=(224, 180, 150))
    for x in (0.33, 0.57):
        d.ellipse([w * x, h * 0.35, w * (x + 0.1), h * 0.45], fill=(40, 60, 90))
    d.arc([w * 0.35, h * 0.5, w * 0.65, h * 0.75], 20, 160, fill=(150, 40, 40), width=2)
    return picture


def jacket(w, h):
    picture = Image.new("RGB", (w, h), "white")
    outline = [(0.3, 0.15), (0.7, 0.15), (0.95, 0.45), (0.8, 0.6), (0.72, 0.45), (0.72, 0.9), (0.28, 0.9), (0.28, 0.45), (0.2, 0.6), (0.05, 0.45)]
    ImageDraw.Draw(picture).polygon([(x * w, y * h) for x, y in outline], fill=(180, 40, 60))
    return picture


face(32, 48).save(f"{sys.argv[1]}/face.png")
jacket(48, 32).save(f"{sys.argv[1]}/jacket.png")
gradient(32, 32, 3).save(f"{sys.argv[1]}/style.png")
