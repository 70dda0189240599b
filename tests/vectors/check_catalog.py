#!/usr/bin/env python3
"""Checks venue catalogues against the endpoint list, without the reader in Rust.

Usage: check_catalog.py [CATALOG_DIRECTORY [ENDPOINTS_JSON]]

A catalogue is VENUE.toml, or several parts in the folder VENUE. For every venue that ENDPOINTS_JSON names: each
endpoint is in the catalogue with the same class, tag, note and sensitive mark; no operation is there twice; one that
is not in the list is sourced by something else than ccxt, whose operations the list has (WebSocket log-ons aside);
every source, right and shape that is named exists; where hosts are of sites, each that takes a key is of one; a write with a shape has a sourced shape; parameters use known
types and roles, and nothing that only the vault sets is among them.
Prints one line per finding and ends with status 1 if there was one.
"""

import json
import pathlib
import re
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
# What the catalogue takes for more dangerous than the list does: the documents know this path only as a POST, which
# deletes a sub-account.
STRONGER = {("GET", "/v5/user/del-submember"): {"class": "keys"}}
# What ccxt has twice, with a key and without: market data for everybody.
OPEN = {("GET", "/v5/market/instruments-info"): {"class": "public"}}
CLASSES = {"public", "read", "trade", "cancel", "account", "transfer", "withdraw", "keys", "logon", "other"}
TYPES = {
    "string", "text", "decimal", "signed_decimal", "integer", "bool", "enum", "symbol", "symbols", "id",
    "ids", "timestamp", "object", "array",
}
ROLES = {
    "symbol", "symbols", "side", "type", "tif", "quantity", "quote_quantity", "price", "trigger_price", "reduce_only",
    "post_only", "leverage", "margin_mode", "deadline", "client_order_id", "order_id", "asset", "address", "amount",
}
ORDER_TYPES = {
    "LIMIT", "MARKET", "LIMIT_MAKER", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "TRAILING_STOP", "OTHER",
}
TIFS = {"GTC", "IOC", "FOK", "GTD", "GTX", "DAY"}
PRODUCTS = {"spot", "margin", "linear", "inverse", "option", "spread"}
KEY_TYPES = {"hmac", "rsa", "ed25519", "es256", "legacy-hmac"}
PARTS = {"method", "host", "path", "query", "body"}
MARGIN_MODES = {"cash", "cross", "isolated"}
SIZE_UNITS = {"base", "quote", "unknown"}
RESPONSE_KEYS = {"order_id", "error_code", "source"}
HEAD_KEYS = {
    "response", "title", "environments", "signature", "rights", "defaults", "order_type", "tif", "margin_mode", "product", "size",
    "answer", "check", "cancel_all",
}
ANSWER_KEYS = {"at", "ok", "silent", "not_permitted", "source"}
CHECK_KEYS = {
    "method", "path", "environments", "key_types", "manage", "withdraw", "transfer", "flags", "optional", "lists", "separator",
    "present", "words", "read_only", "ip", "expires", "nonce_window", "source",
}
CANCEL_ALL_KEYS = {"name", "source", "environments", "right", "by_symbol_only", "rounds", "look", "cancel"}
LOOK_KEYS = {"method", "path", "query", "one_query", "symbol", "id", "page"}
CANCEL_KEYS = {"method", "path", "query", "body", "one_body", "item", "items_max", "count"}
PART_KEYS = {"format", "venue", "sources", "shape", "operation", "socket", "channel"}
SIGNATURE_KEYS = {
    "scheme", "binds", "joined", "window", "usable_ms", "source", "needs_passphrase", "nonce", "key_types",
    "client_order_id_reuse", "client_order_id_source", "reserved", "caller_headers", "variant",
}
VARIANT_KEYS = {"key_types", "binds", "usable_ms", "source"}
ENVIRONMENT_KEYS = {"hosts", "ws_hosts", "headers", "routes", "ws_routes", "sites"}
SITE_KEYS = {"hosts", "source"}
OPERATION_KEYS = {
    "method", "path", "class", "source", "right", "product", "margin_mode", "amends", "binds", "domain", "signed", "rpc",
    "params_in", "body", "array", "items_max", "shape", "tag", "note", "sensitive", "ws", "held", "kept", "handle",
}
SOCKET_KEYS = {"kind", "environments", "hosts", "paths", "queries", "public_channels", "source"}
SOCKET_KINDS = {"listen", "private", "public", "rpc"}
SHAPE_KEYS = {"source", "include", "params", "one_of", "only_one"}
PARAM_KEYS = {
    "name", "type", "required", "role", "values", "max", "items", "items_max", "of", "legs", "const",
    "merge", "implies", "pattern", "refused", "repeats", "products",
}
IMPLIED_KEYS = {"type", "tif", "post_only"}
PARAMS_IN = {"query", "body", "none", "either"}
BODIES = {"json", "form", "json_or_form"}


