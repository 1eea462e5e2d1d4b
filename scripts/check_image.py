#!/usr/bin/env python3
"""Looks through an image as it is shipped, and starts its programs as a strict cluster would.

Usage: check_image.py ARCHIVE VERSION
ARCHIVE is a docker archive that scripts/images.sh made. Every fault is printed; the exit status is 1 if there is one. Must run as root,
because runc starts the programs: as the image's own user, with a read-only root, no capability, no network and no new privileges.
"""

import io
import json
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from pathlib import Path

USER = "65532:65532"
LABELS = ["title", "description", "source", "licenses", "version"]
PROGRAMS = {"temper-operator": ["temper-operator", "temper"], "temper-trainer": ["temper-trainer"]}
# All that the operator's image may hold.
OPERATOR_FILES = {"etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt"}
INTERPRETERS = re.compile(r"^(ba|da|a|z)?sh$|^busybox$|^python[0-9.]*$|^libpython|^perl[0-9.]*$")
PICKLE_NAMES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt")
SECRET_NAMES = re.compile(r"(^|/)(\.env|\.git|\.netrc|\.npmrc|\.pypirc|\.docker|\.kube|id_(rsa|ed25519|ecdsa)|credentials(\.toml|\.json)?)(/|$)")
SECRETS = [
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32}"),
    re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
    re.compile(rb"\bhf_[A-Za-z0-9]{34}\b"),
]
# Our own archives. Pythons before 3.11.4 know no filters.
TRUSTED = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}


def is_pickle(name: str, data: bytes) -> bool:
    """By name, by the bytes a pickle starts and ends with, or because it is torch's zip around one."""
    if name.endswith(PICKLE_NAMES) or (len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= 5 and data.endswith(b".")):
        return True
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        return any(member.endswith(".pkl") for member in zipfile.ZipFile(io.BytesIO(data)).namelist())
    except zipfile.BadZipFile:
        return False


def faults_of_entry(entry: tarfile.TarInfo) -> list[str]:
    """What is wrong with the mode, owner or name of one entry of a layer."""
    name, found = entry.name, []
    if entry.mode & 0o6000:
        found.append(f"{name}: is setuid or setgid (mode {entry.mode:o})")
    sticky_folder = entry.isdir() and entry.mode & 0o1000
    if entry.mode & 0o002 and not entry.issym() and not sticky_folder:
        found.append(f"{name}: anyone may write it (mode {entry.mode:o})")
    if entry.ischr() or entry.isblk():
        found.append(f"{name}: is a device")
    if not entry.isdir() and INTERPRETERS.search(posixpath.basename(name)):
        found.append(f"{name}: an interpreter; the images hold none")
    if SECRET_NAMES.search(name):
        found.append(f"{name}: a name that holds secrets")
    return found


def faults_of_content(name: str, data: bytes, machine: list[bytes]) -> list[str]:
    """What is wrong with the bytes of one file."""
    found = [f"{name}: holds a secret ({pattern.pattern.decode()})" for pattern in SECRETS if pattern.search(data)]
    found += [f"{name}: names a folder of the machine that built it ({place.decode()})" for place in machine if place in data]
    if is_pickle(name, data):
        found.append(f"{name}: is a pickle")
    return found


def faults_of_config(title: str, config: dict, version: str) -> list[str]:
    """What is wrong with the image's configuration."""
    found, labels = [], config.get("Labels") or {}
    if config.get("User") != USER:
        found.append(f"runs as user {config.get('User')!r}, not {USER}")
    if config.get("Entrypoint") != [f"/usr/local/bin/{title}"]:
        found.append(f"its entry point is {config.get('Entrypoint')}, not /usr/local/bin/{title}")
    found += [f"has no label org.opencontainers.image.{label}" for label in LABELS if not labels.get(f"org.opencontainers.image.{label}")]
    if labels.get("org.opencontainers.image.version") != version:
        found.append(f"says that it is version {labels.get('org.opencontainers.image.version')}, but Cargo.toml says {version}")
    found += [f"sets {entry}, but PATH is all that it should set" for entry in config.get("Env") or [] if not entry.startswith("PATH=")]
    return found


def runtime_config(arguments: list[str], environment: list[str]) -> dict:
    """The OCI runtime configuration of a program confined as the `restricted` level with a read-only root confines it, and without a network."""
    uid, gid = (int(part) for part in USER.split(":"))
    process = {"user": {"uid": uid, "gid": gid}, "args": arguments, "env": environment, "cwd": "/", "noNewPrivileges": True, "capabilities": {}}
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
    ]
    namespaces = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]
    linux = {"namespaces": namespaces, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]}
    return {"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True}, "process": process, "mounts": mounts, "linux": linux}


def faults_of_start(bundle: Path, program: str, config: dict, version: str) -> list[str]:
    """Starts one program with --version in the unpacked image."""
    (bundle / "config.json").write_text(json.dumps(runtime_config([program, "--version"], config["Env"])))
    command = ["runc", "run", "--bundle", str(bundle), f"temper-check-{uuid.uuid4().hex[:12]}"]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    said = (result.stdout + result.stderr).strip()
    if result.returncode or version not in result.stdout:
        return [f"{program} --version ends with {result.returncode} and says: {said}"]
    print(f"  {said}")
    return []


def main() -> None:
    archive, version = tarfile.open(sys.argv[1]), sys.argv[2]
    manifest = json.load(archive.extractfile("manifest.json"))[0]
    config = json.load(archive.extractfile(manifest["Config"]))["config"]
    title = (config.get("Labels") or {}).get("org.opencontainers.image.title")
    if title not in PROGRAMS:
        sys.exit(f"{sys.argv[1]} is titled {title}; this check knows {', '.join(PROGRAMS)}")
    checkout = Path(__file__).resolve().parent.parent
    machine = [str(place).encode() + b"/" for place in (checkout, Path.home() / ".cargo", Path.home() / ".cache")]
    faults, files = faults_of_config(title, config, version), set()
    with tempfile.TemporaryDirectory(prefix="temper-image-") as scratch:
        bundle = Path(scratch)
        bundle.chmod(0o755)
        for layer_name in manifest["Layers"]:
            layer = tarfile.open(fileobj=archive.extractfile(layer_name))
            for entry in layer:
                faults += faults_of_entry(entry)
                if not entry.isdir():
                    files.add(posixpath.normpath(entry.name))
                if entry.isfile():
                    faults += faults_of_content(entry.name, layer.extractfile(entry).read(), machine)
            layer.extractall(bundle / "rootfs", **TRUSTED)
        programs = PROGRAMS[title]
        if title == "temper-operator":
            unknown = files - OPERATOR_FILES - {f"usr/local/bin/{program}" for program in programs}
            faults += [f"{name}: does not belong in the operator's image" for name in sorted(unknown)]
        for program in programs:
            faults += faults_of_start(bundle, program, config, version)
    for fault in faults:
        print(f"{title}: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"  {title}: {len(files)} files, nothing that should not be there")


if __name__ == "__main__":
    main()
