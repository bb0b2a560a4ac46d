"""Train and test rows of a data set as one log, drawn again at random; what `tracer` does on a part of it. For benches."""

import json
import pathlib
import re
import statistics
import subprocess

import numpy
from scipy import stats

DELTA = 0.10  # the reference's nominal confidence is 90 %


class Log:
    """Rows with their vectors; `label` is what the teacher said."""

    def __init__(self, text, label, vectors):
        self.text, self.label, self.vectors = text, label, vectors

    def __len__(self):
        return len(self.label)

    def take(self, rows):
        return Log([self.text[i] for i in rows], self.label[rows], self.vectors[rows])

    def write(self, path):
        """path.jsonl and path.npy."""
        with open(f"{path}.jsonl", "w") as lines:
            lines.writelines(json.dumps({"input": t, "teacher": str(l)}) + "\n" for t, l in zip(self.text, self.label))
        numpy.save(f"{path}.npy", self.vectors)


def read_pooled(folder, name):
    text, label, vectors = [], [], []
    for part in ("train", "test"):
        stem = pathlib.Path(folder) / f"{name}_{part}"
        with open(f"{stem}.jsonl") as lines:
            for line in lines:
                row = json.loads(line)
                text.append(row["input"])
                label.append(row["teacher"])
        vectors.append(numpy.load(f"{stem}.npy"))
    log = Log(text, numpy.array(label), numpy.concatenate(vectors))
    assert len(log) == len(log.vectors), f"{name}: vectors and traces differ"
    return log


def draw(log, fit_rows, traces, seed):
    """`traces` rows of `fit_rows` drawn ones, in the order drawn, and the rows that were not drawn."""
    order = numpy.random.default_rng(seed).permutation(len(log))
    return log.take(order[:min(traces, fit_rows)]), log.take(order[fit_rows:])


class Tracer:
    """The binary, on logs written to `folder`. The first fit prints what computes."""

    backend = ""

    def __init__(self, build, folder, options=()):
        self.binary, self.folder, self.options = (pathlib.Path(build) / "tracer").resolve(), folder, list(options)

    def run(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):  # 3: refused, an answer
            raise SystemExit(f"tracer {arguments[0]}: exit code {done.returncode}\n{done.stderr}")
        return done

    def fit(self, log, alphas, seed):
        """Fits log.jsonl of the folder; the JSON document of the fit."""
        done = self.run("fit", log, "--alpha", alphas[0], "--sweep", ",".join(map(str, alphas)), "--delta", DELTA, "--seed",
                        seed, "-o", "policy", "--json", *self.options)
        if not self.backend:
            Tracer.backend = re.search("computing on (.*)", done.stderr)[1]
            print(self.backend, flush=True)
        return json.loads(done.stdout)

    def route(self, log, alpha):
        """The surrogate's answers on every row of log.jsonl, None where it is deferred."""
        self.run("route", "policy", log, "--alpha", alpha, "-o", "routed.jsonl", "-q")
        with open(self.folder / "routed.jsonl") as lines:
            return numpy.array([json.loads(line)["label"] for line in lines], dtype=object)


def write_names(build, folder, log):
    """The labels' names as descriptions of them, embedded by TRACER: all-MiniLM-L6-v2, as the data sets' vectors are."""
    labels = numpy.unique(log.label)
    with open(folder / "names.jsonl", "w") as lines:
        lines.writelines(json.dumps({"input": l.replace("_", " "), "teacher": str(l)}) + "\n" for l in labels)
    Tracer(build, folder).run("embed", "names.jsonl", "-o", "names.npy", "-q")
    return folder / "names.jsonl"


def outcome(answers, label):
    """What a policy did on fresh rows; answers None: refused."""
    if answers is None:
        return {"certified": False, "handled": 0, "agree": 0, "rows": len(label)}
    handled = numpy.array([a is not None for a in answers])
    return {"certified": True, "handled": int(handled.sum()), "agree": int((answers[handled] == label[handled]).sum()),
            "rows": len(label)}


def below(cell, alpha):
    """Significantly below alpha on the fresh rows: exact binomial test, one-sided 5 %."""
    return cell["handled"] > 0 and stats.binom.cdf(cell["agree"], cell["handled"], alpha) <= 0.05


def spread(values, digits):
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def coverage(cells):
    """Median and range over the seeds, a refusal counting 0."""
    return spread([c["handled"] / c["rows"] for c in cells], 3) if any(c["certified"] for c in cells) else "refused"


def agreement(cells):
    return spread([c["agree"] / c["handled"] for c in cells if c["handled"]], 3)
