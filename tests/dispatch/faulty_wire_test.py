"""`tracer run` against a server that breaks HTTP itself: connections that are reset in the middle, lengths that are wrong,
bodies that drip or never end, heads that are none, and a Retry-After by a clock that is not ours.

Every text meets one fault at its first attempt and is answered at the next; no text may be lost, answered twice or mislabelled.
ctest gives the environment; exit code 77 (skipped) without numpy."""

import collections
import email.utils
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    from synthetic_log import write_log
except ImportError as missing:
    print(f"skipped: {missing}: run cmake/bootstrap.sh")
    sys.exit(77)

LABELS = [f"label {i}" for i in range(4)]
ROWS = 120
TIMEOUT_SECONDS = 1.5
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def label_of(text):
    return LABELS[sum(text.encode()) % len(LABELS)]


def answer_to(text):
    return json.dumps({"choices": [{"message": {"content": json.dumps({"label": label_of(text)})}}],
                       "usage": {"prompt_tokens": 7, "completion_tokens": 2}})


class Gone(Exception):
    """The connection is at its end, as it was meant to be."""


class FaultyServer:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.lock, self.seen, self.met, self.answered = threading.Lock(), set(), collections.Counter(), collections.Counter()
        self.faults = [self.reset_before, self.reset_inside, self.shorter_than_said, self.longer_than_said, self.drips,
                       self.never_begins, self.huge, self.endless_head, self.no_http, self.waits_by_another_clock]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                while True:
                    text = self.read(lines)
                    with self.lock:
                        first = text not in self.seen
                        self.seen.add(text)
                        if first:
                            fault = self.faults[len(self.seen) % len(self.faults)]
                            self.met[fault.__name__] += 1
                        else:
                            self.answered[text] += 1
                    body = answer_to(text)
                    if first:
                        fault(connection, body)
                    else:
                        connection.sendall((HEAD.format(len(body)) + body).encode())
            except (Gone, OSError):
                pass

    @staticmethod
    def read(lines):
        length = 0
        while True:
            line = lines.readline()
            if not line:
                raise Gone
            if found := re.match(rb"content-length: (\d+)", line, re.IGNORECASE):
                length = int(found[1])
            if line == b"\r\n":
                break
        body = json.loads(lines.read(length))
        return next(turn["content"] for turn in body["messages"] if turn["role"] == "user").removeprefix("Text: ").strip()

    @staticmethod
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def reset_before(self, connection, body):
        self.reset(connection)

    def reset_inside(self, connection, body):
        connection.sendall((HEAD.format(len(body)) + body[:20]).encode())
        time.sleep(0.05)
        self.reset(connection)

    def shorter_than_said(self, connection, body):
        connection.sendall((HEAD.format(len(body) + 10) + body).encode())
        raise Gone

    def longer_than_said(self, connection, body):
        # What is too much stands where the next answer on this connection would.
        connection.sendall((HEAD.format(len(body) - 5) + body).encode())

    def drips(self, connection, body):
        for byte in HEAD.format(len(body)) + body:
            connection.sendall(byte.encode())
            time.sleep(0.1)

    def never_begins(self, connection, body):
        time.sleep(3 * TIMEOUT_SECONDS)
        raise Gone

    def huge(self, connection, body):
        connection.sendall((HEAD.format(1 << 40)).encode())
        while True:
            connection.sendall(b" " * 65536)

    def endless_head(self, connection, body):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for i in range(100_000):
            connection.sendall(f"X-{i}: {'x' * 1000}\r\n".encode())
        raise Gone

    def no_http(self, connection, body):
        connection.sendall(b"\x00\xff\x16\x03 none of it\r\n\r\n" + body.encode())
        raise Gone

    def waits_by_another_clock(self, connection, body):
        # A date that is long past here: to be taken as now.
        date = email.utils.formatdate(time.time() - 7200, usegmt=True)
        connection.sendall(f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {date}\r\nContent-Length: 2\r\n\r\n{{}}".encode())


class FaultyWire(unittest.TestCase):
    def test_every_text_is_answered_once_whatever_the_wire_does(self):
        server = FaultyServer()
        self.addCleanup(server.listener.close)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_log(folder / "log.jsonl", LABELS, 600, 1)
            write_log(folder / "rows.jsonl", LABELS, ROWS, 2)
            (folder / "prompt.txt").write_text("Text: {input}")
            self.tracer(folder, "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet")
            said = self.tracer(folder, "run", "p", "rows.jsonl", "-o", "out.jsonl", "--audit-rate", "1", "--llm-model", "m",
                               "--llm-url", f"http://127.0.0.1:{server.port}/v1", "--prompt", "prompt.txt", "--json",
                               "--timeout-seconds", str(TIMEOUT_SECONDS), "--max-attempts", "20", "--quiet")
            lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
        self.assertEqual([line["id"] for line in lines], [f"r{row}" for row in range(ROWS)])
        for row, line in enumerate(lines):
            self.assertEqual((line["label"], line["source"], line["error"]), (label_of(f"text number 2 {row}"), "llm", None))
        self.assertEqual(len(server.met), len(server.faults), server.met)
        self.assertGreaterEqual(min(server.met.values()), ROWS // len(server.faults) - 1)
        self.assertEqual(json.loads(said)["asks"]["answered"], ROWS)
        print(dict(server.met), json.loads(said)["requests"], file=sys.stderr)

    @staticmethod
    def tracer(folder, *arguments):
        done = subprocess.run([os.environ["TRACER_TEST_BINARY"], *arguments], cwd=folder, env={**os.environ, "no_proxy": "*"},
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"tracer {arguments}: {done.returncode}\n{done.stderr}")
        return done.stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)
