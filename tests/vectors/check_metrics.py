#!/usr/bin/env python3
"""Holds docs/reference/metrics.md against the sources, and the alert rules and the dashboard against the page: every
figure has its row, no row is of a figure that is gone, and every name and label that a rule or panel asks for is one
of them. Holds docs/reference/alarms.md against the kinds of alarm in the same way, and the days before the end of a
certificate at which somebody is told against how long it is good for. `promtool`, where it is installed, checks the
rules too, and what they make of the cases in alerts.yml and alerts_days.yml beside this file. Prints what differs and ends with 1 if anything does. Standard library only."""

import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/metrics.md"
TABLE = ROOT / "vault-server/ipc/src/metric.rs"
RULES = ROOT / "docs/deploy/prometheus/alerts.yml"
CASES = [ROOT / "tests/vectors/alerts.yml", ROOT / "tests/vectors/alerts_days.yml"]
DASHBOARD = ROOT / "docs/deploy/grafana/countersign.json"
ALARMS = ROOT / "docs/reference/alarms.md"
CONCERNS = ROOT / "vault-server/src/alarm/concern.rs"
LIFETIMES = ROOT / "vault-server/core/src/certificate.rs"
# Labels that Prometheus gives, and that of a histogram's buckets.
COMMON = {"instance", "job", "le"}


def table():
    """Form and labels of every figure, by name."""
    text = TABLE.read_text(encoding="utf-8")
    rows = re.findall(r'^    \w+: (Counter|Gauge|Seconds|Sizes) "(\w+)" \[([^\]]*)\]', text, flags=re.MULTILINE)
    if not rows:
        sys.exit(f"{TABLE.relative_to(ROOT)}: no figures found; has the table moved?")
    return {name: (form, re.findall(r'"(\w+)"', labels)) for form, name, labels in rows}


