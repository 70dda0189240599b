#!/usr/bin/env python3
"""Holds docs/doctor.md against the sources of `vaultctl doctor`: every code has its row, no row is of a code that is
gone, and no finding has a level that its row leaves out. Prints what differs and ends with 1 if anything does.
Standard library only."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/doctor.md"
DOCTOR = ROOT / "vault-client/src/bin/vaultctl/doctor"
CODES = DOCTOR / "finding.rs"
LEVELS = {"ok", "note", "warning", "problem"}


def given():
    """Every code by its variant, in the order of the source."""
    codes = re.findall(r'^    (\w+) = "([A-Z][A-Z0-9_]*)",$', CODES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if not codes:
        sys.exit(f"{CODES.relative_to(ROOT)}: no codes found; has the file moved?")
    return dict(codes)


def levels():
    """Pairs of variant and level, where a source has both in one call."""
    pairs = set()
    for path in [DOCTOR.with_suffix(".rs"), *sorted(DOCTOR.glob("*.rs"))]:
        text = path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        for level, variant in re.findall(r"Finding::(ok|note|warning|problem)\(\s*Code::(\w+)", text):
            pairs.add((variant, level))
        for variant in re.findall(r"Finding::note_or_warning\([^;]*?Code::(\w+)", text):
            pairs.update({(variant, "note"), (variant, "warning")})
    return pairs


def main():
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \| ([a-z, ]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    known, listed = given(), [code for code, _ in rows]
    page, source = PAGE.relative_to(ROOT), CODES.relative_to(ROOT)
    problems = [f"{source}: {code} is not in {page}" for code in sorted(set(known.values()) - set(listed))]
    problems += [f"{page}: {code} is in no source" for code in sorted(set(listed) - set(known.values()))]
    problems += [f"{page}: {code} is there twice" for code in sorted({c for c in listed if listed.count(c) > 1})]
    if list(known) != sorted(known):
        problems.append(f"{source}: codes are not in order")
    stated = {code: {level.strip() for level in text.split(",")} for code, text in rows}
    for code, levels_of in stated.items():
        problems += [f"{page}: {code} has a level {level}" for level in sorted(levels_of - LEVELS)]
    for variant, level in sorted(levels()):
        code = known.get(variant, variant)
        if level not in stated.get(code, {level}):
            problems.append(f"{page}: {code} can be a {level}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{len(listed)} codes of the doctor, all documented")


if __name__ == "__main__":
    main()
