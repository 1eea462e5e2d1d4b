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
            # path+file:///FOLDER#NAME@VERSION, or without NAME@ where that is the folder's name.
            named = message["package_id"].rsplit("#", 1)[-1].rpartition("@")[0]
            package = named or folder.name
            found.append(Program(f"{package}: {Path(target['src_path']).relative_to(folder)}", package, folder, message["executable"]))
    return sorted(found)


class Lanes:
    """What runs, and whether all has gone well. The lock is held wherever either changes."""

    def __init__(self) -> None:
        self.lock, self.running, self.ran, self.failure = threading.Lock(), set(), 0, ""

    def start(self, program: Program, environment: dict[str, str]) -> subprocess.Popen | None:
        with self.lock:
            if self.failure:
                return None
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
            return command

    def run(self, programs: list[Program], environment: dict[str, str]) -> None:
        """Runs one after the other, until one fails."""
        try:
            for program in programs:
                began = time.monotonic()
                command = self.start(program, environment)
                if command is None:
                    return
                said = command.communicate()[0]
                with self.lock:
                    self.running.discard(command)
                    self.ran += 1
                    if self.failure:
                        return
                    print(f"\n     Running {program.name} ({time.monotonic() - began:.0f} s)\n{said.rstrip()}", flush=True)
                if command.returncode:
                    self.end(f"{program.name} ended with {command.returncode}")
        except Exception as error:  # A lane that breaks must not look like one that is done.
            self.end(f"a lane broke: {error!r}")

    def end(self, why: str) -> None:
        """Ends what runs, with what it has started. Nothing more begins."""
        with self.lock:
            self.failure = self.failure or why
            for command in self.running:
                try:
                    os.killpg(command.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, interrupted)
    found = programs()
    waiting = [program for program in found if program.package == WAITING]
    computing = [program for program in found if program.package != WAITING]
    if not waiting or not computing:
        sys.exit(f"run_tests: cargo names {len(waiting)} programs of {WAITING} and {len(computing)} others; there are some of both")
    lanes = Lanes()
    threads = [
        threading.Thread(target=lanes.run, args=(waiting, {"RUST_TEST_THREADS": str(WAITING_AT_ONCE)})),
        threading.Thread(target=lanes.run, args=(computing, {})),
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        lanes.end("interrupted")
    if lanes.failure or lanes.ran != len(found):
        sys.exit(f"run_tests: {lanes.failure or f'{lanes.ran} of {len(found)} programs ran'}")
    sys.exit(subprocess.run([*CARGO, "--doc"]).returncode)


if __name__ == "__main__":
    main()
