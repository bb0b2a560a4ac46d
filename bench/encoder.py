"""Text to vectors beside sentence-transformers: the same model, the same texts, the same threads, interleaved.

usage: PYTHON bench/encoder.py BUILD DATA [--model DIR] [--texts N] [--rounds N] [--sets NAME,...] [--device cuda]
                               [--random-weights]

PYTHON: an environment with sentence-transformers 6.2.0 (pip install sentence-transformers==6.2.0 torch==2.11.0; 5 GB
with torch's CUDA libraries, which is why bench/python.sh does not make it). BUILD: built with -DTRACER_BENCH=ON.

Agreement comes first: the smallest cosine of any row with sentence-transformers' float32 vector must be at least
0.999999 (float32), 0.999 (bfloat16), 0.99 (int8). Then rounds of one run each, in turn: medians of texts a second, and
medians over the rounds of the ratio to its float32 in that round, by the clock and by processor time, which other work
on the machine disturbs less. Its batches are sorted by length and padded (32 texts, its default); ours are not padded:
float32 computes tokens alone, bfloat16 and int8 at most 15 rows more in each 1,024 tokens. "of GEMM": the rate of our
linear layers' arithmetic (everything we do counted as their time) over that of torch.nn.functional.linear on 1,024
tokens at their shapes, both by processor time, measured in the same round.

--device cuda: both on the first GPU (TRACER_TORCH_LIB must name a libtorch with its CUDA half), without int8, products of
16,384 tokens, everything by the clock. --random-weights: of the model's shape, for where the real ones are not.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import sentence_transformers
import torch

SMALLEST = {"float32": 0.999999, "bfloat16": 0.999, "int8": 0.99}


class Ours:
    def __init__(self, program, model, texts, threads, device):
        self.process = subprocess.Popen([program, model, texts, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=dict(os.environ, TRACER_DEVICE=device))
        self.tokens, self.dimension, _ = map(int, self.process.stdout.readline().split())

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit(f"rival_encoder stopped at: {line}")
        return answer

    def run(self, precision):
        wall, used = map(float, self.ask("run " + precision))
        return wall, used

    def vectors(self, precision, path):
        self.ask(f"write {precision} {path}")
        return np.fromfile(path, np.float32).reshape(-1, self.dimension)


def timed(work):
    start, used = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - start, time.process_time() - used)


def layer_shapes(model):
    c = json.load(open(os.path.join(model, "config.json")))
    h, i = c["hidden_size"], c["intermediate_size"]
    return c["num_hidden_layers"], [(h, 3 * h), (h, h), (h, i), (i, h)]


class Gemm:
    """Products at the encoder's shapes; operations a second of processor time, on a GPU of the clock."""

    def __init__(self, shapes, dtype, device):
        rows = 1024 if device == "cpu" else 16384
        self.device = device
        self.data = [(torch.randn(rows, k).to(device, dtype), torch.randn(n, k).to(device, dtype)) for k, n in shapes]
        self.operations = 10 * sum(2 * rows * k * n for k, n in shapes)

    def rate(self):
        def products():
            with torch.inference_mode():
                for _ in range(10):
                    for x, w in self.data:
                        torch.nn.functional.linear(x, w)
                if self.device != "cpu":
                    torch.cuda.synchronize()
        products()
        return self.operations / statistics.median(timed(products)[1][self.device == "cpu"] for _ in range(5))


def random_model(model, folder):
    """A copy of the model's folder with weights drawn by chance: linear maps of spread 1 / sqrt(inputs)."""
    import transformers
    shutil.copytree(model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    torch.manual_seed(1)
    bert = transformers.BertModel(transformers.BertConfig.from_pretrained(folder))
    with torch.no_grad():
        for parameter in bert.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5)
    bert.save_pretrained(folder, safe_serialization=True)
    shutil.copy(os.path.join(model, "config.json"), folder)  # save_pretrained writes its own
    return folder


def compare(name, texts, options, models):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "texts.json")
        json.dump(texts, open(path, "w"))
        ours = Ours(os.path.join(options.build, "rival_encoder"), options.model, path, options.threads, options.device)
        reference = models["float32"].encode(texts, normalize_embeddings=True).astype(np.float64)
        cosines = {}
        for precision, smallest in options.smallest.items():
            ours.run(precision)
            found = ours.vectors(precision, os.path.join(folder, "v")).astype(np.float64)
            cosines[precision] = float((found * reference).sum(axis=1).min())
            if not cosines[precision] >= smallest:
                sys.exit(f"{name}: {precision}: smallest cosine {cosines[precision]}")
        n, layers, shapes = len(texts), *layer_shapes(options.model)
        operations = ours.tokens * layers * sum(2 * k * m for k, m in shapes)
        times, shares, rates = {}, {}, {}
        for _ in range(options.rounds):
            for precision in options.smallest:
                times.setdefault(("tracer", precision), []).append(ours.run(precision))
                if precision in options.gemm:
                    rate = options.gemm[precision].rate()
                    rates.setdefault(precision, []).append(rate)
                    used = times[("tracer", precision)][-1][options.device == "cpu"]
                    shares.setdefault(precision, []).append(operations / used / rate)
            for precision, model in models.items():
                _, t = timed(lambda: model.encode(texts, normalize_embeddings=True))
                times.setdefault(("sentence-transformers", precision), []).append(t)
        base = times[("sentence-transformers", "float32")]
        print(f"{name}: {n} texts, {len(set(texts))} distinct, {ours.tokens / len(set(texts)):.1f} tokens a distinct text; "
              f"GEMM, a processor second: " +
              ", ".join(f"{p} {statistics.median(r) / 1e9:.0f} GF/s" for p, r in rates.items()))
        for (who, precision), runs in times.items():
            ratios = [statistics.median(b[i] / r[i] for b, r in zip(base, runs)) for i in (0, 1)]
            line = f"  {who:21} {precision:8} {n / statistics.median(r[0] for r in runs):7.0f} texts/s"
            line += f"  {ratios[0]:5.2f} x by the clock {ratios[1]:5.2f} x by processor time"
            if who == "tracer":
                line += f"  smallest cosine {cosines[precision]:.6f}"
                if precision in shares:
                    line += f"  {100 * statistics.median(shares[precision]):.0f} % of GEMM"
            print(line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--model")
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--sets", default="banking77_test,clinc150_test,snli_test")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--random-weights", action="store_true")
    options = parser.parse_args()
    options.model = options.model or os.path.join(options.build, "models", "all-MiniLM-L6-v2")
    if options.random_weights:
        options.model = random_model(options.model, tempfile.mkdtemp())
    options.smallest = {p: s for p, s in SMALLEST.items() if options.device == "cpu" or p != "int8"}
    torch.set_num_threads(options.threads)
    models = {"float32": sentence_transformers.SentenceTransformer(options.model, device=options.device)}
    models["bfloat16"] = sentence_transformers.SentenceTransformer(
        options.model, device=options.device, model_kwargs={"torch_dtype": torch.bfloat16})
    _, shapes = layer_shapes(options.model)
    options.gemm = {p: Gemm(shapes, getattr(torch, p), options.device) for p in ("float32", "bfloat16")}
    print(f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, {options.threads} "
          f"threads, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for name in options.sets.split(","):
        rows = [json.loads(line) for line in open(os.path.join(options.data, name + ".jsonl"))]
        compare(name, [row["input"] for row in rows[:options.texts]], options, models)


if __name__ == "__main__":
    main()
