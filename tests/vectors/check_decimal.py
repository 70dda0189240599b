#!/usr/bin/env python3
"""Recomputes what `vault_model::Money` did, with `decimal` and with `fractions`.

    check_decimal.py FILE

FILE is JSON lines, one per case, as vault-server/model/tests/money/python.rs writes them:

    {"parse": TEXT, "is": TEXT or null}
    {"start": TEXT, "steps": [[OP, TEXT, RESULT or null], ...]}      OP: + - *
    {"compare": [TEXT, TEXT], "is": "<" or "=" or ">"}

A result must be the exact one, written without idle zeros; `null` is right if and only if the exact
one is no multiple of 10^-18, or is out of the range of an i128 of them. Prints what it checked, as
JSON; ends with 1 at the first case that does not hold. Standard library only.
"""

import decimal
import json
import re
import sys
from collections import Counter
from fractions import Fraction

decimal.getcontext().prec = 100
for signal in (decimal.Inexact, decimal.Rounded, decimal.InvalidOperation, decimal.Overflow):
    decimal.getcontext().traps[signal] = signal is not decimal.Rounded

DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
UNIT = 10**18


def fits(value):
    """Whether an exact value is a multiple of 10^-18 in the range of an i128 of them."""
    units = value * UNIT
    return units.denominator == 1 and -(2**127) <= units.numerator < 2**127


def plain(value):
    """The exact text of a value that fits."""
    units = int(value * UNIT)
    whole, part = divmod(abs(units), UNIT)
    text = f"{whole}.{part:018}".rstrip("0").rstrip(".")
    return f"-{text}" if units < 0 else text


def both(operation, one, other):
    """The exact result, by `fractions` and by `decimal`, which must agree."""
    by_decimal, by_fraction = (
        {"+": a + b, "-": a - b, "*": a * b}[operation] for a, b in zip(one, other)
    )
    assert Fraction(by_decimal) == by_fraction, (operation, one, other)
    return by_decimal, by_fraction


def number(text):
    return decimal.Decimal(text), Fraction(text)


def check(case, counts):
    if "parse" in case:
        text = case["parse"]
        taken = DECIMAL.fullmatch(text) is not None
        expected = plain(Fraction(text)) if taken else None
        counts["parsed" if taken else "not parsed"] += 1
        return expected == case["is"]
    if "compare" in case:
        one, other = (number(text) for text in case["compare"])
        signs = [">" if a > b else "<" if a < b else "=" for a, b in zip(one, other)]
        counts["compared"] += 1
        return signs == [case["is"]] * 2
    value = number(case["start"])
    for operation, text, result in case["steps"]:
        value = both(operation, value, number(text))
        exact = value[1]
        if not fits(exact):
            inexact = (exact * UNIT).denominator != 1
            counts[f"{operation} absent: {'inexact' if inexact else 'range'}"] += 1
            return result is None
        counts[f"{operation} exact"] += 1
        if result != plain(exact):
            return False
    return True


def main():
    counts = Counter()
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            if not check(json.loads(line), counts):
                print(f"does not hold: {line}", file=sys.stderr)
                return 1
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
