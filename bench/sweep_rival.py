"""The parity sweep beside NumPy and SciPy doing the same, in turns, in one run.

Usage: bench/python.sh bench/sweep_rival.py BUILD [ROUNDS [ROWS [CANDIDATES]]]   (make bench-rivals)
Both read the same scores and flags. The table of critical values (SciPy: binom.ppf, corrected by the definition) is timed
apart, once: it does not depend on the candidates. What both find is compared before anything is timed. NumPy sorts
candidates one after the other, on one thread."""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import scipy
from scipy import stats

ALPHAS = (0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 0.99)
DELTA = 0.05


def critical_values(rows, alpha):
    """max{c : P(Bin(r, 1 - alpha) <= c) <= DELTA} for r = 0 .. rows, -1 where there is none."""
    r = numpy.arange(rows + 1)
    c = stats.binom.ppf(DELTA, r, 1 - alpha)
    c[0] = 0
    exceeds = stats.binom.cdf(c, r, 1 - alpha) > DELTA
    return numpy.where(exceeds, c - 1, c).astype(numpy.int32)


def sweep(score, wrong, allowed):
    found = numpy.zeros((len(score), len(allowed), 2), numpy.int64)
    for i in range(len(score)):
        order = numpy.argsort(-score[i], kind="stable")
        ranked = score[i][order]
        disagree = numpy.cumsum(wrong[i][order])
        end = numpy.append(ranked[1:] != ranked[:-1], True)  # a tie is not cut
        for a, most in enumerate(allowed):
            passes = numpy.flatnonzero(end & (disagree <= most[1:]))
            if len(passes):
                found[i, a] = passes[-1] + 1, disagree[passes[-1]]
    return found


def timed(f):
    wall, processor = time.perf_counter(), time.process_time()
    result = f()
    return result, (time.perf_counter() - wall, time.process_time() - processor)


def run(build, rounds, rows, candidates, threads):
    rng = numpy.random.default_rng(5)
    score = rng.random((candidates, rows), numpy.float32)
    score[:, ::50] = numpy.round(score[:, ::50], 2)  # ties
    wrong = rng.random((candidates, rows), numpy.float32) < 0.6 * (1 - score) ** 2
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        score.tofile(folder / "score")
        (~wrong).astype(numpy.uint8).tofile(folder / "agree")
        args = [folder, rows, candidates, threads, DELTA, *ALPHAS]
        process = subprocess.Popen([pathlib.Path(build) / "rival_sweep", *map(str, args)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)

        def ask(command):
            print(command, file=process.stdin, flush=True)
            return process.stdout.readline().split()

        name, isa, count = process.stdout.readline().split()
        critical = tuple(map(float, ask("critical")))
        allowed, theirs = timed(lambda: [critical_values(rows, alpha) for alpha in ALPHAS])
        print(f"{rows:,} rows x {candidates} candidates x {len(ALPHAS)} alphas, {name}/{isa}/{count} threads beside NumPy "
              f"{numpy.__version__}, SciPy {scipy.__version__}")
        print(f"  critical values: {critical[1]:.2f} s of processor time, SciPy {theirs[1]:.2f} s ({theirs[1] / critical[1]:.1f} x)")
        ask("run")
        ask(f"write {folder / 'out'}")
        ours = numpy.fromfile(folder / "out", numpy.int64).reshape(candidates, len(ALPHAS), 2)
        if not (ours == sweep(score, wrong, allowed)).all():
            sys.exit("the sweep is not NumPy's")
        times = []
        for _ in range(rounds):
            _, theirs = timed(lambda: sweep(score, wrong, allowed))
            times.append((theirs, tuple(map(float, ask("run")))))
        for k, clock in enumerate(("wall clock", "processor time")):
            print(f"  sweep, {clock}: {statistics.median(o[k] for _, o in times):.3f} s, NumPy "
                  f"{statistics.median(t[k] for t, _ in times):.3f} s ({statistics.median(t[k] / o[k] for t, o in times):.1f} x)")
        process.stdin.close()


def main(build, rounds=5, rows=1_000_000, candidates=20):
    for threads in (1, 0):
        run(build, int(rounds), int(rows), int(candidates), threads)


if __name__ == "__main__":
    main(*sys.argv[1:])
