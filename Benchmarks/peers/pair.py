"""What is compared: one double and one single block of FLUX's sizes, their weights and inputs.

Everyone reads the same files. The weights are in bfloat16, as FLUX's are published, so a float32 or
bfloat16 peer starts from them exactly, and an int8 one quantizes them itself.
"""
import argparse
import json
import math
import os
import time

HIDDEN = 3072
HEADS = 24
HEAD = 128
MLP = 4
TEXT = 512


def arguments(precisions):
    """A peer's command line. With no runs it only prepares what it keeps in the cache."""
    parser = argparse.ArgumentParser()
    parser.add_argument("precision", choices=precisions)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--dump")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def report(passes, note=""):
    """What the driver reads: the last line of standard output."""
    print(json.dumps({"passes": passes, "note": note}), flush=True)


def timed(runs, call):
    """Calls once uncounted, then `runs` times: the seconds, and the last result."""
    result = call()
    passes = []
    for _ in range(runs):
        begun = time.perf_counter()
        result = call()
        passes.append(time.perf_counter() - begun)
    return passes, result


def blocks():
    """Both blocks of diffusers as one module: (image, text, temb, cos, sin) to the stream."""
    import torch
    from diffusers.models.transformers.transformer_flux import (
        FluxSingleTransformerBlock, FluxTransformerBlock)

    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            sizes = dict(dim=HIDDEN, num_attention_heads=HEADS, attention_head_dim=HEAD)
            self.transformer_blocks = torch.nn.ModuleList([FluxTransformerBlock(**sizes)])
            self.single_transformer_blocks = torch.nn.ModuleList(
                [FluxSingleTransformerBlock(**sizes, mlp_ratio=float(MLP))])

        def forward(self, image, text, temb, cos, sin):
            rope = (cos, sin)
            text, image = self.transformer_blocks[0](
                hidden_states=image, encoder_hidden_states=text, temb=temb, image_rotary_emb=rope)
            return self.single_transformer_blocks[0](
                hidden_states=torch.cat((text, image), 1), temb=temb, image_rotary_emb=rope)

    return Pair


def load(weights, precision="float32"):
    """The module with a folder's weights."""
    import torch
    from safetensors.torch import load_file

    kind = getattr(torch, precision)
    with torch.device("meta"):
        module = blocks()()
    state = load_file(os.path.join(weights, "diffusion_pytorch_model.safetensors"))
    module.load_state_dict({name: value.to(kind) for name, value in state.items()}, assign=True)
    return module.eval()


def grid(count):
    """Rows and columns of the most nearly square picture of so many tokens."""
    rows = next(rows for rows in range(math.isqrt(count), 0, -1) if count % rows == 0)
    return rows, count // rows


def positions(tokens):
    """(tokens, 3): text at the origin, the output's grid too, the reference diagonally behind."""
    import torch

    half = (tokens - TEXT) // 2
    rows, columns = grid(half)

    def place(row, column):
        ids = torch.zeros(rows, columns, 3)
        ids[..., 1] = row + torch.arange(rows)[:, None]
        ids[..., 2] = column + torch.arange(columns)[None]
        return ids.reshape(half, 3)

    return torch.cat((torch.zeros(TEXT, 3), place(0, 0), place(rows, columns)))


def inputs(tokens, seed):
    """A stream as FLUX has it: a few channels of each half are many times larger than the others.

    What belongs to the model and not to the picture is the same for every seed: which channels are
    large, and most of the modulating vector, which varies little from step to step and prompt to
    prompt.
    """
    import torch
    from diffusers.models.embeddings import FluxPosEmbed

    generator = torch.Generator().manual_seed(seed)
    common = torch.Generator().manual_seed(7)

    def stream(rows, large):
        values = torch.randn(rows, HIDDEN, generator=generator)
        places = torch.randperm(HIDDEN, generator=common)[:6]
        values[:, places] *= torch.linspace(4, large, 6)
        return values

    cos, sin = FluxPosEmbed(theta=10000, axes_dim=[16, 56, 56])(positions(tokens))
    return {
        "text": stream(TEXT, 40), "image": stream(tokens - TEXT, 20),
        "temb": 0.9 * torch.randn(1, HIDDEN, generator=common) +
                0.4 * torch.randn(1, HIDDEN, generator=generator),
        "rope_cos": cos.float().contiguous(), "rope_sin": sin.float().contiguous(),
    }


def arrays(path):
    """A file of inputs as the module's arguments, in NumPy."""
    from safetensors.numpy import load_file

    values = load_file(path)
    return [values["image"][None], values["text"][None], values["temb"], values["rope_cos"],
            values["rope_sin"]]


def write_weights(folder, kind, seed):
    """Random weights of FLUX's two blocks in the diffusers layout.

    Both kinds have a deviation of 0.02. `heavy` is Student's t with four degrees of freedom, with a
    few columns and rows that are several times as large: what makes int8 hard in published models.
    """
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)

    def matrix(shape):
        values = torch.randn(shape, generator=generator)
        if kind == "heavy":
            # a chi-squared of four degrees of freedom is the sum of two exponentials
            squares = torch.zeros(shape)
            for _ in range(2):
                squares -= 2 * torch.rand(shape, generator=generator).clamp_min(1e-12).log()
            values /= (squares / 4).sqrt()
            values /= math.sqrt(2)
            values[:, torch.randperm(shape[1], generator=generator)[:4]] *= 6
            values[torch.randperm(shape[0], generator=generator)[:4]] *= 4
        return values * 0.02

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in blocks()().state_dict().items()}
    state = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if len(shape) == 2:
            value = matrix(shape)
        elif name.endswith("bias"):
            value = 0.02 * torch.randn(shape, generator=generator)
        else:
            value = 1 + 0.1 * torch.randn(shape, generator=generator)
        state[name] = value.to(torch.bfloat16)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "diffusion_pytorch_model.safetensors")
    save_file(state, path + ".part")
    os.replace(path + ".part", path)
