"""Write normal values of PyTorch 2.6.0's CPU generator, on a machine with AVX2.

    .venv/bin/python make_noise_goldens.py --out ../DiffusionTests/Fixtures/noise

Each case is a seed, a dtype and the shapes drawn one after the other from one generator; a draw keeps its first and last values
as float32 bit patterns and an FNV-1a digest of all of them.
"""
import argparse, json, math

import torch

SEEDS = [0, 1, 7, 42, 2**31, 2**32 - 1, 2**32 + 7, 2**63 - 1, 12345678901234567]
DRAWS = [
    [[1, 16, 64, 64], [1, 16, 32, 48]],
    [[16], [17], [31], [32], [33], [100], [1003]],
    [[1, 16, 2, 2], [1, 16, 6, 4], [624], [1, 16, 10, 14]],
]


def digest(bits):
    value = 0xCBF29CE484222325
    for word in bits:
        for shift in (0, 8, 16, 24):
            value = ((value ^ (word >> shift & 0xFF)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--out", required=True)
    options = arguments.parse_args()
    assert torch.__version__.startswith("2.6.0"), torch.__version__
    assert torch.backends.cpu.get_cpu_capability() == "AVX2", "the float32 values are those of the AVX2 path"
    cases = []
    for index, seed in enumerate(SEEDS):
        for dtype in ("float32", "bfloat16"):
            generator, draws = torch.Generator("cpu").manual_seed(seed), []
            for shape in DRAWS[index % len(DRAWS)]:
                values = torch.randn(shape, generator=generator, dtype=getattr(torch, dtype)).float().flatten()
                bits = [b & 0xFFFFFFFF for b in values.view(torch.int32).tolist()]
                draws.append({"count": math.prod(shape), "first": bits[:16], "last": bits[-16:], "digest": f"{digest(bits):016x}"})
            cases.append({"seed": seed, "precision": dtype, "draws": draws})
    with open(f"{options.out}/noise.json", "w") as file:
        json.dump(cases, file, separators=(",", ":"))
        file.write("\n")


main()
