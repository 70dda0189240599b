//! `vault-server demo`, run as people run it.

#![cfg(feature = "demo")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process};
use serde_json::Value;

/// The demonstration, with a temporary directory of the test's own.
fn demo(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vault-server"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

fn lines(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().expect("a folder").next().is_none()
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("signalled");
}

/// Waits until there is no process of this id any more.
fn is_gone(pid: u64) -> bool {
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // What nobody reaps in a container stays there as a zombie.
        if !status.is_ok_and(|status| !status.contains(") Z ")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A demonstration that goes on.
struct Serving {
    child: Child,
    about: Value,
}

impl Serving {
    /// Starts it and waits for its description.
    fn start(temporary: &Path) -> Self {
        let mut command = demo(temporary, &["--serve", "--json"]);
        let child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut serving = Self { child, about: Value::Null };
        let stdout = BufReader::new(serving.child.stdout.take().expect("piped"));
        for line in stdout.lines() {
            let value: Value = serde_json::from_str(&line.expect("read")).expect("JSON");
            assert_ne!(value["ok"], false, "{value}");
            if value["event"] == "serving" {
                serving.about = value;
                return serving;
            }
        }
        panic!("it ended without a description");
    }

    fn vault_pid(&self) -> u64 {
        self.about["pid"].as_u64().expect("an id")
    }

    /// Sends a signal and waits for the end; the exit code, if there is one.
    fn end(&mut self, with: Signal) -> Option<i32> {
        signal(self.child.id(), with);
        self.child.wait().expect("ended").code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the machine has this program.
fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What a printed command gets for an answer.
fn curl(about: &Value, what: &str) -> (u64, Value) {
    let command = about["proxy"]["curl"][what].as_str().expect("a command");
    let command =
        format!("{command} --silent --show-error --max-time 20 --write-out '\\n%{{http_code}}'");
    let output = Command::new("sh").args(["-c", &command]).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let (body, status) = text.rsplit_once('\n').expect("a body and a status");
    (status.parse().expect("a status"), serde_json::from_str(body).expect("JSON"))
}

#[test]
fn every_step_holds() {
    let temporary = tempfile::tempdir().expect("a folder");
    let output = demo(temporary.path(), &["--json"]).output().expect("run");

    let lines = lines(&output.stdout);
    let (summary, steps) = lines.split_last().expect("lines");
    for (at, step) in steps.iter().enumerate() {
        assert_eq!(step["ok"], true, "{step}");
        assert_eq!(step["step"], at + 1);
        assert!(step["elapsed_ms"].is_u64(), "{step}");
    }
    let details: Vec<&str> = steps.iter().filter_map(|step| step["detail"].as_str()).collect();
    for reason in [
        "CLASS_NOT_GRANTABLE",
        "SYMBOL_NOT_GRANTED",
        "CLIENT_NETWORK_NOT_ALLOWED",
        "HALT_NO_NEW_RISK",
        "CERTIFICATE_REVOKED",
    ] {
        assert!(details.contains(&reason), "{reason} is in none of {details:?}");
    }
    for line in [
        "CLASS_NOT_GRANTED",
        "outside   DELETE /api/v3/openOrders (cancel): cancel all",
        "remedies  execute",
        "assume          venue_checks",
        "closure_widest  POST /api/v3/order",
        "arrived   GET https://api.binance.com/api/v3/openOrders?symbol=BTCUSDT, once, and nothing else",
        "the bot has the answer, and no signature",
        "X-MBX-APIKEY: countersign:binance-plain",
        "422 CLASS_NOT_GRANTABLE",
    ] {
        let is_there = details.iter().any(|detail| detail.lines().any(|found| found == line));
        assert!(is_there, "{line} is in none of {details:?}");
    }
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["steps"], steps.len());
    assert!(summary["elapsed_ms"].as_u64().is_some_and(|elapsed| elapsed < 60_000), "{summary}");
    assert_eq!(output.status.code(), Some(0));
    assert!(is_empty(temporary.path()), "it left something behind");
}

#[test]
fn people_get_a_line_a_step_and_no_token() {
    let temporary = tempfile::tempdir().expect("a folder");
    let output = demo(temporary.path(), &[]).output().expect("run");

    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let ticks = text.lines().filter(|line| line.starts_with(" ✓ ")).count();
    assert!(ticks > 15 && !text.contains('✗'), "{text}");
    assert!(!text.contains("cs1_") && !text.contains("PRIVATE KEY"), "{text}");
}

#[test]
fn a_step_that_does_not_hold_is_named_and_ends_it() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut command = demo(temporary.path(), &["--json"]);
    // No process of it may write a file: there cannot be a vault.
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            Ok(rustix::process::setrlimit(Resource::Fsize, none)?)
        });
    }
    let output = command.output().expect("run");

    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["ok"], false);
    assert!(lines[0]["expected"].is_string() && lines[0]["found"].is_string(), "{lines:?}");
    assert_eq!(lines[1]["ok"], false);
    assert_eq!(output.status.code(), Some(1));
    assert!(is_empty(temporary.path()), "it left something behind");
}

#[test]
fn serves_until_a_signal_comes() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut serving = Serving::start(temporary.path());
    let about = &serving.about;

    for role in ["admin", "auditor", "bot"] {
        let folder = about["identities"][role].as_str().expect("a path");
        assert!(Path::new(folder).join("key.pem").is_file(), "{role}");
    }
    for file in ["data", "socket", "passphrase_file"] {
        assert!(Path::new(about[file].as_str().expect("a path")).exists(), "{file}");
    }
    for listener in ["bot", "operator", "enroll"] {
        let address = about["addresses"][listener].as_str().expect("an address");
        std::net::TcpStream::connect(address).expect("connected");
    }
    assert!(about["example"].as_str().is_some_and(|example| example.contains(" sign ")));
    for file in ["cert", "key", "ca"] {
        let path = about["proxy"][file].as_str().expect("a path");
        assert!(Path::new(path).is_file(), "{file}");
    }
    if is_there("curl") {
        assert_eq!(curl(about, "read").0, 200);
        let (status, order) = curl(about, "order");
        assert!(status == 200 && order["status"] == "NEW", "{status} {order}");
        let (status, denial) = curl(about, "withdrawal");
        assert_eq!(status, 422);
        assert_eq!(denial["countersign"]["reason"], "CLASS_NOT_GRANTABLE");
    }

    assert_eq!(serving.end(Signal::TERM), Some(0));
    assert!(is_gone(serving.vault_pid()));
}

#[test]
fn the_vault_ends_with_a_demonstration_that_is_killed() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut serving = Serving::start(temporary.path());

    assert_eq!(serving.end(Signal::KILL), None);
    assert!(is_gone(serving.vault_pid()));
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut child = demo(temporary.path(), &["--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    // Two steps: then the vault runs.
    for _ in 0..2 {
        stdout.read_line(&mut String::new()).expect("a line");
    }
    signal(child.id(), Signal::INT);

    assert_eq!(child.wait().expect("ended").code(), Some(1));
    assert!(is_empty(temporary.path()), "it left something behind");
}
