"""Text to ids beside Hugging Face's tokenizers, both on one thread, interleaved in one run; identical ids come first.

usage: .deps/python/bin/python bench/tokenizer.py BUILD DATA [--model DIR] [--rounds N] [--sets NAME,...]

BUILD: built with -DTRACER_BENCH=ON. tokenizers is asked for all texts at once (encode_batch_fast, no offsets), its
fastest way in from Python; its Encoding objects are part of its time, lists of ids made of them are not."""
import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tokenizers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("data")
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sets", default="banking77_train,clinc150_train,snli_train")
    options = parser.parse_args()
    model = options.model or os.path.join(options.build, "models", "all-MiniLM-L6-v2")
    rival = tokenizers.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    rival.no_padding()
    rival.enable_truncation(json.load(open(os.path.join(model, "sentence_bert_config.json")))["max_seq_length"])
    print(f"tokenizers {tokenizers.__version__}; medians of {options.rounds} rounds, one thread each")
    for name in options.sets.split(","):
        texts = [json.loads(line)["input"] for line in open(os.path.join(options.data, name + ".jsonl"))]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "texts.json")
            json.dump(texts, open(path, "w"))
            ours = subprocess.Popen([os.path.join(options.build, "rival_tokenizer"), model, path],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

            def ask(line):
                ours.stdin.write(line + "\n")
                ours.stdin.flush()
                return ours.stdout.readline().split()

            ask("run")
            ask("write " + os.path.join(folder, "ids"))
            found = np.fromfile(os.path.join(folder, "ids"), np.int32)
            expected = [i for e in rival.encode_batch_fast(texts) for i in [len(e.ids), *e.ids]]
            if found.tolist() != expected:
                sys.exit(f"{name}: other ids")
            times = {"tracer": [], "tokenizers": []}
            for _ in range(options.rounds):
                times["tracer"].append(tuple(map(float, ask("run"))))
                start, used = time.perf_counter(), time.process_time()
                rival.encode_batch_fast(texts)
                times["tokenizers"].append((time.perf_counter() - start, time.process_time() - used))
            ours.stdin.close()
            ours.wait()
        median = {who: [statistics.median(t[i] for t in runs) for i in (0, 1)] for who, runs in times.items()}
        ratio = [statistics.median(b[i] / a[i] for a, b in zip(times["tracer"], times["tokenizers"])) for i in (0, 1)]
        n = len(texts)
        print(f"{name}: {n} texts, {len(expected) - n} ids, all the same: tracer {n / median['tracer'][0]:.0f} texts/s, "
              f"tokenizers {n / median['tokenizers'][0]:.0f}: {ratio[0]:.1f} x by the clock, {ratio[1]:.1f} x by "
              "processor time", flush=True)


if __name__ == "__main__":
    main()
