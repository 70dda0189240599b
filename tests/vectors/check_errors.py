#!/usr/bin/env python3
"""Holds docs/reference/errors.md against the sources: every reason code that the server can give has its row,
and no row is of a code that is gone. Prints what differs and ends with 1 if anything does. Standard library only."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/errors.md"
SERVER = ROOT / "vault-server"
# Files whose every upper-case text is a reason code.
TABLES = [
    SERVER / "core/src/error.rs",
    SERVER / "policy/src/denial.rs",
    SERVER / "policy/src/price.rs",
    SERVER / "venue/src/error.rs",
]
CODE = r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)"'
# Codes that are given anywhere else: `Failure::new(Code::X, "CODE", ...)`, `reason = Some("CODE"...)`, the rest of
# failures that are counted.
ELSEWHERE = [
    r"Failure::new\(\s*(?:[A-Za-z_]+::)*[A-Za-z_]+,\s*" + CODE,
    r"reason\s*[:=]\s*Some\(\s*" + CODE,
    r"const OTHER_SOURCES: &str =\s*" + CODE,
]


def code_of(path):
    """A file without its tests and comments."""
    text = path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


def given():
    """Every code, and the file that gives it."""
    found = {}
    for path in TABLES:
        codes = re.findall(CODE, code_of(path))
        if not codes:
            sys.exit(f"{path.relative_to(ROOT)}: no codes found; has the file moved?")
        found.update((code, path) for code in codes)
    for path in sorted(SERVER.rglob("*.rs")):
        if "tests" in path.relative_to(SERVER).parts or path.name == "tests.rs":
            continue
        text = code_of(path)
        for pattern in ELSEWHERE:
            found.update((code, path) for code in re.findall(pattern, text))
    return found


def main():
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \| ([A-Z_]+|none) \|", page, flags=re.MULTILINE)
    listed = [code for code, _ in rows]
    known = given()
    problems = [
        f"{known[code].relative_to(ROOT)}: {code} is not in {PAGE.relative_to(ROOT)}"
        for code in sorted(set(known) - set(listed))
    ]
    problems += [f"{PAGE.relative_to(ROOT)}: {code} is in no source" for code in sorted(set(listed) - set(known))]
    problems += [f"{PAGE.relative_to(ROOT)}: {code} is there twice" for code in sorted({c for c in listed if listed.count(c) > 1})]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{len(listed)} reason codes, all documented")


if __name__ == "__main__":
    main()
