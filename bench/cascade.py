"""What a cascade is worth: coverage and agreement, and texts a second of `tracer route` from text, with it and without.

usage: .deps/python/bin/python bench/cascade.py BUILD DATA [--sets NAME,...] [--precisions P,...] [--alpha A] [--repeats N]
                                                [--seeds N] [--model DIR]

Per set, NAME_train and NAME_test are pooled and shuffled: 3/4 to fit, 1/4 fresh. The fit part is embedded at each precision
and fitted twice on the same vectors, alone and with --cascade (delta 0.05). Both policies then route the fresh texts, in
turn, --repeats times: wall time of the whole command, libtorch's start included. Before timing, the decisions of the cascade
on the way are compared with those on vectors that `tracer embed` made of all fresh rows: how many differ, and by how much
scores do at most. Prints a table in Markdown: medians over repeats, for each seed; the labels are people's and stand in for
an LLM's answers. The precision "given" takes the vectors that lie beside the data and times nothing: coverage and
agreement over many seeds."""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np


def run(arguments, allowed=(0,)):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done


def split_pool(data, name, seed, folder):
    lines = [line for part in ("train", "test") for line in open(data / f"{name}_{part}.jsonl", encoding="utf-8")]
    vectors = np.concatenate([np.load(data / f"{name}_{part}.npy") for part in ("train", "test")])
    order = list(range(len(lines)))
    random.Random(seed).shuffle(order)
    cut = len(lines) * 3 // 4
    for part, rows in (("fit", order[:cut]), ("fresh", order[cut:])):
        (folder / f"{part}.jsonl").write_text("".join(lines[row] for row in rows), encoding="utf-8")
        np.save(folder / f"given-{part}.npy", vectors[rows])
    return len(lines) - cut


def routed(tracer, policy, folder, more):
    out = folder / "out.jsonl"
    begin = time.monotonic()
    run([tracer, "route", policy, folder / "fresh.jsonl", "-o", out, "--quiet", *more])
    seconds = time.monotonic() - begin
    return seconds, [json.loads(line) for line in open(out, encoding="utf-8")]


def differences(made, given):
    decided = sum((a["decision"], a["label"]) != (b["decision"], b["label"]) for a, b in zip(made, given, strict=True))
    return decided, max(abs(a["score"] - b["score"]) for a, b in zip(made, given, strict=True))


def measure(tracer, folder, fresh_rows, precision, options):
    model = ["--embed-model", options.model] if options.model else []
    given = precision == "given"
    vectors = {part: folder / (f"given-{part}.npy" if given else f"{part}-vectors.npy") for part in ("fit", "fresh")}
    for part, path in vectors.items():  # those of all fresh rows are made apart from the routing, and judge both policies
        if not given:
            run([tracer, "embed", folder / f"{part}.jsonl", "-o", path, "--precision", precision, "--quiet", *model])
    policies, coverage = {}, {}
    for name, more in (("alone", []), ("cascade", ["--cascade"])):
        policies[name] = folder / f"{precision}-{name}"
        run([tracer, "fit", folder / "fit.jsonl", "--embeddings", vectors["fit"], "--alpha", options.alpha, "-o", policies[name],
             "--quiet", *more], (0, 3))
    for name, policy in policies.items():
        found = run([tracer, "evaluate", policy, folder / "fresh.jsonl", "--embeddings", vectors["fresh"], "--json", "--quiet"])
        coverage[name] = json.loads(found.stdout)
    stages = coverage["cascade"]["stages"]
    figures = [f"{coverage[n]['coverage']:.3f}, {coverage[n]['teacher_agreement']:.4f}" for n in ("alone", "cascade")]
    figures.append(f"{stages['text']['rows'] / fresh_rows:.3f}")
    if given:
        return figures + ["-"] * 4
    apart = routed(tracer, policies["cascade"], folder, ["--embeddings", vectors["fresh"]])[1]
    made = routed(tracer, policies["cascade"], folder, model)[1]
    other, score = differences(made, apart)
    seconds = {"alone": [], "cascade": []}
    for _ in range(options.repeats):
        for name, policy in policies.items():
            seconds[name].append(routed(tracer, policy, folder, model)[0])
    rate = {name: fresh_rows / statistics.median(taken) for name, taken in seconds.items()}
    ratio = statistics.median(a / c for a, c in zip(seconds["alone"], seconds["cascade"], strict=True))
    return figures + [f"{rate['alone']:.0f}", f"{rate['cascade']:.0f}", f"{ratio:.2f}", f"{other}, {score:.1e}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--sets", default="banking77,clinc150")
    parser.add_argument("--precisions", default="float32,bfloat16,int8")
    parser.add_argument("--alpha", default="0.95")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model")
    options = parser.parse_args()
    tracer, data = os.path.join(options.build, "tracer"), pathlib.Path(options.data)
    columns = ["set", "seed", "precision", "coverage, agreement alone", "coverage, agreement cascade", "rows of the text stage",
               "texts/s alone", "texts/s cascade", "ratio", "other decisions on vectors made apart, largest difference of a score"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)
    for name in options.sets.split(","):
        for seed in range(options.seeds):
            for precision in options.precisions.split(","):
                with tempfile.TemporaryDirectory() as temporary:
                    folder = pathlib.Path(temporary)
                    rows = split_pool(data, name, seed, folder)
                    print(f"| {name} | {seed} | {precision} | " + " | ".join(measure(tracer, folder, rows, precision, options)) + " |",
                          flush=True)


if __name__ == "__main__":
    main()
