//! A data directory and what runs on it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Strong enough for the vault, and easy to find where it must not be.
pub const PASSPHRASE: &str = "canary orbit velvet cactus plum raven tulip mango frost";

/// Runs the binary to its end, with `input` on stdin.
pub fn vault_server(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vault-server"))
        .args(arguments)
        .env_remove("COUNTERSIGN_DATA")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    // One that reads nothing has ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ended")
}

/// What it printed as data, as JSON.
pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A new vault for tests, on ports of the system's choice.
pub struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    pub fn new(more: &[&str]) -> Self {
        let bed = Self { folder: tempfile::tempdir().expect("a folder") };
        let data = bed.text();
        let any = "127.0.0.1:0";
        let mut arguments = vec!["init", "--json", "--data", &data, "--development", "--kdf-light"];
        arguments.extend(["--bot-address", any, "--operator-address", any]);
        arguments.extend(["--enroll-address", any, "--passphrase-stdin"]);
        arguments.extend(more);
        json(&vault_server(&arguments, PASSPHRASE));
        bed
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn text(&self) -> String {
        self.data().to_str().expect("UTF-8").to_owned()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs one command on the data directory.
    pub fn run(&self, command: &[&str], input: &str) -> Output {
        let data = self.text();
        vault_server(&[command, &["--data", &data, "--json"]].concat(), input)
    }

    pub fn state(&self) -> String {
        json(&self.run(&["status"], ""))["state"].as_str().expect("a word").to_owned()
    }

    pub fn unseal(&self) {
        json(&self.run(&["unseal", "--passphrase-stdin"], PASSPHRASE));
    }

    pub fn start(&self) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vault-server"))
            .args(["run", "--data", &self.text()])
            .env("CANARY", "canary-of-the-environment")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let events = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Server { child, events, ready: Value::Null };
        server.ready = server.event();
        server
    }
}

/// A running vault.
pub struct Server {
    child: Child,
    events: BufReader<ChildStdout>,
    /// The newest event.
    pub ready: Value,
}

impl Server {
    /// The next line on stdout.
    pub fn event(&mut self) -> Value {
        let mut line = String::new();
        self.events.read_line(&mut line).expect("read");
        if line.is_empty() {
            let mut text = String::new();
            let mut log = self.child.stderr.take().expect("piped");
            log.read_to_string(&mut text).expect("read");
            panic!("the vault ended: {text}");
        }
        self.ready = serde_json::from_str(&line).expect("JSON");
        self.ready.clone()
    }

    pub fn pid(&self, key: &str) -> i32 {
        i32::try_from(self.ready[key].as_i64().expect("a pid")).expect("a pid")
    }

    pub fn signal(&self, key: &str, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid(key)).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("alive");
    }

    /// Waits for the end: exit status and all of stderr.
    pub fn end(mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        let mut log = self.child.stderr.take().expect("piped");
        log.read_to_string(&mut text).expect("read");
        (self.child.wait().expect("ended"), text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there and no zombie.
pub fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// Waits up to a minute for something to become true.
pub fn eventually(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    what()
}
