"""Fails when an include goes against the rooms of docs/architecture.md, when CUDA leaves kernels/cuda/, or when torch
leaves engine/torch/ (and tests/torch/).
Usage: layering.py ROOT, or layering.py --self-test (each rule against a tree that breaks it)."""

import pathlib
import re
import sys
import tempfile

# The rooms, from the lowest floor to the highest. A file belongs to the longest room that its path begins with.
ENGINE = ["engine/maths", "engine/text", "engine/log", "engine/policy", "engine/prove", "engine/learn"]
KERNELS = {"kernels"}
LOW_HOST = ["host/io", "host/http", "host/llm", "host/encoder"]
# Each room and what its files may include beside their own.
MAY_INCLUDE = {
    "kernels": set(),
    "engine/maths": KERNELS,
    "engine/text": KERNELS | {"engine/maths"},
    "engine/log": KERNELS | {"engine/maths"},
    "engine/policy": KERNELS | {"engine/maths", "engine/text", "engine/log"},
    "engine/prove": KERNELS | {"engine/maths", "engine/log", "engine/policy"},  # nothing of learn
    "engine/learn": KERNELS | set(ENGINE),
    "engine/torch": KERNELS | {"engine/text"},
    "engine": KERNELS | set(ENGINE),  # fit and challenger, which join the rooms
    "engine/study": KERNELS | set(ENGINE) | {"engine"},
    "host/io": KERNELS | {"engine/log"},
    "host/http": KERNELS | {"host/io"},
    "host/llm": KERNELS | {"host/io", "host/http"},
    "host/encoder": KERNELS | {"engine/maths", "engine/text", "engine/log", "engine/learn", "host/io", "host/http"},
    "host/artifact": KERNELS | set(ENGINE) | {"engine", "host/io", "host/encoder"},
    "host/route": KERNELS | set(ENGINE) | {"host/io", "host/encoder", "host/artifact"},
    "host/versions": KERNELS | set(ENGINE) | {"engine", "engine/study", "host/io", "host/encoder", "host/artifact", "host/route"},
    "host/job": KERNELS | {"engine/maths", "engine/policy", "host/io", "host/http", "host/llm", "host/encoder", "host/artifact", "host/route"},
    "host/explain": KERNELS | set(ENGINE) | {"engine", "engine/study", "host/io", "host/encoder", "host/artifact", "host/route", "host/versions"},
    "host/report": KERNELS | set(ENGINE) | {"engine", "engine/study", "host/io", "host/artifact", "host/explain"},
    "host/sweep": KERNELS | set(ENGINE) | {"engine", "engine/study", "host/io", "host/encoder", "host/artifact"},
    "tests": None,  # see all, and none of the rooms sees them
    "bench": None,
}
MAY_INCLUDE["host/api"] = KERNELS | set(ENGINE) | {"engine", "engine/study"} | {room for room in MAY_INCLUDE if room.startswith("host/")}
HOST = [room for room in MAY_INCLUDE if room.startswith("host/")]
MAY_INCLUDE["host/cli"] = {"host/api", "host/io"}
MAY_INCLUDE["host/main"] = {"host/cli"}
TOPS = ("kernels", "engine", "host", "tests", "bench")


def room_of(name):
    """Of a path below the root; None where it lies in no room."""
    folder = name.rsplit("/", 1)[0]
    while folder not in MAY_INCLUDE:
        if "/" not in folder:
            return None
        folder = folder.rsplit("/", 1)[0]
    return folder


SOURCES = {".h", ".hpp", ".cpp", ".cc", ".cu", ".cuh"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)
CUDA_HEADER = re.compile(r"^(cuda|cublas|cusolver|cusparse|curand|cufft|nccl|nvml|nvToolsExt|nvtx3/|thrust/|cub/|cooperative_groups"
                         r"|device_launch_parameters|vector_types|driver_types|mma\.h|sm_\d)")
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")


# Headers of host/api that are the library's own, and what no header that a user sees may include, however far down.
PRIVATE = {"access.h", "fit_request.h", "log_access.h"}
NOT_PUBLIC = re.compile(r"^(nlohmann/|CLI/|sqlite3|curl/|simdjson|kernels/backend\.h)")


def public_faults(root):
    """Headers that are installed and include what they may not."""
    todo = [path.relative_to(root).as_posix() for path in sorted((root / "host/api").glob("*.h")) if path.name not in PRIVATE]
    seen, found = set(todo), []
    while todo:
        name = todo.pop()
        for quote, target in INCLUDE.findall((root / name).read_text(encoding="utf-8", errors="replace")):
            if NOT_PUBLIC.match(target):
                found.append(f"{name}: is a public header, and must not include {target}")
            elif quote == '"' and target not in seen and (root / target).is_file():
                seen.add(target)
                todo.append(target)
    return found


