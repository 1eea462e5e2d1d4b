#!/usr/bin/env python3
"""Makes the CPU libtorch folder that the build links, from pinned packages.

The PyPI wheel of torch carries the CPU half and the CUDA half of libtorch. Temper's CPU build needs only the CPU half: three
libraries and the headers, plus two small CUDA runtime libraries that libtorch_cpu names as dependencies. Gloo's headers, which
the wheel leaves out, come from Debian's libgloo-dev (headers only: the code is inside libtorch_cpu already).

Usage: libtorch.py WHEEL_FOLDER OUTPUT_FOLDER
Prints nothing when the folder is already complete. The last thing written is the folder's own name, so that an interrupted run
leaves no half folder behind.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2.11.0"
WHEELS = [f"torch=={VERSION}", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
LIBRARIES = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"]


def wheel(folder: Path, requirement: str) -> Path:
    """The wheel of a pinned requirement, downloaded if it is not in the folder yet."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    found = sorted(folder.glob(pattern))
    if not found:
        print(f"downloading {requirement} ...", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
        subprocess.run(command, check=True)
        found = sorted(folder.glob(pattern))
    if not found:
        sys.exit(f"pip downloaded no file {pattern} into {folder}; delete that folder and run `make setup` again")
    return found[0]


def extract(archive: Path, target: Path) -> None:
    """Takes the wanted libraries and headers out of one wheel."""
    with zipfile.ZipFile(archive) as wheel_file:
        for member in wheel_file.namelist():
            if member.endswith("/"):
                continue
            name = member.rsplit("/", 1)[-1]
            if name in LIBRARIES:
                destination = target / "lib" / name
            elif member.startswith("torch/include/"):
                destination = target / member.removeprefix("torch/")
            else:
                continue
            destination.parent.mkdir(parents=True, exist_ok=True)
            with wheel_file.open(member) as source, destination.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def gloo_headers(target: Path) -> None:
    """Unpacks Debian's Gloo headers beside libtorch's; needs no root."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            subprocess.run(["apt-get", "download", "-qq", "libgloo-dev"], cwd=scratch, check=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit("cannot download Debian's package libgloo-dev (headers only); run `apt-get update` as root and try again")
        package = next(Path(scratch).glob("libgloo-dev_*.deb"))
        subprocess.run(["dpkg-deb", "--extract", str(package), scratch], check=True)
        shutil.copytree(Path(scratch) / "usr/include/gloo", target / "include/gloo", dirs_exist_ok=True)


def main() -> None:
    wheels, output = Path(sys.argv[1]), Path(sys.argv[2])
    if output.is_dir():
        return
    wheels.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".libtorch-", dir=output.parent))
    for requirement in WHEELS:
        extract(wheel(wheels, requirement), scratch)
    gloo_headers(scratch)
    missing = [name for name in LIBRARIES if not (scratch / "lib" / name).is_file()]
    if missing:
        sys.exit(f"the wheels in {wheels} lack {', '.join(missing)}; delete them and run `make setup` again")
    # torch-sys links -ltorch; the wheel's own libtorch.so would pull in CUDA, so a linker script points to the CPU half.
    (scratch / "lib/libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
    (scratch / "build-version").write_text(VERSION + "\n")
    digest = hashlib.sha256((scratch / "lib/libtorch_cpu.so").read_bytes()).hexdigest()
    (scratch / "digest").write_text(digest + "\n")
    scratch.chmod(0o755)
    scratch.rename(output)
    print(f"libtorch {VERSION} (CPU) is in {output}", flush=True)


if __name__ == "__main__":
    main()
