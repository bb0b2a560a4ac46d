"""Coverage and agreement beside the reference (PyPI tracer-llm 0.3.3) on re-splits of pooled data, on the same rows.

Usage: bench/python.sh bench/pooled.py BUILD DATA [NAME ...] [--sizes 500,1000,2000,all] [--seeds 5] [--fit-rows 0.7]
                                       [--alphas ...] [--reference-seeds N] [--gbt] [--label-names] [--results FILE]
                                       [-- FIT OPTIONS]
Train and test rows are pooled; each seed draws --fit-rows of them (a share, or a number), the first so many of which are
the log, in random order. Policies are judged on the rows that were not drawn. Both sides use the same nominal confidence
(90 %). The reference trains one and the same zoo again for every target and family: its search is a function of its
data (every model is seeded), so here each search is done once and remembered; --check does one fit both ways and compares.
Its gradient boosting is skipped (its own option, skip_candidates, meant for many labels) unless --gbt.
--label-names: our side learns from the labels' names too, as `fit` does where it embeds the text itself.
--results keeps what was measured, a JSON line each; what is there is not measured again."""

import argparse
import hashlib
import json
import pathlib
import sys
import tempfile
import time
import warnings

import numpy
import sklearn

import pooled_log as pool
from arguments import own_and_fit_options

warnings.filterwarnings("ignore")


class Reference:
    """Fits and routes with the reference's public functions; only its search is remembered."""

    def __init__(self, folder, skip):
        from tracer import api  # tracer.fit names a function or a package, as the order of imports has it
        from tracer.config import FitConfig
        from tracer.fit import pipeline
        self.api, self.config, self.pipeline, self.folder, self.skip = api, FitConfig, pipeline, folder, skip
        self.search, self.found = pipeline.search_best_surrogate, {}

    def remembered(self, *data, on_candidate=None, skip=()):
        key = hashlib.sha256(b"".join(numpy.ascontiguousarray(a).tobytes() for a in data)).digest()
        if key not in self.found:
            self.found[key] = self.search(*data, on_candidate=on_candidate, skip=skip)
        return self.found[key]

    def answers(self, log, fresh, alpha, remember=True):
        self.pipeline.search_best_surrogate = self.remembered if remember else self.search
        config = self.config(target_teacher_agreement=alpha, frontier_targets=(alpha,), skip_candidates=self.skip,
                             verbose=False)
        fitted = self.api.fit(self.folder / f"{log}.jsonl", self.folder / "reference", config=config)
        if fitted.manifest.selected_method is None:
            return None
        routed = self.api.load_router(self.folder / "reference").predict_batch(fresh.vectors.astype(numpy.float32))
        return numpy.array(routed["labels"], dtype=object)


def measure_ours(ours, log, fresh, alphas, seed):
    fitted = ours.fit("log.jsonl", alphas, seed)
    certified = {e["alpha"] for e in fitted["frontier"] if e["certified"]}
    return [pool.outcome(ours.route("fresh.jsonl", a) if a in certified else None, fresh.label) for a in alphas]


def measure_reference(folder, log, fresh, alphas, skip):
    reference = Reference(folder, skip)
    return [pool.outcome(reference.answers("log", fresh, a), fresh.label) for a in alphas]


def check(folder, fresh, alpha, skip):
    reference = Reference(folder, skip)
    once, again = (reference.answers("log", fresh, alpha, remember) for remember in (True, False))
    if (once is None) != (again is None) or (once is not None and (once != again).any()):
        sys.exit("the reference decides otherwise when its search is remembered")
    print(f"remembering its search leaves every decision of the reference as it is (alpha {alpha})", flush=True)


