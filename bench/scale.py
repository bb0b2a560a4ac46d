"""Time by phase and peak memory of `tracer fit` as a log grows.

Usage: bench/python.sh bench/scale.py BUILD [--rows 10000,100000,1000000] [--labels 150] [--dimension 384] [-- FIT OPTIONS]
Each log is made in a temporary folder: labels of uneven frequency (1 / rank^0.7), three clusters of vectors each, every
twentieth answer drawn at random. Vectors are float16, as a log of that size would be kept. Prints a JSON line a log."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

from arguments import own_and_fit_options

BLOCK = 10000
MODES = 3
SPREAD = 1.4  # length of the noise beside a centre of length 1
WRONG = 0.05


def make_log(folder, rows, labels, dimension):
    random = numpy.random.default_rng(1)
    centres = random.standard_normal((labels * MODES, dimension), dtype=numpy.float32)
    centres /= numpy.linalg.norm(centres, axis=1, keepdims=True)
    share = 1 / numpy.arange(1, labels + 1) ** 0.7
    share /= share.sum()
    vectors = numpy.lib.format.open_memmap(folder / "log.npy", mode="w+", dtype=numpy.float16, shape=(rows, dimension))
    with open(folder / "log.jsonl", "w") as lines:
        for first in range(0, rows, BLOCK):
            n = min(BLOCK, rows - first)
            label = random.choice(labels, n, p=share)
            mode = label * MODES + random.integers(MODES, size=n)
            noise = random.standard_normal((n, dimension), dtype=numpy.float32) * (SPREAD / dimension**0.5)
            vectors[first:first + n] = centres[mode] + noise
            wrong = random.random(n) < WRONG
            label[wrong] = random.choice(labels, wrong.sum(), p=share)
            lines.writelines(f'{{"input":"text {first + i}","teacher":"label {l}"}}\n' for i, l in enumerate(label))
    vectors.flush()


def main():
    own, fit_options = own_and_fit_options()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--labels", type=int, default=150)
    parser.add_argument("--dimension", type=int, default=384)
    options = parser.parse_args(own)
    binary = (options.build / "tracer").resolve()
    for rows in map(int, options.rows.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            make_log(folder, rows, options.labels, options.dimension)
            done = subprocess.run([binary, "fit", "log.jsonl", "--alpha", "0.9", "-o", "policy", "--json", *fit_options],
                                  cwd=folder, stdout=subprocess.PIPE)
            if done.returncode not in (0, 3):
                sys.exit(f"tracer fit: exit code {done.returncode}")
            result = json.loads(done.stdout)
            policy = sum(f.stat().st_size for f in (folder / "policy").iterdir())
        asked = next(e for e in result["frontier"] if e["alpha"] == 0.9)
        print(json.dumps({
            "rows": rows, "labels": result["labels"], "dimension": options.dimension, "cores": os.cpu_count(),
            "seconds": {k: round(v, 1) for k, v in result["seconds"].items()},
            "peak_memory_mib": round(result["peak_memory_bytes"] / 2**20), "policy_mib": round(policy / 2**20),
            "certified": asked["certified"], "coverage": asked["coverage"], "agreement": asked["teacher_agreement"],
        }), flush=True)


if __name__ == "__main__":
    main()
