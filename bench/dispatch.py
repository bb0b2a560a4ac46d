"""How fast `tracer run` sends, against a server that answers in 50 ms: requests a second beside concurrency / latency.

    bench/python.sh bench/dispatch.py BUILD [--rows 120000] [--concurrency 25,50,100] [--latency-ms 50] [--rounds 3]

Prints for each concurrency the median rate over the rounds between the first and the last request, its share of the bound,
and the processor time of tracer; of the peak memory the largest."""

import argparse
import json
import pathlib
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from crash import LABELS, Mock, write_log


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("--rows", type=int, default=120_000)
    args.add_argument("--concurrency", default="25,50,100")
    args.add_argument("--latency-ms", type=int, default=50)
    args.add_argument("--rounds", type=int, default=3)
    args = args.parse_args()
    build = args.build.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_log(folder / "log.jsonl", 3000, 1)
        write_log(folder / "q.jsonl", args.rows, 2)
        subprocess.run([build / "tracer", "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)
        for concurrency in map(int, args.concurrency.split(",")):
            rates, shares, memory = [], [], 0
            for _ in range(args.rounds):
                mock = Mock(build, "--latency-ms", str(args.latency_ms), threads=2 * concurrency)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                started = time.monotonic()
                p = subprocess.run([build / "tracer", "run", "p", "q.jsonl", "-o", "out.jsonl", "--llm-url",
                                    f"http://127.0.0.1:{mock.port}/v1", "--llm-model", "m", "--concurrency", str(concurrency),
                                    "--quiet"], cwd=folder, check=True)
                seconds = time.monotonic() - started
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                stats = mock.stats()
                mock.stop()
                # Attempts carry the moment they were sent: routing and start-up, which overlap only in part, stay outside.
                with sqlite3.connect(folder / "out.jsonl.job") as job:
                    first, last, sent = job.execute("SELECT min(started), max(started), count(*) FROM attempts").fetchone()
                assert stats["answers"] == sent and stats["answered_again"] == 0
                rates.append((sent - concurrency) / (last - first))
                shares.append(cpu / seconds)
                memory = max(memory, after.ru_maxrss)
                for name in folder.glob("out.jsonl*"):
                    name.unlink()
            bound = concurrency / (args.latency_ms / 1000)
            rate = statistics.median(rates)
            print(json.dumps({"concurrency": concurrency, "requests": sent, "requests_per_s": round(rate),
                              "bound": round(bound), "share_of_bound": round(rate / bound, 3),
                              "tracer_cpu_of_one_core": round(statistics.median(shares), 2), "peak_mib": memory // 1024}))
    return 0


if __name__ == "__main__":
    assert len(LABELS) == 4
    sys.exit(main())
