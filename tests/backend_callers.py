"""Fails when an operation of class Backend (kernels/backend.h) has no caller in engine/ or host/: what only tests and
benches call is dead weight, on the CPU, on the GPU and in their tests.
Usage: backend_callers.py ROOT, or backend_callers.py --self-test (each rule against a tree that breaks it).

Overloads of one name are one operation, except those of bfloat16 rows: such a one has a caller where a file that calls
the name also names BFloat16."""

import pathlib
import re
import sys
import tempfile

# Kept without a caller, for work that comes next; an entry goes when its operation has a caller or is removed.
ALLOWED = {"parity_sweep", "gemm of BFloat16"}

SOURCES = {".h", ".cpp"}
FREE = {"parallel_for"}  # called as a free function, which takes the backend first
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def operations(header):
    """{operation: (name, whether of bfloat16 rows)}"""
    body = re.search(r"^class Backend \{\n(.*?)^\};", COMMENT.sub("", header), re.DOTALL | re.MULTILINE)
    if not body:
        sys.exit("backend_callers: kernels/backend.h has no class Backend")
    found = {}
    for name, parameters in re.findall(r"\bvirtual\b[^;(]*?\b(\w+)\(([^;]*)\)\s*(?:const\s*)?=\s*0;", body[1]):
        narrow = "BFloat16" in parameters
        found[name + (" of BFloat16" if narrow else "")] = (name, narrow)
    return found


def problems(root):
    found = operations((root / "kernels/backend.h").read_text(encoding="utf-8"))
    texts = [COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
             for top in ("engine", "host") for path in sorted((root / top).rglob("*")) if path.suffix in SOURCES]
    result = [f"{operation}: allowed to have no caller, but no operation of Backend" for operation in ALLOWED - set(found)]
    for operation, (name, narrow) in found.items():
        call = re.compile(rf"\b\w*backend_?\)?(?:\.|->){name}\(" if name not in FREE else rf"\b{name}\(\s*\*?\w*backend")
        called = any(call.search(text) and (not narrow or "BFloat16" in text) for text in texts)
        if not called and operation not in ALLOWED:
            result.append(f"{operation}: no caller in engine/ or host/")
        if called and operation in ALLOWED:
            result.append(f"{operation}: has a caller; take it off the list of those that may have none")
    return result


HEADER = """struct Other { virtual int unused() = 0; };
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  virtual Status gemm(HostMatrix<const float> a, HostMatrix<float> c) = 0;
  // Of bfloat16.
  virtual Status gemm(HostMatrix<const BFloat16> a,
                      HostMatrix<float> c) = 0;
  virtual Status parity_sweep(int x) = 0;
  virtual void parallel_for(int64_t count, void (*body)(void* context, int64_t i), void* context) = 0;
};
"""
ALL = "backend.gemm(a, c); (*backend)->name(); parallel_for(backend_, 3, f);"
# (text of a file of engine/, what is added to Backend, the operation that is complained about, or None)
CASES = [
    (ALL, "", None),
    ("backend_.gemm(a, c); backend->name(); parallel_for(*backend, 3, f);", "", None),
    ("backend.gemm(a, c); parallel_for(backend, 3, f);", "", "name"),
    ("backend.gemm(a, c); file.name(); parallel_for(backend, 3, f);", "", "name"),
    ("// backend.gemm(a, c)\nbackend.name(); parallel_for(backend, 3, f);", "", "gemm"),
    ("backend.gemm(a, c); backend.name();", "", "parallel_for"),
    (ALL, "  virtual Status cast(int x) = 0;\n", "cast"),
    (ALL, "  virtual Status name(HostMatrix<BFloat16> x) = 0;\n", "name of BFloat16"),
    (ALL + "backend.cast(x);", "  virtual Status cast(int x) = 0;\n", None),
    (ALL + "BFloat16 x;", "", "gemm of BFloat16"),
    (ALL + "backend.parity_sweep(1);", "", "parity_sweep"),
]


def self_test():
    for text, added, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for room in ("kernels", "engine/learn", "host", "tests"):
                (root / room).mkdir(parents=True)
            (root / "kernels/backend.h").write_text(HEADER.replace(" public:\n", " public:\n" + added))
            (root / "engine/learn/a.cpp").write_text(text)
            (root / "tests/a.cpp").write_text("backend.gemm(a, c); backend.name(); backend.parity_sweep(1); backend.cast(x);")
            found = problems(root)
        if [line.split(":")[0] for line in found] != ([expected] if expected else []):
            sys.exit(f"backend_callers: {text!r} with {added!r}: expected {expected}, found {found}")
    print(f"backend_callers: {len(CASES)} synthetic trees judged as expected")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or not (pathlib.Path(arguments[0]) / "kernels").is_dir():
        sys.exit("usage: backend_callers.py ROOT | --self-test")
    found = problems(pathlib.Path(arguments[0]))
    print("\n".join(found) or "backend_callers: every operation has a caller, or is allowed to have none")
    sys.exit(1 if found else 0)


main(sys.argv[1:])
