"""Write how far the reference's own float32 is from its float64, the yardstick of every comparison.

    summarize_rounding.py FLOAT32_FOLDER FLOAT64_FOLDER OUT.json

OUT.json: {file: {tensor: {"rounding": max|f32 - f64|, "std": the float32 tensor's}}} for the floating point tensors of
golden.safetensors and, where it is there, layers.safetensors, and "sampled": true where the task draws a posterior sample, which float64
draws differently.
"""
import json, os, sys
from safetensors.numpy import load_file

f32, f64, out = sys.argv[1:]
task = json.load(open(f"{f32}/task.json"))
summary = {"sampled": task["posterior"] == "sample" and len(task["conditions"]) > 0}
for file in ("golden", "layers"):
    if not os.path.exists(f"{f32}/{file}.safetensors"):
        continue
    a, b = load_file(f"{f32}/{file}.safetensors"), load_file(f"{f64}/{file}.safetensors")
    summary[file] = {k: {"rounding": float(f"{abs(a[k].astype('f8') - b[k]).max():.4g}"), "std": float(f"{a[k].astype('f8').std():.6g}")}
                     for k in sorted(a) if a[k].dtype.kind == "f"}
json.dump(summary, open(out, "w"), indent=1)
