"""Kills `tracer update` with SIGKILL at random instants and looks at what is left: is the policy one of the two whole ones?

    bench/python.sh bench/update_crash.py BUILD [--kills 200]

The update deploys a challenger and freezes the next. Half of the kills fall anywhere in it, the others within 30 ms of the first
change that it makes on the disk or a later one. After each, before anything else runs: the policy's folder is byte for byte the
champion's before or after; then `tracer versions` must name the one that is there, and the update, given again (and killed
again), must end where one that nobody killed ends."""

import argparse
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

LABELS = [f"label {i}" for i in range(4)]


def write_log(path, rows, noise, seed, audited=False):
    draw = np.random.default_rng(seed)
    label = draw.integers(0, len(LABELS), rows)
    x = noise * draw.standard_normal((rows, 16)).astype(np.float32)
    x[np.arange(rows), label] += 3
    np.save(path.with_suffix(".npy"), x)
    with path.open("w") as out:
        for i in range(rows):
            row = {"id": f"{path.stem}{i}", "input": f"text number {seed} {i}", "teacher": LABELS[label[i]]}
            if audited:
                row["provenance"] = "deferred" if i % 4 else "audit"
            out.write(json.dumps(row) + "\n")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def names(folder):
    """What a change on the disk shows in: names, sizes and times, of the policy's neighbours and its versions."""
    seen = []
    for place in (folder, folder / "p.versions"):
        for entry in place.iterdir():
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            seen.append((entry.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return sorted(seen)


class Update:
    """A folder with the policy before the update, made anew for each life."""

    def __init__(self, tracer, start, folder):
        self.tracer, self.start, self.folder = tracer, start, folder
        self.renew()

    def renew(self):
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.copytree(self.start, self.folder)

    def run(self, *arguments):
        done = subprocess.run([self.tracer, *arguments], cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"tracer {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def begin(self):
        return subprocess.Popen([self.tracer, "update", "p", "b.jsonl", "--quiet"], cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def champion(self):
        return json.loads(self.run("versions", "p", "--json"))["champion"]

    def rows(self):
        return json.loads((self.folder / "p.versions/state.json").read_text())["state"]["rows"]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("--kills", type=int, default=200)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    tracer = args.build.resolve() / "tracer"
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        start = pathlib.Path(scratch) / "start"
        start.mkdir()
        write_log(start / "log.jsonl", 500, 1.3, 1)
        write_log(start / "a.jsonl", 1200, 1.0, 2, audited=True)
        write_log(start / "b.jsonl", 3000, 1.0, 3, audited=True)
        for command in (["fit", "log.jsonl", "--alpha", "0.9", "-o", "p"], ["update", "p", "a.jsonl"]):
            done = subprocess.run([tracer, *command, "--quiet"], cwd=start, capture_output=True, text=True)
            if done.returncode not in (0, 3):
                raise SystemExit(f"tracer {command[0]}: exit code {done.returncode}\n{done.stderr}")

        life = Update(tracer, start, pathlib.Path(scratch) / "life")
        began = time.monotonic()
        life.run("update", "p", "b.jsonl", "--quiet")
        seconds = time.monotonic() - began
        old, new, rows = contents(start / "p"), contents(life.folder / "p"), life.rows()
        if old == new or life.champion() != 2:
            raise SystemExit("the update deployed nothing: there is nothing to see")
        life.renew()

        kills = lives = broken = disagree = ends = 0
        left = {"before": 0, "after": 0}
        while kills < args.kills:
            update = life.begin()
            if draw.random() < 0.5:
                time.sleep(draw.uniform(0, seconds))
            else:
                for _ in range(draw.randint(1, 6)):  # changes to let pass
                    before = names(life.folder)
                    while update.poll() is None and names(life.folder) == before:
                        pass
                time.sleep(draw.uniform(0, 0.03))
            killed = update.poll() is None
            update.send_signal(signal.SIGKILL)
            _, error = update.communicate()
            if not killed and update.returncode != 0:
                raise SystemExit(f"tracer update: exit code {update.returncode}\n{error}")
            kills += killed
            there = contents(life.folder / "p")
            is_new = there == new
            if not is_new and there != old:
                broken += 1
            left["after" if is_new else "before"] += killed
            champion = life.champion()  # completes a deployment that was cut off
            disagree += contents(life.folder / "p") != (new if champion == 2 else old)
            if not killed:
                lives += 1
                ends += champion == 2 and life.rows() == rows and contents(life.folder / "p") == new
            if not killed or (is_new and draw.random() < 0.5):  # or else most kills would find the policy changed
                life.renew()
        print(f"{kills} kills of an update of {seconds:.1f} s, {lives} lives that came to their end: policy neither version {broken}, "
              f"another than the ledger names {disagree}, ends unlike that of an update without kills {lives - ends}")
        print(f"the policy after a kill: {left['before']} times the one before, {left['after']} times the one after")
        return 1 if broken or disagree or lives != ends else 0


if __name__ == "__main__":
    sys.exit(main())
