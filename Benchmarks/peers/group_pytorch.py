"""FLUX's blocks in PyTorch's eager mode, split over processes that sum by torch.distributed's gloo.

usage: group_pytorch.py float32|bfloat16 [--ranks 2] [--double 2] [--single 4] [--tokens 2560]
    [--runs 3] [--threads 1] [--check]

Heads and feed-forward columns are split by rank, as dreamfarm splits them, with one sum after each
attention and each feed-forward output. The modulating vectors are whole on each rank, so that
PyTorch gathers nothing. The last line of standard output is what rank 0 measured. --check computes
small blocks split and whole, and fails where they differ.
"""
import argparse
import json
import os
import socket
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

HEAD = 128
MLP = 4
TEXT = 512


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("precision", choices=["float32", "bfloat16"])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--double", type=int, default=2)
    parser.add_argument("--single", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2560)
    parser.add_argument("--heads", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


class Blocks:
    """The weights of a rank; every rank draws the whole of each, and keeps its part."""

    def __init__(self, chosen, rank, ranks):
        self.kind = getattr(torch, chosen.precision)
        self.rank, self.ranks = rank, ranks
        self.hidden = chosen.heads * HEAD
        self.heads = chosen.heads // ranks
        self.generator = torch.Generator().manual_seed(0)
        self.doubles = [{"text": self.stream(), "image": self.stream()}
                        for _ in range(chosen.double)]
        self.singles = [self.single() for _ in range(chosen.single)]

    def matrix(self, outputs, inputs, split=None):
        """A weight; `split` is the dimension that the ranks share."""
        whole = 0.02 * torch.randn(outputs, inputs, generator=self.generator)
        if split is not None:
            whole = whole.chunk(self.ranks, split)[self.rank]
        return whole.to(self.kind).contiguous()

    def attention(self):
        hidden = self.hidden
        # one product for queries, keys and values
        return {"qkv": torch.cat([self.matrix(hidden, hidden, 0) for _ in range(3)]),
                "norm": torch.ones(HEAD, dtype=self.kind)}

    def stream(self):
        hidden = self.hidden
        return self.attention() | {
            "modulation": self.matrix(6 * hidden, hidden),
            "out": self.matrix(hidden, hidden, 1),
            "inner": self.matrix(MLP * hidden, hidden, 0),
            "outer": self.matrix(hidden, MLP * hidden, 1),
        }

    def single(self):
        hidden = self.hidden
        out = torch.cat((self.matrix(hidden, hidden, 1), self.matrix(hidden, MLP * hidden, 1)), 1)
        return self.attention() | {
            "modulation": self.matrix(3 * hidden, hidden),
            "inner": self.matrix(MLP * hidden, hidden, 0),
            "out": out.contiguous(),
        }

    def sum(self, values):
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def qkv(self, x, layer, cos, sin):
        """Queries, keys and values of this rank's heads: (heads, tokens, width)."""
        q, k, v = F.linear(x, layer["qkv"]).chunk(3, 1)
        q, k, v = (t.view(len(x), self.heads, HEAD).transpose(0, 1) for t in (q, k, v))
        q, k = (F.rms_norm(t, (HEAD,), layer["norm"], 1e-6) for t in (q, k))
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def norm(self, x, scale, shift):
        return F.layer_norm(x, (self.hidden,), eps=1e-6) * (1 + scale) + shift

    def double(self, block, text, image, vec, cos, sin):
        streams = [(block["text"], text), (block["image"], image)]
        chunks = [F.linear(vec, layer["modulation"]).chunk(6, 1) for layer, _ in streams]
        parts = []
        first = 0
        for (layer, x), (shift, scale, *_) in zip(streams, chunks):
            rows = slice(first, first + len(x))
            parts.append(self.qkv(self.norm(x, scale, shift), layer, cos[rows], sin[rows]))
            first += len(x)
        attended = attend(*(torch.cat(pair, 1) for pair in zip(*parts)))
        result = []
        for (layer, x), (_, _, gate, shift, scale, gate2), own in zip(
                streams, chunks, attended.split([len(text), len(image)])):
            x = x + gate * self.sum(F.linear(own, layer["out"]))
            inner = F.gelu(F.linear(self.norm(x, scale, shift), layer["inner"]),
                           approximate="tanh")
            result.append(x + gate2 * self.sum(F.linear(inner, layer["outer"])))
        return result

    def one(self, layer, x, vec, cos, sin):
        shift, scale, gate = F.linear(vec, layer["modulation"]).chunk(3, 1)
        h = self.norm(x, scale, shift)
        inner = F.gelu(F.linear(h, layer["inner"]), approximate="tanh")
        attended = attend(*self.qkv(h, layer, cos, sin))
        return x + gate * self.sum(F.linear(torch.cat((attended, inner), 1), layer["out"]))

    @torch.no_grad()
    def __call__(self, x, text, vec, cos, sin):
        text, image = x[:text], x[text:]
        for block in self.doubles:
            text, image = self.double(block, text, image, vec, cos, sin)
        x = torch.cat((text, image))
        for block in self.singles:
            x = self.one(block, x, vec, cos, sin)
        return x


def rotate(x, cos, sin):
    """Turns pairs of channels, in float32 as diffusers does whatever the model's type."""
    real, imaginary = x.float().unflatten(2, (-1, 2)).unbind(3)
    turned = torch.stack((real * cos - imaginary * sin, imaginary * cos + real * sin), 3)
    return turned.flatten(2).to(x.dtype)


def attend(q, k, v):
    out = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    return out.transpose(0, 1).flatten(1)


def measure(chosen, rank, ranks):
    """The passes' seconds, and the stream after the last one."""
    torch.set_num_threads(chosen.threads)
    blocks = Blocks(chosen, rank, ranks)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(chosen.tokens, blocks.hidden, generator=generator).to(blocks.kind)
    vec = F.silu(torch.randn(1, blocks.hidden, generator=generator)).to(blocks.kind)
    angles = torch.rand(chosen.tokens, HEAD // 2, generator=generator) * 6
    cos, sin = angles.cos(), angles.sin()
    text = min(TEXT, chosen.tokens // 2)
    passes = []
    for _ in range(chosen.runs + 1):
        if ranks > 1:
            dist.barrier()
        begun = time.perf_counter()
        result = blocks(x, text, vec, cos, sin)
        passes.append(time.perf_counter() - begun)
    return passes[1:], result


def run(rank, chosen, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=chosen.ranks)
    passes, result = measure(chosen, rank, chosen.ranks)
    if rank == 0 and chosen.check:
        _, whole = measure(chosen, 0, 1)
        error = ((result - whole).norm() / whole.norm()).item()
        assert error < (1e-5 if chosen.precision == "float32" else 1e-2), error
    if rank == 0:
        print(json.dumps({"passes": passes, "seconds": sorted(passes)[len(passes) // 2],
                          "note": f"torch {torch.__version__}"}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    chosen = options()
    if chosen.check:
        chosen.heads, chosen.tokens, chosen.runs = 4, 96, 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(run, args=(chosen, port), nprocs=chosen.ranks)
