#!/usr/bin/env python3
"""Checks venue catalogues against the endpoint list, without the reader in Rust.

Usage: check_catalog.py [CATALOG_DIRECTORY [ENDPOINTS_JSON]]

For every venue that ENDPOINTS_JSON names: each endpoint is in the catalogue with the same class, tag, note and
sensitive mark; no operation is there twice or without being in the list (WebSocket log-ons aside); every source,
right and shape that is named exists; a write with a shape has a sourced shape; parameters use known types and roles.
Prints one line per finding and ends with status 1 if there was one.
"""

import json
import pathlib
import re
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = {"public", "read", "trade", "cancel", "account", "transfer", "withdraw", "keys", "logon", "other"}
TYPES = {
    "string", "text", "decimal", "signed_decimal", "price", "integer", "bool", "enum", "symbol", "symbols", "id",
    "ids", "timestamp", "object", "array",
}
ROLES = {
    "symbol", "symbols", "side", "type", "tif", "quantity", "quote_quantity", "price", "trigger_price", "reduce_only",
    "post_only", "leverage", "client_order_id", "order_id", "asset", "address", "amount",
}
ORDER_TYPES = {
    "LIMIT", "MARKET", "LIMIT_MAKER", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "TRAILING_STOP", "OTHER",
}
TIFS = {"GTC", "IOC", "FOK", "GTD", "GTX", "DAY"}
PRODUCTS = {"spot", "margin", "linear", "inverse", "option", "spread"}
TOP_KEYS = {
    "format", "venue", "title", "sources", "environments", "signature", "rights", "order_type", "product", "shape",
    "operation",
}
OPERATION_KEYS = {
    "method", "path", "class", "source", "right", "params_in", "body", "array", "items_max", "shape", "tag", "note",
    "sensitive", "ws", "hosts",
}
PARAM_KEYS = {"name", "type", "required", "role", "values", "max", "items", "items_max", "of", "legs", "const", "prefixes"}


def check_shapes(catalog, find):
    """Parameters of every shape: names, types, roles, references."""
    shapes = catalog.get("shape", {})
    reserved = set(catalog["signature"].get("reserved", []))
    for name, shape in shapes.items():
        where = f"shape.{name}"
        params = shape.get("params", [])
        names = [p["name"] for p in params]
        for key in set(shape) - {"source", "params", "one_of"}:
            find(f"{where}: unknown key {key}")
        for twice in {n for n in names if names.count(n) > 1}:
            find(f"{where}: parameter {twice} twice")
        roles = [p["role"] for p in params if "role" in p]
        for twice in {r for r in roles if roles.count(r) > 1}:
            find(f"{where}: role {twice} twice")
        for group in shape.get("one_of", []):
            for missing in set(group) - set(names):
                find(f"{where}: one_of names {missing}, which is no parameter")
        for p in params:
            at = f"{where}.{p['name']}"
            for key in set(p) - PARAM_KEYS:
                find(f"{at}: unknown key {key}")
            if p["name"] in reserved:
                find(f"{at}: reserved for the vault")
            if p.get("type") not in TYPES:
                find(f"{at}: unknown type {p.get('type')}")
            if "role" in p and p["role"] not in ROLES:
                find(f"{at}: unknown role {p['role']}")
            if (p.get("type") == "enum") != bool(p.get("values")):
                find(f"{at}: values belong to an enum, and an enum needs them")
            if "items" in p and p["items"] not in shapes:
                find(f"{at}: items names no shape")
            if p.get("type") in ("object", "array") and not ("items" in p or "of" in p):
                find(f"{at}: needs items or of")


def check_rules(catalog, find):
    """Order types and product rules speak of parameters and values that some shape has."""
    params = [p for shape in catalog.get("shape", {}).values() for p in shape.get("params", [])]
    values = {}
    for p in params:
        values.setdefault(p["name"], set()).update(p.get("values", []))
    type_values = {v for p in params if p.get("role") == "type" for v in p.get("values", [])}
    seen = set()
    for rule in catalog.get("order_type", []):
        if rule["venue"] in seen:
            find(f"order_type {rule['venue']} twice")
        seen.add(rule["venue"])
        if rule["venue"] not in type_values:
            find(f"order_type {rule['venue']}: no shape accepts it")
        if rule["type"] not in ORDER_TYPES or rule.get("tif", "GTC") not in TIFS:
            find(f"order_type {rule['venue']}: unknown type or tif")
    for number, rule in enumerate(catalog.get("product", [])):
        if rule["product"] not in PRODUCTS:
            find(f"product rule {number}: unknown product {rule['product']}")
        if "present" in rule and rule["present"] not in values:
            find(f"product rule {number}: no shape has {rule['present']}")
        for key, accepted in rule.get("where", {}).items():
            for value in set(accepted) - values.get(key, set()):
                find(f"product rule {number}: no shape has {key} = {value}")


