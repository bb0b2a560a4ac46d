"""`tracer run` over ten million rows with their vectors: rows a second and memory on the way, against a mock_llm on the same
machine that answers at once.

    bench/python.sh bench/ten_million.py BUILD DATA [--rows 10000000] [--alpha 0.97] [--concurrency 32] [--folder DIR]

The policy is BANKING77's; the rows are its test texts again and again, each with its place in it (so that no two are equal),
their vectors with noise of a tenth of their length, float16: 7.7 GB for ten million. Prints a JSON line at a tenth, at half and
at the end, then checks that every row has its line."""

import argparse
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

import numpy as np

from crash import Mock

BLOCK = 50_000


def write_rows(folder, data, rows):
    draw = np.random.default_rng(1)
    base = np.load(data / "banking77_test.npy").astype(np.float32)
    texts = [json.loads(line)["input"] for line in open(data / "banking77_test.jsonl")]
    vectors = np.lib.format.open_memmap(folder / "q.npy", mode="w+", dtype=np.float16, shape=(rows, base.shape[1]))
    with open(folder / "q.jsonl", "w") as lines:
        for first in range(0, rows, BLOCK):
            at = np.arange(first, min(first + BLOCK, rows))
            noise = draw.standard_normal((len(at), base.shape[1]), dtype=np.float32) * np.float32(0.1 / base.shape[1] ** 0.5)
            vectors[at[0]:at[-1] + 1] = base[at % len(base)] + noise
            lines.writelines(json.dumps({"input": f"{texts[i % len(texts)]} ({i})"}) + "\n" for i in at)
    vectors.flush()


def memory_mib(pid):
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    if "VmHWM" not in fields:  # it has ended
        return {}
    return {name: int(fields[field].split()[0]) // 1024 for name, field in [("rss_mib", "VmRSS"), ("peak_mib", "VmHWM")]}


def rows_routed(job):
    try:
        with sqlite3.connect(f"file:{job}?mode=ro", uri=True, timeout=10) as db:
            found = db.execute("SELECT value FROM meta WHERE key = 'routed'").fetchone()
    except sqlite3.OperationalError:  # not made yet
        return 0
    return int(found[0]) if found else 0


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("data", type=pathlib.Path)
    args.add_argument("--rows", type=int, default=10_000_000)
    args.add_argument("--alpha", default="0.97")
    args.add_argument("--concurrency", type=int, default=32)
    args.add_argument("--folder", help="where there is room for the rows (default: the system's temporary folder)")
    args = args.parse_args()
    build, data = args.build.resolve(), args.data.resolve()
    labels = sorted({json.loads(line)["teacher"] for line in open(data / "banking77_train.jsonl")})
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = pathlib.Path(folder)
        subprocess.run([build / "tracer", "fit", data / "banking77_train.jsonl", "--alpha", args.alpha, "-o", "p", "--quiet"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)
        write_rows(folder, data, args.rows)
        mock = Mock(build, threads=2 * args.concurrency, labels=labels)
        started = time.monotonic()
        p = subprocess.Popen([build / "tracer", "run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url",
                              f"http://127.0.0.1:{mock.port}/v1", "--llm-model", "m", "--concurrency", str(args.concurrency),
                              "--json", "--quiet"], cwd=folder, stdout=subprocess.PIPE)
        marks = [args.rows // 10, args.rows // 2]
        memory = {}
        while not os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            memory = memory_mib(p.pid) or memory
            if marks and rows_routed(folder / "out.jsonl.job") >= marks[0]:
                print(json.dumps({"rows": marks.pop(0), "seconds": round(time.monotonic() - started), **memory}), flush=True)
            time.sleep(0.2)
        summary = json.loads(p.stdout.read())
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.monotonic() - started
        mock.stop()
        assert status == 0, status
        lines = 0
        with open(folder / "out.jsonl") as out:
            for line in out:
                lines += 1
                assert line.startswith(f'{{"id":{lines},'), line
        assert lines == args.rows, lines
        print(json.dumps({"rows": lines, "llm": summary["sources"]["llm"], "surrogate": summary["sources"]["surrogate"],
                          "seconds": round(seconds), "rows_per_s": round(lines / seconds),
                          "cpu_seconds": round(usage.ru_utime + usage.ru_stime), **memory,
                          "output_mib": (folder / "out.jsonl").stat().st_size >> 20,
                          "job_mib": (folder / "out.jsonl.job").stat().st_size >> 20}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
