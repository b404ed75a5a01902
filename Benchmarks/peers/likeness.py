"""How near pictures are to each other.

    likeness.py FOLDER OTHER

Prints how many PNG files the first folder has and the median PSNR of each beside the other's of its name. Needs numpy and pillow.
"""

import statistics
import sys
from pathlib import Path

import numpy
from PIL import Image


def pixels(path):
    return numpy.asarray(Image.open(path).convert("RGB"), dtype=numpy.float64)


def psnr(one, other):
    """The peak signal-to-noise ratio of pixels in decibels; 99 where they are equal."""
    square = numpy.mean((one - other) ** 2)
    return 99.0 if square == 0 else 10 * numpy.log10(255**2 / square)


def main():
    one, other = map(Path, sys.argv[1:])
    values = [psnr(pixels(path), pixels(other / path.name)) for path in sorted(one.glob("*.png"))]
    print(len(values), round(statistics.median(values), 1))


if __name__ == "__main__":
    main()
