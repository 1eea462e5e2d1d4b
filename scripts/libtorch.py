#!/usr/bin/env python3
"""Makes the libtorch folder that the build links, from pinned packages.

The PyPI wheel of torch carries the CPU half and the CUDA half of libtorch. Temper's CPU build needs only the CPU half: three
libraries and the headers, plus two small CUDA runtime libraries that libtorch_cpu names as dependencies. Gloo's headers, which
the wheel leaves out, come from Debian's libgloo-dev (headers only: the code is inside libtorch_cpu already).

With --cuda the folder has both halves and the CUDA headers, enough to compile and link for NVIDIA GPUs; with --cuda-runtime also
every CUDA library, to run there.

Usage: libtorch.py [--cuda | --cuda-runtime] WHEEL_FOLDER OUTPUT_FOLDER
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

# The versions that the torch wheel's own metadata asks for (through cuda-toolkit 13.0.2).
CUDA_WHEELS = WHEELS + [
    "nvidia-nccl-cu13==2.28.9",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-cublas==13.1.0.3",
    "nvidia-cusolver==12.0.4.66",
    "nvidia-cusparse==12.6.3.3",
]
CUDA_LIBRARIES = LIBRARIES + ["libtorch.so", "libtorch_cuda.so", "libc10_cuda.so", "libnccl.so.2"]
CUDA_RUNTIME_WHEELS = CUDA_WHEELS + [
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-cudnn-cu13==9.19.0.56",
    "nvidia-cufft==12.0.0.61",
    "nvidia-cufile==1.15.1.6",
    "nvidia-curand==10.4.0.35",
    "nvidia-cusparselt-cu13==0.8.0",
    "nvidia-nvjitlink==13.0.88",
    "nvidia-nvshmem-cu13==3.4.5",
    "nvidia-nvtx==13.0.85",
]


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


def wanted(member: str, mode: str) -> str | None:
    """Where a file of a wheel goes in the folder; None for what is not needed."""
    name = member.rsplit("/", 1)[-1]
    if member.startswith("torch/include/"):
        return member.removeprefix("torch/")
    if mode and member.startswith("nvidia/") and "/include/" in member:
        return "include/cuda/" + member.split("/include/", 1)[1]
    in_lib = member.startswith(("torch/lib/", "nvidia/")) and ".so" in name and "libtorch_python" not in name
    if name in (CUDA_LIBRARIES if mode else LIBRARIES) or (mode == "--cuda-runtime" and in_lib):
        return "lib/" + name
    return None


def extract(archive: Path, target: Path, mode: str) -> None:
    """Takes the wanted libraries and headers out of one wheel."""
    with zipfile.ZipFile(archive) as wheel_file:
        for member in wheel_file.namelist():
            place = None if member.endswith("/") else wanted(member, mode)
            if place is None:
                continue
            destination = target / place
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
    mode = sys.argv.pop(1) if sys.argv[1].startswith("--cuda") else ""
    wheels, output = Path(sys.argv[1]), Path(sys.argv[2])
    requirements = {"": WHEELS, "--cuda": CUDA_WHEELS, "--cuda-runtime": CUDA_RUNTIME_WHEELS}[mode]
    if output.is_dir():
        return
    wheels.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".libtorch-", dir=output.parent))
    for requirement in requirements:
        extract(wheel(wheels, requirement), scratch, mode)
    gloo_headers(scratch)
    missing = [name for name in (CUDA_LIBRARIES if mode else LIBRARIES) if not (scratch / "lib" / name).is_file()]
    if missing:
        sys.exit(f"the wheels in {wheels} lack {', '.join(missing)}; delete them and run `make setup` again")
    # torch-sys links -ltorch; the wheel's own libtorch.so would pull in CUDA, so a linker script points to the CPU half.
    if not mode:
        (scratch / "lib/libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
    (scratch / "build-version").write_text(VERSION + "\n")
    digest = hashlib.sha256((scratch / "lib/libtorch_cpu.so").read_bytes()).hexdigest()
    (scratch / "digest").write_text(digest + "\n")
    scratch.chmod(0o755)
    scratch.rename(output)
    print(f"libtorch {VERSION} ({'CUDA' if mode else 'CPU'}) is in {output}", flush=True)


if __name__ == "__main__":
    main()