def page():
    """The same as the page has it."""
    rows = re.findall(r"^\| `(countersign_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(name, form, re.findall(r"`(\w+)`", labels)) for name, form, labels in rows]


def of_page(known, problems):
    where = PAGE.relative_to(ROOT)
    listed = page()
    names = [name for name, _, _ in listed]
    problems += [f"{where}: {name} is not there" for name in sorted(set(known) - set(names))]
    problems += [f"{where}: {name} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    words = {"Counter": "counter", "Gauge": "gauge", "Seconds": "histogram", "Sizes": "histogram"}
    for name, form, labels in listed:
        if name not in known:
            problems.append(f"{where}: {name} is in no source")
        elif (form, labels) != (words[known[name][0]], known[name][1]):
            problems.append(f"{where}: {name} is a {words[known[name][0]]} with {known[name][1]}")


def expressions():
    """Every question to Prometheus, and where it stands."""
    text = RULES.read_text(encoding="utf-8")
    for block in re.findall(r"^        expr: (?:>-\n((?:          .*\n)+)|(.*)\n)", text, flags=re.MULTILINE):
        yield RULES, " ".join("".join(block).split())
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield DASHBOARD, target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield DASHBOARD, annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield DASHBOARD, variable["query"]["query"]


def of_questions(known, problems):
    asked, count = set(), 0
    for path, expression in expressions():
        where, count = path.relative_to(ROOT), count + 1
        for name, selector in re.findall(r"(countersign_\w+)(?:\{([^}]*)\})?", expression):
            form, base = None, name
            for suffix in ("", "_bucket", "_sum", "_count"):
                if name.endswith(suffix) and (known.get(name.removesuffix(suffix)) is not None):
                    base = name.removesuffix(suffix)
                    form = known[base][0]
                    is_histogram = form in ("Seconds", "Sizes")
                    if is_histogram != bool(suffix):
                        problems.append(f"{where}: {name} is no series of {base}")
            if form is None:
                problems.append(f"{where}: {name} is no figure")
                continue
            asked.add(base)
            labels = set(re.findall(r"(\w+)\s*[=!]~?", selector))
            problems += [f"{where}: {base} has no label {label}" for label in sorted(labels - set(known[base][1]) - COMMON)]
        of_all = set().union(*(known.get(re.sub(r"_(bucket|sum|count)$", "", n), known.get(n, ("", [])))[1] for n in re.findall(r"countersign_\w+", expression)))
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            unknown = {label.strip() for label in labels.split(",")} - of_all - COMMON
            problems += [f"{where}: none of its figures has the label {label}: {expression}" for label in sorted(unknown)]
    if count < 40:
        problems.append(f"only {count} questions were found; has a file another form?")
    return asked


def of_alarms(problems):
    kinds = re.findall(r'^    \w+ "([A-Z_]+)" (Critical|Warning) "', CONCERNS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if not kinds:
        sys.exit(f"{CONCERNS.relative_to(ROOT)}: no kinds found; has the table moved?")
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\w+) \|", ALARMS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    known = {kind: severity.lower() for kind, severity in kinds}
    if sorted(rows) != sorted(known.items()):
        problems.append(f"{ALARMS.relative_to(ROOT)}: its kinds are {sorted(rows)}, the source has {sorted(known.items())}")
    return len(known)


def of_certificates(problems):
    """Who is told that a certificate runs out has time left, and is not told of one that is renewed in time."""
    seconds = re.findall(r"pub const (\w+): Duration = Duration::from_secs\(([\d_ *]+)\);", LIFETIMES.read_text(encoding="utf-8"))
    days = {name: math.prod(int(factor) for factor in text.split("*")) / 86_400 for name, text in seconds}
    if not {"SERVER", "OPERATOR", "AUTHORITY"} <= days.keys():
        sys.exit(f"{LIFETIMES.relative_to(ROOT)}: no lifetimes found; have they moved?")
    # The server's is renewed when a third of its time is left; people need days for theirs.
    bounds = {"server": (2, days["SERVER"] / 3), "operator": (7, days["OPERATOR"] / 3), "ca": (90, days["AUTHORITY"] / 10)}
    rules = re.findall(r'certificate="(\w+)"\} - time\(\) < (\d+) \* 86400', RULES.read_text(encoding="utf-8"))
    alarms = re.findall(r"^const (SERVER|OPERATOR|CA)_DAYS: f64 = ([\d.]+);", CONCERNS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stated = [(RULES, kind, float(left)) for kind, left in rules]
    stated += [(CONCERNS, kind.lower(), float(left)) for kind, left in alarms]
    for path in (RULES, CONCERNS):
        missing = bounds.keys() - {kind for where, kind, _ in stated if where == path}
        problems += [f"{path.relative_to(ROOT)}: nothing tells that the {kind}'s certificate runs out" for kind in sorted(missing)]
    for path, kind, left in stated:
        least, most = bounds[kind]
        if not least <= left < most:
            problems.append(f"{path.relative_to(ROOT)}: {left:g} days before the end of the {kind}'s certificate are not between {least} and {most:g}")


def as_rules(questions):
    """The dashboard's questions as rules, which promtool can read."""
    lines = ["groups:", "- name: panels", "  rules:"]
    for number, question in enumerate(questions):
        question = question.replace("$__rate_interval", "1m").replace("$instance", ".*")
        if not question.startswith("label_values("):
            lines += [f"  - record: panel{number}", f"    expr: {json.dumps(question)}"]
    return "\n".join(lines) + "\n"


def main():
    problems = []
    known = table()
    of_page(known, problems)
    asked = of_questions(known, problems)
    alarms = of_alarms(problems)
    of_certificates(problems)
    promtool = shutil.which("promtool")
    if promtool:
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as panels:
            panels.write(as_rules(expression for path, expression in expressions() if path == DASHBOARD))
            panels.flush()
            rules = ["check", "rules", str(RULES), panels.name]
            for words in (rules, ["test", "rules", *map(str, CASES)]):
                checked = subprocess.run([promtool, *words], capture_output=True, text=True)
                if checked.returncode != 0:
                    problems.append(checked.stdout + checked.stderr)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    judged = "rules checked by promtool" if promtool else "no promtool here"
    print(f"{len(known)} figures, {len(asked)} of them asked for, {alarms} alarms, all documented; {judged}")


if __name__ == "__main__":
    main()
