"""The installed tree, moved to another folder and run by another user; the examples built against it.

install_test.py SOURCE BUILD [--without-text]. Needs no network. Another user is `nobody`, if the test runs as root.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TEXTS = {"card": ["my card has not arrived", "the card is lost", "where is my new card", "card was stolen today"],
         "rate": ["what is the exchange rate", "is the rate good now", "which rate do you use", "the rate has changed"]}


def run(command, user=None, **options):
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, user=user,
                          group=user and "nogroup", **options)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done


def log(path, rows):
    """Traces with made-up wording around a few words that tell the label."""
    with open(path, "w", encoding="utf-8") as out:
        for i in range(rows):
            label = sorted(TEXTS)[i % 2]
            text = f"{TEXTS[label][i // 2 % 4]} number {i}"
            out.write(json.dumps({"input": text, "teacher": label}) + "\n")


def main(source, build, with_text):
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="tracer-install-") as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        run(["cmake", "--install", build, "--prefix", work / "first"])
        moved = work / "moved here"  # with a blank in its name
        (work / "first").rename(moved)
        for header in (moved / "include").rglob("*.h"):
            text = header.read_text(encoding="utf-8")
            for word in ("nlohmann", "CLI/", "sqlite", "curl/", "kernels/backend.h", '#include "'):
                if word in text:
                    sys.exit(f"{header}: holds {word}")
        run(["cmake", "-S", pathlib.Path(source) / "docs/examples", "-B", work / "examples",
             f"-DCMAKE_PREFIX_PATH={moved}", "-DCMAKE_BUILD_TYPE=Release"])
        run(["cmake", "--build", work / "examples", "-j2"])
        mine = work / "mine"
        mine.mkdir()
        if user:
            shutil.chown(mine, user)
        for part in (moved, work / "examples"):
            subprocess.run(["chmod", "-R", "a+rX", str(part)], check=True)
        found = json.loads(run([moved / "bin/tracer", "doctor", "--json"], user, cwd=mine).stdout)
        assert found["encoder"]["usable"] == with_text, found
        if not with_text:
            print("install: no text in this build; the examples build, and are not run")
            return
        assert str(moved) in found["encoder"]["path"], found
        log(mine / "log.jsonl", 600)
        fitted = run([work / "examples/example_fit", "log.jsonl", "policy", "0.9"], user, cwd=mine)
        assert "alpha 0.90: certified" in fitted.stdout, fitted.stdout + fitted.stderr
        routed = run([work / "examples/example_route", "policy"], user, cwd=mine,
                     input="my card has not arrived at all\nwhat is the exchange rate number 777\n")
        lines = routed.stdout.splitlines()
        assert len(lines) == 2 and lines[0].startswith("card\t") and lines[1].startswith("rate\t"), routed.stdout
        # The program of the same tree serves the same policy.
        answer = json.loads(run([moved / "bin/tracer", "inspect", "policy", "--json", "--text",
                                 "my card has not arrived at all"], user, cwd=mine).stdout)
        assert answer["surrogate"] == "card", answer
        print(f"install: moved, run by {user or 'the same user'}, examples built and run")


main(sys.argv[1], sys.argv[2], "--without-text" not in sys.argv[3:])