def many(value):
    """One or many, as a list."""
    return value if isinstance(value, list) else [value]


def read(catalogs, venue, find):
    """All parts of a venue as one catalogue."""
    folder = catalogs / venue
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else [catalogs / f"{venue}.toml"]
    if folder.is_dir() and (catalogs / f"{venue}.toml").exists():
        find("is a file and a folder")
    whole = {"sources": {}, "shape": {}, "operation": [], "socket": [], "channel": [], "order_type": [], "tif": []}
    whole |= {"margin_mode": [], "product": [], "size": []}
    heads = 0
    for file in files:
        part = tomllib.loads(file.read_text(encoding="utf-8"))
        if part.get("format") != 1 or part.get("venue") != venue:
            find(f"{file.name}: format or venue is wrong")
        for key in set(part) - PART_KEYS - HEAD_KEYS:
            find(f"{file.name}: unknown key {key}")
        if "signature" in part:
            heads += 1
            whole.update({key: part[key] for key in HEAD_KEYS & set(part)})
        else:
            for key in HEAD_KEYS & set(part):
                find(f"{file.name}: {key} belongs to the part with the signature")
        for key, text in part.get("sources", {}).items():
            if whole["sources"].setdefault(key, text) != text:
                find(f"{file.name}: source {key} is another one elsewhere")
        for name, shape in part.get("shape", {}).items():
            if name in whole["shape"]:
                find(f"{file.name}: shape.{name} is there twice")
            whole["shape"][name] = shape
        for table in ("operation", "socket", "channel"):
            whole[table] += part.get(table, [])
    if heads != 1:
        find(f"{heads} parts have a signature")
        whole.setdefault("signature", {})
    return whole


def resolved(shapes, name, key, above=()):
    """The parameters (or groups) of a shape and of those that it includes; its own win."""
    shape = shapes.get(name)
    if shape is None or name in above:
        return []
    own = list(shape.get(key, []))
    names = {p["name"] for p in own} if key == "params" else set()
    for other in shape.get("include", []):
        more = resolved(shapes, other, key, (*above, name))
        own += [p for p in more if key != "params" or p["name"] not in names]
    return own


def includes_itself(shapes, name, above=()):
    """Whether a shape is among those that it includes."""
    return name in above or any(
        includes_itself(shapes, other, (*above, name)) for other in shapes.get(name, {}).get("include", [])
    )


