//! The programs under test, built first where needed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The server: the file that `COUNTERSIGN_VAULT_SERVER` names, or the workspace's own, built with
/// the profile of the running test.
///
/// # Panics
///
/// If it cannot be built.
pub fn vault_server() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("COUNTERSIGN_VAULT_SERVER", "vault-server", "vault-server"))
}

/// The operators' command line: `COUNTERSIGN_VAULTCTL`, or the workspace's own.
///
/// # Panics
///
/// If it cannot be built.
pub fn vaultctl() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| find("COUNTERSIGN_VAULTCTL", "vault-client", "vaultctl"))
}

fn find(variable: &str, package: &str, binary: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => build(package, binary),
    }
}

/// Where cargo puts what it builds for the running test.
struct Target {
    folder: PathBuf,
    /// The folder of the profile: `debug`, `release` ...
    profile_folder: PathBuf,
    triple: Option<String>,
}

impl Target {
    fn of_this_test() -> Self {
        let test = std::env::current_exe().expect("the test knows its own path");
        let mut profile_folder = test.parent().expect("in a folder").to_owned();
        if profile_folder.ends_with("deps") || profile_folder.ends_with("examples") {
            profile_folder.pop();
        }
        let above = profile_folder.parent().expect("below the target folder").to_owned();
        // With `--target` there is one more folder between, named as the target is: x86_64-unknown-...
        let name = above.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.matches('-').count() < 2 {
            return Self { folder: above, profile_folder, triple: None };
        }
        let folder = above.parent().expect("the target folder").to_owned();
        let triple = Some(name);
        Self { folder, profile_folder, triple }
    }

    fn profile(&self) -> String {
        let name = self.profile_folder.file_name().unwrap_or_default().to_string_lossy();
        if name == "debug" { "dev".to_owned() } else { name.into_owned() }
    }
}

fn build(package: &str, binary: &str) -> PathBuf {
    let target = Target::of_this_test();
    let scratch = target.folder.join("tmp");
    fs::create_dir_all(&scratch).expect("a folder for the lock");
    // One builder at a time: nextest gives every test a process of its own.
    let lock = File::create(scratch.join(format!("{binary}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");

    let path = target.profile_folder.join(binary);
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
    let stamp = scratch.join(format!("{binary}.built"));
    let built = !run.is_empty() && fs::read_to_string(&stamp).is_ok_and(|text| text == run);
    if built && path.exists() {
        return path;
    }

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--package", package, "--bin", binary])
        .args(["--profile", &target.profile()])
        .arg("--target-dir")
        .arg(&target.folder);
    if let Some(triple) = &target.triple {
        command.args(["--target", triple]);
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "{binary} does not build");
    assert!(path.exists(), "{} was not built", path.display());
    fs::write(&stamp, run).expect("a stamp");
    path
}
