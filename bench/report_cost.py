"""Time and memory of `tracer explain` and `tracer report --html`, on logs made of Banking77 by repetition with noise.

Usage: bench/python.sh bench/report_cost.py BUILD DATA [ROWS ...]      (default: 10000 100000)
The policy is of the training log; its rows are not what is explained. One thread; processor time and the largest resident
set of the process, and the bytes of what it wrote. A page of at most 10,000 rows must stay below 2 MB."""

import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

NOISE = 0.02  # of each of the 384 numbers of a unit row


def make(data, rows, path):
    """The texts with a number, so that they differ, and the vectors with noise."""
    import numpy
    import pooled_log as pool

    log = pool.read_pooled(data, "banking77")
    draw = numpy.random.default_rng(rows)
    at = draw.integers(0, len(log), rows)
    vectors = numpy.asarray(log.vectors, numpy.float32)[at]
    numpy.save(path.with_suffix(".npy"), vectors + NOISE * draw.standard_normal(vectors.shape, numpy.float32))
    with path.open("w") as out:
        for i, row in enumerate(at):
            out.write(json.dumps({"input": f"{log.text[row]} ({i})", "teacher": str(log.label[row])}) + "\n")


def measured(folder, *command):
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command}: {errors.decode()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    build, data = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
    sizes = [int(a) for a in sys.argv[3:]] or [10_000, 100_000]
    tracer = str(build / "tracer")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([tracer, "fit", data / "banking77_train.jsonl", "-o", "policy", "-q"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        print("| rows | command | processor time | memory at the peak | written |\n|---|---|---|---|---|")
        for rows in sizes:
            # By a process of its own, NumPy included: what this one holds would count as memory of those that it starts.
            maker = multiprocessing.Process(target=make, args=(data, rows, folder / "rows.jsonl"))
            maker.start()
            maker.join()
            if maker.exitcode != 0:
                sys.exit("the log could not be made")
            for name, option, out in (("explain", "-o", "explain.json"), ("report", "--html", "page.html")):
                seconds, mib = measured(folder, tracer, name, "policy", "--traces", "rows.jsonl", option, out, "--threads", "1")
                size = (folder / out).stat().st_size
                print(f"| {rows:,} | `{name}` | {seconds:.1f} s | {mib:.0f} MiB | {size / 1000:.0f} kB |", flush=True)
                if name == "report" and rows <= 10_000 and size >= 2_000_000:
                    sys.exit("the page is larger than 2 MB")


if __name__ == "__main__":
    main()
