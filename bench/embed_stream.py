"""Peak memory of `tracer embed` as a stream of texts grows: by the embedding server of tests/mock_llm, with and without a
cache, and by the encoder of a folder.

Usage: python3 bench/embed_stream.py BUILD [--rows 50000,200000] [--model DIR [--precision P] [--one]] [--dimension 64]
Texts are short, all different, and piped into standard input. Prints a JSON line a run; with --one a single run by the
encoder without a cache, and a line with its memory at each tenth. Ten million texts of all-MiniLM-L6-v2 are a file of 15 GB."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def lines(rows):
    for i in range(rows):
        yield f'{{"input":"row {i}: where is my card number {i * 7919 % 100003}"}}\n'.encode()


def watched(rows, pid):
    """Two or three words a row, and a line of the process's memory at each tenth."""
    started = time.monotonic()
    for i in range(rows):
        yield f'{{"input":"card {i}"}}\n'.encode()
        if (i + 1) % (rows // 10) == 0:
            memory = [line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")]
            print(json.dumps({"rows_read": i + 1, "memory_mib": round(int(memory[0]) / 1024, 1),
                              "seconds": round(time.monotonic() - started)}), flush=True)


def embed(binary, folder, rows, options, watch=False):
    """Rows a second and the peak resident set, MiB, of one run that reads a pipe."""
    started = time.monotonic()
    process = subprocess.Popen([binary, "embed", "-", "-o", "v.npy", "--rejects", "r.jsonl", "--quiet", *options], cwd=folder,
                               stdin=subprocess.PIPE)
    with process.stdin as pipe:
        pipe.writelines(watched(rows, process.pid) if watch else lines(rows))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"tracer embed: exit code {process.returncode}")
    return rows / (time.monotonic() - started), usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rows", default="50000,200000")
    parser.add_argument("--model", type=pathlib.Path, help="an encoder here, instead of the server")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--one", action="store_true", help="the encoder alone, without a cache, watched")
    parser.add_argument("--dimension", type=int, default=64)
    options = parser.parse_args()
    binary, server = (options.build / "tracer").resolve(), (options.build / "mock_llm").resolve()
    mock = subprocess.Popen([server, "--labels", "a,b", "--embed-dim", str(options.dimension)], stdout=subprocess.PIPE, text=True)
    try:
        url = ["--embed-url", f"http://127.0.0.1:{mock.stdout.readline().strip()}/embed", "--embed-batch", "256"]
        local = ["--embed-model", str(options.model.resolve()), "--precision", options.precision] if options.model else None
        for rows in map(int, options.rows.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                cache = ["--embed-cache", "c.db"]
                runs = [("encoder", local), ("encoder, cold cache", local + cache), ("encoder, warm cache", local + cache)] if local else \
                    [("server", url), ("server, cold cache", url + cache), ("server, warm cache", url + cache)]
                if options.one:
                    del runs[1:]
                for name, arguments in runs:
                    speed, peak = embed(binary, folder, rows, arguments, options.one)
                    print(json.dumps({"vectors_by": name, "rows": rows, "peak_memory_mib": round(peak, 1),
                                      "rows_per_second": round(speed), "cores": os.cpu_count()}), flush=True)
    finally:
        mock.kill()
        mock.wait()


if __name__ == "__main__":
    main()
