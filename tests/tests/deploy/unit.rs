//! The systemd unit.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use vault_audit::EntryKind;
use vault_tests::{OKX_SCOPE, TestVault, okx_order, order, vault_server};

use crate::{confined, deployed, has_systemd, is_root};

const UNIT: &str = "countersign.service";
const DROP_IN: &str = "countersign.service.d/auto-unseal.conf";
/// Any user that is neither root nor nobody.
const USER: u32 = 61_234;

/// A folder with the unit, and the drop-in if it is asked for.
fn installed(drop_in: bool, change: impl FnOnce(String) -> String) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(deployed(UNIT)).expect("the unit");
    fs::write(folder.path().join(UNIT), change(text)).expect("written");
    if drop_in {
        let path = folder.path().join(DROP_IN);
        fs::create_dir(path.parent().expect("a folder")).expect("made");
        fs::copy(deployed(DROP_IN), path).expect("copied");
    }
    folder
}

fn analyze(words: &[&str], folder: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(words).arg(folder.join(UNIT)).output().expect("systemd-analyze runs")
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn exec_start() -> Vec<String> {
    let text = fs::read_to_string(deployed(UNIT)).expect("the unit");
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn its_exposure_is_1_5_at_most() {
    if !has_systemd() {
        return;
    }
    let judge = |folder: &TempDir| {
        analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"], folder.path())
    };
    for drop_in in [false, true] {
        let output = judge(&installed(drop_in, |text| text));
        assert!(output.status.success(), "{}", said(&output));
    }
    // The judge judges: without one of the lines it is too much.
    let output = judge(&installed(false, |text| text.replace("CapabilityBoundingSet=\n", "")));
    assert!(!output.status.success(), "{}", said(&output));
}

/// What keeps a core from choosing the configuration of the next start: docs/adr/0038.
#[test]
fn an_end_that_the_core_brings_about_is_the_supervisors_to_see() {
    let text = fs::read_to_string(deployed(UNIT)).expect("the unit");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key} is not there")).to_owned()
    };
    // Else the service manager stops the vault in order, as if a person had asked for it.
    assert_eq!(value("OOMPolicy"), "continue");
    // What could not be put back is started by a person alone.
    assert_eq!(value("RestartPreventExitStatus"), "78");
    assert_eq!(value("Restart"), "on-failure");
    // Half a minute of silence is half of it.
    assert_eq!(value("WatchdogSec"), "60");
}

#[test]
fn systemd_finds_no_fault_with_it() {
    if !has_systemd() {
        return;
    }
    let server = vault_server().to_str().expect("plain").to_owned();
    let with_server = |text: String| text.replace("/usr/bin/vault-server", &server);
    for drop_in in [false, true] {
        let folder = installed(drop_in, with_server);
        let output = analyze(&["verify", "--man=no", "--recursive-errors=one"], folder.path());
        assert!(output.status.success(), "{}", said(&output));
        // What it does not know it names, and ignores.
        assert!(!said(&output).contains(UNIT), "{}", said(&output));
    }
}

#[test]
fn its_command_line_is_one_of_the_server() {
    let words = exec_start();
    assert_eq!(words[..2], ["/usr/bin/vault-server", "run"]);
    let output = Command::new(vault_server()).args(["run", "--help"]).output().expect("runs");
    let help = said(&output);
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag.as_str()), "{flag} is not in\n{help}");
    }
}

#[test]
fn its_user_and_folder_are_made() {
    if !(has_systemd() && is_root()) {
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    for kind in ["sysusers", "tmpfiles"] {
        let folder = root.path().join(format!("usr/lib/{kind}.d"));
        fs::create_dir_all(&folder).expect("made");
        let file = deployed(&format!("countersign.{kind}.conf"));
        fs::copy(file, folder.join("countersign.conf")).expect("copied");
    }
    fs::create_dir_all(root.path().join("etc")).expect("made");
    for (program, words) in [("systemd-sysusers", &[][..]), ("systemd-tmpfiles", &["--create"])] {
        let output = Command::new(program)
            .arg(format!("--root={}", root.path().display()))
            .args(words)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{program}: {}", said(&output));
    }
    let users = fs::read_to_string(root.path().join("etc/passwd")).expect("users");
    let user = users.lines().find(|line| line.starts_with("countersign:")).expect("the user");
    let fields: Vec<&str> = user.split(':').collect();
    assert_eq!(fields[5..], ["/var/lib/countersign", "/usr/sbin/nologin"]);

    use std::os::unix::fs::MetadataExt as _;
    let folder = fs::metadata(root.path().join("var/lib/countersign")).expect("the folder");
    assert_eq!(folder.uid().to_string(), fields[2]);
    assert_eq!(folder.mode() & 0o7777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vault_works_under_what_it_says() {
    if !(has_systemd() && is_root()) {
        return;
    }
    let mut vault = TestVault::builder().user(USER, USER).start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("mm", OKX_SCOPE, &[]).await);
    vault.stop().await;

    let wrapper = confined("unit", &deployed(UNIT), USER, &vault.data());
    let launch = vault.launch_mut();
    launch.user = None;
    launch.wrapper = wrapper;
    // As the unit's own command line has it.
    vault.set_config("hardening", "require", true);
    vault.run_and_unseal().await;
    let ready = vault.ready();
    for pid in [ready.pid, ready.pid_core, ready.pid_front, ready.pid_egress] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("root");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), vec![USER.to_string(); 4]);
        for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(u64::from_str_radix(&field(set)[0], 16), Ok(0), "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        assert_eq!(field("Seccomp:"), ["2"]);
    }

    let bot = vault.connect_bot("mm").await;
    bot.sign(order("okx-main", okx_order("BTC-USDT", "0.001"))).await.expect("signed");
    vault.stop().await;
    vault.run_and_unseal().await;
    vault.stop().await;

    // Without that file every start would count as a reboot.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("there");
    let entries = vault.log_entries();
    let started = entries.iter().rfind(|entry| entry.kind == EntryKind::LogStarted);
    let detail = &started.expect("a start").detail;
    assert_eq!(detail.get("boot").map(String::as_str), Some(boot.trim()));
}

/// Whether the kernel's clock is synchronised is asked by a call that sets it too, and that lists of
/// system calls like to forbid.
#[test]
fn the_clock_can_be_asked_under_what_it_says() {
    if !(has_systemd() && is_root()) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ask = "import ctypes; c = ctypes.CDLL(None, use_errno=True); b = ctypes.create_string_buffer(512); \
               print(c.adjtimex(b), ctypes.get_errno())";
    let places = ["/usr/bin/python3", "/usr/local/bin/python3"];
    let python = places.into_iter().find(|path| Path::new(path).exists()).expect("Python");
    let mut words = confined("unit", &deployed(UNIT), USER, folder.path());
    words.extend([python, "-c", ask].map(Into::into));
    let output = Command::new(&words[0]).args(&words[1..]).output().expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let state: i32 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(state >= 0, "{text}");
}
