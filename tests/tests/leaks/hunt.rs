//! Everything that was planted, everything that was seen, and the search for the one in the other.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;

use tonic::Status;
use vault_client::{ClientError, v1};
use vault_tests::{PASSPHRASE, Ready, TestVault, wire};

use crate::plant::{ca_key_mark, private_key, public_point, random_text, token_secret};
use crate::process::{core_file, read_memory, read_proc, users};
use crate::search::{Canary, PIECE_MAX, Searcher};
use crate::{open_to_all, reads_memory};

pub const NOBODY: u32 = 65_534;

pub const SCOPE: &str = r#"
name = "leaks"
description = "both venues"
credentials = ["kraken-main", "okx-hidden", "okx-open"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]

[symbols]
kraken = ["XBTUSD"]
okx = ["BTC-USDT"]

[network]
allow = ["127.0.0.0/8"]
"#;

/// Everything that was planted, and everything that was seen.
pub struct Hunt {
    pub vault: TestVault,
    /// Outside the data directory: raw stdout and stderr, and exports.
    pub folder: tempfile::TempDir,
    pub canaries: Vec<Canary>,
    /// What the vault answered, as a program shows it.
    pub said: Vec<(String, Vec<u8>)>,
    /// Places, and the names of what was found there and may be there.
    seen: BTreeSet<(String, String)>,
    pub leaks: BTreeSet<String>,
    /// Text that callers send in wrong places.
    pub input: String,
    pub operator_input: String,
    pub symbol: String,
}

impl Hunt {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        open_to_all(folder.path());
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
        // The harness reads lines and drops what is no text; this keeps every byte.
        let tee = format!(
            "exec \"$0\" \"$@\" > >(exec tee -a {}) 2> >(exec tee -a {} >&2)",
            stdout.display(),
            stderr.display()
        );
        let builder = TestVault::builder().config("log", "level", "trace").wrapper([
            "bash",
            "-c",
            tee.as_str(),
        ]);
        let builder = if reads_memory() { builder.user(NOBODY, NOBODY) } else { builder };
        let vault = builder.start().await;
        if reads_memory() {
            let Ready { pid, pid_front, pid_core, pid_egress, .. } = *vault.ready();
            for pid in [pid, pid_front, pid_core, pid_egress] {
                assert_eq!(users(pid), [NOBODY; 4], "the vault runs unprivileged");
            }
        }

