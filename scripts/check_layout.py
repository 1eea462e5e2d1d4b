#!/usr/bin/env python3
"""Holds the rules of the house that no linter knows: file lengths, where unsafe and C++ may stand, names, and what must not be in the tree."""

import re
import subprocess
import sys
from pathlib import Path

LINES = 400
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
problems = []
files = [Path(name) for name in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()]
lengths = []
for path in files:
    if not path.is_file() or path.suffix not in {".rs", ".cc", ".h", ".py", ".sh"}:
        continue
    text = path.read_text()
    code = re.split(r"^#\[cfg\(test\)\]", text, maxsplit=1, flags=re.MULTILINE)[0]
    length = code.count("\n")
    if path.suffix == ".rs" and "tests" not in path.parts and path.name != "tests.rs":
        lengths.append(length)
        if length > LINES:
            problems.append(f"{path}: {length} lines before its tests, more than {LINES}; split it by ideas")
    if set(path.parts[:-1]) & BANNED_NAMES or path.stem in BANNED_NAMES:
        problems.append(f"{path}: name it by what it is, not `{path.stem}`")
    if path.suffix in {".cc", ".h"} and path.parts[:2] != ("trainer", "c10d"):
        problems.append(f"{path}: C++ stands in trainer/c10d only")
    allowed = path.parts[:2] == ("trainer", "c10d") or path.stem in {"mmap", "kernels"} or {"kernels", "mmap"} & set(path.parts)
    if path.suffix == ".rs" and not allowed and re.search(r"\bunsafe\s*(\{|fn|impl|extern)", code):
        problems.append(f"{path}: unsafe stands in trainer/c10d and in modules named mmap or kernels only")
    if path.suffix == ".rs" and re.search(r"\b(todo|unimplemented)!\(", code):
        problems.append(f"{path}: something is unfinished")
for problem in problems:
    print(problem, file=sys.stderr)
if problems:
    sys.exit(1)
print(f"{len(lengths)} source files, median {sorted(lengths)[len(lengths) // 2]} lines, longest {max(lengths)}")
