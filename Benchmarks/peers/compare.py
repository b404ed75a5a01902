"""Times our engine and its CPU peers on one double and one single block of FLUX's sizes, in turn.

Benchmarks/compare-peers makes the environment that this runs in and tells its options.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
from safetensors.numpy import load_file, save_file

import pair

PYTORCH = "peer_pytorch.py"
HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = "pytorch-float32"
# a name, its program, its precision, and ours that is the nearest to it; the order is the one that
# they take turns in, so that what is compared stands close together in time
SYSTEMS = [
    ("dreamfarm-int8", None, "int8", None),
    ("openvino-int8-dynamic", "peer_openvino.py", "int8-dynamic", "dreamfarm-int8"),
    ("openvino-int8-ptq", "peer_openvino.py", "int8-ptq", "dreamfarm-int8"),
    ("sdcpp-q8_0", "peer_sdcpp.py", "q8_0", "dreamfarm-int8"),
    ("dreamfarm-bfloat16", None, "bfloat16", None),
    ("pytorch-bfloat16", PYTORCH, "bfloat16", "dreamfarm-bfloat16"),
    ("openvino-bf16", "peer_openvino.py", "bf16", "dreamfarm-bfloat16"),
    ("sdcpp-bf16", "peer_sdcpp.py", "bf16", "dreamfarm-bfloat16"),
    ("dreamfarm-float32", None, "float32", None),
    (REFERENCE, PYTORCH, "float32", "dreamfarm-float32"),
    ("openvino-f32", "peer_openvino.py", "f32", "dreamfarm-float32"),
]
# how far two float32 engines may be apart by the order of their sums alone
DOUBT = 1e-4


def say(text):
    print(text, file=sys.stderr, flush=True)


def options():
    parser = argparse.ArgumentParser(prog="Benchmarks/compare-peers")
    parser.add_argument("--tokens", type=int, default=2560, help="text (512) and picture together")
    parser.add_argument("--rounds", type=int, default=3, help="how often everyone takes a turn")
    parser.add_argument("--runs", type=int, default=3, help="timed passes a turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", choices=["normal", "heavy"], default="normal")
    parser.add_argument("--only", default="", metavar="NAME,NAME",
                        help="names or their beginnings: " + ", ".join(s[0] for s in SYSTEMS))
    parser.add_argument("--kernels", action="store_true",
                        help="the matrix products and the attention alone, instead of the blocks")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tokens < pair.TEXT + 2 or chosen.tokens % 2:
        parser.error(f"--tokens is even and at least {pair.TEXT + 2}: behind the text stand an "
                     "output's and a reference's grid of one size")
    if min(chosen.rounds, chosen.runs, chosen.threads) < 1:
        parser.error("--rounds, --runs and --threads are at least 1")
    begins = [name.strip() for name in chosen.only.split(",") if name.strip()]
    for begin in begins:
        if not any(system[0].startswith(begin) for system in SYSTEMS):
            parser.error(f"--only: nothing is called {begin}")
    chosen.systems = [system for system in SYSTEMS
                      if not begins or any(system[0].startswith(begin) for begin in begins)]
    return chosen


class Comparison:
    def __init__(self, chosen):
        self.chosen = chosen
        self.cache = os.path.join(chosen.cache, chosen.weights)
        self.weights = os.path.join(self.cache, "weights")
        self.input = os.path.join(self.cache, f"tokens-{chosen.tokens}.safetensors")
        self.dumps = tempfile.mkdtemp(prefix="dreamfarm-peers-")
        self.environment = dict(os.environ, OMP_NUM_THREADS=str(chosen.threads))
        self.passes = {system[0]: [] for system in chosen.systems}
        self.errors = {}
        self.notes = {}
        self.failures = {}

    def dump(self, name):
        return os.path.join(self.dumps, name + ".safetensors")

    def prepare(self):
        """Everyone's files, before anything is timed."""
        if not os.path.exists(os.path.join(self.weights, "diffusion_pytorch_model.safetensors")):
            say(f"writing {self.chosen.weights} weights")
            pair.write_weights(self.weights, self.chosen.weights, seed=1)
        if not os.path.exists(self.input):
            values = pair.inputs(self.chosen.tokens, seed=2)
            save_file({name: value.numpy() for name, value in values.items()}, self.input)
        for system in self.chosen.systems:
            if system[1] not in (None, PYTORCH):
                say(f"preparing {system[0]}")
                self.turn(system, runs=0)
        kept = os.path.join(self.cache, f"reference-{self.chosen.tokens}.safetensors")
        if not os.path.exists(kept):
            say("computing what the others are held against")
            reference = next(system for system in SYSTEMS if system[0] == REFERENCE)
            self.turn(reference, runs=1, dump=kept + ".part")
            if REFERENCE in self.failures:
                raise SystemExit("PyTorch gave no reference")
            os.replace(kept + ".part", kept)
        self.reference = load_file(kept)["output"].astype("float64")

    def turn(self, system, runs, dump=None):
        """One process: its passes' seconds, or nothing where it failed."""
        name, program, precision, _ = system
        files = ["--weights", self.weights, "--input", self.input]
        amounts = ["--runs", str(runs), "--threads", str(self.chosen.threads)]
        written = ["--dump", dump] if dump else []
        if program:
            command = [sys.executable, os.path.join(HERE, program), precision, *files,
                       "--cache", self.cache, *amounts, *written]
        else:
            command = [self.chosen.binary, "bench", "engine", "--geometry", "flux-dev",
                       "--double", "1", "--single", "1", "--precision", precision,
                       *files, *amounts, *written, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        try:
            if done.returncode != 0:
                raise ValueError(f"exit status {done.returncode}")
            result = json.loads(done.stdout.strip().splitlines()[-1])
            passes = result["passes"]
        except (ValueError, IndexError, KeyError) as error:
            last = (done.stderr or done.stdout).strip().splitlines()[-5:]
            self.failures[name] = " / ".join([str(error), *last])
            say(f"{name} failed: {self.failures[name]}")
            return []
        self.notes[name] = result.get("note") or result.get("kernels", "")
        return passes

    def rounds(self):
        for number in range(1, self.chosen.rounds + 1):
            line = []
            for system in self.chosen.systems:
                name = system[0]
                if name in self.failures:
                    continue
                passes = self.turn(system, self.chosen.runs,
                                   self.dump(name) if number == 1 else None)
                self.passes[name] += passes
                if passes:
                    line.append(f"{name} {statistics.median(passes):.3f}")
                if number == 1 and os.path.exists(self.dump(name)):
                    self.errors[name] = self.error(name)
            print(f"round {number}: " + ", ".join(line), flush=True)

    def error(self, name):
        """The relative L2 distance of a result from PyTorch's in float32."""
        output = load_file(self.dump(name))["output"].astype("float64")
        return float(numpy.linalg.norm(output - self.reference) /
                     numpy.linalg.norm(self.reference))

    def rows(self):
        for name, _, precision, ours in self.chosen.systems:
            passes = self.passes[name]
            row = {"name": name, "precision": precision, "passes": passes,
                   "error": self.errors.get(name), "note": self.notes.get(name, ""),
                   "failure": self.failures.get(name)}
            if passes:
                row |= {"median": statistics.median(passes), "min": min(passes),
                        "max": max(passes)}
            if passes and self.passes.get(ours):
                row |= {"beside": ours,
                        "ratio": row["median"] / statistics.median(self.passes[ours])}
            yield row

    def clean(self):
        for name in os.listdir(self.dumps):
            os.remove(os.path.join(self.dumps, name))
        os.rmdir(self.dumps)


def table(rows):
    print("\n| name | precision | median, s | min | max | error | of ours | note |")
    print("|--|--|--|--|--|--|--|--|")
    for row in rows:
        times = [f"{row[key]:.3f}" if key in row else "" for key in ("median", "min", "max")]
        error = "" if row["error"] is None else f"{row['error']:.2e}"
        ratio = f"{row['ratio']:.2f} x {row['beside'].split('-')[1]}" if "ratio" in row else ""
        note = "failed" if row["failure"] else row["note"]
        cells = [row["name"], row["precision"], *times, error, ratio, note]
        print("| " + " | ".join(cells) + " |")
    print("\nerror: relative L2 distance from PyTorch in float32; of ours: its median over the "
          "median of ours\nin the nearest precision, above 1 where we are faster", flush=True)


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file
                        if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def kernels(chosen):
    """Ours beside PyTorch's, a shape a line."""
    theirs = subprocess.run(
        [sys.executable, os.path.join(HERE, "peer_kernels.py"), str(chosen.tokens),
         str(chosen.runs), str(chosen.threads)], stdout=subprocess.PIPE, text=True, check=True)
    rows = json.loads(theirs.stdout.splitlines()[-1])
    print("| what | seconds | GFLOP/s |\n|--|--|--|")
    for row in rows:
        print(f"| {row['name']} | {row['seconds']:.4f} | {row['gflops']:.0f} |")
    ours = {}
    for precision in ("int8", "bfloat16", "float32"):
        done = subprocess.run(
            [chosen.binary, "bench", "kernels", "--precision", precision,
             "--tokens", str(chosen.tokens), "--runs", str(chosen.runs),
             "--threads", str(chosen.threads), "-o", "json"], text=True, capture_output=True)
        if done.returncode != 0:
            say(f"dreamfarm bench kernels failed in {precision}: {done.stderr.strip()[:200]}")
            continue
        result = json.loads(done.stdout.strip().splitlines()[-1])
        ours[precision] = result
        for rate in [*result.get("shapes", []), dict({"name": "attention"},
                                                     **result.get("attention", {}))]:
            if "gflops" not in rate:
                continue
            seconds = f"{rate['seconds']:.4f}" if "seconds" in rate else ""
            share = rate.get("peak_share")
            of_peak = "" if share is None else f" ({100 * share:.0f} % of the peak)"
            print(f"| dreamfarm {precision} {rate['name']} | {seconds} "
                  f"| {rate['gflops']:.0f}{of_peak} |")
    return {"peers": rows, "dreamfarm": ours}


def main():
    chosen = options()
    print(f"{processor()}, {chosen.threads} threads, {chosen.tokens} tokens, {chosen.weights} "
          f"weights, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    report = {"processor": processor(), "threads": chosen.threads, "tokens": chosen.tokens,
              "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    failed = False
    if chosen.kernels:
        report["kernels"] = kernels(chosen)
    else:
        comparison = Comparison(chosen)
        try:
            comparison.prepare()
            comparison.rounds()
        finally:
            comparison.clean()
        rows = list(comparison.rows())
        table(rows)
        failed = bool(comparison.failures)
        distance = comparison.errors.get("dreamfarm-float32", 0)
        if not distance <= DOUBT:
            failed = True
            print(f"PyTorch and dreamfarm are {distance:.1e} apart in float32: one of them is "
                  "wrong, and so is every error above")
        report |= {"weights": chosen.weights, "rounds": chosen.rounds, "runs": chosen.runs,
                   "systems": rows}
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
