"""Fails when an include goes against host -> engine -> kernels, when CUDA leaves kernels/cuda/, or when torch leaves
engine/torch/ (and bench/torch/, which compares with it, and tests/torch/). Usage: layering.py ROOT, or layering.py --self-test (each rule against a tree that breaks it)."""

import pathlib
import re
import sys
import tempfile

ROOMS = ("kernels", "engine", "host", "tests", "bench")
# What a file of each room may include of the others; tests and benches see all, and none of the rooms sees them.
MAY_INCLUDE = {
    "kernels": {"kernels"},
    "engine": {"kernels", "engine"},
    "host": {"kernels", "engine", "host"},
    "tests": {"kernels", "engine", "host", "tests"},
    "bench": {"kernels", "engine", "host", "tests", "bench"},
}
SOURCES = {".h", ".hpp", ".cpp", ".cc", ".cu", ".cuh"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)
CUDA_HEADER = re.compile(r"^(cuda|cublas|cusolver|cusparse|curand|cufft|nccl|nvml|nvToolsExt|nvtx3/|thrust/|cub/|cooperative_groups"
                         r"|device_launch_parameters|vector_types|driver_types|mma\.h|sm_\d)")
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")


def violations(root):
    found = []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix not in SOURCES or not path.is_file():
                continue
            name = path.relative_to(root).as_posix()
            in_cuda = name.startswith("kernels/cuda/")
            if path.suffix in {".cu", ".cuh"} and not in_cuda:
                found.append(f"{name}: a {path.suffix} file outside kernels/cuda/")
            for quote, target in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
                first = target.split("/")[0]
                beside = quote == '"' and (path.parent / target).resolve()
                if beside and beside.is_file() and root.resolve() in beside.parents:
                    first = beside.relative_to(root.resolve()).parts[0]  # relative to the file, ../ included
                if first in ROOMS and first not in MAY_INCLUDE[room]:
                    found.append(f"{name}: {room}/ must not include {target}")
                if CUDA_HEADER.match(target) and not in_cuda:
                    found.append(f"{name}: CUDA header {target} outside kernels/cuda/")
                if TORCH_HEADER.match(target) and not name.startswith(("engine/torch/", "bench/torch/", "tests/torch/")):
                    found.append(f"{name}: torch header {target} outside engine/torch/")
    return found


# (file, contents, whether it breaks a rule)
CASES = [
    ("kernels/a.h", '#include "engine/fit.h"\n', True),
    ("kernels/a.h", '  #  include <host/io/npy.h>\n', True),
    ("kernels/cpu/a.cpp", '#include "../../engine/fit.h"\n', True),
    ("kernels/a.h", '#include "tests/simt/simt.h"\n', True),
    ("engine/a.cpp", '#include "host/io/npy.h"\n', True),
    ("engine/a.cpp", '#include "bench/a.h"\n', True),
    ("host/a.cpp", '#include "bench/a.h"\n', True),
    ("host/a.cpp", "#include <cuda_runtime.h>\n", True),
    ("kernels/a.cpp", "#include <cublas_v2.h>\n", True),
    ("kernels/a.cpp", "#include <thrust/sort.h>\n", True),
    ("kernels/cpu/a.cu", "", True),
    ("tests/a.cuh", "", True),
    ("host/a.cpp", "#include <torch/torch.h>\n", True),
    ("kernels/cuda/a.cpp", "#include <ATen/ATen.h>\n", True),
    ("kernels/cuda/a.cu", "#include <cuda_runtime.h>\n", False),
    ("engine/torch/a.cpp", "#include <torch/torch.h>\n", False),
    ("bench/torch/a.cpp", "#include <ATen/ATen.h>\n", False),
    ("bench/a.cpp", "#include <ATen/ATen.h>\n", True),
    ("host/a.cpp", '#include "engine/fit.h"\n#include "kernels/backend.h"\n', False),
    ("kernels/a.cpp", '#include "kernels/cuda/probe.h"\n#include <vector>\n', False),
    ("tests/a.cpp", '#include "host/io/npy.h"\n// #include is fine in prose\n', False),
]


def self_test():
    for name, contents, breaks in CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "engine").mkdir()
            (root / "engine/fit.h").write_text("")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(contents)
            found = violations(root)
        if bool(found) != breaks:
            sys.exit(f"layering: {name} with {contents!r}: expected {'a' if breaks else 'no'} violation, found {found}")
    print(f"layering: {len(CASES)} synthetic trees judged as expected")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or not (pathlib.Path(arguments[0]) / "kernels").is_dir():
        sys.exit("usage: layering.py ROOT | --self-test")
    found = violations(pathlib.Path(arguments[0]))
    print("\n".join(found) or "layering: no violation")
    sys.exit(1 if found else 0)


main(sys.argv[1:])
