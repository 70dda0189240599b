//! The Python that has ccxt.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::say;

pub struct Python(PathBuf);

/// Finds it; says so loudly where there is none.
///
/// # Panics
///
/// If there is none and `COUNTERSIGN_REQUIRE_CCXT` or `CI` is set.
pub fn find() -> Option<Python> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci-env/bin/python");
    if let Some(named) = std::env::var_os("COUNTERSIGN_PYTHON") {
        return Some(Python(named.into()));
    }
    // An environment of before ccxt was part of it is none.
    let has_ccxt = |python: &Path| {
        let asked = Command::new(python).args(["-c", "import ccxt"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if has_ccxt(&own) {
        return Some(Python(own));
    }
    let is_required = ["CI", "COUNTERSIGN_REQUIRE_CCXT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    assert!(!is_required, "no ccxt in {}: `bash .ci/run` installs it", own.display());
    say(
        "SKIPPED: nothing was compared with ccxt, which is not installed. `bash .ci/run` installs \
         it into target/ci-env; or name a Python that has ccxt 4.5.90 with COUNTERSIGN_PYTHON",
    );
    None
}

impl Python {
    /// Runs a script of `tests/vectors/ccxt/`; returns what it prints.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/ccxt");
        let output = Command::new(&self.0)
            .arg(folder.join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {}: {words}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}
