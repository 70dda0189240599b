//! The lock file against the oldest versions that are safe, and against what must not be there.
//!
//! Source of the minimums: the advisories named beside them, rustsec/advisory-db as of 21 Aug 2026.

use std::collections::BTreeMap;

/// Crate, oldest version allowed, why.
const MINIMUMS: &[(&str, [u64; 3], &str)] = &[
    ("aws-lc-sys", [0, 39, 0], "advisories of 2026"),
    ("bytes", [1, 11, 1], "integer overflow in reserve"),
    ("h2", [0, 4, 16], "RUSTSEC-2026-0258, RUSTSEC-2024-0332"),
    ("lru", [0, 18, 2], "unsound iterator"),
    ("postgres-protocol", [0, 6, 12], "RUSTSEC-2026"),
    ("ring", [0, 17, 12], "RUSTSEC-2025-0009"),
    ("rustls", [0, 23, 18], "RUSTSEC-2024-0399"),
    ("rustls-webpki", [0, 103, 13], "RUSTSEC-2026-0049, -0098, -0099, -0104"),
    ("slab", [0, 4, 11], "out-of-bounds get_disjoint_mut"),
    ("tokio-postgres", [0, 7, 18], "RUSTSEC-2026-0178"),
    ("tonic", [0, 12, 3], "RUSTSEC-2024-0376"),
    ("tracing-subscriber", [0, 3, 20], "ANSI escapes in logs"),
];

const FORBIDDEN: &[&str] = &[
    "append-only-vec",
    "hpke-rs",
    "native-tls",
    "openssl",
    "openssl-sys",
    "proc-macro-en",
    "proc-macro1",
    "rsa",
    "rustls-pemfile",
    "sharks",
];

fn locked() -> BTreeMap<String, Vec<[u64; 3]>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"))
        .expect("the lock file is committed");
    let lock: toml::Table = text.parse().expect("the lock file is TOML");
    let mut packages: BTreeMap<String, Vec<[u64; 3]>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages") {
        let field = |name: &str| package[name].as_str().expect("a text").to_owned();
        packages.entry(field("name")).or_default().push(version(&field("version")));
    }
    packages
}

fn version(text: &str) -> [u64; 3] {
    let plain = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = plain.split('.').map(|part| part.parse().expect("a number"));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[test]
fn no_crate_is_older_than_its_last_advisory() {
    let locked = locked();
    assert!(locked.contains_key("tonic"), "the lock file was read");

    for (name, oldest, why) in MINIMUMS {
        for found in locked.get(*name).into_iter().flatten() {
            assert!(found >= oldest, "{name} {found:?} is older than {oldest:?}: {why}");
        }
    }
}

#[test]
fn no_forbidden_crate_is_locked() {
    let locked = locked();

    for name in FORBIDDEN {
        assert!(!locked.contains_key(*name), "{name} must not be there");
    }
}

#[test]
fn versions_compare_as_numbers() {
    assert!(version("0.103.16") > version("0.103.9"));
    assert_eq!(version("1.2.1+spec-1.1.0"), [1, 2, 1]);
}
