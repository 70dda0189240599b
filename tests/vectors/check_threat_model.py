#!/usr/bin/env python3
"""Holds docs/threat-model.md against the tests: every line of its tables names the test that shows it, or says why there
is none, and every test that is named is there. Prints what differs and ends with 1 if anything does. Standard library
only.

A test is named `BINARY::NAME`, or `BINARY::FILE::NAME` where two have one name: a file or folder of tests/tests/, a
crate (`vault-core`), or `vaultctl`; NAME is the function's alone. A line without one has to begin its last column with
one of REASONS."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/threat-model.md"
COLUMN = "Shown by"
REASONS = ("by construction: ", "by argument: ", "no test: ")
REASON_LETTERS_MIN = 20
NAMED = re.compile(r"`([a-z][a-z0-9_-]*)::((?:[a-z_][a-z0-9_]*::)?[a-z_][a-z0-9_]*)`")
TEST = re.compile(r"#\[(?:tokio::)?test\b[^\]]*\]\s*(?:(?:#\[[^\]]*\]|//[^\n]*)\s*)*(?:pub )?(?:async )?fn ([a-z0-9_]+)")


def folders(binary):
    """Where the tests of a name may be."""
    tests = ROOT / "tests/tests"
    crates = [ROOT / "vault-server" / binary.removeprefix("vault-"), ROOT / binary]
    if binary == "vaultctl":
        return [ROOT / "vault-client/src/bin/vaultctl"]
    if binary.startswith("vault-"):
        found = [crate for crate in crates if (crate / "Cargo.toml").exists()]
        # The package `vault-server` has crates below it: its own are in `src`.
        return [crate / "src" for crate in found] + [crate / "tests" for crate in found]
    return [tests / f"{binary}.rs", tests / binary]


def tests_of(binary, known={}):
    """The names of all test functions of a binary, alone and behind their file's; empty if there is no such binary."""
    if binary not in known:
        names = set()
        for place in folders(binary):
            files = [place] if place.is_file() else sorted(place.rglob("*.rs"))
            for path in files:
                found = TEST.findall(path.read_text(encoding="utf-8"))
                names.update(found)
                names.update(f"{path.stem}::{name}" for name in found)
        known[binary] = names
    return known[binary]


def cells(line):
    """The columns of a row; a bar inside back quotes or after a backslash is none."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line.strip().strip("|"))]


def main():
    problems, lines, tests, reasons = [], 0, set(), 0
    width, is_table = 0, False
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{PAGE.relative_to(ROOT)}:{number}"
        for binary, name in NAMED.findall(line):
            tests.add((binary, name))
            if not tests_of(binary):
                problems.append(f"{where}: there are no tests of {binary}")
            elif name not in tests_of(binary):
                problems.append(f"{where}: {binary} has no test {name}")
        if not line.startswith("|"):
            is_table = False
            continue
        row = cells(line)
        if not is_table:
            is_table, width = True, len(row)
            if row[-1] != COLUMN:
                problems.append(f"{where}: the last column of a table is '{COLUMN}'")
            continue
        if set(line) <= set("|-: "):
            continue
        lines += 1
        if len(row) != width:
            problems.append(f"{where}: {len(row)} columns, not {width}")
        reason = next((row[-1].removeprefix(word) for word in REASONS if row[-1].startswith(word)), None)
        reasons += reason is not None
        if reason is not None and len(re.sub(r"[^A-Za-z]", "", reason)) < REASON_LETTERS_MIN:
            problems.append(f"{where}: say why")
        if reason is None and not NAMED.search(row[-1]):
            problems.append(f"{where}: no test is named, and no reason given")
    if lines < 50:
        problems.append(f"{PAGE.relative_to(ROOT)}: {lines} lines in tables; has the page changed its form?")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{lines} lines of the threat model, {len(tests)} tests, all there; {reasons} lines begin with a reason")


if __name__ == "__main__":
    main()
