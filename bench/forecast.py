"""The learning curve's forecast beside the truth: coverage at 8,000 traces foretold from 4,000.

Usage: bench/python.sh bench/forecast.py BUILD DATA [--draws 3] [--seeds 3] [--alphas 0.9,0.95,0.97,0.98]
For each draw, 8,000 traces of Banking77 at random; `tracer sweep --curve` on the first 4,000 of them foretells what the
same sweep then certifies on all. Prints a line an alpha and draw."""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy

SMALL, LARGE = 4000, 8000


def sweep(binary, folder, name, alphas, seeds, *more):
    done = subprocess.run([binary, "sweep", f"{name}.jsonl", "--alphas", alphas, "--seeds", str(seeds), "--json", *more],
                          cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alphas", default="0.9,0.95,0.97,0.98")
    options = parser.parse_args()
    binary = (options.build / "tracer").resolve()
    lines = (options.data / "banking77_train.jsonl").read_text().splitlines(keepends=True)
    vectors = numpy.load(options.data / "banking77_train.npy")
    print(f"alpha  draw  at {SMALL}  foretold  at {LARGE}  error")
    errors = []
    for draw in range(options.draws):
        order = numpy.random.default_rng(draw).permutation(len(lines))[:LARGE]
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for log, rows in (("small", order[:SMALL]), ("large", order)):
                (folder / f"{log}.jsonl").write_text("".join(lines[i] for i in rows))
                numpy.save(folder / f"{log}.npy", vectors[rows])
            small = sweep(binary, folder, "small", options.alphas, options.seeds, "--curve", "500,1000,2000")
            large = sweep(binary, folder, "large", options.alphas, options.seeds)
        truth = {cell["alpha"]: cell["coverage"]["median"] for cell in large["summary"]}
        for curve in small["learning_curves"]:
            if curve["plateau"] is None:
                print(f"{curve['alpha']:<6} {draw:4}  {curve['reason']}")
                continue
            foretold = min(1.0, max(0.0, curve["plateau"] - curve["drop"] * LARGE ** -curve["rate"]))
            errors.append(foretold - truth[curve["alpha"]])
            print(f"{curve['alpha']:<6} {draw:4}  {curve['coverage_now']:7.3f}  {foretold:8.3f}  {truth[curve['alpha']]:7.3f}"
                  f"  {errors[-1]:+.3f}", flush=True)
    print(f"mean absolute error {numpy.mean(numpy.abs(errors)):.3f}, largest {numpy.max(numpy.abs(errors)):.3f}")


if __name__ == "__main__":
    main()
