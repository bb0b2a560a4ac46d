"""Decision features beside scikit-learn's LogisticRegression.predict_proba, in turns, in one run.

Usage: bench/python.sh bench/features_rival.py BUILD [ROUNDS]   (make bench-rivals)
scikit-learn gives probabilities only; ours also gives label, top-2, margin and entropy, and keeps the probabilities to
itself. Labels and top-1 are compared before anything is timed. Ratios are medians over the rounds of a round's ratio, by
the wall and by processor time (the one to read where other processes want the machine). Goal on CPUs with products of
bfloat16: these at least 4 x predict_proba in float32; without them: not applicable."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

GOAL = 4
FEATURES = numpy.dtype([("label", "<i4")] + [(name, "<f4") for name in (
    "top1", "top2", "entropy", "softmax_p", "vote_p", "vote_share", "nearest", "mean_distance_10")])


def data_folder():
    here = pathlib.Path(__file__).resolve().parent.parent
    return pathlib.Path(os.environ.get("TRACER_TEST_DATA", here.parent / "shared" / "data"))


def model(w, b):
    m = LogisticRegression()
    m.classes_, m.coef_, m.intercept_ = numpy.arange(w.shape[1]), numpy.ascontiguousarray(w.T), b
    return m


def members_of(x, labels, classes, members):
    """Fitted on Banking77 where there are 77 classes, otherwise drawn at random."""
    rng = numpy.random.default_rng(1)
    found = []
    for i in range(members):
        if classes == 77:
            keep = rng.permutation(len(x))[:4000]
            m = LogisticRegression(C=10.0, max_iter=30).fit(x[keep], labels[keep])
            m.coef_, m.intercept_ = m.coef_.astype(numpy.float32), m.intercept_.astype(numpy.float32)
        else:
            m = model(rng.normal(size=(x.shape[1], classes)).astype(numpy.float32) * 4,
                      rng.normal(size=classes).astype(numpy.float32))
        found.append(m)
    return found


class Ours:
    def __init__(self, program, folder, x, models, threads):
        x.tofile(folder / "x")
        with open(folder / "w", "wb") as out:
            for m in models:
                out.write(numpy.ascontiguousarray(m.coef_.T).tobytes() + m.intercept_.tobytes())
        n, d = x.shape
        args = [folder / "x", folder / "w", n, d, len(models[0].classes_), len(models), threads]
        self.process = subprocess.Popen([program, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.isa, self.threads = self.process.stdout.readline().split()

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().split()


def in_float64(models):
    return [model(m.coef_.T.astype(numpy.float64), m.intercept_.astype(numpy.float64)) for m in models]


def rival(models, x):
    p = models[0].predict_proba(x)
    for m in models[1:]:
        p += m.predict_proba(x)
    return p / len(models) if len(models) > 1 else p


def run(build, rounds, x, labels, classes, members, threads):
    models = members_of(x, labels, classes, members)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(threads):
        folder = pathlib.Path(folder)
        ours = Ours(pathlib.Path(build) / "rival_features", folder, x, models, threads)
        expected = rival(models, x)
        top = numpy.sort(expected, axis=1)[:, :-3:-1]
        storages = ["f32"] + (["bf16"] if "avx512_bf16" in ours.isa or "avx512_amx" in ours.isa else [])
        for storage in storages:
            ours.ask("run " + storage)
            ours.ask(f"write {folder / 'out'}")
            got = numpy.fromfile(folder / "out", FEATURES)
            error = numpy.abs(got["top1"] - top[:, 0]).max()
            same = (got["label"] == expected.argmax(axis=1)).mean()
            print(f"  {storage}: labels equal on {100 * same:.2f} %, largest difference of top-1 {error:.1e}")
            # float32 against float32: only ties may differ. bfloat16 has 8 bits: the model is another one.
            clear = top[:, 0] - top[:, 1] > 1e-4
            if storage == "f32" and not (error < 1e-4 and (got["label"] == expected.argmax(axis=1))[clear].all()):
                sys.exit("the features are not those of predict_proba")
        rivals = {"float32": (models, x), "float64": (in_float64(models), x.astype(numpy.float64))}
        times = {s: [] for s in [*rivals, *storages]}
        for _ in range(rounds):
            for name, args in rivals.items():
                wall, processor = time.perf_counter(), time.process_time()
                rival(*args)
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
            for storage in storages:
                times[storage].append(tuple(map(float, ours.ask("run " + storage))))
        rate = lambda s, k: len(x) / statistics.median(t[k] for t in times[s])
        for name in rivals:
            print(f"  scikit-learn {sklearn.__version__}, {name}: {rate(name, 0):,.0f} rows/s, "
                  f"{rate(name, 1):,.0f} a processor second")
        for s in storages:
            def ratio(name, k):
                return statistics.median(r[k] / o[k] for r, o in zip(times[name], times[s]))
            print(f"  {ours.name}/{ours.isa}/{ours.threads} threads, {s}: {rate(s, 0):,.0f} rows/s "
                  f"({ratio('float32', 0):.2f} x, {ratio('float64', 0):.2f} x), {rate(s, 1):,.0f} a processor second "
                  f"({ratio('float32', 1):.2f} x, {ratio('float64', 1):.2f} x)" +
                  (f"; goal {GOAL}: {'met' if ratio('float32', 0) >= GOAL else 'missed'}" if s == "bf16" else ""))
        if "bf16" not in storages:
            print("  goal: not applicable")
        ours.process.stdin.close()


def main(build, rounds=21):
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # 30 iterations do for a bench
    folder = data_folder()
    if not (folder / "banking77_train.npy").exists():
        print(f"skipped: {folder} has no banking77_train.npy")
        return
    x = numpy.load(folder / "banking77_train.npy").astype(numpy.float32)
    names = [json.loads(line)["teacher"] for line in open(folder / "banking77_train.jsonl", encoding="utf-8")]
    labels = numpy.unique(names, return_inverse=True)[1]
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        for classes in (77, 1000):
            for members in (1, 3):
                print(f"d {x.shape[1]}, {len(x):,} rows, {classes} classes, {members} member(s), {threads} thread(s)")
                run(build, int(rounds), x, labels, classes, members, threads)


if __name__ == "__main__":
    main(*sys.argv[1:])
