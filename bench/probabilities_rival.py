"""The probabilities of a softmax regression beside scikit-learn's LogisticRegression.predict_proba, in turns, in one run.

Usage: bench/python.sh bench/probabilities_rival.py BUILD [ROUNDS]   (make bench-rivals)
The probabilities are compared before anything is timed. Ratios are medians over the rounds of a round's ratio, by the
wall and by processor time (the one to read where other processes want the machine)."""

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


def data_folder():
    here = pathlib.Path(__file__).resolve().parent.parent
    return pathlib.Path(os.environ.get("TRACER_TEST_DATA", here.parent / "shared" / "data"))


def model(w, b):
    m = LogisticRegression()
    m.classes_, m.coef_, m.intercept_ = numpy.arange(w.shape[1]), numpy.ascontiguousarray(w.T), b
    return m


def fitted(x, labels, classes):
    """Fitted on Banking77 where there are 77 classes, otherwise drawn at random."""
    rng = numpy.random.default_rng(1)
    if classes != 77:
        return model(rng.normal(size=(x.shape[1], classes)).astype(numpy.float32) * 4,
                     rng.normal(size=classes).astype(numpy.float32))
    keep = rng.permutation(len(x))[:4000]
    m = LogisticRegression(C=10.0, max_iter=30).fit(x[keep], labels[keep])
    m.coef_, m.intercept_ = m.coef_.astype(numpy.float32), m.intercept_.astype(numpy.float32)
    return m


class Ours:
    def __init__(self, program, folder, x, m, threads):
        x.tofile(folder / "x")
        with open(folder / "w", "wb") as out:
            out.write(numpy.ascontiguousarray(m.coef_.T).tobytes() + m.intercept_.tobytes())
        n, d = x.shape
        args = [folder / "x", folder / "w", n, d, len(m.classes_), threads]
        self.process = subprocess.Popen([program, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name, self.isa, self.threads = self.process.stdout.readline().split()

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().split()


def run(build, rounds, x, labels, classes, threads):
    m = fitted(x, labels, classes)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(threads):
        folder = pathlib.Path(folder)
        ours = Ours(pathlib.Path(build) / "rival_probabilities", folder, x, m, threads)
        ours.ask("run")
        ours.ask(f"write {folder / 'out'}")
        got = numpy.fromfile(folder / "out", numpy.float32).reshape(len(x), classes)
        error = numpy.abs(got - m.predict_proba(x)).max()
        print(f"  largest difference {error:.1e}")
        if not error < 1e-4:
            sys.exit("the probabilities are not those of predict_proba")
        wide = model(m.coef_.T.astype(numpy.float64), m.intercept_.astype(numpy.float64))
        rivals = {"float32": (m, x), "float64": (wide, x.astype(numpy.float64))}
        times = {name: [] for name in [*rivals, "ours"]}
        for _ in range(rounds):
            for name, (rival, rows) in rivals.items():
                wall, processor = time.perf_counter(), time.process_time()
                rival.predict_proba(rows)
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
            times["ours"].append(tuple(map(float, ours.ask("run"))))
        ours.process.stdin.close()
    for name, what in [*((n, f"scikit-learn {sklearn.__version__}, {n}") for n in rivals),
                       ("ours", f"{ours.name}/{ours.isa}/{ours.threads} threads")]:
        wall, processor = (len(x) / statistics.median(t[k] for t in times[name]) for k in (0, 1))
        ratio = [statistics.median(t[k] / o[k] for t, o in zip(times[name], times["ours"])) for k in (0, 1)]
        print(f"  {what}: {wall:,.0f} rows/s, {processor:,.0f} a processor second" +
              ("" if name == "ours" else f"; ours {ratio[0]:.2f} x, {ratio[1]:.2f} x"))


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
            print(f"d {x.shape[1]}, {len(x):,} rows, {classes} classes, {threads} thread(s)")
            run(build, int(rounds), x, labels, classes, threads)


if __name__ == "__main__":
    main(*sys.argv[1:])
