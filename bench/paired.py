"""Is this tree slower than an earlier commit? Both builds run the same work as whole processes, one after the other.

    bench/python.sh bench/paired.py BUILD (--ref COMMIT | --ref-build FOLDER) [--rounds 7] [--only fit,...] [--allow policy]
    python3 bench/paired.py --self-test        the statistics and comparisons alone; needs no numpy

BUILD is a finished build of this tree (build/release). --ref builds COMMIT in a clone below build/paired/; --ref-build takes
a build that is there. The two processes of a pair follow each other at once, and which goes first changes with each round.
The results of each pair are compared byte for byte, in an untimed round first. A difference is an error; with --allow policy
each build uses its own policy, and only the vectors and the order of the rows must be the same.
Data comes from $TRACER_TEST_DATA or ../shared/data; what needs absent data is skipped and says so.
Exit codes: 0 no slower, 1 slower by more than the threshold, or the results differ, or a process failed."""

import argparse
import dataclasses
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESAMPLES = 10_000
FEWEST_ROUNDS = 5  # a verdict on fewer pairs would be one on noise
NAMES = ["fit", "fit-made-up", "route", "embed", "embed-int8", "run"]
HELD_OUT = 3000  # rows of the made-up log that `evaluate` sees and `fit` does not
LOG_FILES = ["banking77_train.jsonl", "banking77_train.npy", "banking77_test.jsonl", "banking77_test.npy"]


# Statistics.

def quantile(values, share):
    """Of a list that is not empty, interpolated linearly between its sorted values."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def bootstrap_interval(ratios):
    """The 95 % percentile interval of the median ratio. The seed is fixed, so that the same ratios have the same interval."""
    draw = random.Random(1)
    medians = [statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)]
    return quantile(medians, 0.025), quantile(medians, 0.975)


@dataclasses.dataclass
class Summary:
    """Of one work, by wall time or by processor time. Every ratio is now / ref: above 1 is slower."""
    ref: float  # median, seconds
    now: float  # median, seconds
    of_medians: float
    quartiles: tuple
    interval: tuple
    verdict: str


def verdict_of(interval, rounds, threshold):
    if rounds < FEWEST_ROUNDS:
        return "too few rounds"
    if interval[0] > threshold:
        return "slower"
    if interval[1] < 1 / threshold:
        return "faster"
    return "no slower" if interval[1] <= threshold else "undecided"


def summarise(pairs, threshold):
    """pairs: the seconds of (ref, now) in each round."""
    ratios = [now / ref for ref, now in pairs]
    ref, now = (statistics.median(side) for side in zip(*pairs))
    interval = bootstrap_interval(ratios)
    return Summary(ref, now, now / ref, tuple(quantile(ratios, q) for q in (0.25, 0.5, 0.75)), interval,
                   verdict_of(interval, len(pairs), threshold))


# Comparison of results.

def difference(ref, now):
    """Of two folders: what first differs, in words; None where all files are the same bytes. No file at all is a difference."""
    found = [{p.relative_to(side) for p in side.rglob("*") if p.is_file()} for side in (ref, now)]
    if not found[0] and not found[1]:
        return "there are no results"
    for name in sorted(found[0] | found[1]):
        if name not in found[0] or name not in found[1]:
            return f"only {'now' if name in found[1] else 'ref'} wrote {name}"
        a, b = (ref / name).read_bytes(), (now / name).read_bytes()
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            return f"{name} differs from byte {at} on ({len(a)} and {len(b)} bytes)"
    return None


def difference_of_rows(ref, now):
    """Of two folders of JSON lines whose answers may differ: the same rows in the same order are asked for all the same."""
    name = next(ref.glob("*.jsonl")).name
    ids = [[json.loads(line)["id"] for line in open(side / name)] for side in (ref, now)]
    return None if ids[0] and ids[0] == ids[1] else f"{name}: the ids of the rows are not the same"


# Builds.

def git(*arguments, folder=ROOT):
    done = subprocess.run(["git", "-C", folder, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"paired: git {arguments[0]} failed in {folder} (see above)")
    return done.stdout.strip()


def link_dependencies(folder):
    """Gives the clone this tree's libtorch and model where it pins the same ones; else it fetches its own."""
    pins = ["cmake/wheels.txt", "cmake/unpack.py", "cmake/packages.txt"]
    parts = ["torch", "models", "wheels.stamp"]
    (folder / ".deps").mkdir(exist_ok=True)
    # Links go first: a bootstrap of other pins must not write through them.
    for part in parts:
        if (folder / ".deps" / part).is_symlink():
            (folder / ".deps" / part).unlink()
    same = all((folder / pin).read_bytes() == (ROOT / pin).read_bytes() for pin in pins)
    if same and all((ROOT / ".deps" / part).exists() for part in parts):
        for part in parts:
            if not (folder / ".deps" / part).exists():
                (folder / ".deps" / part).symlink_to(ROOT / ".deps" / part)
    else:
        subprocess.run([folder / "cmake/bootstrap.sh"], cwd=folder, check=True)


