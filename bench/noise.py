"""Certificates under wrong labels: Banking77, pooled and re-split, with labels replaced at random in the log and, by the
same process, in the fresh rows that the certificates are judged on.

Usage: bench/python.sh bench/noise.py BUILD DATA [--seeds 10] [--fit-rows 0.7] [-- FIT OPTIONS]
5 % everywhere; 40 % inside ten labels (drawn anew for each seed); 20 % everywhere, where no policy can agree more than 0.8
of the time, whatever it handles. A replaced label becomes another one of the data set's, each as likely."""

import argparse
import pathlib
import sys
import tempfile

import numpy

import pooled_log as pool
from arguments import own_and_fit_options

ALPHAS = (0.8, 0.85, 0.9, 0.95, 0.97)
NOISY = 10
CASES = (("5 % of the labels replaced", 0.05, False), ("40 % replaced inside ten labels", 0.40, True),
         ("20 % of the labels replaced", 0.20, False))


def replace(log, share, inside, random):
    """Replaces each label of `inside` with that probability. What the labels were stays in log.original."""
    labels = numpy.unique(log.label)
    code = numpy.searchsorted(labels, log.label)
    hit = (random.random(len(log)) < share) & numpy.isin(log.label, inside)
    code[hit] = (code[hit] + random.integers(1, len(labels), size=hit.sum())) % len(labels)
    log.original, log.label = log.label, labels[code]


def measure(build, data, share, ten, seed, fit_rows, options):
    log = pool.read_pooled(data, "banking77")
    random = numpy.random.default_rng([seed, int(100 * share)])
    labels = numpy.unique(log.label)
    inside = random.choice(labels, NOISY, replace=False) if ten else labels
    replace(log, share, inside, random)
    order = numpy.random.default_rng(seed).permutation(len(log))
    rows = round(fit_rows * len(log))
    fresh, noisy = log.take(order[rows:]), numpy.isin(log.original[order[rows:]], inside)
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log.take(order[:rows]).write(folder / "log")
        fresh.write(folder / "fresh")
        tracer = pool.Tracer(build, folder, options)
        fitted = tracer.fit("log.jsonl", ALPHAS, seed)
        certified = {e["alpha"] for e in fitted["frontier"] if e["certified"]}
        for alpha in ALPHAS:
            answers = tracer.route("fresh.jsonl", alpha) if alpha in certified else None
            cell = pool.outcome(answers, fresh.label)
            handled = numpy.zeros(len(fresh), bool) if answers is None else numpy.array([a is not None for a in answers])
            cell["inside"], cell["outside"] = float(handled[noisy].mean()), float(handled[~noisy].mean() if ten else 0)
            cells.append(cell)
    return cells


def main():
    own, options = own_and_fit_options()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--fit-rows", type=float, default=0.7)
    o = parser.parse_args(own)
    print(f"banking77 pooled, {o.fit_rows} of the rows to fit, {o.seeds} seeds, delta {pool.DELTA}, "
          f"fit options: {' '.join(options) or 'none'}")
    failed = []
    for name, share, ten in CASES:
        runs = [measure(o.build, o.data, share, ten, s, o.fit_rows, options) for s in range(1, o.seeds + 1)]
        places = " inside the ten | outside |" if ten else ""
        print(f"\n{name}\n\n| α | certified | coverage |{places} agreement | below |\n|---|---|---|---|---|" + "---|---|" * ten)
        for i, alpha in enumerate(ALPHAS):
            cells = [run[i] for run in runs]
            certified, low = sum(c["certified"] for c in cells), sum(pool.below(c, alpha) for c in cells)
            where = "".join(f" {pool.spread([c[k] for c in cells], 3)} |" for k in ("inside", "outside")) if ten else ""
            print(f"| {alpha} | {certified} of {len(cells)} | {pool.coverage(cells)} |{where} {pool.agreement(cells)} | {low} |")
            if alpha > 1 - share and certified and not ten:  # ten labels leave the others to agree on
                failed.append(f"{name}: alpha {alpha} was certified")
        sys.stdout.flush()
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
