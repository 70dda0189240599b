//! `docs/deploy/`: the systemd unit, its user and folder, the image, and what the service manager
//! is told.
//!
//! Neither systemd as process 1 nor a container engine is needed: `confine.py` does to the vault
//! what they would do, as far as it says. Where `systemd-analyze` or root is missing, the tests say
//! so loudly, and fail if `CI` or `COUNTERSIGN_REQUIRE_SYSTEMD` is set.

mod image;
mod notify;
mod unit;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A file of `docs/deploy/`.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy").join(name)
}

/// Words before a command line, after which it runs confined: see `confine.py`.
fn confined(how: &str, place: &Path, user: u32, writable: &Path) -> Vec<OsString> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/confine.py");
    vec![
        "python3".into(),
        script.into(),
        how.into(),
        place.into(),
        user.to_string().into(),
        writable.into(),
    ]
}

/// Whether systemd's tools are there.
fn has_systemd() -> bool {
    let asked = std::process::Command::new("systemd-analyze").arg("--version").output();
    has(asked.is_ok_and(|output| output.status.success()), "systemd-analyze")
}

/// Whether namespaces can be made and users changed.
fn is_root() -> bool {
    // SAFETY: a plain system call without arguments.
    has(unsafe { libc::geteuid() } == 0, "root")
}

fn has(is_there: bool, what: &str) -> bool {
    let is_required = ["CI", "COUNTERSIGN_REQUIRE_SYSTEMD"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    assert!(is_there || !is_required, "there is no {what}: `bash .ci/run` sees to it");
    if !is_there {
        left_out(what);
    }
    is_there
}

#[allow(clippy::print_stderr, reason = "whoever runs the test must know what it does not show")]
fn left_out(what: &str) {
    eprintln!("*** NO {what}: THIS PART OF docs/deploy/ IS NOT TESTED ***");
}
