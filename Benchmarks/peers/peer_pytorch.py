"""The two blocks in PyTorch's eager mode.

usage: peer_pytorch.py float32|bfloat16 --weights DIR --input FILE --cache DIR [--dump FILE]
"""
import torch
from safetensors.torch import load_file, save_file

import pair

options = pair.arguments(["float32", "bfloat16"])
torch.set_num_threads(options.threads)
kind = getattr(torch, options.precision)
module = pair.load(options.weights, options.precision)
values = load_file(options.input)
stream = [values[name].to(kind) for name in ("image", "text", "temb")]
image, text, temb = stream[0][None], stream[1][None], stream[2]


# diffusers turns queries and keys in float32 whatever the model's type, so the table stays in it
@torch.no_grad()
def forward():
    return module(image, text, temb, values["rope_cos"], values["rope_sin"])


passes, result = pair.timed(options.runs, forward)
if options.dump:
    save_file({"output": result[0].float().contiguous()}, options.dump)
pair.report(passes, f"torch {torch.__version__}")
