"""A log that a policy can be fitted on: vectors around one corner a label, as .npy beside the traces."""

import json

import numpy


def write_log(path, labels, rows, seed):
    draw = numpy.random.default_rng(seed)
    label = draw.integers(0, len(labels), rows)
    x = draw.standard_normal((rows, 16)).astype(numpy.float32)
    x[numpy.arange(rows), label] += 3
    numpy.save(path.with_suffix(".npy"), x)
    with path.open("w") as out:
        for row in range(rows):
            out.write(json.dumps({"id": f"r{row}", "input": f"text number {seed} {row}", "teacher": labels[label[row]]}) + "\n")
