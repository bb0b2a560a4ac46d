"""What `tracer embed --embed-url` sends to an openai server, beside what the official `openai` client sends for the same texts;
and answers that the client's own types write, as `tracer` reads them.

ctest gives the environment, as for official_clients_test.py. Exit code 77 where it has not got the client: skipped."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    import openai
    from openai.types import CreateEmbeddingResponse
except ImportError as missing:
    print(f"skipped: {missing}: run cmake/bootstrap.sh")
    sys.exit(77)

from recorder import Recorder

KEY = "sk-test-0123456789"
MODEL = 'a "model"'
TEXTS = ['"}],"model":"x" \\ \\u0000', "tab\there, line\nbreak\r", "café \u2028 😀 </s>", "\x01\x7f", " "] + [f"text number {i}" for i in range(20)]
DIMENSION = 5
HEADERS = ("authorization", "content-type")


def vector(text):
    return numpy.random.default_rng(list(text.encode())).standard_normal(DIMENSION).astype("<f4")


def answer(request):
    """In reverse order, as base64 where that is asked for."""
    coded = request.body.get("encoding_format") == "base64"
    data = [{"object": "embedding", "index": i,
             "embedding": base64.b64encode(vector(t).tobytes()).decode() if coded else [float(x) for x in vector(t)]}
            for i, t in enumerate(request.body["input"])]
    document = {"object": "list", "model": MODEL, "data": data[::-1], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    if not coded:
        CreateEmbeddingResponse.model_validate(document)
    return 200, json.dumps(document)


class Embeddings(unittest.TestCase):
    def setUp(self):
        self.recorder = Recorder(answer)
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"http://127.0.0.1:{self.recorder.port}/v1"
        with open(pathlib.Path(self.folder.name) / "in.jsonl", "w") as out:
            out.writelines(json.dumps({"input": t}) + "\n" for t in TEXTS)

    def tearDown(self):
        self.recorder.close()
        self.folder.cleanup()

    def compare(self, tracers, **clients):
        done = subprocess.run([os.environ["TRACER_TEST_BINARY"], "embed", "in.jsonl", "-o", "v.npy", "--embed-url", self.url, "--embed-model",
                               MODEL, *tracers], cwd=self.folder.name, env={**os.environ, "OPENAI_API_KEY": KEY}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(KEY, done.stderr + done.stdout)
        probe, ours = self.recorder.take()
        self.assertEqual(len(probe.body["input"]), 1)
        numpy.testing.assert_array_equal(numpy.load(pathlib.Path(self.folder.name) / "v.npy"), [vector(t) for t in TEXTS])

        client = openai.OpenAI(base_url=self.url, api_key=KEY, max_retries=0)
        theirs_read = client.embeddings.create(model=MODEL, input=TEXTS, **clients)
        self.assertEqual(len(theirs_read.data), len(TEXTS))
        theirs = self.recorder.take()[-1]
        self.assertEqual((ours.method, ours.path), (theirs.method, theirs.path))
        for name in HEADERS:
            self.assertEqual(ours.headers.get(name), theirs.headers.get(name), name)
        expected = {key: value for key, value in theirs.body.items() if (key, value) != ("encoding_format", "float")}  # the default
        self.assertEqual(ours.body, expected)

    def test_numbers(self):
        self.compare([], encoding_format="float")

    def test_base64(self):  # what the client asks for unless told otherwise
        self.compare(["--embed-encoding", "base64"])

    def test_dimensions(self):
        self.compare(["--embed-dimensions", str(DIMENSION)], dimensions=DIMENSION, encoding_format="float")


if __name__ == "__main__":
    unittest.main(verbosity=2)