def check_operations(catalog, rows, find):
    """Operations agree with the endpoint list, and everything they name exists."""
    sources = catalog["sources"]
    shapes = catalog.get("shape", {})
    rights = set(catalog.get("rights", {}).get("names", []))
    operations = {}
    for op in catalog.get("operation", []):
        key = (op["method"], op["path"])
        at = " ".join(key)
        if key in operations:
            find(f"{at}: twice")
        operations[key] = op
        for unknown in set(op) - OPERATION_KEYS:
            find(f"{at}: unknown key {unknown}")
        if op["class"] not in CLASSES:
            find(f"{at}: unknown class {op['class']}")
        if op.get("source") not in sources:
            find(f"{at}: source {op.get('source')} is not in [sources]")
        if "right" in op and op["right"] not in rights:
            find(f"{at}: right {op['right']} is not in [rights]")
        if not re.fullmatch(r"/[A-Za-z0-9_./-]+", op["path"]) or "//" in op["path"] or "/." in op["path"]:
            find(f"{at}: path is not canonical")
        if op.get("ws") and op["class"] != "logon":
            find(f"{at}: ws is for log-ons")
        if op.get("array") and (op.get("body") != "json" or "items_max" not in op or "shape" not in op):
            find(f"{at}: an array needs body = json, items_max and a shape")
        if "shape" in op:
            shape = shapes.get(op["shape"])
            if shape is None:
                find(f"{at}: shape {op['shape']} does not exist")
            elif op["class"] not in ("read", "public") and shape.get("source") in (None, "unverified"):
                find(f"{at}: a write whose shape {op['shape']} has no source")
    used = {op.get("shape") for op in operations.values()}
    used |= {p["items"] for shape in shapes.values() for p in shape.get("params", []) if "items" in p}
    for name in set(shapes) - used:
        find(f"shape.{name}: not used")
    listed = set()
    for row in rows:
        key = (row["method"], row["path"])
        listed.add(key)
        op = operations.get(key)
        if op is None:
            find(f"{' '.join(key)}: missing")
            continue
        for field in ("class", "tag", "note", "sensitive"):
            if op.get(field) != row.get(field):
                find(f"{' '.join(key)}: {field} is {op.get(field)!r}, the list says {row.get(field)!r}")
    for key, op in operations.items():
        if key not in listed and not op.get("ws"):
            find(f"{' '.join(key)}: not in the endpoint list")


def check_sources(catalog, find):
    """Every source outside the operations is a key of [sources]; none is left unused."""
    sources = catalog["sources"]
    used = {op.get("source") for op in catalog.get("operation", [])}
    cited = [("signature", catalog["signature"].get("source"))]
    if "client_order_id_source" in catalog["signature"]:
        cited.append(("signature.client_order_id", catalog["signature"]["client_order_id_source"]))
    if "rights" in catalog:
        cited.append(("rights", catalog["rights"].get("source")))
    cited += [(f"shape.{name}", shape.get("source")) for name, shape in catalog.get("shape", {}).items()]
    for at, source in cited:
        used.add(source)
        if source not in sources:
            find(f"{at}: source {source} is not in [sources]")
    return sorted(set(sources) - used)


def main(arguments):
    """Runs every check and returns the exit status."""
    catalogs = pathlib.Path(arguments[0]) if arguments else HERE.parent.parent / "vault-server" / "venue" / "catalog"
    listing = pathlib.Path(arguments[1]) if len(arguments) > 1 else HERE / "venue" / "endpoints.json"
    endpoints = json.loads(listing.read_text(encoding="utf-8"))["endpoints"]
    findings = 0
    for venue in sorted({row["venue"] for row in endpoints}):
        problems = []
        path = catalogs / f"{venue}.toml"
        try:
            catalog = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            print(f"{venue}: {error}")
            findings += 1
            continue
        if catalog.get("format") != 1 or catalog.get("venue") != venue:
            problems.append("format or venue is wrong")
        problems += [f"unknown key {key}" for key in set(catalog) - TOP_KEYS]
        rows = [row for row in endpoints if row["venue"] == venue]
        only_cited_in_comments = check_sources(catalog, problems.append)
        check_shapes(catalog, problems.append)
        check_rules(catalog, problems.append)
        check_operations(catalog, rows, problems.append)
        for problem in sorted(problems):
            print(f"{venue}: {problem}")
        findings += len(problems)
        operations = catalog.get("operation", [])
        with_shape = sum("shape" in op for op in operations)
        print(f"{venue}: {len(operations)} operations, {with_shape} with a shape, {len(rows)} listed, {len(problems)} findings"
              + (f"; sources named in comments only: {', '.join(only_cited_in_comments)}" if only_cited_in_comments else ""))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
