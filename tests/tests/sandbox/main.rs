//! What code that runs inside a process of the vault can not do.
//!
//! A shim written in C (`tests/shim/attack.c`) is preloaded into the real processes. It waits in a
//! function that the process calls anyway and tries one thing from there. Every test shows that it was
//! tried, that the sandbox refused it, and that the very same attempt succeeds in a plain process. All
//! run as root and, where root runs the tests, as nobody too.
//!
//! An answer is either an error, and the process goes on, or the end of the process, and with it of the
//! vault: `docs/adr/0031-sandbox.md` says which call gets which.

mod attack;
mod configuration;
mod from_core;
mod from_egress;
mod from_exporter;
mod from_front;
mod report;
mod require;
mod work;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Another user than root, as whom a vault can run.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// As whom to run: the user of the test, and nobody where that can be.
fn users() -> Vec<Option<(u32, u32)>> {
    if is_root() { vec![None, Some(NOBODY)] } else { vec![None] }
}

fn is_root() -> bool {
    // SAFETY: a plain system call without arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    assert!(is_root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    is_root
}

/// What is built of `tests/shim`, once, with the machine's C compiler.
struct Built {
    /// The attacker's code, to be preloaded.
    attack: PathBuf,
    /// The same as a program.
    control: PathBuf,
    /// Takes something of the kernel from a program.
    without: PathBuf,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| Built {
        attack: build("attack.c", "attack.so", &["-shared", "-fPIC"]),
        control: build("attack.c", "attack", &["-DCONTROL"]),
        without: build("without.c", "without", &[]),
    })
}

fn build(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim").join(source);
    // By process: tests may run in processes of their own.
    let built =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-o")
        .args([built.as_os_str(), source.as_os_str()])
        .args(["-ldl", "-lpthread"])
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{source:?}");
    built
}
