"""Makes Tests/NetworksTests/Goldens/autoencoder.{json,f32} with diffusers' AutoencoderKL.

Weights and inputs come of a formula that the tests repeat, so that only outputs are stored:
float32 outputs, and how far they are from the same model's in float64.
Needs torch 2.6.0, diffusers 0.33.1, numpy.
"""

import json
import pathlib

import numpy as np
import torch
from diffusers import AutoencoderKL

FOLDER = pathlib.Path(__file__).parent.parent / "NetworksTests" / "Goldens"

# name, channels of the levels, groups, layers a block, latent channels, latent (h, w), image (h, w)
CASES = [
    ("groups of one", [4, 8], 4, 1, 4, (5, 7), (10, 14)),
    ("three levels", [8, 8, 16], 8, 2, 4, (6, 3), (28, 20)),
    ("four levels, odd", [16, 16, 24, 32], 8, 2, 16, (3, 5), (37, 43)),
    ("wide groups, three layers", [32, 64], 32, 3, 8, (7, 9), (18, 14)),
    ("one level", [16], 4, 1, 4, (9, 4), (9, 4)),
    ("several tiles across", [8, 16, 16], 4, 1, 4, (9, 39), (20, 300)),
]


def uniform(name, count):
    """count values in -1..<1: SplitMix64, seeded with the FNV-1a hash of the name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def parameter(name, shape):
    values = uniform(name, int(np.prod(shape)))
    if len(shape) > 1:
        values = values * np.sqrt(3 / int(np.prod(shape[1:])))
    elif name.endswith(".bias"):
        values = values * 0.1
    else:
        values = 1 + values * 0.25
    return values.astype(np.float32).reshape(shape)


def both(model, compute):
    """The float32 output, and its largest distance from the float64 output."""
    single = compute(model.float(), torch.float32)
    double = compute(model.double(), torch.float64)
    return [
        (s.numpy().ravel(), float((s.double() - d).abs().max()))
        for s, d in zip(single, double)
    ]


def main():
    torch.manual_seed(0)
    values, cases = [], []
    used = 0

    def store(output):
        nonlocal used
        data, rounding = output
        values.append(data.astype("<f4"))
        used += data.size
        return {"offset": used - data.size, "count": data.size, "rounding": rounding}

    for name, channels, groups, layers, latent_channels, latent, image in CASES:
        configuration = {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": latent_channels,
            "block_out_channels": channels,
            "layers_per_block": layers,
            "norm_num_groups": groups,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
        }
        model = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * len(channels),
            up_block_types=["UpDecoderBlock2D"] * len(channels),
            use_quant_conv=False,
            use_post_quant_conv=False,
            **configuration,
        ).eval()
        model.load_state_dict(
            {k: torch.from_numpy(parameter(k, v.shape)) for k, v in model.state_dict().items()}
        )
        picture = torch.from_numpy(
            uniform("image", 3 * image[0] * image[1]).astype(np.float32).reshape(1, 3, *image)
        )
        code = torch.from_numpy(
            uniform("latent", latent_channels * latent[0] * latent[1])
            .astype(np.float32)
            .reshape(1, latent_channels, *latent)
        )

        def encode(model, dtype):
            distribution = model.encode(picture.to(dtype)).latent_dist
            return [distribution.mean, distribution.logvar]

        def decode(model, dtype):
            return [model.decode(code.to(dtype)).sample]

        with torch.no_grad():
            mean, log_variance = both(model, encode)
            (decoded,) = both(model, decode)
        cases.append(
            {
                "name": name,
                "configuration": configuration,
                "image": image,
                "latent": latent,
                "mean": store(mean),
                "logVariance": store(log_variance),
                "decoded": store(decoded),
            }
        )

    FOLDER.mkdir(parents=True, exist_ok=True)
    np.concatenate(values).tofile(FOLDER / "autoencoder.f32")
    (FOLDER / "autoencoder.json").write_text(json.dumps(cases, indent=1) + "\n")


main()