def table(alphas, ours, theirs):
    """Cells by alpha. Returns the alphas at which the reference's median coverage is not exceeded."""
    print("| α | coverage | agreement | below | reference: coverage | agreement | below |\n|---|---|---|---|---|---|---|")
    lost = []
    for i, alpha in enumerate(alphas):
        columns, median = [], []
        for side in (ours, theirs):
            cells = [run[i] for run in side]
            low = sum(pool.below(c, alpha) for c in cells)
            columns += [pool.coverage(cells), pool.agreement(cells), str(low)] if cells else ["-"] * 3
            median.append(float(numpy.median([c["handled"] / c["rows"] for c in cells])) if cells else -1.0)
        print(f"| {alpha} | " + " | ".join(columns) + " |")
        if median[0] <= median[1]:
            lost.append(alpha)
    return lost


def main():
    own, fit_options = own_and_fit_options()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("names", nargs="*", default=["banking77", "clinc150"])
    parser.add_argument("--sizes", default="500,1000,2000,all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fit-rows", type=float, default=0.7)
    parser.add_argument("--alphas", default="0.9,0.95,0.97,0.98,0.99")
    parser.add_argument("--reference-seeds", type=int, help="of them, fits of the reference (default: all)")
    parser.add_argument("--gbt", action="store_true")
    parser.add_argument("--label-names", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=pathlib.Path)
    o = parser.parse_args(own)
    alphas = [float(a) for a in o.alphas.split(",")]
    reference_seeds = o.seeds if o.reference_seeds is None else o.reference_seeds
    known = {}
    if o.results and o.results.exists():
        for line in o.results.read_text().splitlines():
            key, seconds, cells = json.loads(line)
            known[key] = seconds, cells

    def measured(key, f):
        key = json.dumps(key)
        if key not in known:
            start = time.perf_counter()
            cells = f()
            known[key] = time.perf_counter() - start, cells
            if o.results:
                with open(o.results, "a") as lines:
                    print(json.dumps([key, *known[key]]), file=lines)
        return known[key]

    print(f"numpy {numpy.__version__}, scikit-learn {sklearn.__version__}; fit options: {' '.join(fit_options) or 'none'}; "
          f"reference: zoo {'as it is' if o.gbt else 'without gbt'}", flush=True)
    skip = () if o.gbt else ("gbt",)
    for name in o.names or ["banking77", "clinc150"]:
        log = pool.read_pooled(o.data, name)
        named, options = tempfile.TemporaryDirectory(), fit_options
        if o.label_names:
            options = [*fit_options, "--descriptions", pool.write_names(o.build, pathlib.Path(named.name), log)]
        fit_rows = round(o.fit_rows * len(log)) if o.fit_rows < 1 else int(o.fit_rows)
        for size in o.sizes.split(","):
            traces = fit_rows if size == "all" else int(size)
            ours, theirs, seconds = [], [], ([], [])
            for seed in range(1, o.seeds + 1):
                with tempfile.TemporaryDirectory() as folder:
                    folder = pathlib.Path(folder)
                    part, fresh = pool.draw(log, fit_rows, traces, seed)
                    part.write(folder / "log")
                    fresh.write(folder / "fresh")
                    if o.check and seed == 1:
                        check(folder, fresh, alphas[0], skip)
                    key = [name, fit_rows, len(part), seed, alphas]
                    binary = pool.Tracer(o.build, folder, options)
                    s, cells = measured(["ours", *(["names"] if o.label_names else []), *fit_options, *key],
                                        lambda: measure_ours(binary, part, fresh, alphas, seed))
                    ours.append(cells), seconds[0].append(s)
                    if seed > reference_seeds:
                        continue
                    s, cells = measured(["reference", o.gbt, *key],
                                        lambda: measure_reference(folder, part, fresh, alphas, skip))
                    theirs.append(cells), seconds[1].append(s)
            print(f"\n{name}: {traces} traces to fit, {len(log) - fit_rows} fresh rows, {len(ours)} seeds "
                  f"({numpy.mean(seconds[0]):.1f} s each), reference {len(theirs)}"
                  + (f" ({numpy.mean(seconds[1]):.0f} s each)" if theirs else "") + ", delta 0.10\n")
            lost = table(alphas, ours, theirs)
            if theirs and lost:
                print(f"\nnot above the reference's median coverage at: {', '.join(map(str, lost))}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
