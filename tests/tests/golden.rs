//! The golden files are what their scripts make: byte for byte, from nothing but the formats.
//!
//! The scripts are independent of the Rust code and want Python with `cryptography`. Where that is
//! missing the test says so and passes, except in CI (`CI` is set), where it fails.

use std::fs::{self, File, FileTimes};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// Each script, and the folder that it fills.
const SCRIPTS: &[(&str, &str)] =
    &[("make_envelope.py", "envelope"), ("make_log.py", "log"), ("make_wire.py", "wire")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/golden")
}

fn python(arguments: &[&Path]) -> std::io::Result<Output> {
    Command::new("python3").arg("-B").args(arguments).output()
}

/// Whether the scripts can run here. Loud if not; a failure in CI.
fn has_python() -> bool {
    let probe = python(&[Path::new("-c"), Path::new("import cryptography.hazmat.primitives")]);
    if probe.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let words = "python3 with `cryptography` is missing";
    assert!(std::env::var_os("CI").is_none(), "{words}, and CI must have it");
    // Straight to the file: the test harness hides what a passing test prints.
    let line = format!("\n!!! SKIPPED: golden files were not made anew, {words} !!!\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
    false
}

/// The names of what is in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut names: Vec<String> = entries.filter(|name| !name.starts_with("__")).collect();
    names.sort();
    names
}

#[test]
fn every_script_and_folder_is_on_the_list() {
    let mut listed: Vec<_> =
        SCRIPTS.iter().flat_map(|(script, folder)| [*script, *folder]).collect();
    listed.sort_unstable();

    assert_eq!(names(&folder()), listed);
}

#[test]
fn scripts_make_the_golden_files() {
    if !has_python() {
        return;
    }
    for (script, made) in SCRIPTS {
        let (committed, copy) = (folder(), tempfile::tempdir().expect("a folder"));
        let script_copy = copy.path().join(script);
        fs::copy(committed.join(script), &script_copy).expect("copied");
        let fresh = copy.path().join(made);
        fs::create_dir(&fresh).expect("made");
        // The old files come along, since a script may keep a signature that is random and still
        // verifies. Their age tells whether the script has written them.
        for name in names(&committed.join(made)) {
            fs::copy(committed.join(made).join(&name), fresh.join(&name)).expect("copied");
            let file = File::options().write(true).open(fresh.join(&name)).expect("opened");
            file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).expect("set");
        }

        let output = python(&[&script_copy]).expect("python3 runs");

        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {words}");
        assert_eq!(names(&fresh), names(&committed.join(made)), "{script}");
        for name in names(&fresh) {
            let modified = fs::metadata(fresh.join(&name)).and_then(|data| data.modified());
            assert_ne!(
                modified.expect("a time"),
                SystemTime::UNIX_EPOCH,
                "{made}/{name} is made by nothing"
            );
            let read = |folder: &Path| fs::read(folder.join(&name)).expect("read");
            assert!(
                read(&fresh) == read(&committed.join(made)),
                "{made}/{name} is not what {script} makes"
            );
        }
    }
}
