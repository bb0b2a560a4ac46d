"""What an encoder's precision costs a policy: coverage and agreement with vectors embedded, fitted and judged at it.

usage: .deps/python/bin/python bench/encoder_fidelity.py BUILD DATA [--model DIR] [--sets NAME,...] [--alphas A,...]
                                                         [--splits N]

Per set, NAME_train and NAME_test are pooled, as their rows are not always drawn alike, and shuffled: 4/5 to fit, 1/5
fresh (--splits shuffles; --given takes train and test as they are). Each part is embedded at each precision, fitted with
`tracer fit --delta 0.10`, and judged on the fresh rows with `tracer evaluate`. The labels are people's and stand in for an
LLM's answers. First the smallest cosine of any row with the float32 vector, which must be at least 0.999 (bfloat16) and
0.99 (int8). Prints a table in Markdown: medians over the splits; "refused": splits that certified nothing at that alpha."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

SMALLEST = {"float32": 0.999999, "bfloat16": 0.999, "int8": 0.99}


def run(arguments, allowed=(0,)):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done


def pool(data, name, folder):
    lines = [line for part in ("train", "test") for line in open(data / f"{name}_{part}.jsonl", encoding="utf-8")]
    train = sum(1 for _ in open(data / f"{name}_train.jsonl", encoding="utf-8"))
    (folder / "pool.jsonl").write_text("".join(lines), encoding="utf-8")
    return lines, train


def vectors_at(tracer, model, folder, precision):
    out = folder / f"{precision}.npy"
    run([tracer, "embed", folder / "pool.jsonl", "-o", out, "--precision", precision, "--quiet", *model])
    return np.load(out)


def judged(tracer, folder, alphas):
    policy = tempfile.mkdtemp(dir=folder)  # a new one each time: a folder's ledger counts what was fitted into it
    run([tracer, "fit", folder / "fit.jsonl", "--embeddings", folder / "fit.npy", "-o", os.path.join(policy, "p"),
         "--alpha", alphas[0], "--sweep", ",".join(alphas), "--delta", "0.10", "--quiet"], (0, 3))
    out = {}
    for alpha in alphas:
        done = run([tracer, "evaluate", os.path.join(policy, "p"), folder / "fresh.jsonl", "--embeddings", folder / "fresh.npy",
                    "--alpha", alpha, "--json", "--quiet"], (0, 3))
        result = json.loads(done.stdout) if done.returncode == 0 else {"coverage": 0.0, "teacher_agreement": None}
        out[alpha] = result["coverage"], result["teacher_agreement"]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--model")
    parser.add_argument("--sets", default="banking77,clinc150,snli")
    parser.add_argument("--alphas", default="0.85,0.90,0.95")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--given", action="store_true")
    options = parser.parse_args()
    tracer, data = os.path.join(options.build, "tracer"), pathlib.Path(options.data)
    model = ["--embed-model", options.model] if options.model else []
    alphas = options.alphas.split(",")
    print("| set | precision | smallest cosine | " + " | ".join(f"coverage, agreement at {a}" for a in alphas) + " |")
    print("|---" * (3 + len(alphas)) + "|")
    for name in options.sets.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            lines, train = pool(data, name, folder)
            exact = None
            for precision, smallest in SMALLEST.items():
                vectors = vectors_at(tracer, model, folder, precision)
                exact = vectors if exact is None else exact
                cosine = float((vectors.astype(np.float64) * exact).sum(axis=1).min())
                if not cosine >= smallest:
                    sys.exit(f"{name}: {precision}: smallest cosine {cosine}")
                found = []
                for split in range(options.splits):
                    order = np.random.default_rng(split).permutation(len(lines))
                    fit = len(lines) * 4 // 5
                    if options.given:
                        order, fit = np.arange(len(lines)), train
                    for part, rows in (("fit", order[:fit]), ("fresh", order[fit:])):
                        (folder / f"{part}.jsonl").write_text("".join(lines[i] for i in rows), encoding="utf-8")
                        np.save(folder / f"{part}.npy", vectors[rows])
                    found.append(judged(tracer, folder, alphas))
                cells = []
                for alpha in alphas:
                    agreements = [f[alpha][1] for f in found if f[alpha][1] is not None]
                    refused = len(found) - len(agreements)
                    cell = f"{statistics.median(f[alpha][0] for f in found):.3f}, "
                    cell += f"{statistics.median(agreements):.4f}" if agreements else "-"
                    cells.append(cell + (f" ({refused} refused)" if refused else ""))
                print(f"| {name} | {precision} | {cosine:.5f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
