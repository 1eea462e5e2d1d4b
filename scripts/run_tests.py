#!/usr/bin/env python3
"""Runs every test of the workspace, in two lanes at the same time: `cargo test` would run one program after the other.

The tests beside a real API server mostly wait, for what a cluster does in its own time. Those of everything else mostly compute. What a
program prints is shown when it has ended; the first that fails ends everything.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

CARGO = ["cargo", "test", "--release", "--locked", "--workspace"]
# The package whose tests wait, and how many of them run at the same time.
WAITING, WAITING_AT_ONCE = "temper-cluster-tests", 4


class Program(NamedTuple):
    """One program of tests: what it is called, its package's folder, the file."""

    name: str
    package: str
    folder: Path
    file: str


def programs() -> list[Program]:
    """Builds the tests, and says what there is to run. Warnings and errors go to the terminal as cargo writes them."""
    built = subprocess.run([*CARGO, "--no-run", "--message-format", "json-render-diagnostics"], stdout=subprocess.PIPE, text=True)
    if built.returncode:
        sys.exit(built.returncode)
    found = []
    for message in map(json.loads, built.stdout.splitlines()):
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message.get("executable"):
            folder, target = Path(message["manifest_path"]).parent, message["target"]
            package = message["package_id"].rsplit("#", 1)[-1].split("@")[0].rsplit("/", 1)[-1]
            package = package if not package[0].isdigit() else folder.name
            found.append(Program(f"{package}: {Path(target['src_path']).relative_to(folder)}", package, folder, message["executable"]))
    return sorted(found)


class Lanes:
    """What runs, and whether all has gone well."""

    def __init__(self) -> None:
        self.lock, self.running, self.failed = threading.Lock(), set(), []

    def run(self, program: Program, environment: dict[str, str]) -> None:
        began = time.monotonic()
        with self.lock:
            if self.failed:
                return
            command = subprocess.Popen(
                [program.file],
                cwd=program.folder,
                env={**os.environ, **environment, "CARGO_MANIFEST_DIR": str(program.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self.running.add(command)
        said = command.communicate()[0]
        with self.lock:
            self.running.discard(command)
            if self.failed:
                return
            print(f"\n     Running {program.name} ({time.monotonic() - began:.0f} s)\n{said.rstrip()}", flush=True)
            if command.returncode:
                self.failed.append(f"{program.name} ended with {command.returncode}")
                self.end()

    def end(self) -> None:
        """Ends what runs, with what it has started."""
        for command in self.running:
            try:
                os.killpg(command.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main() -> None:
    found = programs()
    lanes = Lanes()
    waiting = [program for program in found if program.package == WAITING]
    computing = [program for program in found if program.package != WAITING]
    if not waiting or not computing:
        sys.exit(f"run_tests: cargo names {len(waiting)} programs of {WAITING} and {len(computing)} others; there are some of both")

    def lane(programs: list[Program], environment: dict[str, str]) -> threading.Thread:
        thread = threading.Thread(target=lambda: [lanes.run(program, environment) for program in programs])
        thread.start()
        return thread

    threads = [lane(waiting, {"RUST_TEST_THREADS": str(WAITING_AT_ONCE)}), lane(computing, {})]
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        lanes.failed.append("interrupted")
        lanes.end()
    if lanes.failed:
        sys.exit(f"run_tests: {lanes.failed[0]}")
    sys.exit(subprocess.run([*CARGO, "--doc"]).returncode)


if __name__ == "__main__":
    main()
