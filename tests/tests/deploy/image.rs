//! The image: the files that `image-root.sh` collects, as they would be used.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use vault_tests::{OKX_SCOPE, TestVault, okx_order, order, vault_server};

use crate::{confined, deployed, is_root};

const NOBODY: u32 = 65_534;

/// The image's file system, with the server under test in it.
fn root() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let status = Command::new("sh")
        .arg(deployed("image-root.sh"))
        .arg(vault_server())
        .arg(folder.path())
        .status()
        .expect("sh runs");
    assert!(status.success());
    folder
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
}

#[test]
fn it_has_the_server_and_libraries_and_nothing_else() {
    let root = root();
    let mut found = Vec::new();
    files(root.path(), &mut found);
    let (libraries, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|name| name.contains(".so"));
    assert_eq!(others, ["vault-server"]);
    // The C library's own, and the compiler's. A new name here is a new thing to keep up to date.
    let known = ["ld-linux", "libc.so", "libgcc_s.so", "libm.so"];
    for library in libraries {
        assert!(known.iter().any(|start| library.starts_with(start)), "{library}");
    }
}

#[test]
fn its_recipe_ends_with_nobody_in_an_empty_image() {
    let recipe = fs::read_to_string(deployed("Containerfile")).expect("the recipe");
    let lines = recipe.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let last = lines.iter().rposition(|line| line.starts_with("FROM ")).expect("a stage");
    assert_eq!(lines[last], "FROM scratch");
    assert!(lines[last..].contains(&"USER 65534:65534"));
    assert!(!lines[last..].iter().any(|line| line.starts_with("RUN ")), "there is no shell");
    let build = lines[..last].join("\n");
    assert!(build.contains("--no-default-features") && build.contains("image-root.sh"));

    let command = lines.iter().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let words: Vec<String> = serde_json::from_str(command).expect("JSON");
    let output = Command::new(vault_server()).args(["run", "--help"]).output().expect("runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag.as_str()), "{flag} is not in\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_files_are_enough_on_a_read_only_root_as_nobody() {
    if !is_root() {
        return;
    }
    let root = root();
    let mut vault = TestVault::builder().user(NOBODY, NOBODY).start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("mm", OKX_SCOPE, &[]).await);
    vault.stop().await;

    let wrapper = confined("image", root.path(), NOBODY, &vault.data());
    let launch = vault.launch_mut();
    launch.user = None;
    launch.wrapper = wrapper;
    vault.run_and_unseal().await;
    let place = fs::metadata(root.path()).expect("the root");
    for pid in [vault.ready().pid, vault.ready().pid_core] {
        let seen = fs::metadata(format!("/proc/{pid}/root/.")).expect("root");
        assert_eq!((seen.dev(), seen.ino()), (place.dev(), place.ino()), "it is elsewhere");
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("root");
        let top = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
        assert!(top.split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{top}");
    }
    let bot = vault.connect_bot("mm").await;
    bot.sign(order("okx-main", okx_order("BTC-USDT", "0.001"))).await.expect("signed");
    vault.stop().await;
}

/// As an engine starts it: process 1, whose signals do nothing unless they are asked for.
#[tokio::test(flavor = "multi_thread")]
async fn as_process_1_it_starts_and_ends_in_order() {
    if !is_root() {
        return;
    }
    let root = root();
    let mut vault = TestVault::builder().user(NOBODY, NOBODY).sealed().start().await;
    vault.stop().await;

    // Not by the harness: it would take the process ids of the namespace for its own.
    let words = confined("image1", root.path(), NOBODY, &vault.data());
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .arg(vault_server())
        .args(["run", "--data"])
        .arg(vault.data())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line");
    assert_eq!((&ready["event"], &ready["pid"]), (&"ready".into(), &1.into()));

    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: a plain system call on a process that this test started.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    assert!(child.wait().expect("waited for").success());
}