        let mut hunt = Self::over(vault, folder);
        hunt.plant().await;
        hunt
    }

    /// A hunt in a vault that nothing was planted in yet.
    pub fn over(vault: TestVault, folder: tempfile::TempDir) -> Self {
        let (input, operator_input, mut symbol) = (random_text(), random_text(), random_text());
        // With "BTC-" before it, no longer than any symbol.
        symbol.truncate(32);
        Self {
            vault,
            folder,
            canaries: Vec::new(),
            said: Vec::new(),
            seen: BTreeSet::new(),
            leaks: BTreeSet::new(),
            input,
            operator_input,
            symbol,
        }
    }

    /// Knows what the vault itself and the harness have made, and enrols a bot.
    pub async fn plant(&mut self) {
        const FRONT: &[&str] = &["front memory"];
        const TEXTS: &[&str] = &["front memory", "data/", "export/", "explained"];
        self.add("unseal passphrase", PASSPHRASE);
        let inputs = [
            ("a bot's input", self.input.clone(), FRONT),
            ("an operator's input", self.operator_input.clone(), TEXTS),
            ("a bot's symbol", self.symbol.clone(), TEXTS),
        ];
        for (name, text, allowed) in inputs {
            self.canaries.push(Canary::allowed_in(name, text, allowed));
        }

        self.vault.put_scope(SCOPE).await;
        let token = self.vault.invite("bot", v1::Role::Bot, "leaks", &["127.0.0.1/32"]).await;
        let unused = self.vault.invite_operator("late", v1::Role::Auditor).await;
        self.note("token", &token);
        let enrolled = self.vault.enroll("bot", &token).await;
        self.answered("enroll", &enrolled);
        let again = self.vault.enroll("bot-2", &token).await;
        assert!(again.is_err(), "a token is good once");
        self.answered("enroll again", &again);
        for (name, token) in [
            ("bot's token", &token),
            ("unused token", &unused),
            ("admin's token", &self.vault.made().token("admin")),
            ("auditor's token", &self.vault.made().token("auditor")),
        ] {
            self.canaries.push(Canary::new(name, token_secret(token)));
        }
        for who in ["admin", "auditor", "guard", "bot"] {
            let key = private_key(&self.vault.identity_folder(who).join("key.pem"));
            self.canaries.push(Canary::new(format!("private key of {who}"), key));
            let identity = self.vault.identity(who);
            self.note("identity", &identity);
        }

        let data = self.vault.data();
        let tls_key = private_key(&data.join("server-tls.pem"));
        let allowed = &["front memory", "data/server-tls.pem"];
        self.canaries.push(Canary::allowed_in("server's TLS key", tls_key, allowed));
        let seed = fs::read_to_string(data.join("core-identity.key")).expect("the core's key");
        let seed = hex::decode(seed.trim()).expect("hex");
        let allowed = &["data/core-identity.key"];
        self.canaries.push(Canary::allowed_in("core's identity key", seed, allowed));
        self.canaries.push(ca_key_mark(&data.join("ca.pem")));

        self.plant_controls().await;
    }

    /// What is found in every search of a memory, or the search is blind.
    pub async fn plant_controls(&mut self) {
        let admin = self.vault.identity("admin");
        let tls = wire::tls(&admin, Some(&admin));
        let stream = wire::stream(tls, self.vault.ready().operator, None).await.expect("TLS");
        let (_, session) = stream.get_ref();
        let certificates = session.peer_certificates().expect("a certificate");
        let point = public_point(&certificates[0]);
        self.canaries.push(Canary::allowed_in(CONTROL_FRONT, point, EVERYWHERE));
        let path = self.vault.data().to_str().expect("plain").to_owned();
        self.canaries.push(Canary::allowed_in(CONTROL_SUPERVISOR, path, EVERYWHERE));
    }

    pub fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.canaries.push(Canary::new(name, bytes));
    }

    /// A new secret text.
    pub fn secret(&mut self, name: &str) -> String {
        let text = random_text();
        self.add(name, text.clone());
        text
    }

    pub fn note(&mut self, what: &str, value: &impl Debug) {
        self.said.push((format!("Debug of {what}"), format!("{value:?}\n{value:#?}").into_bytes()));
    }

    /// What the client library makes of an answer.
    pub fn answered<T: Debug>(&mut self, what: &str, answer: &Result<T, ClientError>) {
        self.note(what, answer);
        if let Err(error) = answer {
            let mut text = String::new();
            let mut next: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = next {
                writeln!(text, "{error}\n{error:?}").expect("into a string");
                next = error.source();
            }
            self.said.push((format!("error of {what}"), text.into_bytes()));
        }
    }

    /// What came over the wire.
    pub fn refused(&mut self, what: &str, status: &Status) {
        let text = format!("{status}\n{status:?}\n{}\n{:?}", status.message(), status.metadata());
        let bytes = [text.as_bytes(), b"\n", status.details()].concat();
        self.said.push((format!("status of {what}"), bytes));
    }

    /// Searches everything there is.
    pub fn search(&mut self, stage: &str) {
        self.search_processes(stage);
        self.search_files(stage);
        self.search_said(stage);
    }

    pub fn search_said(&mut self, stage: &str) {
        let searcher = Searcher::new(&self.canaries);
        for (place, bytes) in std::mem::take(&mut self.said) {
            self.look(&searcher, stage, &place, "", 0, &bytes);
        }
    }

    pub fn search_files(&mut self, stage: &str) {
        let data = self.vault.data();
        let files = self.search_folder(stage, "data", &data);
        for needed in ["vault.db", "audit/seg-", "core-identity.key", "server-tls.pem"] {
            assert!(files.iter().any(|file| file.starts_with(needed)), "no {needed} in {files:?}");
        }
        let searcher = Searcher::new(&self.canaries);
        for name in ["stdout", "stderr"] {
            let bytes = fs::read(self.folder.path().join(name)).expect("what the server wrote");
            assert!(!bytes.is_empty());
            self.look(&searcher, stage, name, "", 0, &bytes);
        }
    }

    /// Searches all files below a folder; returns their names.
    pub fn search_folder(&mut self, stage: &str, name: &str, folder: &Path) -> Vec<String> {
        let searcher = Searcher::new(&self.canaries);
        let mut names = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let entry = entry.expect("an entry");
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let below = path.strip_prefix(folder).expect("below").display().to_string();
                    let bytes = fs::read(&path).expect("a file");
                    self.look(&searcher, stage, &format!("{name}/{below}"), "", 0, &bytes);
                    names.push(below);
                }
            }
        }
        names
    }

    /// Command line and environment of all four, memory of the two that see what callers send. What
    /// egress holds while it sends is searched in `proxy/memory.rs`.
    pub fn search_processes(&mut self, stage: &str) {
        let searcher = Searcher::new(&self.canaries);
        let Ready { pid, pid_front, pid_core, pid_egress, .. } = *self.vault.ready();
        let all =
            [("supervisor", pid), ("front", pid_front), ("core", pid_core), ("egress", pid_egress)];
        for (process, pid) in all {
            for file in ["cmdline", "environ"] {
                let bytes = read_proc(pid, file);
                self.look(&searcher, stage, &format!("{process} {file}"), "", 0, &bytes);
            }
        }
        if !reads_memory() {
            return;
        }
        for (process, pid, control) in
            [("supervisor", pid, CONTROL_SUPERVISOR), ("front", pid_front, CONTROL_FRONT)]
        {
            self.search_memory(&searcher, stage, process, pid, control);
        }
    }

    /// Searches all that one process has in memory; `control` must be in it.
    pub fn search_memory(
        &mut self,
        searcher: &Searcher,
        stage: &str,
        process: &str,
        pid: i32,
        control: &str,
    ) {
        let place = format!("{process} memory");
        let mut found = BTreeSet::new();
        let read = read_memory(pid, &mut |address, mapping, bytes| {
            found.extend(self.look(searcher, stage, &place, mapping, address, bytes));
        });
        let read = read.expect("root reads every memory");
        assert!(read > 1 << 20, "{read} bytes of {place} are not all of it");
        self.assert_sees(&found, stage, &place, control);
    }

    /// Searches a core file of one process, as a debugger writes it; `control` must be in it.
    pub fn search_core_file(
        &mut self,
        searcher: &Searcher,
        stage: &str,
        process: &str,
        pid: i32,
        control: &str,
    ) {
        let Some(bytes) = core_file(pid, self.folder.path()) else { return };
        let place = format!("{process} core file");
        let found = self.look(searcher, stage, &place, "", 0, &bytes);
        self.assert_sees(&found, stage, &place, control);
    }

    fn assert_sees(&self, found: &BTreeSet<usize>, stage: &str, place: &str, control: &str) {
        let is_control = |index: &usize| self.canaries[*index].name == control;
        assert!(found.iter().any(is_control), "{stage}: the search of {place} is blind");
    }

    /// Searches some bytes and keeps what must not be there; returns all canaries that were found.
    pub fn look(
        &mut self,
        searcher: &Searcher,
        stage: &str,
        place: &str,
        mapping: &str,
        start: usize,
        bytes: &[u8],
    ) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for hit in searcher.find(bytes) {
            let canary = &self.canaries[hit.canary];
            let is_allowed = canary.allowed.iter().any(|allowed| place.starts_with(allowed));
            if !found.insert(hit.canary) {
                continue;
            }
            if is_allowed {
                self.seen.insert((place.to_owned(), canary.name.clone()));
            } else {
                let from = hit.offset.saturating_sub(160);
                let until = bytes.len().min(hit.offset + PIECE_MAX + 80);
                let around = bytes[from..until].escape_ascii();
                let (name, form, at) = (&canary.name, hit.form, start + hit.offset);
                self.leaks.insert(format!(
                    "- {place}: {name} ({form}); {stage}, at {at:#x} {mapping}\n    {around}\n"
                ));
            }
        }
        found
    }

    /// What must have been seen if the search is not blind, and if everything was done.
    pub fn check_seen(&self) {
        let memory: &[(&str, &str)] = match reads_memory() {
            // What passes through the front is found in it: so a secret that did would be, too.
            true => &[("front memory", "disclosed passphrase"), ("front memory", "a signature")],
            false => &[],
        };
        let others = [
            ("data/audit/", "a bot's symbol"),
            ("data/core-identity.key", "core's identity key"),
            ("data/server-tls.pem", "server's TLS key"),
            ("data/vault.db", "an operator's input"),
            ("explained", "a bot's symbol"),
            ("export/", "a bot's symbol"),
            ("stdout", CONTROL_SUPERVISOR),
            ("supervisor cmdline", CONTROL_SUPERVISOR),
        ];
        for (place, name) in memory.iter().chain(&others) {
            let is_it = |seen: &(String, String)| seen.0.starts_with(place) && seen.1 == *name;
            assert!(
                self.seen.iter().any(is_it),
                "{name} was not found in {place}: {:?}",
                self.seen
            );
        }
        let stderr = fs::read_to_string(self.folder.path().join("stderr")).expect("text");
        assert!(stderr.contains("DEBUG"), "log lines of every level that there are");
    }
}

const EVERYWHERE: &[&str] = &[""];
pub const CONTROL_FRONT: &str = "control: the server's public key";
pub const CONTROL_SUPERVISOR: &str = "control: the data directory's path";
