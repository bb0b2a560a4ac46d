"""What `tracer explain --curve` foretells of twice the traces, against a fit of twice the traces.

Usage: bench/python.sh bench/explain_curve.py BUILD DATA [--seeds 3] [-- FIT OPTIONS]
Each data set pooled; 40 % of the rows to fit and to foretell from (40 % of them certify, so that most labels have rows enough),
these and 40 % more to fit again; coverage of both policies on the rest, of all rows and of the rows of each label. Prints how many gains lie inside the 90 %
intervals (a label's gain on fresh rows scatters too: its interval is widened by that), and the mean absolute error of the gains
beside that of foretelling none. The bench fails where fewer than 80 % of the labels' gains are inside."""

import argparse
import json
import pathlib
import shutil
import tempfile

import numpy

import pooled_log as pool
from arguments import own_and_fit_options

SETS = (("banking77", 0.95), ("clinc150", 0.95), ("clinc_domains_llm", 0.8), ("snli", 0.7))
Z90 = 1.645


def handled(tracer, alpha):
    return numpy.array([answer is not None for answer in tracer.route("fresh.jsonl", alpha)])


def measured(build, data, name, alpha, seed, options):
    """(foretold, low, high, truth, scatter of the truth) of all rows, where something is foretold, and of each label."""
    log = pool.read_pooled(data, name)
    order = numpy.random.default_rng(seed).permutation(len(log))
    part = round(0.4 * len(log))
    fresh = log.take(order[2 * part:])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log.take(order[:part]).write(folder / "log")
        log.take(order[:2 * part]).write(folder / "twice")
        fresh.write(folder / "fresh")
        tracer = pool.Tracer(build, folder, ["--certify-fraction", "0.4", *options])
        if not tracer.fit("log.jsonl", (alpha,), seed)["certified"]:
            return [], []
        tracer.run("explain", "policy", "--curve", "-o", "explained.json", "-q")
        curve = json.loads((folder / "explained.json").read_text())["learning_curve"]
        before = handled(tracer, alpha)
        shutil.rmtree(folder / "policy")  # its ledger would take the second fit for a second look
        if not tracer.fit("twice.jsonl", (alpha,), seed)["certified"]:
            return [], []
        now = handled(tracer, alpha)
    whole, labels = [], []
    for entry, rows in [(curve, numpy.ones(len(fresh), bool))] + [(l, fresh.label == l["label"]) for l in curve["labels"]]:
        if entry["gain"] is None or not rows.any():
            continue
        moved = now[rows].astype(float) - before[rows]
        (whole if entry is curve else labels).append((entry["gain"], entry["gain_low"], entry["gain_high"], moved.mean(), Z90 * moved.std() / numpy.sqrt(len(moved))))
    return whole, labels


def main():
    own, options = own_and_fit_options()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    o = parser.parse_args(own)
    print("| data set | α | gains foretold, all rows | gains seen | inside | labels | inside | error | error of none |\n" + "|---" * 9 + "|")
    failed = []
    for name, alpha in SETS:
        runs = [measured(o.build, o.data, name, alpha, seed, options) for seed in range(1, o.seeds + 1)]
        whole = [cell for run in runs for cell in run[0]]
        labels = numpy.array([cell for run in runs for cell in run[1]]).reshape(-1, 5)
        if not whole:
            print(f"| {name} | {alpha} | nothing | - | - | - | - | - | - |", flush=True)
            continue

        def inside(cells):
            gain, low, high, truth, scatter = numpy.array(cells).reshape(-1, 5).T
            return int(((truth >= gain - numpy.hypot(gain - low, scatter)) & (truth <= gain + numpy.hypot(high - gain, scatter))).sum())

        text = [", ".join(f"{100 * cell[i]:.1f} %" for cell in whole) for i in (0, 3)]
        errors = numpy.abs(labels[:, 0] - labels[:, 3]).mean(), numpy.abs(labels[:, 3]).mean()
        print(f"| {name} | {alpha} | {text[0]} | {text[1]} | {inside(whole)} of {len(whole)} | {len(labels)} | {inside(labels)} | "
              f"{100 * errors[0]:.1f} % | {100 * errors[1]:.1f} % |", flush=True)
        if len(labels) and inside(labels) < 0.8 * len(labels):
            failed.append(f"{name}: {inside(labels)} of {len(labels)} labels inside")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
