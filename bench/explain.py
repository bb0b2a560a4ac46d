"""What `tracer explain` finds, against what is known: labels replaced at random among its suspects, and the prediction
intervals of its regions on fresh rows.

Usage: bench/python.sh bench/explain.py BUILD DATA [--seeds 3] [-- FIT OPTIONS]
Suspects: Banking77 pooled, 5 % of all labels replaced by another one; 70 % of the rows to fit, explained on the certify
rows among them and on the fresh 30 %; precision of the first 100. Regions: each data set pooled, half of it to fit; regions
of its certify rows, the fresh rows dealt to the nearest centre, agreement on those the policy handles against the 95 %
prediction interval from both numbers of rows."""

import argparse
import json
import pathlib
import tempfile

import numpy
from scipy import stats

import noise
import pooled_log as pool
from arguments import own_and_fit_options

FIRST = 100
SETS = (("banking77", 0.95), ("clinc150", 0.95), ("clinc_domains_llm", 0.8), ("snli", 0.7))


def explained(tracer, *arguments):
    tracer.run("explain", "policy", *arguments, "-o", "explained.json", "--rows", "rows.jsonl", "-q")
    document = json.loads((tracer.folder / "explained.json").read_text())
    with open(tracer.folder / "rows.jsonl") as lines:
        return document, [json.loads(line) for line in lines]


def suspects(build, data, seed, options):
    """For certify and fresh rows: replaced labels, suspects listed, replaced ones among the first 100."""
    log = pool.read_pooled(data, "banking77")
    noise.replace(log, 0.05, numpy.unique(log.label), numpy.random.default_rng([seed, 5]))
    order = numpy.random.default_rng(seed).permutation(len(log))
    rows = round(0.7 * len(log))
    parts = {"log": order[:rows], "fresh": order[rows:]}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, part in parts.items():
            log.take(part).write(folder / name)
        tracer = pool.Tracer(build, folder, options)
        tracer.fit("log.jsonl", (0.9,), seed)
        cells = []
        for name, part in parts.items():
            document, unseen = explained(tracer, "--traces", f"{name}.jsonl")
            replaced = (log.label != log.original)[part]
            among = sum(replaced[row["line"] - 1] for row in unseen)
            hits = [replaced[s["line"] - 1] for s in document["suspects"][:FIRST]]
            cells.append((len(unseen), among, len(hits), sum(hits)))
        return cells


def quantiles(agree, handled, fresh):
    distribution = stats.betabinom(fresh, agree + 0.5, handled - agree + 0.5)
    return distribution.ppf(0.025) / fresh, distribution.ppf(0.975) / fresh


def unit(vectors):
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def regions(build, data, name, alpha, seed, options):
    """Regions with fresh handled rows, and those whose fresh agreement lies inside the interval; None: refused."""
    log = pool.read_pooled(data, name)
    order = numpy.random.default_rng(seed).permutation(len(log))
    half = len(log) // 2
    learned, fresh = log.take(order[:half]), log.take(order[half:])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        learned.write(folder / "log")
        fresh.write(folder / "fresh")
        tracer = pool.Tracer(build, folder, options)
        if not tracer.fit("log.jsonl", (alpha,), seed)["certified"]:
            return None
        document, unseen = explained(tracer)
        assert sum(r["n"] for r in document["reasons"]) == document["n"] - document["n_handled"]
        vectors = unit(numpy.asarray(learned.vectors, numpy.float32))[[row["line"] - 1 for row in unseen]]
        region = numpy.array([row["region"] for row in unseen])
        centres = numpy.stack([vectors[region == r].mean(axis=0) for r in range(region.max() + 1)])
        answers = tracer.route("fresh.jsonl", alpha)
    x = unit(numpy.asarray(fresh.vectors, numpy.float32))
    nearest = numpy.argmin((centres ** 2).sum(axis=1) - 2 * x @ centres.T, axis=1)
    handled = numpy.array([a is not None for a in answers])
    count = inside = 0
    for r, seen in enumerate(document["regions"]):
        here = handled & (nearest == r)
        if seen["n_handled"] == 0 or not here.any():
            continue
        agreement = (answers[here] == fresh.label[here]).mean()
        low, high = quantiles(seen["n_agree"], seen["n_handled"], int(here.sum()))
        count += 1
        inside += low - 1e-12 <= agreement <= high + 1e-12
    return count, inside


def main():
    own, options = own_and_fit_options()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    o = parser.parse_args(own)
    failed = []
    print("| seed | rows | explained | labels replaced | suspects looked at | replaced among them |\n|---|---|---|---|---|---|")
    for seed in range(1, o.seeds + 1):
        for kind, (rows, among, listed, hits) in zip(("certify", "fresh"), suspects(o.build, o.data, seed, options)):
            print(f"| {seed} | {kind} | {rows} | {among} | {listed} | {hits} |", flush=True)
            if kind == "fresh" and hits < 0.8 * FIRST:
                failed.append(f"seed {seed}: {hits} of the first {FIRST} suspects on {kind} rows were replaced")
    print("\n| data set | α | regions | agreement on fresh rows inside the interval |\n|---|---|---|---|")
    for name, alpha in SETS:
        cells = [regions(o.build, o.data, name, alpha, seed, options) for seed in range(1, o.seeds + 1)]
        cells = [c for c in cells if c is not None]
        count, inside = sum(c[0] for c in cells), sum(c[1] for c in cells)
        print(f"| {name} | {alpha} | {count} | {inside} |", flush=True)
        if count and inside < 0.9 * count:
            failed.append(f"{name}: {inside} of {count} regions inside their interval")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