def check_head(catalog, find):
    """Environments and signature."""
    for name, environment in catalog.get("environments", {}).items():
        for key in set(environment) - ENVIRONMENT_KEYS:
            find(f"environments.{name}: unknown key {key}")
        if "sites" in environment:
            check_sites(name, environment, catalog["socket"], lambda words, at=f"environments.{name}": find(f"{at}: {words}"))
    signature = catalog["signature"]
    for key in set(signature) - SIGNATURE_KEYS:
        find(f"signature: unknown key {key}")
    if signature.get("joined", "either") not in ("concatenated", "either"):
        find(f"signature: joined is {signature['joined']}")
    for rule in [signature, *signature.get("variant", [])]:
        for part in set(rule.get("binds", [])) - PARTS:
            find(f"signature: binds {part}")
        for kind in set(rule.get("key_types", [])) - KEY_TYPES:
            find(f"signature: unknown key type {kind}")
    for variant in signature.get("variant", []):
        for key in set(variant) - VARIANT_KEYS:
            find(f"signature.variant: unknown key {key}")
        for kind in set(variant.get("key_types", [])) - set(signature.get("key_types", [])):
            find(f"signature.variant: {kind} is no key type of the venue")


    response = catalog.get("response", {})
    for key in set(response) - RESPONSE_KEYS:
        find(f"response: unknown key {key}")
    for pointer in [*response.get("order_id", []), *response.get("error_code", [])]:
        if not re.fullmatch(r"(/[A-Za-z0-9_-]+)+", pointer):
            find(f"response: {pointer} is no JSON pointer")


def check_sites(name, environment, sockets, find):
    """Every host that takes a key is of a site, and no site has a host that is none."""
    routed = [*environment.get("routes", {}).values(), *environment.get("ws_routes", {}).values()]
    keyed = {*environment["hosts"], *environment.get("ws_hosts", []), *(host for hosts in routed for host in hosts)}
    here = [socket for socket in sockets if name in socket["environments"] and socket["kind"] != "public"]
    keyed |= {host.split(":")[0] for socket in here for host in socket["hosts"]}
    sites = environment["sites"]
    for site, said in sites.items():
        for key in set(said) ^ SITE_KEYS:
            find(f"site {site}: key {key} is unknown or missing")
    listed = {host for said in sites.values() for host in said["hosts"]}
    for host in sorted(keyed - listed):
        find(f"{host} is of no site")
    for host in sorted(listed - keyed):
        find(f"{host} is of a site, and takes no key")
    if environment["hosts"][0] not in sites.get("main", {}).get("hosts", []):
        find("the first host is not of the site main")


def check_shapes(catalog, find):
    """Parameters of every shape: names, types, roles, references."""
    shapes = catalog["shape"]
    signature = catalog["signature"]
    vaults_own = set(signature.get("reserved", [])) | {signature.get("window", {}).get("name")}
    for name, shape in shapes.items():
        where = f"shape.{name}"
        for key in set(shape) - SHAPE_KEYS:
            find(f"{where}: unknown key {key}")
        for other in set(shape.get("include", [])) - set(shapes):
            find(f"{where}: includes {other}, which does not exist")
        if includes_itself(shapes, name):
            find(f"{where}: includes itself")
            continue
        own = [p["name"] for p in shape.get("params", [])]
        for twice in {n for n in own if own.count(n) > 1}:
            find(f"{where}: parameter {twice} twice")
        params = resolved(shapes, name, "params")
        names = {p["name"] for p in params}
        roles = [p["role"] for p in params if "role" in p and not p.get("refused")]
        # Leverage of either side, and the ids of the orders of a list.
        for twice in {r for r in roles if roles.count(r) > 1 and r not in ("leverage", "client_order_id")}:
            find(f"{where}: role {twice} twice")
        for key in ("one_of", "only_one"):
            for missing in {n for group in resolved(shapes, name, key) for n in group} - names:
                find(f"{where}: {key} names {missing}, which is no parameter")
        for p in shape.get("params", []):
            check_param(shapes, vaults_own, p, lambda words, at=f"{where}.{p['name']}": find(f"{at}: {words}"))


