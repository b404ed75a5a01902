"""PyTorch's matrix products and attention in the shapes of FLUX's blocks.

usage: peer_kernels.py TOKENS RUNS THREADS
"""
import json
import statistics
import sys

import torch

import pair

tokens, runs, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(0)
rows = []


def measure(name, operations, call):
    with torch.no_grad():
        passes, _ = pair.timed(runs, call)
    seconds = statistics.median(passes)
    rows.append({"name": name, "seconds": seconds, "gflops": operations / seconds / 1e9})


hidden, mlp = pair.HIDDEN, pair.MLP * pair.HIDDEN
for kind in (torch.bfloat16, torch.float32):
    label = "pytorch " + str(kind).removeprefix("torch.")
    for k, n in ((hidden, hidden), (hidden, mlp), (mlp, hidden), (hidden + mlp, hidden)):
        x = torch.randn(tokens, k).to(kind)
        w = (0.02 * torch.randn(n, k)).to(kind)
        measure(f"{label} {k}->{n}", 2 * tokens * k * n,
                lambda: torch.nn.functional.linear(x, w))
q, k, v = (torch.randn(1, pair.HEADS, tokens, pair.HEAD).to(torch.bfloat16) for _ in range(3))
measure("pytorch bfloat16 attention", 4 * tokens * tokens * hidden,
        lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v))
print(json.dumps(rows))
