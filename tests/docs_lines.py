"""Fails where a line of the tree's Markdown is longer than 120 characters, or a link to a file leads nowhere.
Usage: docs_lines.py ROOT, or docs_lines.py --self-test."""

import pathlib
import re
import sys
import tempfile

LONGEST = 120
LINK = re.compile(r"\]\(([^)\s]+)\)")
README_LINES = 150


def faults(root):
    found = []
    pages = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])
    if not pages:
        return [f"{root}: no Markdown at all"]
    for page in pages:
        name = page.relative_to(root).as_posix()
        lines = page.read_text(encoding="utf-8").split("\n")
        fenced = False
        for number, line in enumerate(lines, 1):
            if len(line) > LONGEST:
                found.append(f"{name}:{number}: {len(line)} characters, {LONGEST} at most")
            fenced ^= line.lstrip().startswith("```")
            for target in [] if fenced else LINK.findall(line):
                path = target.partition("#")[0]
                if path and "://" not in path and not (page.parent / path).exists():
                    found.append(f"{name}:{number}: no {path}")
        if name == "README.md" and len(lines) - 1 > README_LINES:
            found.append(f"{name}: {len(lines) - 1} lines, {README_LINES} at most")
    return found


# (file, contents, whether it is a fault)
CASES = [
    ("README.md", "a" * 120 + "\n", False),
    ("README.md", "a" * 121 + "\n", True),
    ("README.md", "α" * 120 + "\n", False),
    ("README.md", "a\n" * 150, False),
    ("README.md", "a\n" * 151, True),
    ("docs/deep/er/page.md", "a" * 121, True),
    ("docs/page.md", "a\n" * 151, False),
    ("docs/page.md", "[it](page.md#part) and [that](https://example.org/x)\n", False),
    ("docs/page.md", "[it](gone.md)\n", True),
    ("docs/page.md", "```\n[it](gone.md)\n```\n", False),
    ("docs/page.md", "```\na\n```\n[it](gone.md#part)\n", True),
    ("docs/page.txt", "a" * 121, True),  # a tree without Markdown
]


def self_test():
    for name, contents, is_fault in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents, encoding="utf-8")
            if bool(faults(pathlib.Path(folder))) != is_fault:
                sys.exit(f"{name} {contents[:40]!r}: {'no fault' if is_fault else 'a fault'} seen")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = faults(pathlib.Path(sys.argv[1]).resolve())
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