def violations(root):
    found = public_faults(root)
    for top in TOPS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in SOURCES or not path.is_file():
                continue
            name = path.relative_to(root).as_posix()
            room = room_of(name)
            if room is None:
                found.append(f"{name}: belongs to no room of docs/architecture.md")
                continue
            in_cuda = name.startswith("kernels/cuda/")
            if path.suffix in {".cu", ".cuh"} and not in_cuda:
                found.append(f"{name}: a {path.suffix} file outside kernels/cuda/")
            for quote, target in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
                seen = target
                beside = quote == '"' and (path.parent / target).resolve()
                if beside and beside.is_file() and root.resolve() in beside.parents:
                    seen = beside.relative_to(root.resolve()).as_posix()  # relative to the file, ../ included
                other = room_of(seen) if seen.split("/")[0] in TOPS else room
                if MAY_INCLUDE[room] is None:
                    allowed = other != "bench" or room == "bench"
                else:
                    allowed = other == room or other in MAY_INCLUDE[room]
                if not allowed:
                    found.append(f"{name}: {room}/ must not include {target}")
                if CUDA_HEADER.match(target) and not in_cuda:
                    found.append(f"{name}: CUDA header {target} outside kernels/cuda/")
                if TORCH_HEADER.match(target) and not name.startswith(("engine/torch/", "tests/torch/")):
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
    ("engine/maths/a.h", '#include "engine/log/split.h"\n', True),
    ("engine/text/a.h", '#include "engine/policy/policy.h"\n', True),
    ("engine/log/a.h", '#include "engine/policy/policy.h"\n', True),
    ("engine/policy/a.h", '#include "engine/prove/certify.h"\n', True),
    ("engine/prove/a.h", '#include "engine/learn/search.h"\n', True),
    ("engine/learn/a.h", '#include "engine/fit.h"\n', True),
    ("engine/torch/a.h", '#include "engine/policy/policy.h"\n', True),
    ("engine/a.h", '#include "engine/study/scan.h"\n', True),
    ("engine/study/a.h", '#include "host/io/npy.h"\n', True),
    ("engine/attic/a.h", '#include "engine/study/scan.h"\n', True),
    ("engine/study/a.h", '#include "engine/fit.h"\n', False),
    ("engine/learn/a.h", '#include "engine/prove/rank_chain.h"\n', False),
    ("host/attic/a.h", "", True),
    ("host/io/a.h", '#include "host/http/retry.h"\n', True),
    ("host/http/a.h", '#include "host/llm/prompt.h"\n', True),
    ("host/llm/a.h", '#include "host/encoder/encoder.h"\n', True),
    ("host/encoder/a.h", '#include "host/llm/prompt.h"\n', True),
    ("host/artifact/a.h", '#include "host/route/scoring.h"\n', True),
    ("host/route/a.h", '#include "host/versions/store.h"\n', True),
    ("host/versions/a.h", '#include "host/job/store.h"\n', True),
    ("host/job/a.h", '#include "host/versions/store.h"\n', True),
    ("host/job/a.h", '#include "host/api/job.h"\n', True),
    ("host/job/a.h", '#include "host/route/scoring.h"\n', False),
    ("host/explain/a.h", '#include "host/report/page.h"\n', True),
    ("host/report/a.h", '#include "host/sweep/csv.h"\n', True),
    ("host/sweep/a.h", '#include "host/explain/rows.h"\n', True),
    ("host/sweep/a.h", '#include "host/cli/command.h"\n', True),
    ("host/sweep/a.h", '#include "host/api/device.h"\n', True),
    ("host/api/a.cpp", '#include "host/cli/command.h"\n', True),
    ("host/api/a.h", "#include <nlohmann/json.hpp>\n", True),
    ("host/api/a.h", '#include "engine/fit.h"\n', True),  # which includes the backend
    ("host/api/access.h", '#include "kernels/backend.h"\n', False),
    ("host/api/a.cpp", "#include <nlohmann/json.hpp>\n", False),
    ("host/cli/a.cpp", '#include "host/main/main.h"\n', True),
    ("host/cli/a.cpp", '#include "bench/a.h"\n', True),
    ("host/cli/a.cpp", "#include <cuda_runtime.h>\n", True),
    ("kernels/a.cpp", "#include <cublas_v2.h>\n", True),
    ("kernels/a.cpp", "#include <thrust/sort.h>\n", True),
    ("kernels/cpu/a.cu", "", True),
    ("tests/a.cuh", "", True),
    ("tests/a.cpp", '#include "bench/a.h"\n', True),
    ("host/cli/a.cpp", "#include <torch/torch.h>\n", True),
    ("kernels/cuda/a.cpp", "#include <ATen/ATen.h>\n", True),
    ("kernels/cuda/a.cu", "#include <cuda_runtime.h>\n", False),
    ("engine/torch/a.cpp", "#include <torch/torch.h>\n", False),
    ("bench/a.cpp", "#include <ATen/ATen.h>\n", True),
    ("host/cli/a.cpp", '#include "host/api/fit.h"\n#include "host/io/plain_text.h"\n', False),
    ("host/cli/a.cpp", '#include "engine/fit.h"\n', True),
    ("host/cli/a.cpp", '#include "kernels/backend.h"\n', True),
    ("host/cli/a.cpp", '#include "host/job/store.h"\n', True),
    ("kernels/a.cpp", '#include "kernels/cuda/probe.h"\n#include <vector>\n', False),
    ("tests/a.cpp", '#include "host/io/npy.h"\n// #include is fine in prose\n', False),
]


def self_test():
    for name, contents, breaks in CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "engine").mkdir()
            (root / "engine/fit.h").write_text('#include "kernels/backend.h"\n')
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