def check_param(shapes, vaults_own, p, find):
    """One parameter."""
    kind = p.get("type")
    for key in set(p) - PARAM_KEYS:
        find(f"unknown key {key}")
    if p["name"] in vaults_own:
        find("set by the vault")
    if kind not in TYPES:
        find(f"unknown type {kind}")
    if "role" in p and p["role"] not in ROLES:
        find(f"unknown role {p['role']}")
    if (kind == "enum") != bool(p.get("values")):
        find("values belong to an enum, and an enum needs them")
    if "items" in p and p["items"] not in shapes:
        find("items names no shape")
    if kind in ("object", "array") and not ("items" in p or "of" in p):
        find("needs items or of")
    if "pattern" in p and kind not in ("symbol", "symbols"):
        find("a pattern is for symbols")
    if "pattern" in p and not all(re.fullmatch(r"[A-Za-z0-9_*#:/.-]+", glob) for glob in many(p["pattern"])):
        find(f"pattern {p['pattern']}")
    if p.get("repeats") and (kind != "array" or "of" not in p):
        find("only a list of scalars is repeated")
    if (p.get("merge") and kind != "object") or (p.get("legs") and kind != "array"):
        find("merge is for an object, legs for an array")
    implied = p.get("implies", {})
    for key in set(implied) - IMPLIED_KEYS:
        find(f"implies: unknown key {key}")
    if implied and (implied.get("type") not in ORDER_TYPES or implied.get("tif", "GTC") not in TIFS):
        find("implies: unknown type or tif")


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
    tif_values = {v for p in params if p.get("role") == "tif" for v in p.get("values", [])}
    for rule in catalog.get("tif", []):
        if rule["venue"] not in tif_values or rule["tif"] not in TIFS:
            find(f"tif {rule['venue']}: no shape accepts it, or unknown")
    mode_values = [
        (name, v)
        for p in params
        if p.get("role") == "margin_mode"
        for name in (p["name"], None)
        for v in p.get("values", [])
    ]
    for rule in catalog.get("margin_mode", []):
        if (rule.get("param"), rule["venue"]) not in mode_values or rule["mode"] not in MARGIN_MODES:
            find(f"margin_mode {rule['venue']}: no shape accepts it, or unknown")
    known = {(rule.get("param"), rule["venue"]) for rule in catalog.get("margin_mode", [])}
    for name, value in {(p, v) for p, v in mode_values if p} - known:
        if (None, value) not in known:
            find(f"margin_mode: no word for {name} = {value}")
    for number, rule in enumerate(catalog.get("product", [])):
        if rule["product"] not in PRODUCTS:
            find(f"product rule {number}: unknown product {rule['product']}")
    for number, rule in enumerate(catalog.get("size", [])):
        if rule["unit"] not in SIZE_UNITS:
            find(f"size rule {number}: unknown unit {rule['unit']}")
    for table in ("product", "size"):
        for number, rule in enumerate(catalog.get(table, [])):
            for name in {*many(rule.get("present", [])), *rule.get("absent", [])} - set(values):
                find(f"{table} rule {number}: no shape has {name}")
            for key, accepted in rule.get("where", {}).items():
                for value in set(accepted) - values.get(key, set()):
                    find(f"{table} rule {number}: no shape has {key} = {value}")


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
        for right in set(many(op.get("right", []))) - rights:
            find(f"{at}: right {right} is not in [rights]")
        plain = re.sub(r"/\{[a-z_]+\}(?=/|$)", "/x", op["path"])
        if not re.fullmatch(r"/[A-Za-z0-9_./-]+", plain) or "//" in plain or "/." in plain:
            find(f"{at}: path is not canonical")
        if op.get("ws") and op["class"] != "logon":
            find(f"{at}: ws is for log-ons")
        if any(key in op for key in ("held", "kept", "handle")) and op["class"] != "logon":
            find(f"{at}: held, kept and handle are for log-ons")
        if op.get("rpc") and (op["method"] != "WS" or op.get("ws")):
            find(f"{at}: a request over a WebSocket API has the method WS and no ws")
        if op.get("signed") is False and op.get("right"):
            find(f"{at}: a right that an unsigned operation needs")
        if op.get("product", "spot") not in PRODUCTS:
            find(f"{at}: unknown product {op['product']}")
        if op.get("params_in", "none") not in PARAMS_IN or op.get("body", "form") not in BODIES:
            find(f"{at}: unknown params_in or body")
        for part in set(op.get("binds", [])) - PARTS:
            find(f"{at}: binds {part}")
        if op.get("array") and (op.get("body") != "json" or "items_max" not in op or "shape" not in op):
            find(f"{at}: an array needs body = json, items_max and a shape")
        if "shape" in op:
            shape = shapes.get(op["shape"])
            if shape is None:
                find(f"{at}: shape {op['shape']} does not exist")
            elif op["class"] not in ("read", "public") and shape.get("source") in (None, "unverified"):
                find(f"{at}: a write whose shape {op['shape']} has no source")
    used = {op.get("shape") for op in [*operations.values(), *catalog.get("channel", [])]}
    used |= {p["items"] for shape in shapes.values() for p in shape.get("params", []) if "items" in p}
    used |= {other for shape in shapes.values() for other in shape.get("include", [])}
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
        row = row | STRONGER.get(key, {}) | OPEN.get(key, {})
        for field in ("class", "tag", "note", "sensitive"):
            if op.get(field) != row.get(field):
                find(f"{' '.join(key)}: {field} is {op.get(field)!r}, the list says {row.get(field)!r}")
    for key, op in operations.items():
        # The list has what ccxt knows, so what is beyond it is known from elsewhere.
        from_ccxt = op.get("source") in ("ccxt", "unverified") or sources.get(op.get("source"), "").startswith("ccxt ")
        if key not in listed and not op.get("ws") and from_ccxt and op["class"] != "public":
            find(f"{' '.join(key)}: not in the endpoint list, and no other source than ccxt")


