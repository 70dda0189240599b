//! No secret in any log line, error, `Debug`, process argument, environment or export, in no file of
//! the data directory, nor in the memory of the front or the supervisor: canaries are planted, used in
//! every way, and searched for everywhere in every form.
//!
//! What is searched, and what may be found:
//!
//! - Secrets of credentials, the unseal passphrase, mistyped passphrases, token secrets and the private
//!   keys of bots and operators: nowhere. Secrets pass through the front sealed to the core.
//! - A passphrase that its owner lets the vault disclose travels beside every signature, as the venue
//!   wants it: through the front, which may keep it in freed memory. So may signatures.
//! - The front's own TLS key: in its file and the front. The core's identity key: in its file.
//! - What callers sent (not secret): in the front's memory; never in an error or a log line. Of what a
//!   bot sent, its symbols are in the audit log, by design; of what operators sent, names.
//!
//! Memory is read as root while the vault runs as nobody, and with log lines of every level. The core's
//! own memory holds opened keys while the vault is unsealed and is not searched.

mod act;
mod ask;
mod hunt;
mod plant;
mod process;
mod search;
mod uses;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::hunt::Hunt;
use crate::plant::random;
use crate::process::{read_memory, read_proc};
use crate::search::{Canary, Searcher};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_but_in_the_core() {
    let mut hunt = Hunt::start().await;
    hunt.import().await;
    hunt.search("after import");

    for round in 0..3 {
        hunt.sign_while_searching(&format!("in use, round {round}")).await;
    }
    hunt.ask_wrongly().await;
    hunt.operate().await;
    hunt.search("after use");

    hunt.seal().await;
    hunt.search("sealed");
    hunt.unseal().await;
    hunt.sign_while_searching("in use again").await;
    hunt.search("after all");

    hunt.stop_and_export().await;
    let leaks: Vec<String> = hunt.leaks.iter().cloned().collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.concat());
    hunt.check_seen();
}

// ---- what root can do ----

/// Whether memories can be read. CI is root; elsewhere the part is left out, and says so.
fn reads_memory() -> bool {
    // SAFETY: a plain system call without arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    assert!(is_root || std::env::var_os("CI").is_none(), "CI runs this test as root");
    if !is_root {
        left_out();
    }
    is_root
}

#[allow(clippy::print_stderr, reason = "whoever runs the test must know what it does not show")]
fn left_out() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        eprintln!("*** NOT ROOT: THE MEMORY OF THE VAULT'S PROCESSES IS NOT SEARCHED ***");
    });
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("set");
}

// ---- the search itself, held against what is known to be there ----

#[test]
fn the_search_finds_what_is_in_a_memory() {
    let bytes: [u8; 32] = random();
    let canaries = [Canary::new("planted", bytes)];
    let searcher = Searcher::new(&canaries);
    // The searcher's own tables hold it too: only this address counts.
    let planted = hex::encode(bytes);
    let own = i32::try_from(std::process::id()).expect("a process id");
    assert!(finds_at(&searcher, own, Some(planted.as_ptr() as usize)));

    if reads_memory() {
        let mut child = Command::new("cat")
            .env("CANARY", &planted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat");
        // Until it answers, its memory may still be the one before its start.
        child.stdin.as_mut().expect("piped").write_all(b"?").expect("written");
        child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("an answer");
        let pid = i32::try_from(child.id()).expect("a process id");
        let found = finds_at(&searcher, pid, None);
        let in_environment = !searcher.find(&read_proc(pid, "environ")).is_empty();
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert!(found && in_environment);
    }
}

fn finds_at(searcher: &Searcher, pid: i32, wanted: Option<usize>) -> bool {
    let mut found = false;
    let read = read_memory(pid, &mut |start, _, bytes| {
        for hit in searcher.find(bytes) {
            found |= wanted.is_none_or(|wanted| start + hit.offset == wanted);
        }
    });
    read.expect("may be read");
    found
}

#[test]
fn what_crosses_between_processes_shows_nothing_in_debug() {
    use vault_ipc::{Frame, Kind, LocalCall, Reply};

    let bytes: [u8; 32] = random();
    let searcher = Searcher::new(&[Canary::new("planted", bytes)]);
    let reply = Reply { response: bytes.to_vec(), ..Default::default() };
    let frame = Frame { kind: Kind::ServerIdentity, correlation: 1, body: bytes.to_vec() };
    let identity = vault_ipc::ServerIdentity { private_key: bytes.to_vec(), ..Default::default() };
    let call = LocalCall { body: bytes.to_vec(), ..Default::default() };

    // A reply holds signatures and disclosed passphrases, a frame also the server's key.
    for (what, text) in [
        ("Reply", format!("{reply:?}")),
        ("Frame", format!("{frame:?}")),
        ("ServerIdentity", format!("{identity:?}")),
    ] {
        assert!(searcher.find(text.as_bytes()).is_empty(), "{what}: {text}");
    }
    // What is sealed may be shown; and the search does see bytes in Debug.
    assert!(!searcher.find(format!("{call:?}").as_bytes()).is_empty());
}
