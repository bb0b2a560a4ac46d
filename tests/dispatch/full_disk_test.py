"""`tracer run` onto a disk that fills up, and onto one that is read-only: real ones, small tmpfs mounts of this process's own.

The error names the file, the exit code is 1, and with room again `--resume` goes on: the output is byte for byte that of a
run with room, and no more answers are paid again than requests are in flight. ctest gives the environment. Exit code 77
(skipped) where mounting is not permitted."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

try:
    from synthetic_log import write_log
except ImportError as missing:
    print(f"skipped: {missing}: run cmake/bootstrap.sh")
    sys.exit(77)

LABELS = [f"label {i}" for i in range(4)]
ROWS = 4000
CONCURRENCY = 8
INSIDE = "TRACER_TEST_OWN_MOUNTS"
ENVIRONMENT = {**os.environ, "no_proxy": "*"}


def enter_own_mounts():
    """Starts this program again where it may mount, and where its mounts end with it."""
    why = ""
    for way in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        with tempfile.TemporaryDirectory() as folder:
            tried = subprocess.run([*way, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True)
        if tried.returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
        why = tried.stderr.strip() or why
    print(f"skipped: cannot mount a tmpfs here: {why}")
    sys.exit(77)


class Mock:
    def __init__(self):
        self.process = subprocess.Popen([os.environ["TRACER_TEST_MOCK"], "--labels", ",".join(LABELS), "--latency-ms", "1"],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stats(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/stats", timeout=30) as answer:
            return json.load(answer)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


class Disk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        write_log(cls.folder / "log.jsonl", LABELS, 2000, 1)
        write_log(cls.folder / "q.jsonl", LABELS, ROWS, 2)
        cls.tracer("fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "--quiet")
        (cls.folder / "room").mkdir()
        mock = Mock()
        done = cls.run_job(mock, "room/out.jsonl")
        mock.stop()
        assert done.returncode == 0, done.stderr
        cls.whole = (cls.folder / "room/out.jsonl").read_bytes()
        # Before the job file takes it in, what changes stands in a log of up to 1000 pages of 4 KiB.
        cls.need = sum(file.stat().st_size for file in (cls.folder / "room").iterdir()) + 4100 * 1024

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def tracer(cls, *arguments):
        return subprocess.run([os.environ["TRACER_TEST_BINARY"], *arguments], cwd=cls.folder, capture_output=True, text=True,
                              env=ENVIRONMENT)

    @staticmethod
    def command(mock, out, *more):
        return [os.environ["TRACER_TEST_BINARY"], "run", "p", "q.jsonl", "-o", out, "--llm-url", f"http://127.0.0.1:{mock.port}/v1",
                "--llm-model", "m", "--concurrency", str(CONCURRENCY), "--audit-rate", "0.2", "--audit-seed", "7", "--quiet", *more]

    @classmethod
    def run_job(cls, mock, out, *more):
        return subprocess.run(cls.command(mock, out, *more), cwd=cls.folder, capture_output=True, text=True, env=ENVIRONMENT)

    def setUp(self):
        self.mock = Mock()
        self.addCleanup(self.mock.stop)
        self.disk = self.folder / self._testMethodName
        self.disk.mkdir()
        self.out = f"{self.disk.name}/out.jsonl"

    def mount(self, options):
        mount(self.disk, options)
        self.addCleanup(subprocess.run, ["umount", self.disk], check=True)

    def assert_error(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def assert_whole(self):
        self.assertEqual((self.folder / self.out).read_bytes(), self.whole)
        status = json.loads(self.tracer("job", "status", self.out, "--json").stdout)
        self.assertTrue(status["finished"], status)

    def test_full(self):
        """From no room at all to almost enough: wherever it ends, nothing is lost."""
        failed = 0
        for percent in (0, 1, 4, 10, 20, 35, 50, 65, 80, 90, 97):
            with self.subTest(percent=percent):
                mock = Mock()
                self.addCleanup(mock.stop)
                mount(self.disk, f"size={max(self.need * percent // 100 // 4096, 1) * 4096}")
                try:
                    done = self.run_job(mock, self.out)
                    if done.returncode != 0:
                        failed += 1
                        self.assert_error(done, self.out)
                        self.assertRegex(done.stderr, "No space left on device|full")
                    subprocess.run(["mount", "-o", "remount,size=64m", self.disk], check=True)
                    done = self.run_job(mock, self.out, "--resume")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assert_whole()
                    self.assertLessEqual(mock.stats()["answered_again"], CONCURRENCY)
                finally:
                    subprocess.run(["umount", self.disk], check=True)
        self.assertGreaterEqual(failed, 8)

    def test_full_again_and_again(self):
        """One job, given a little more room each time."""
        self.mount("size=64k")
        failed = 0
        done = self.run_job(self.mock, self.out)
        for percent in (2, 4, 7, 12, 20, 30, 45, 60, 75, 90, 120):
            if done.returncode == 0:
                break
            failed += 1
            self.assert_error(done, self.out)
            subprocess.run(["mount", "-o", f"remount,size={self.need * percent // 100 // 4096 * 4096}", self.disk], check=True)
            done = self.run_job(self.mock, self.out, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(failed, 5)
        self.assert_whole()
        self.assertLessEqual(self.mock.stats()["answered_again"], CONCURRENCY * failed)

    def test_read_only_from_the_start(self):
        self.mount("ro")
        self.assert_error(self.run_job(self.mock, self.out), self.out, "Read-only file system")
        self.assertEqual(self.mock.stats()["requests"], 0)

    def test_a_killed_job_can_be_looked_at_read_only(self):
        self.mount("size=64m")
        running = subprocess.Popen(self.command(self.mock, self.out), cwd=self.folder, env=ENVIRONMENT)
        while self.mock.stats()["answers"] < 50:
            self.assertIsNone(running.poll())
        running.kill()
        running.wait()
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        status = self.tracer("job", "status", self.out, "--json")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertGreaterEqual(json.loads(status.stdout)["asks"]["answered"], 50 - CONCURRENCY)

    def test_read_only_later(self):
        self.mount("size=64m")
        done = self.run_job(self.mock, self.out, "--max-requests", "50")
        self.assertEqual(done.returncode, 5, done.stderr)
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        before = self.mock.stats()["requests"]
        self.assert_error(self.run_job(self.mock, self.out, "--resume"), self.out)
        self.assertEqual(self.mock.stats()["requests"], before)
        status = self.tracer("job", "status", self.out, "--json")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertEqual(json.loads(status.stdout)["requests"]["all"], 50)
        subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)
        done = self.run_job(self.mock, self.out, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_whole()
        self.assertEqual(self.mock.stats()["answered_again"], 0)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter_own_mounts()
    unittest.main(verbosity=2)