def check_sockets(catalog, find):
    """WebSockets and their channels: keys, kinds, sources, and a socket for every channel."""
    sources = catalog["sources"]
    paths = {path for socket in catalog["socket"] for path in socket["paths"]}
    for socket in catalog["socket"]:
        at = f"socket {' '.join(socket['paths'])}"
        for key in set(socket) - SOCKET_KEYS:
            find(f"{at}: unknown key {key}")
        if socket["kind"] not in SOCKET_KINDS:
            find(f"{at}: unknown kind {socket['kind']}")
        if set(socket["environments"]) - {"live", "demo"}:
            find(f"{at}: unknown environment")
        if socket["source"] not in sources:
            find(f"{at}: source {socket['source']} is not in [sources]")
    for channel in catalog["channel"]:
        at = f"channel {channel['path']}"
        for key in set(channel) - OPERATION_KEYS:
            find(f"{at}: unknown key {key}")
        if channel["method"] != "SUBSCRIBE" or channel["class"] != "read" or "shape" not in channel:
            find(f"{at}: is no SUBSCRIBE of class read with a shape")
        if channel["source"] not in sources:
            find(f"{at}: source {channel['source']} is not in [sources]")
        if channel["path"].rsplit("/", 1)[0] not in paths:
            find(f"{at}: no socket has it")