def build_commit(commit, preset):
    """A build of the commit in a clone below build/paired/, which stays there: a second call finds it done."""
    folder = ROOT / "build" / "paired" / commit[:12]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(partial))
        partial.rename(folder)
    git("checkout", "--quiet", "--force", "--detach", commit, folder=folder)
    link_dependencies(folder)
    environment = dict(os.environ)
    environment.pop("LC_ALL", None)  # bench/python.sh set it, and ccache takes another locale for another compilation
    if shutil.which("ccache"):
        environment.update(CMAKE_CXX_COMPILER_LAUNCHER="ccache", CMAKE_CUDA_COMPILER_LAUNCHER="ccache",
                           CCACHE_BASEDIR=str(folder), CCACHE_NOHASHDIR="1")
    print(f"paired: building {commit[:12]} in {folder.relative_to(ROOT)}", file=sys.stderr)
    for command in (["cmake", "--preset", preset, "-DTRACER_TESTS=OFF", "-DTRACER_BENCH=OFF"],
                    ["cmake", "--build", "--preset", preset, "--target", "tracer"]):
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout[-4000:]}\npaired: {commit[:12]} could not be built")
    return folder / "build" / preset


def cached(build, name):
    for line in (build / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition("=")[2]
    return ""


# Processes.

@dataclasses.dataclass
class Side:
    name: str  # ref or now
    build: pathlib.Path
    folder: pathlib.Path  # its processes run in subfolders of this one
    threads: int

    @property
    def tracer(self):
        return str(self.build / "tracer")

    def output(self, *arguments):
        done = subprocess.run([self.tracer, *arguments, "--threads", str(self.threads)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"paired: {self.name}: tracer {arguments[0]} failed (see above)")
        return done.stdout


@dataclasses.dataclass
class Timing:
    """Of a process and its threads, in seconds."""
    wall: float
    cpu: float


@dataclasses.dataclass
class Work:
    """One command of tracer. It writes its results into the folder `out` of the folder that it runs in."""
    name: str
    arguments: object  # of (policy folder, port of the LLM): the command line after `tracer`
    policy: str = ""   # the work whose policy it uses
    learns: bool = False
    labels: list = None  # those of the LLM's answers, where it asks one


def run_once(work, side, mock_build):
    """The timing of one process. Its results lie in side.folder / work.name / out until it runs again."""
    folder = side.folder / work.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    mock = None
    if work.labels:
        from crash import Mock
        mock = Mock(mock_build, threads=64, labels=work.labels)
    try:
        command = [side.tracer, *work.arguments(side.folder / "policies" / work.policy, mock.port if mock else 0), "--quiet",
                   "--threads", str(side.threads)]
        with open(folder / "stdout", "w") as out, open(folder / "stderr", "w") as err:
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if mock:
            mock.stop()
    if process.returncode:
        sys.exit(f"{(folder / 'stderr').read_text()[-2000:]}\npaired: {side.name}: {' '.join(map(str, command))}\n"
                 f"paired: exit code {process.returncode}")
    for state in folder.glob("out/*.job*"):  # times of requests are in there
        state.unlink()
    return Timing(seconds, usage.ru_utime + usage.ru_stime)


def run_pair(work, sides, mock_build, turned):
    timings = {}
    for side in reversed(sides) if turned else sides:
        timings[side.name] = run_once(work, side, mock_build)
    return timings["ref"], timings["now"]


def check_results(work, sides, own_policies):
    ref, now = (side.folder / work.name / "out" for side in sides)
    found = None
    if not own_policies or not (work.learns or work.policy):
        found = difference(ref, now)
    elif work.policy:
        found = difference_of_rows(ref, now)
    if found:
        sys.exit(f"paired: {work.name}: the results differ: {found}\npaired: they lie in {ref} and {now}")


# What is run.

def write_queries(path, data, copies, rows=None):
    """BANKING77's test vectors again and again with noise of a thousandth of their length, so that no two rows are equal."""
    import numpy
    draw = numpy.random.default_rng(0)
    base = numpy.load(data / "banking77_test.npy").astype(numpy.float32)
    traces = [json.loads(line) for line in open(data / "banking77_test.jsonl")]
    rows = rows or copies * len(base)
    vectors = numpy.lib.format.open_memmap(path.with_suffix(".npy"), mode="w+", dtype=numpy.float32,
                                           shape=(rows, base.shape[1]))
    with open(path, "w") as lines:
        for first in range(0, rows, len(base)):
            n = min(len(base), rows - first)
            block = base[:n] + draw.normal(0, 1e-3 / base.shape[1] ** 0.5, (n, base.shape[1])).astype(numpy.float32)
            vectors[first:first + n] = block / numpy.linalg.norm(block, axis=1, keepdims=True)
            lines.writelines(json.dumps({"id": str(first + i), "input": f"{traces[i]['input']} {first + i}"}) + "\n"
                             for i in range(n))
    vectors.flush()


def write_made_up(folder, rows):
    """log.jsonl of `rows` rows and held.jsonl of HELD_OUT more of the same kind, each with its vectors."""
    import numpy
    from scale import make_log
    folder.mkdir()
    make_log(folder, rows + HELD_OUT, 150, 384)
    lines = (folder / "log.jsonl").read_text().splitlines(keepends=True)
    vectors = numpy.load(folder / "log.npy")
    for name, part in (("log", slice(0, rows)), ("held", slice(rows, None))):
        (folder / f"{name}.jsonl").write_text("".join(lines[part]))
        numpy.save(folder / f"{name}.npy", vectors[part])


def lay_out(options, data, inputs):
    """The works asked for, those that learn first, and for each policy the labelled rows that no fit saw."""
    works, fresh = {}, {}

    def add(name, *arguments, **more):
        works[name] = Work(name, *arguments, **more)

    def skip(names, why):
        for name in names:
            if name in options.only:
                print(f"SKIPPED {name}: {why}", flush=True)

    if "fit-made-up" in options.only:
        write_made_up(inputs / "made-up", options.made_up_rows)
        add("fit-made-up", lambda policy, port: ["fit", inputs / "made-up/log.jsonl", "--alpha", "0.9", "-o", "out"],
            learns=True)
        fresh["fit-made-up"] = inputs / "made-up/held.jsonl"
    missing = [name for name in LOG_FILES if not (data / name).exists()]
    if missing:
        skip([name for name in NAMES if name != "fit-made-up"],
             f"{data} has no {missing[0]}; TRACER_TEST_DATA names the folder of the data sets")
        return works, fresh
    if {"fit", "route", "run"} & set(options.only):
        add("fit", lambda policy, port: ["fit", data / "banking77_train.jsonl", "--alpha", "0.95", "-o", "out"], learns=True)
        fresh["fit"] = data / "banking77_test.jsonl"
    if "route" in options.only:
        write_queries(inputs / "route.jsonl", data, options.copies)
        add("route", lambda policy, port: ["route", policy, inputs / "route.jsonl", "-o", "out/routed.jsonl"], policy="fit")
    model = ROOT / ".deps/models/all-MiniLM-L6-v2"  # one folder for both: its path is written beside the vectors
    if not model.exists():
        skip(["embed", "embed-int8"], "no text encoder in .deps/models: cmake/bootstrap.sh fetches one")
    else:
        for name, precision in (("embed", "float32"), ("embed-int8", "int8")):
            if name in options.only:
                add(name, lambda policy, port, precision=precision: [
                    "embed", data / "banking77_test.jsonl", "--embed-model", model, "--precision", precision, "-o",
                    "out/vectors.npy"])
    if not (options.build / "mock_llm").exists():
        skip(["run"], f"{options.build} has no mock_llm: cmake --build builds it where TRACER_TESTS is ON")
    elif "run" in options.only:
        labels = sorted({json.loads(line)["teacher"] for line in open(data / "banking77_train.jsonl")})
        write_queries(inputs / "run.jsonl", data, None, options.run_rows)
        add("run", lambda policy, port: ["run", policy, inputs / "run.jsonl", "-o", "out/answers.jsonl", "--llm-url",
                                         f"http://127.0.0.1:{port}/v1", "--llm-model", "m", "--concurrency", "32"],
            policy="fit", labels=labels)
    return works, fresh


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def print_sides(sides, options):
    print(f"machine: {processor()}, {len(os.sched_getaffinity(0))} cores for this process, load {os.getloadavg()[0]:.1f}")
    print(f"rounds: {options.rounds}")
    types = {}
    for side in sides:
        doctor = side.output("doctor").splitlines()
        types[side.name] = [cached(side.build, name) for name in ("CMAKE_BUILD_TYPE", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS",
                                                                  "TRACER_CUDA", "TRACER_TORCH", "TRACER_SANITIZE")]
        chosen = next(line for line in doctor if line.startswith("chosen:"))
        print(f"{side.name}: {doctor[0]}, {types[side.name][0] or 'no build type'}, {chosen.removeprefix('chosen: ')}; "
              f"{side.build}")
    if types["ref"] != types["now"]:
        print(f"WARNING: the builds are configured differently: {types['ref']} and {types['now']}")
    elif types["now"][0] != "Release":
        print("WARNING: these are not release builds")


def check_commit(sides, commit):
    """The build that is called COMMIT must be of it: its first line says so."""
    name = next(side for side in sides if side.name == "ref").output("doctor").splitlines()[0]
    if commit[:12] not in name:
        sys.exit(f"paired: the build of {commit[:12]} calls itself {name}")


def print_coverage(sides, fresh):
    for name, rows in fresh.items():
        for side in sides:
            r = json.loads(side.output("evaluate", str(side.folder / "policies" / name), str(rows), "--json"))
            agreement = "-" if r["teacher_agreement"] is None else f"{r['teacher_agreement']:.4f}"
            print(f"{name}, {side.name}'s policy on {r['rows']} fresh rows: coverage {r['coverage']:.4f}, "
                  f"agreement {agreement} (alpha {r['alpha']:g})")


def compare(options, sides, inputs):
    data = pathlib.Path(os.environ.get("TRACER_TEST_DATA") or ROOT.parent / "shared" / "data").resolve()
    works, fresh = lay_out(options, data, inputs)
    if not works:
        print("nothing was compared")
        return 0
    own_policies = options.allow == "policy"
    print_sides(sides, options)
    for work in works.values():
        print(f"paired: {work.name}: comparing results", file=sys.stderr)
        run_pair(work, sides, options.build, False)
        check_results(work, sides, own_policies)
        if work.learns:
            for side in sides:
                shutil.copytree(side.folder / work.name / "out", side.folder / "policies" / work.name)
    if own_policies:
        print_coverage(sides, fresh)
        print("results: each build used its own policy; the order of the rows, and what needs no policy, is the same")
    else:
        print("results: the same bytes of both (" + ", ".join(works) + ")")
    other = {"wall": "cpu", "cpu": "wall"}[options.measure]
    asked = [work for name, work in works.items() if name in options.only]
    pairs = {work.name: [] for work in asked}
    for r in range(options.rounds):
        for work in asked:
            pairs[work.name].append(run_pair(work, sides, options.build, r % 2 == 1))
            check_results(work, sides, own_policies)
        print(f"paired: round {r + 1} of {options.rounds}", file=sys.stderr)
    print(f"medians of the {options.measure} time in seconds, and now / ref: above 1 now is slower")
    print(f"{'':12} {'ref':>8} {'now':>8} {'ratio':>7}   {'quartiles of paired':^19}   {'95 % interval':^13}   {other:>5}  "
          "verdict")
    slower = []
    for name, found in pairs.items():
        s = summarise([(getattr(r, options.measure), getattr(n, options.measure)) for r, n in found], options.threshold)
        beside = statistics.median(getattr(n, other) / getattr(r, other) for r, n in found)
        print(f"{name:12} {s.ref:8.3f} {s.now:8.3f} {s.of_medians:7.3f}   {'  '.join(f'{q:.3f}' for q in s.quartiles):19}   "
              f"{s.interval[0]:.3f} - {s.interval[1]:.3f}   {beside:.3f}  {s.verdict}")
        if s.verdict == "slower":
            slower.append(name)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    if slower:
        print(f"SLOWER than {options.threshold:g} times the time of ref: {', '.join(slower)}")
    return 1 if slower else 0


# The self-test.

def self_test():
    def want(what, got, expected):
        if got != expected:
            sys.exit(f"paired: {what}: expected {expected!r}, found {got!r}")

    want("quantile of one", quantile([3.0], 0.25), 3.0)
    want("lower quartile", quantile([4.0, 1.0, 2.0, 3.0, 5.0], 0.25), 2.0)
    want("interpolated quantile", quantile([1.0, 2.0], 0.75), 1.75)
    want("interval of equal ratios", bootstrap_interval([1.01] * 7), (1.01, 1.01))
    sevenths = [0.9, 0.96, 0.99, 1.0, 1.02, 1.05, 2.0]
    # The chance that the median of 7 draws of 7 is the least of them is P(Binomial(7, 1/7) >= 4) = 0.010, and that it is one
    # of the least two P(Binomial(7, 2/7) >= 4) = 0.108: 0.025 falls on the second. An outlier moves no end.
    want("interval of seven ratios", bootstrap_interval(sevenths), (0.96, 1.05))
    # Of nine: 0.0014 and 0.0304, then 0.145. Ends at 0.05 and 0.95 would be the third from either side.
    want("interval of nine ratios", bootstrap_interval([float(i) for i in range(1, 10)]), (2.0, 8.0))
    for interval, rounds, expected in [
            ((1.031, 1.2), 7, "slower"), ((1.03, 1.2), 7, "undecided"), ((1.0, 1.031), 7, "undecided"),
            ((0.99, 1.03), 7, "no slower"), ((0.96, 0.99), 7, "no slower"), ((0.8, 0.97), 7, "faster"),
            ((1.5, 1.6), 4, "too few rounds")]:
        want(f"verdict of {interval}", verdict_of(interval, rounds, 1.03), expected)
    want("verdict at another threshold", verdict_of((1.031, 1.2), 7, 1.05), "undecided")

    s = summarise([(2.0, 3.0), (4.0, 4.0), (8.0, 6.0)], 1.03)
    want("medians and ratio", (s.ref, s.now, s.of_medians), (4.0, 4.0, 1.0))
    want("quartiles", s.quartiles, (0.875, 1.0, 1.25))

    # Seven pairs whose times vary by 2 %, 300 times: a tree that is as fast is next to never called slower, one that is 10 %
    # slower nearly always, and the interval holds the true ratio as often as it should: 7 times in 8.
    draw = random.Random(3)
    global RESAMPLES
    RESAMPLES = 500
    for true, least, most in ((1.0, 0.0, 0.03), (1.1, 0.97, 1.0)):
        slower = held = 0
        for _ in range(300):
            s = summarise([(draw.lognormvariate(0, 0.02), true * draw.lognormvariate(0, 0.02)) for _ in range(7)], 1.03)
            slower += s.verdict == "slower"
            held += s.interval[0] <= true <= s.interval[1]
        want(f"share called slower at {true}: {slower / 300}", least <= slower / 300 <= most, True)
        want(f"share of intervals that hold {true}: {held / 300}", 0.80 <= held / 300 <= 0.95, True)

    with tempfile.TemporaryDirectory() as folder:
        ref, now = pathlib.Path(folder, "ref"), pathlib.Path(folder, "now")
        for side in (ref, now):
            (side / "deep").mkdir(parents=True)
        want("no results", difference(ref, now), "there are no results")
        for side in (ref, now):
            (side / "deep/a").write_bytes(b"12345")
        want("same results", difference(ref, now), None)
        (now / "deep/a").write_bytes(b"12x45")
        want("a byte", difference(ref, now), "deep/a differs from byte 2 on (5 and 5 bytes)")
        (now / "deep/a").write_bytes(b"1234")
        want("a shorter file", difference(ref, now), "deep/a differs from byte 4 on (5 and 4 bytes)")
        (now / "deep/a").write_bytes(b"12345")
        (now / "b").write_bytes(b"")
        want("another file", difference(ref, now), "only now wrote b")
        rows = pathlib.Path(folder, "rows")
        for name, lines in (("1", '{"id":"1","label":"a"}\n{"id":"2"}\n'), ("2", '{"id":"1","label":"b"}\n{"id":"2"}\n'),
                            ("3", '{"id":"2"}\n{"id":"1"}\n'), ("4", "")):
            (rows / name).mkdir(parents=True)
            (rows / name / "o.jsonl").write_text(lines)
        want("other answers", difference_of_rows(rows / "1", rows / "2"), None)
        want("another order", bool(difference_of_rows(rows / "1", rows / "3")), True)
        want("no rows", bool(difference_of_rows(rows / "4", rows / "4")), True)

        # A pair's order turns, its timings do not change places, and an exit code that is not 0 ends the bench.
        sides = []
        for name, pause in (("ref", 0.0), ("now", 0.2)):
            build = pathlib.Path(folder, f"build-{name}")
            build.mkdir()
            (build / "tracer").write_text(f"#!/bin/sh\nsleep {pause}\necho {name} >> ../../order\necho 1 > out/result\n"
                                          "exit $1\n")
            (build / "tracer").chmod(0o755)
            sides.append(Side(name, build, pathlib.Path(folder, f"side-{name}"), 0))
        work = Work("w", lambda policy, port: ["0"])
        for turned in (False, True):
            timings = run_pair(work, sides, None, turned)
            want("the slower of a pair", timings[1].wall >= 0.2, True)
        want("order", pathlib.Path(folder, "order").read_text().split(), ["ref", "now", "now", "ref"])
        check_results(work, sides, False)
        (sides[1].folder / "w/out/result").write_text("2\n")
        for what, call in (("other results", lambda: check_results(work, sides, False)),
                           ("a failed process", lambda: run_once(Work("w", lambda policy, port: ["3"]), sides[0], None))):
            try:
                call()
            except SystemExit:
                continue
            sys.exit(f"paired: {what} did not end the bench")
    print("paired: statistics, verdicts, comparisons and pairs are as expected")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path, nargs="?", help="finished build of this tree")
    parser.add_argument("--ref", help="commit to compare with")
    parser.add_argument("--ref-build", type=pathlib.Path, help="its build, where there is one (default: it is built)")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each work; odd is best (default: 7)")
    parser.add_argument("--measure", choices=["wall", "cpu"], default="wall",
                        help="time that is judged; cpu, the processor time of tracer, is steadier on a busy machine")
    parser.add_argument("--threshold", type=float, default=1.03,
                        help="ratio that no interval may lie wholly above (default: 1.03)")
    parser.add_argument("--allow", choices=["policy"], help="policies may differ: each build uses its own")
    parser.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help=f"of {','.join(NAMES)}")
    parser.add_argument("--threads", type=int, default=0, help="of tracer (default: all cores)")
    parser.add_argument("--copies", type=int, default=100, help="route: times BANKING77's 3,080 test rows (default: 100)")
    parser.add_argument("--run-rows", type=int, default=100_000, help="run: rows (default: 100000)")
    parser.add_argument("--made-up-rows", type=int, default=30_000, help="fit-made-up: rows (default: 30000)")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if not options.build or not (options.ref or options.ref_build):
        parser.error("BUILD and one of --ref COMMIT and --ref-build FOLDER are needed (make bench-paired REF=COMMIT)")
    if unknown := set(options.only) - set(NAMES):
        parser.error(f"--only: no {', '.join(sorted(unknown))} (there are {', '.join(NAMES)})")
    if options.rounds < 1 or options.copies < 1 or options.run_rows < 1 or options.made_up_rows < 1:
        parser.error("--rounds, --copies, --run-rows and --made-up-rows are at least 1")
    options.build = options.build.resolve()
    commit = git("rev-parse", "--verify", "--end-of-options", options.ref + "^{commit}") if options.ref else ""
    ref_build = options.ref_build.resolve() if options.ref_build else build_commit(commit, options.build.name)
    for build in (ref_build, options.build):
        if not (build / "tracer").exists():
            sys.exit(f"paired: {build} has no tracer")
    os.environ.pop("TRACER_EMBED_CACHE", None)  # embed is to embed
    work_folder = ROOT / "build" / "paired" / "work"
    shutil.rmtree(work_folder, ignore_errors=True)
    (work_folder / "inputs").mkdir(parents=True)
    sides = [Side(name, build, work_folder / name, options.threads)
             for name, build in (("ref", ref_build), ("now", options.build))]
    if commit:
        check_commit(sides, commit)
    result = compare(options, sides, work_folder / "inputs")
    shutil.rmtree(work_folder)  # half a gigabyte; after a difference it stays, to be looked at
    return result


if __name__ == "__main__":
    sys.exit(main())
