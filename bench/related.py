"""Certificates of small logs in which rows are related to rows next to them: how often they are false, and at what
coverage, with `fit`'s own choice of a guard, with a guard always and without one.

Usage: bench/python.sh bench/related.py BUILD DATA [--traces 500] [--logs 200] [--shares 0,0.02,0.05,0.1,0.3]
Banking77, pooled; a tenth of the labels are replaced at random. A share of the log's rows are retries of one of the ten
rows before them: its vector with noise (cosine about 0.95) and its label, replaced or not, so that who learned from the
one knows the other's label and nothing of fresh rows. A certificate is false where agreement on the rows that are not in
the log, labels replaced likewise, is below its alpha. Fails where the lower 95 % confidence limit of the rate of false
certificates of the default is above delta."""

import argparse
import pathlib
import sys
import tempfile

import numpy
from scipy import stats

import pooled_log as pool

ALPHAS = (0.75, 0.8, 0.85)
REPLACED = 0.1
MODES = (("default", []), ("--split runs", ["--split", "runs"]), ("--split rows", ["--split", "rows"]))


def draw(log, traces, share, seed):
    random = numpy.random.default_rng([seed, int(1000 * share)])
    labels = numpy.unique(log.label)
    code = numpy.searchsorted(labels, log.label)
    hit = random.random(len(log)) < REPLACED
    code[hit] = (code[hit] + random.integers(1, len(labels), size=hit.sum())) % len(labels)
    noisy = pool.Log(log.text, labels[code], log.vectors)
    order = random.permutation(len(log))
    part, fresh = noisy.take(order[:traces]), noisy.take(order[traces:][:4000])
    vectors = part.vectors.astype(numpy.float32)
    for i in range(10, traces):
        if random.random() >= share:
            continue
        of = i - 1 - random.integers(10)
        noise = random.standard_normal(vectors.shape[1]).astype(numpy.float32)
        row = vectors[of] / numpy.linalg.norm(vectors[of]) + 0.33 * noise / numpy.linalg.norm(noise)
        vectors[i] = row / numpy.linalg.norm(row)
        part.label[i] = part.label[of]
    part.vectors = vectors
    return part, fresh


def measure(build, options, part, fresh, seed):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        part.write(folder / "log")
        fresh.write(folder / "fresh")
        tracer = pool.Tracer(build, folder, options)
        fitted = tracer.fit("log.jsonl", ALPHAS, seed)
        certified = {e["alpha"] for e in fitted["frontier"] if e["certified"]}
        cells = [pool.outcome(tracer.route("fresh.jsonl", a) if a in certified else None, fresh.label) for a in ALPHAS]
        return cells, fitted["split"]["n_guard"] > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--traces", type=int, default=500)
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--shares", default="0,0.02,0.05,0.1,0.3")
    o = parser.parse_args()
    log = pool.read_pooled(o.data, "banking77")
    print(f"banking77, {o.traces} traces, {o.logs} logs a cell, delta {pool.DELTA}; {REPLACED:.0%} of the labels replaced\n")
    print("| retries | split | guard kept | " + " | ".join(f"false at {a} | coverage" for a in ALPHAS) + " |")
    print("|---|---|---|" + "---|---|" * len(ALPHAS))
    failed = []
    for share in map(float, o.shares.split(",")):
        runs = {name: [] for name, _ in MODES}
        for seed in range(1, o.logs + 1):
            part, fresh = draw(log, o.traces, share, seed)
            for name, options in MODES:
                runs[name].append(measure(o.build, options, part, fresh, seed))
        for name, _ in MODES:
            row = [f"{share:g}", name, f"{numpy.mean([kept for _, kept in runs[name]]):.0%}"]
            for i, alpha in enumerate(ALPHAS):
                cells = [run[i] for run, _ in runs[name]]
                false = sum(c["handled"] > 0 and c["agree"] < alpha * c["handled"] for c in cells)
                low = stats.beta.ppf(0.05, false, len(cells) - false + 1) if false else 0.0
                row += [f"{false / len(cells):.3f}", f"{numpy.mean([c['handled'] / c['rows'] for c in cells]):.3f}"]
                if name == "default" and low > pool.DELTA:
                    failed.append(f"{share:g} of the rows retries, alpha {alpha}: {false} of {len(cells)} certificates false")
            print("| " + " | ".join(row) + " |", flush=True)
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