def check_own(catalog, find):
    """What the vault asks of its own accord: keys, pointers, rights, and that its operations are reads and cancels."""
    classes = {(op["method"], op["path"]): op["class"] for op in catalog["operation"]}
    rights = catalog.get("rights", {}).get("names", [])

    def keys(at, table, known):
        for key in set(table) - known:
            find(f"{at}: unknown key {key}")

    def pointers(at, texts):
        for text in texts:
            if not re.fullmatch(r"(/([A-Za-z0-9_-]+|[*]))+", text) or text.count("*") > 1:
                find(f"{at}: {text} is no JSON pointer with at most one *")

    def operation(at, ask, wanted):
        if classes.get((ask["method"], ask["path"])) != wanted:
            find(f"{at}: {ask['method']} {ask['path']} is no operation of class {wanted}")

    def known_rights(at, names):
        for name in set(names) - set(rights):
            find(f"{at}: right {name} is not in rights")

    answer = catalog.get("answer", {})
    keys("answer", answer, ANSWER_KEYS)
    pointers("answer", [answer[key] for key in ("at",) if key in answer])
    check = catalog.get("check")
    if check is not None:
        keys("check", check, CHECK_KEYS)
        operation("check", check, "read")
        flags = check.get("flags", {})
        places = [check[key]["at"] for key in ("read_only", "ip", "expires") if key in check]
        places += [check[key] for key in ("present", "nonce_window") if key in check]
        pointers("check", [*places, *flags.values(), *check.get("lists", [])])
        named = [*check["withdraw"], *check["transfer"], *flags, *check.get("optional", [])]
        known_rights("check", [*named, *check.get("words", {}).values()])
    for rule in catalog.get("cancel_all", []):
        at = f"cancel_all {rule['name']}"
        keys(at, rule, CANCEL_ALL_KEYS)
        known_rights(at, many(rule.get("right", [])))
        cancel = rule["cancel"]
        keys(at, cancel, CANCEL_KEYS)
        operation(at, cancel, "cancel")
        pointers(at, [cancel[key] for key in ("count",) if key in cancel])
        if "look" in rule:
            keys(at, rule["look"], LOOK_KEYS)
            operation(at, rule["look"], "read")
            pointers(at, [rule["look"][key] for key in ("symbol", "id") if key in rule["look"]])
        text = cancel.get("query", "") + cancel.get("body", "") + cancel.get("item", "")
        for place in ("symbol", "id"):
            if f"{{{place}}}" in text and place not in rule.get("look", {}):
                find(f"{at}: the cancel names what the look does not report")


def check_sources(catalog, find):
    """Every source outside the operations is a key of [sources]; none is left unused."""
    sources = catalog["sources"]
    used = {one.get("source") for table in ("operation", "socket", "channel") for one in catalog.get(table, [])}
    cited = [("signature", catalog["signature"].get("source"))]
    if "client_order_id_source" in catalog["signature"]:
        cited.append(("signature.client_order_id", catalog["signature"]["client_order_id_source"]))
    if "response" in catalog:
        cited.append(("response", catalog["response"].get("source")))
    for variant in catalog["signature"].get("variant", []):
        cited.append(("signature.variant", variant.get("source")))
    for name, environment in catalog.get("environments", {}).items():
        for site, said in environment.get("sites", {}).items():
            cited.append((f"environments.{name}.sites.{site}", said.get("source")))
    for table in ("answer", "check"):
        if table in catalog:
            cited.append((table, catalog[table].get("source")))
    cited += [(f"cancel_all {rule['name']}", rule.get("source")) for rule in catalog.get("cancel_all", [])]
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
        try:
            catalog = read(catalogs, venue, problems.append)
        except (OSError, tomllib.TOMLDecodeError) as error:
            print(f"{venue}: {error}")
            findings += 1
            continue
        rows = [row for row in endpoints if row["venue"] == venue]
        only_cited_in_comments = check_sources(catalog, problems.append)
        check_head(catalog, problems.append)
        check_shapes(catalog, problems.append)
        check_rules(catalog, problems.append)
        check_operations(catalog, rows, problems.append)
        check_sockets(catalog, problems.append)
        check_own(catalog, problems.append)
        for problem in sorted(problems):
            print(f"{venue}: {problem}")
        findings += len(problems)
        operations = catalog["operation"]
        with_shape = sum("shape" in op for op in operations)
        print(f"{venue}: {len(operations)} operations, {with_shape} with a shape, {len(rows)} listed, {len(problems)} findings"
              + (f"; sources named in comments only: {', '.join(only_cited_in_comments)}" if only_cited_in_comments else ""))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
