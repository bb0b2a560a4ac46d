"""The main job on real text, shown step by step: python3 demo.py TRACER FOLDER (make demo does it).

The text is the machine's own Debian package index: the short description of each package, to be sorted into one of the
archive's sections. No LLM is asked: the archive's own labels stand in for a teacher's answers.
"""

import collections
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import time

TRACES, FRESH, ALPHA = 20000, 4000, 0.90


def packages():
    """(name, short description, section) of every package that apt knows, each name once, in a fixed random order."""
    index = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout.decode("utf-8", "replace")
    found = {}
    for stanza in index.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        text = fields.get("Description") or fields.get("Description-en")
        if text and "Package" in fields and "Section" in fields:
            found.setdefault(fields["Package"], (fields["Package"], text, fields["Section"]))
    return sorted(found.values(), key=lambda p: hashlib.sha256(p[0].encode()).digest())


def package_index():
    rows = packages()
    if len(rows) < TRACES + FRESH:
        print("the package index is not there yet: apt-get update", flush=True)
        root = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        rows = packages()
    if len(rows) < TRACES + FRESH:
        sys.exit(f"demo: apt-cache dumpavail lists {len(rows)} described packages, {TRACES + FRESH} are needed: is "
                 "Debian's main archive among apt's sources?")
    return rows


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for name, text, section in rows:
            out.write(json.dumps({"id": name, "input": text, "teacher": section}, ensure_ascii=False) + "\n")


class Demo:
    def __init__(self, tracer, folder):
        self.tracer, self.folder = tracer, folder

    def run(self, *arguments, refusal_is_fine=False):
        """Shows the command as one would type it in the folder, and runs it; its JSON document."""
        print("\n$ tracer " + " ".join(arguments), flush=True)
        done = subprocess.run([self.tracer, *arguments, "--json"], cwd=self.folder, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0 and not (refusal_is_fine and done.returncode == 3):
            sys.exit(f"demo: tracer {arguments[0]} ended with {done.returncode}")
        return json.loads(done.stdout) if done.stdout else None

    def quiet(self, *arguments):
        done = subprocess.run([self.tracer, *arguments, "--json", "--quiet"], cwd=self.folder, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(done.stdout)


def share(value):
    return "     -" if value is None else f"{100 * value:5.1f}%"


def standard_error(fresh):
    p, n = fresh["teacher_agreement"], fresh["handled"]
    return "" if not n else f"+- {100 * (p * (1 - p) / n) ** 0.5:.1f}"


def show_frontier(demo, fit):
    print(f"\nCoverage against alpha. A certificate says: among handled rows, agreement with the teacher is at least alpha"
          f"\n(chance of error at most {fit['delta']}). Beside it, what happened on {FRESH:,} fresh rows.\n")
    print("  alpha  certificate: coverage  agreement  at least | fresh rows: coverage  agreement (+- standard error)")
    for entry in fit["frontier"]:
        if not entry["certified"]:
            print(f"  {entry['alpha']:<5}  refused: {entry['reason']}")
            continue
        fresh = demo.quiet("evaluate", "policy", "fresh.jsonl", "--alpha", str(entry["alpha"]))
        print(f"  {entry['alpha']:<5}  {share(entry['coverage']):>21}  {share(entry['teacher_agreement']):>9}  "
              f"{share(entry['teacher_agreement_lower']):>8} | {share(fresh['coverage']):>20}  "
              f"{share(fresh['teacher_agreement']):>9} {standard_error(fresh)}")


def show_examples(title, lines, texts, count=5):
    print(f"\n{title}")
    for line in lines[:count]:
        text, section = texts[line["id"]]
        answer = line["label"] or line["reason"].replace("_", " ")
        mark = "" if line["label"] in (None, section) else f"   (the archive says {section})"
        print(f"  {line['score']:.3f}  {textwrap.shorten(text, 78, placeholder='...'):<78}  {answer}{mark}")


def main(tracer, folder):
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(tracer, folder)
    rows = package_index()
    sections = collections.Counter(section for _, _, section in rows)
    traces, fresh = rows[:TRACES], rows[TRACES:TRACES + FRESH]
    write_rows(folder / "traces.jsonl", traces)
    write_rows(folder / "fresh.jsonl", fresh)
    print(f"Real text: {len(rows):,} packages of this machine's Debian index, short description -> one of "
          f"{len(sections)} sections.\nThe archive's labels stand in for an LLM's answers: no LLM is called. Drawn at "
          f"random: {TRACES:,} traces to learn from\nand certify on, {FRESH:,} fresh rows that nothing learns from.")
    print(textwrap.indent((folder / "traces.jsonl").open(encoding="utf-8").readline().strip(), "  "))

    fit = demo.run("fit", "traces.jsonl", "--alpha", str(ALPHA), "-o", "policy", refusal_is_fine=True)
    demo.run("embed", "fresh.jsonl", "-o", "fresh.npy")
    show_frontier(demo, fit)

    certified = [entry["alpha"] for entry in fit["frontier"] if entry["certified"]]
    if not certified:
        print("\nNothing is certified at any alpha: every row goes to the teacher.")
        return
    alpha = ALPHA if ALPHA in certified else max(certified)
    routed = demo.run("route", "policy", "fresh.jsonl", "--alpha", str(alpha), "-o", "routed.jsonl")
    lines = [json.loads(line) for line in (folder / "routed.jsonl").open(encoding="utf-8")]
    texts = {name: (text, section) for name, text, section in fresh}
    show_examples("handled: score, text, answer", [l for l in lines if l["decision"] == "handled"], texts)
    show_examples("deferred to the LLM: score, text, reason", [l for l in lines if l["decision"] == "deferred"], texts)
    wrong = [l for l in lines if l["label"] not in (None, texts[l["id"]][1])]
    show_examples("handled, and the archive disagrees: the most certain ones",
                  sorted(wrong, key=lambda l: -l["score"]), texts, 3)
    print(f"\nsaved: {routed['handled']:,} of {routed['rows']:,} fresh rows ({share(routed['handled'] / routed['rows']).strip()}) "
          f"need no call to the LLM at alpha {alpha}; {len(wrong):,} of them got another answer than the archive's")
    print(f"one text: tracer inspect policy --text \"tool to convert photographs\"   (in {folder})")
    print(f"all of this took {time.monotonic() - started:.0f} s; the files are in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: demo.py TRACER FOLDER")
    main(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]))
