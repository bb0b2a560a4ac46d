"""Top-10 neighbours beside FAISS IndexFlatIP: the same unit vectors, the same threads, the same exact answers.

usage: bench/topk_rival.py BUILD [--rounds N] [--large]

Agreement comes first: where the two name different neighbours, their similarities in float64 must be equal to float32
rounding. Then rounds of one run each, in turn; medians. --large adds 10,000 queries against 1,000,000 clustered vectors
(4 GB of memory). Goal on CPUs with 8-bit products (AVX-512 VNNI): at least 3.5 x FAISS; without them: not applicable.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np

GOAL, K = 3.5, 10


def unit(x):
    x = x.astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def clustered(rows, centres, spread, generator, d=384):
    """Rows around random centres; spread is the length of the noise relative to the centre's."""
    out = np.empty((rows, d), np.float32)
    for at in range(0, rows, 50000):
        here = out[at:at + 50000]
        noise = generator.standard_normal(here.shape, np.float32) * np.float32(spread / np.sqrt(d))
        here[:] = centres[generator.integers(len(centres), size=len(here))] + noise
        here /= np.linalg.norm(here, axis=1, keepdims=True)
    return out


class Ours:
    def __init__(self, program, references, queries, threads):
        self.process = subprocess.Popen([program, references, queries, str(K), str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.isa, self.threads, self.prepare = self.process.stdout.readline().split()

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def result(self, rows, folder):
        path = os.path.join(folder, 'result')
        self.ask('write ' + path)
        raw = open(path, 'rb').read()
        half = rows * K * 4
        shape = (rows, K)
        return np.frombuffer(raw[:half], np.int32).reshape(shape), np.frombuffer(raw[half:], np.float32).reshape(shape)


def check_agreement(queries, references, ours, theirs):
    """Every place's similarity agrees to float32 rounding; where the neighbours differ, they are that close."""
    tolerance = 400 * 2.0 ** -24  # (d + 16) roundings of a sum of products below 1
    index, similarity = ours
    their_similarity, their_index = theirs
    assert np.all(np.abs(similarity - their_similarity) <= 2 * tolerance), 'similarities differ'
    rows, places = np.nonzero(index != their_index)
    exact = np.einsum('ij,ij->i', queries[rows].astype(np.float64), references[index[rows, places]].astype(np.float64))
    other = np.einsum('ij,ij->i', queries[rows].astype(np.float64), references[their_index[rows, places]].astype(np.float64))
    assert np.all(np.abs(exact - other) <= 2 * tolerance), 'neighbours differ'
    return len(rows)


def compare(name, queries, references, program, threads, rounds):
    with tempfile.TemporaryDirectory() as folder:
        r, q = os.path.join(folder, 'r.npy'), os.path.join(folder, 'q.npy')
        np.save(r, references)
        np.save(q, queries)
        ours = Ours(program, r, q, threads)
        index = faiss.IndexFlatIP(references.shape[1])
        index.add(references)
        rescanned, screened = ours.ask('run')[1:]
        ties = check_agreement(queries, references, ours.result(len(queries), folder), index.search(queries, K))
        print(f'{name}: {len(queries)} x {len(references)}, d {references.shape[1]}, k {K}; the same neighbours '
              f'({ties} places with equal similarities to float32 rounding); prepared in {ours.prepare} s; '
              f'rescanned {rescanned} of {len(queries)}')
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(float(ours.ask('run')[0]))
            start = time.perf_counter()
            index.search(queries, K)
            theirs.append(time.perf_counter() - start)
        a, b = len(queries) / statistics.median(mine), len(queries) / statistics.median(theirs)
        ratio = statistics.median(t / m for m, t in zip(mine, theirs))
        goal = f'goal {GOAL}: {"met" if ratio >= GOAL else "missed"}' if screened == '1' else 'goal: not applicable'
        print(f'  cpu/{ours.isa}/{ours.threads} threads: {a:.0f} queries/s; faiss {faiss.__version__}/{threads} threads: '
              f'{b:.0f} queries/s; median ratio of {rounds} rounds {ratio:.2f} ({goal})', flush=True)
        ours.process.stdin.close()
        ours.process.wait()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('build')
    arguments.add_argument('--rounds', type=int, default=9)
    arguments.add_argument('--large', action='store_true')
    a = arguments.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    program = os.path.join(a.build, 'rival_topk')
    threads = len(os.sched_getaffinity(0))
    faiss.omp_set_num_threads(threads)
    data = pathlib.Path(os.environ.get('TRACER_TEST_DATA', root.parent / 'shared' / 'data'))
    if (data / 'banking77_train.npy').exists():
        compare('Banking77', unit(np.load(data / 'banking77_test.npy')), unit(np.load(data / 'banking77_train.npy')),
                program, threads, a.rounds)
    else:
        print(f'Banking77: skipped, no vectors in {data}')
    if a.large:
        generator = np.random.default_rng(1)
        centres = unit(generator.standard_normal((4096, 384)))
        references = clustered(1000000, centres, 0.7, generator)
        compare('clustered', clustered(10000, centres, 0.7, generator), references, program, threads, min(a.rounds, 3))
    return 0


if __name__ == '__main__':
    sys.exit(main())
