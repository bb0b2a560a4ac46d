"""`tracer run` against a real LLM: SmolLM2-135M-Instruct in llama.cpp's server (llm_server.sh). What it checks, it prints.

    make test-llm        or: .deps/python/bin/python tests/dispatch/real_llm.py BUILD DATA [--deferred 500]

DATA is a folder with clinc_domains_llm_{train,test}.{jsonl,npy}: a policy is fitted on the log of this very LLM's answers, at
the lowest alpha at which enough held-out rows are deferred. Three jobs:

  schema      chat completions held to the labels by a schema, as many rows as it takes to defer --deferred; SIGKILL in the
              middle, then --resume
  words       chat completions without a schema: answers that are no label are asked about again, and may stay `unparsed`
  anthropic   Anthropic's messages with a forced tool, which this server speaks too

Of each: one line a row, in input order; answers are labels; the tokens of the lines are those of the ledger, and of the
server's own count; after a kill, it has at most those of the requests in flight besides."""

import argparse
import collections
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy

CONCURRENCY = 8
CONTEXT = 2048  # tokens of one request at most
MODEL = "smollm2-135m"
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check(holds, what):
    if not holds:
        raise SystemExit(f"real_llm: FAILED: {what}")


class Server:
    def __init__(self, place, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(log, "w")
        self.process = subprocess.Popen(
            [place / "llama-server", "-m", place / "model.gguf", "--host", "127.0.0.1", "--port", str(self.port), "--metrics",
             "--parallel", str(CONCURRENCY), "--ctx-size", str(CONTEXT * CONCURRENCY), "--threads", "1", "--seed", "1"],
            stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(600):
            check(self.process.poll() is None, f"the server ended by itself: {pathlib.Path(log).read_text()[-2000:]}")
            try:
                with HTTP.open(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.stop()
        raise SystemExit("real_llm: the server did not come up in a minute")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def count(self):
        """The server's own counts since it started: prompt tokens, completion tokens, requests at work."""
        with HTTP.open(f"{self.url}/metrics", timeout=60) as answer:
            text = answer.read().decode()

        def value(name):
            return int(float(re.search(rf"^llamacpp:{name} (\S+)$", text, re.MULTILINE)[1]))
        return (value("prompt_tokens_total") + value("prompt_tokens_cached_total"), value("tokens_predicted_total"),
                value("requests_processing") + value("requests_deferred"))

    def idle(self):
        """The counts once nothing is at work any more."""
        while True:
            counts = self.count()
            if counts[2] == 0:
                return counts
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Tracer:
    def __init__(self, build, folder):
        self.binary, self.folder = (build / "tracer").resolve(), folder

    def start(self, *arguments):
        return subprocess.Popen([self.binary, *map(str, arguments)], cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env={**os.environ, "no_proxy": "*"})

    def run(self, *arguments, codes=(0,)):
        done = subprocess.run([self.binary, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, "no_proxy": "*"})
        check(done.returncode in codes, f"tracer {arguments[0]}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def status(self, out):
        return json.loads(self.run("job", "status", out, "--json"))


def fit(tracer, data, deferred):
    """Fits the policy; the lowest alpha certified at which so many held-out rows are deferred, and their row numbers."""
    alphas = [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    tracer.run("fit", data / "clinc_domains_llm_train.jsonl", "--alpha", alphas[0], "--sweep", ",".join(map(str, alphas)), "-o", "p",
               "--quiet", codes=(0, 3))
    for alpha in alphas:
        try:
            tracer.run("route", "p", data / "clinc_domains_llm_test.jsonl", "--alpha", alpha, "-o", "routed.jsonl", "--quiet")
        except SystemExit:
            continue  # not certified there
        with open(tracer.folder / "routed.jsonl") as lines:
            rows = [i for i, line in enumerate(lines) if json.loads(line)["decision"] == "deferred"]
        if len(rows) >= deferred:
            return alpha, rows
    raise SystemExit(f"real_llm: no certified alpha defers {deferred} of the held-out rows")


def cut(data, folder, name, rows):
    """The first `rows` held-out rows with ids."""
    with open(data / "clinc_domains_llm_test.jsonl") as lines, open(folder / f"{name}.jsonl", "w") as out:
        for i, line in zip(range(rows), lines):
            out.write(json.dumps({"id": f"r{i}", "input": json.loads(line)["input"]}) + "\n")
    numpy.save(folder / f"{name}.npy", numpy.load(data / "clinc_domains_llm_test.npy")[:rows])


def audit(tracer, name, rows, labels):
    """Checks a finished job's output against its ledger; what it counted."""
    with open(tracer.folder / f"{name}.out.jsonl") as lines:
        answers = [json.loads(line) for line in lines]
    check([a["id"] for a in answers] == [f"r{i}" for i in range(rows)], f"{name}: not one line a row in input order")
    sources = collections.Counter(a["source"] for a in answers)
    for a in answers:
        if a["source"] == "error":
            check(a["label"] is None and a["error"].startswith("unparsed"), f"{name}: {a}")
        else:
            check(a["label"] in labels and a["error"] is None, f"{name}: {a}")
    prompt = sum(a["usage"]["prompt_tokens"] for a in answers if a["usage"])
    completion = sum(a["usage"]["completion_tokens"] for a in answers if a["usage"])
    status = tracer.status(f"{name}.out.jsonl")
    check(status["finished"], f"{name}: job status says that it is not finished")
    check(status["routed"] == rows, f"{name}: job status: {status['routed']} rows routed")
    check({k: status["sources"][k] for k in ("surrogate", "llm", "cache", "error")} ==
          {k: sources[k] for k in ("surrogate", "llm", "cache", "error")}, f"{name}: sources: {status['sources']}, lines: {sources}")
    check(status["usage"] == {"prompt_tokens": prompt, "completion_tokens": completion} and prompt > 0 and completion > 0,
          f"{name}: ledger {status['usage']}, lines {prompt} + {completion}")
    check(status["requests"]["in_flight"] == 0 and status["asks"]["pending"] == 0, f"{name}: {status}")
    return status, sources


def main():
    args = argparse.ArgumentParser()
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("data", type=pathlib.Path)
    args.add_argument("--deferred", type=int, default=500)
    args.add_argument("--server", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / ".deps/llm",
                      help="folder with llama-server and model.gguf")
    args = args.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends, too
    data, place = args.data.resolve(), args.server.resolve()
    if not (data / "clinc_domains_llm_test.npy").exists():
        raise SystemExit(f"real_llm: {data} has no clinc_domains_llm_test.npy")
    with tempfile.TemporaryDirectory() as folder:
        tracer = Tracer(args.build, pathlib.Path(folder))
        alpha, deferred = fit(tracer, data, args.deferred)
        with open(data / "clinc_domains_llm_train.jsonl") as lines:
            labels = {json.loads(line)["teacher"] for line in lines}
        print(f"policy of clinc_domains_llm_train at alpha {alpha}: defers {len(deferred)} of the held-out rows", flush=True)
        print(f"{'job':10} {'rows':>5} {'surrogate':>9} {'llm':>5} {'cache':>5} {'unparsed':>8} {'requests':>8} {'corrections':>11} "
              f"{'lost':>4} {'tokens':>14} {'seconds':>7}", flush=True)
        server = Server(place, tracer.folder / "server.log")
        try:
            for name, most, kill, options in (
                    ("schema", args.deferred, True, []),
                    ("words", args.deferred // 5, False, ["--structured", "off"]),
                    ("anthropic", args.deferred // 5, False, ["--llm-api", "anthropic"])):
                rows = deferred[most - 1] + 1
                cut(data, tracer.folder, name, rows)
                url = server.url if name == "anthropic" else f"{server.url}/v1"
                command = ["run", "p", f"{name}.jsonl", "--alpha", alpha, "-o", f"{name}.out.jsonl", "--llm-url", url, "--llm-model",
                           MODEL, "--concurrency", CONCURRENCY, "--timeout-seconds", 600, "--quiet", *options]
                before = server.idle()
                started = time.monotonic()
                kept = 0
                if kill:
                    killed = tracer.start(*command)
                    while kept < most * 2 // 5:
                        time.sleep(0.2)
                        check(killed.poll() is None, f"{name}: ended before it was killed")
                        if (tracer.folder / f"{name}.out.jsonl").exists():  # so the job is there, too
                            kept = tracer.status(f"{name}.out.jsonl")["asks"]["answered"]
                    killed.kill()
                    killed.wait()
                    kept = tracer.status(f"{name}.out.jsonl")["asks"]["answered"]
                    command.append("--resume")
                tracer.run(*command, codes=(0, 4))
                seconds = time.monotonic() - started
                after = server.idle()
                status, sources = audit(tracer, name, rows, labels)
                check(status["asks"]["all"] >= 0.9 * most, f"{name}: {status['asks']}")
                used, lost = status["usage"], status["requests"]["lost"]
                extra = (after[0] - before[0] - used["prompt_tokens"], after[1] - before[1] - used["completion_tokens"])
                check(lost <= (CONCURRENCY if kill else 0), f"{name}: {lost} requests lost")
                unheard = lost + status["requests"]["retries"]  # the server may have answered these, unheard
                check(all(0 <= tokens <= unheard * CONTEXT for tokens in extra),
                      f"{name}: the server counts {extra} tokens more than the ledger, {unheard} requests were not heard to the end")
                print(f"{name:10} {rows:5} {sources['surrogate']:9} {sources['llm']:5} {sources['cache']:5} {sources['error']:8} "
                      f"{status['requests']['all']:8} {status['requests']['corrections']:11} {lost:4} "
                      f"{used['prompt_tokens']:7} + {used['completion_tokens']:4} {seconds:7.0f}", flush=True)
                if kill:
                    print(f"{'':10} killed at {kept} answers; the server counts {extra[0]} + {extra[1]} tokens more than the ledger",
                          flush=True)
        finally:
            server.stop()
    print("real_llm: all checks hold")


if __name__ == "__main__":
    main()
