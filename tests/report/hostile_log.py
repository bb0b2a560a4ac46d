"""Logs whose texts and labels would be markup, script or another page if anything took them for more than text."""

import json

import numpy

LABELS = ['</script><img src=x onerror="window.hacked=1">', "\"quotes\" & 'more' <b>", "\u202eright to left", "@DATA@ ${label}"]
TEXTS = ["</script><script>window.hacked = 1</script>", '<img src="http://127.0.0.1:9/x.png" onerror="window.hacked=1">',
         "<!--<script>", "\" onmouseover=\"window.hacked=1", "\u202eevil\u202c \u2066isolated\u2069 \u200bnothing", "line\u2028and\u2029paragraph",
         "nul \u0000 bell \u0007 tab \t end", "&lt;b&gt; &amp;amp; &#x3c;", "javascript:window.hacked=1", "שלום עולם, مرحبا بالعالم",
         "😀 é \ufeff", "@SCRIPT@ @STYLE@ @POLICY@", "<svg/onload=window.hacked=1>", "</style><style>*{display:none}</style>",
         "x" * 100_000, "<" * 100_000, "'];window.hacked=1//", "{{constructor.constructor('window.hacked=1')()}}"]


def write_many(path, labels, rows, seed):
    """32 columns, a random centre a label; texts as hostile as the others."""
    draw, centre = numpy.random.default_rng(seed), numpy.random.default_rng(0).standard_normal((len(labels), 32))
    label = draw.integers(0, len(labels), rows)
    numpy.save(path.with_suffix(".npy"), (centre[label] + 0.3 * draw.standard_normal((rows, 32))).astype(numpy.float32))
    with path.open("w", encoding="utf-8") as out:
        for row in range(rows):
            out.write(json.dumps({"id": f"<i>{row}</i>" + "x" * 60, "input": f"{TEXTS[row % len(TEXTS)][:400]} {row}", "teacher": labels[label[row]]}) + "\n")


def write_log(path, rows, noise, seed):
    """16 columns, a corner a label. A line in a hundred holds a lone surrogate, which is no text: it is rejected."""
    draw = numpy.random.default_rng(seed)
    label = draw.integers(0, len(LABELS), rows)
    x = (noise * draw.standard_normal((rows, 16))).astype(numpy.float32)
    x[numpy.arange(rows), label] += 3
    numpy.save(path.with_suffix(".npy"), x)
    with path.open("w", encoding="utf-8") as out:
        for row in range(rows):
            trace = {"id": f"<i>{row}</i>", "input": f"{TEXTS[row % len(TEXTS)]} {row}", "teacher": LABELS[label[row]], "site": TEXTS[row % 3]}
            line = json.dumps(trace, ensure_ascii=row % 2 == 0)
            out.write((line.replace('"input": "', '"input": "\\ud800') if row % 400 == 399 else line) + "\n")
