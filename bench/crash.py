"""Kills `tracer run` with SIGKILL at random instants, resumes it, and counts: rows lost, rows doubled, answers paid again.

    bench/python.sh bench/crash.py BUILD [--kills 1000] [--rows 20000]

The LLM is mock_llm with faults (429, 500, 529, torn and senseless answers, answers that are no label); it counts what it
answered, text by text. Every job goes on until it is done, then another begins, until the kills are used up. A job's
output is compared byte for byte with that of a run without kills."""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np

LABELS = [f"label {i}" for i in range(4)]


def write_log(path, rows, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(LABELS), rows)
    x = np.zeros((rows, 16), np.float32)
    x[np.arange(rows), label] = 3
    x += 1.2 * rng.standard_normal(x.shape).astype(np.float32)
    np.save(path.with_suffix(".npy"), x)
    with path.open("w") as out:
        for i in range(rows):  # one text in twenty stands there before
            name = i if i % 20 else i % 400
            out.write(json.dumps({"id": f"r{i}", "input": f"text number {seed} {name}", "teacher": LABELS[label[i]]}) + "\n")


class Mock:
    def __init__(self, build, *faults, threads=96, labels=LABELS):
        self.process = subprocess.Popen([build / "mock_llm", "--labels", ",".join(labels), "--threads", str(threads), *faults],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stats(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=30) as answer:
            return json.load(answer)

    def stop(self):
        self.process.kill()
        self.process.wait()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("--kills", type=int, default=1000)
    args.add_argument("--rows", type=int, default=20_000)
    args.add_argument("--concurrency", type=int, default=32)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    build = args.build.resolve()
    tracer = build / "tracer"
    draw = random.Random(args.seed)
    faults = ["--latency-ms", "10", "--p429", "0.02", "--p500", "0.02", "--p529", "0.01", "--torn", "0.01", "--garbage", "0.01",
              "--wrong", "0.01", "--retry-after-ms", "20"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_log(folder / "log.jsonl", 3000, 1)
        write_log(folder / "q.jsonl", args.rows, 2)
        subprocess.run([tracer, "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)

        def command(out, mock, *more):
            return [tracer, "run", "p", "q.jsonl", "-o", out, "--llm-url", f"http://127.0.0.1:{mock.port}/v1", "--llm-model", "m",
                    "--concurrency", str(args.concurrency), "--audit-rate", "0.05", "--audit-seed", "7", "--max-attempts", "50",
                    "--quiet", *more]

        plain = Mock(build, *faults)
        code = subprocess.run(command("whole.jsonl", plain), cwd=folder, stderr=subprocess.DEVNULL).returncode
        assert code in (0, 4), code
        whole = (folder / "whole.jsonl").read_bytes()
        lines = whole.count(b"\n")
        assert lines == args.rows, lines
        asked = plain.stats()["texts"]
        plain.stop()

        kills = jobs = lost = doubled = again = differ = counted = 0
        worst = 0.0  # answers paid again, over the kills of the job so far
        started = time.monotonic()
        while kills < args.kills:
            mock = Mock(build, *faults)
            out, killed = f"job{jobs}.jsonl", 0
            while True:
                p = subprocess.Popen(command(out, mock, "--resume"), cwd=folder, stderr=subprocess.DEVNULL)
                try:
                    p.wait(draw.uniform(0.0, 0.6) if kills < args.kills else None)
                except subprocess.TimeoutExpired:
                    p.send_signal(signal.SIGKILL)
                    p.wait()
                    kills += 1
                    killed += 1
                    worst = max(worst, mock.stats()["answered_again"] / killed)
                    continue
                if p.returncode == 1 and kills < args.kills:
                    # Killed while the job was being made: the file was never a job, as the message says.
                    (folder / (out + ".job")).unlink()
                    continue
                assert p.returncode in (0, 4), p.returncode
                break
            got = (folder / out).read_bytes()
            ids = [json.loads(line)["id"] for line in got.splitlines()]
            lost += args.rows - len(set(ids))
            doubled += len(ids) - len(set(ids))
            differ += got != whole
            status = json.loads(subprocess.run([tracer, "job", "status", out, "--json"], cwd=folder, check=True,
                                               capture_output=True).stdout)
            counted += status["requests"]["lost"]
            again += mock.stats()["answered_again"]
            jobs += 1
            mock.stop()
            for name in folder.glob(out + "*"):
                name.unlink()
        seconds = time.monotonic() - started
        print(f"{kills} kills over {jobs} jobs of {args.rows} rows ({asked} texts for the LLM), {seconds:.0f} s")
        print(f"rows lost {lost}, rows doubled {doubled}, outputs that differ from the whole run's {differ}")
        print(f"answers paid again {again} ({again / max(kills, 1):.2f} a kill; at any time at most {worst:.1f}, "
              f"concurrency {args.concurrency}); requests the ledger calls lost {counted}")
        return 1 if lost or doubled or differ or worst > args.concurrency else 0


if __name__ == "__main__":
    sys.exit(main())
