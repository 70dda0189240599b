//! `vaultctl`, run as people run it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tonic::Code;
use vault_client::v1::{self, Role};

use crate::fake::{Fake, refusal};

/// A home of its own.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs vaultctl with these arguments and this on stdin.
    pub async fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaultctl"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let stdin = stdin.to_owned();
        // Off the runtime, which the vault in this process needs meanwhile.
        let run = move || {
            let mut child = command.spawn().expect("vaultctl");
            // One that refuses its arguments does not read it.
            let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
            child.wait_with_output().expect("it ends")
        };
        tokio::task::spawn_blocking(run).await.expect("it runs")
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    /// Enrols with the default profile.
    pub async fn enrolled(fake: &Fake, name: &str, role: Role) -> Self {
        let home = Self::new();
        let token = fake.token(name, role).encode();
        let output = home.run_with(&["enroll", "-"], &token).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        home
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_said_in_our_form() {
    let home = Home::new();
    for arguments in [
        ["client", "invite", "mm", "--scope"].as_slice(),
        &["frobnicate"],
        &["halt", "everything", "--level", "nothing", "--reason", "x"],
        &["halt", "all"],
        &["client", "invite", "mm-1"],
        &["client", "invite", "Upper", "--scope", "s"],
        &["client", "invite", "mm", "--scope", "s", "--ip", "10.0.0.0/40"],
        &["client", "invite", "mm", "--scope", "s", "--ttl", "25h"],
        &["credential", "import", "k", "--venue", "okx", "--environment", "live"],
        &["enroll", "not-a-token"],
        &["status"],
    ] {
        let output = home.run(arguments).await;
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("vaultctl: error: "), "{}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
    let output = home.run(&["--json", "frobnicate"]).await;
    assert_eq!(json(&stderr(&output))["error"]["exit_code"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_documents_the_exit_codes() {
    let home = Home::new();
    let output = home.run(&["--help"]).await;

    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("8  verification failed"));
    let output = home.run(&["completion", "bash"]).await;
    let script = stdout(&output);
    let names =
        ["scope diff", "scope lint", "scope approve", "instrument import", "price feed put"];
    for name in names {
        let command = format!("vaultctl {name}").replace(' ', "__subcmd__");
        assert!(script.contains(&command), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_have_no_option() {
    let home = Home::new();
    for arguments in [
        ["unseal", "--passphrase", "x"].as_slice(),
        &["unseal", "x"],
        &["credential", "import", "k", "--secret", "x"],
        &["credential", "import", "k", "--api-key", "x"],
    ] {
        assert_eq!(code(&home.run(arguments).await), 2, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_makes_a_profile() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let folder = home.path("config/countersign/identities/alice");
    assert!(folder.join("key.pem").exists());
    let config = home.run(&["config", "--json"]).await;
    let config = json(&stdout(&config));
    assert_eq!(config["default_profile"], "alice");
    assert_eq!(config["profiles"][0]["identity"], folder.to_str().expect("UTF-8"));

    let token = fake.token("guard", Role::Guard).encode();
    let arguments = ["enroll", &token, "--profile", "night", "--key", "ed25519", "--json"];
    let output = home.run(&arguments).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let value = json(&stdout(&output));
    assert_eq!((&value["role"], &value["profile"]), (&"guard".into(), &"night".into()));
    let status = home.run(&["status", "--profile", "night", "--json"]).await;
    assert_eq!(json(&stdout(&status))["identity"]["name"], "guard");

    // A profile that is taken is refused before the token is spent.
    let token = fake.token("bob", Role::Admin).encode();
    let certified = fake.state().certified.len();
    let output = home.run(&["enroll", &token, "--profile", "alice"]).await;
    assert_eq!(code(&output), 2);
    assert_eq!(fake.state().certified.len(), certified);
    let output = home.run(&["status", "--profile", "nobody"]).await;
    assert_eq!(code(&output), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_verifies_the_server() {
    let fake = Fake::start().await;
    let home = Home::new();
    let mut token = fake.token("alice", Role::Admin);
    token.ca_fingerprint[3] ^= 1;
    let output = home.run(&["enroll", &token.encode(), "--out", "id"]).await;

    assert_eq!(code(&output), 8, "{}", stderr(&output));
    assert!(!home.path("id").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_happened() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    for (status, expected) in [
        (refusal(Code::PermissionDenied, "ROLE", "not for this role", &[]), 3),
        (refusal(Code::NotFound, "SCOPE_NOT_FOUND", "scope not found", &[]), 4),
        (refusal(Code::Unavailable, "SEALED", "vault is sealed", &[]), 5),
        (refusal(Code::Unavailable, "BUSY", "busy", &[]), 6),
        (refusal(Code::Unauthenticated, "CERTIFICATE_REVOKED", "revoked", &[]), 7),
        (refusal(Code::InvalidArgument, "BAD", "bad", &[]), 1),
    ] {
        fake.state().refusal = Some(status);
        let output = home.run(&["scope", "get", "a"]).await;
        assert_eq!(code(&output), expected, "{}", stderr(&output));
    }
    let output = home.run(&["scope", "get", "a", "--address", "127.0.0.1:1"]).await;
    assert_eq!(code(&output), 6, "{}", stderr(&output));

    fake.state().refusal = Some(refusal(Code::Unavailable, "SEALED", "vault is sealed", &[]));
    let output = home.run(&["scope", "get", "a"]).await;
    assert_eq!(
        stderr(&output),
        "vaultctl: error: vault is sealed (SEALED)\nhint: vaultctl unseal\n"
    );
    let details = [("operation", "okx x"), ("hint", "ask"), ("entry_index", "3")];
    let denied = refusal(Code::PermissionDenied, "CLASS_NOT_GRANTED", "denied", &details);
    fake.state().refusal = Some(denied);
    let output = home.run(&["--json", "scope", "get", "a"]).await;
    let error = &json(&stderr(&output))["error"];
    assert_eq!(error["reason"], "CLASS_NOT_GRANTED");
    assert_eq!(error["operation"], "okx x");
    assert_eq!(error["entry_index"], 3);
    assert_eq!(error["hint"], "ask");
    assert_eq!(error["exit_code"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_stdin_and_go_sealed() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let output = home.run_with(&["unseal"], "canary pass\nmore\n").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let arguments = [
        "credential",
        "import",
        "okx-main",
        "--venue",
        "okx",
        "--environment",
        "demo",
        "--right",
        "trade",
        "--right",
        "read_only",
        "--site",
        "eea",
        "--stdin",
        "--json",
    ];
    let imported = home.run_with(&arguments, "key\ncanary\npass\n").await;
    assert_eq!(code(&imported), 0, "{}", stderr(&imported));

    let opened = fake.state().opened.clone();
    assert_eq!(opened[0].1, b"canary pass");
    let metadata: v1::CredentialMetadata =
        prost::Message::decode(opened[1].0.as_slice()).expect("metadata");
    assert_eq!(metadata.rights, ["trade", "read_only"]);
    assert_eq!(metadata.sites, ["eea"]);
    assert!(metadata.rights_stated);
    let secret: v1::CredentialSecret =
        prost::Message::decode(opened[1].1.as_slice()).expect("a secret");
    assert_eq!((secret.api_key.as_str(), secret.secret.as_slice()), ("key", b"canary".as_slice()));
    for output in [output, imported] {
        assert!(!(stdout(&output) + &stderr(&output)).contains("canary"));
    }
    let sent = fake
        .state()
        .commands
        .iter()
        .any(|command| command.body.windows(6).any(|window| window == b"canary"));
    assert!(!sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_prints_the_token_alone() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let arguments = ["client", "invite", "mm-1", "--scope", "s", "--ip", "192.0.2.7"];
    let output = home.run(&arguments).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("cs1_") && stdout(&output).lines().count() == 1);

    let bot = Home::new();
    let output = bot.run_with(&["enroll", "-", "--out", "bot"], &stdout(&output)).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let renewed = bot.run(&["renew", "--json"]).await;
    assert_eq!(code(&renewed), 0, "{}", stderr(&renewed));

    let request = ["GET", "https://www.okx.com/api/v5/account/balance"];
    let sign =
        [&["sign", "--credential", "okx-main", "--receipt", "r.json"], &request[..]].concat();
    let signed = bot.run(&sign).await;
    assert_eq!(code(&signed), 0, "{}", stderr(&signed));
    assert!(stdout(&signed).contains("ok-access-sign: sig\n"));
    let worth = "; worth 30000 USD at worst; left after it: orders/1m 9\n";
    assert!(stderr(&signed).ends_with(worth), "{}", stderr(&signed));
    let receipt = fs::read(bot.path("r.json")).expect("a receipt");
    let receipt: vault_audit::Receipt = serde_json::from_slice(&receipt).expect("the log's form");
    assert_eq!((receipt.index, receipt.leaf_hash), (4, [0xab; 32]));
    // An operator cannot sign, and a bot cannot command: said without asking the vault.
    assert_eq!(code(&home.run(&sign).await), 3);
    assert_eq!(code(&bot.run(&["client", "list"]).await), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_asks_twice() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let asked = home.run(&["scope", "delete", "a"]).await;
    assert_eq!(code(&asked), 1);
    let hint = stderr(&asked);
    let token = hint.trim().rsplit(' ').next().expect("a token");
    assert_eq!(code(&home.run(&["scope", "delete", "a", "--confirm", "00000000"]).await), 2);
    let deletes = |fake: &Fake| {
        let state = fake.state();
        state.commands.iter().filter(|c| c.method == "vault.v1.ScopeService/Delete").count()
    };
    assert_eq!(deletes(&fake), 0);
    let output = home.run(&["scope", "delete", "a", "--confirm", token]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(deletes(&fake), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_with_an_unknown_key_is_refused_with_its_place() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    fs::write(home.path("bad.toml"), "name = \"a\"\nclases = [\"read\"]\n").expect("written");
    let output = home.run(&["scope", "put", "bad.toml"]).await;
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("bad.toml: line 2, column 1"), "{}", stderr(&output));
    fs::write(home.path("good.toml"), "name = \"a\"\nclasses = [\"read\"]\n").expect("written");
    let output = home.run(&["scope", "put", "good.toml", "--json"]).await;
    assert_eq!(json(&stdout(&output))["widens"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_by_its_exit_code() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let url = "https://www.okx.com/api/v5/trade/order";
    let head = ["explain", "--client", "mm-1", "--credential", "okx-main", "--from", "127.0.0.1"];

    assert_eq!(code(&home.run(&[&head[..], &["GET", url]].concat()).await), 0);
    let denied = home.run(&[&head[..], &["POST", url, "--body", "{}"]].concat()).await;
    assert_eq!(code(&denied), 3);
    assert!(stdout(&denied).contains("denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn halts_and_lists_halts() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Guard).await;
    let halt = ["halt", "venue:okx", "--level", "no-new-risk", "--reason", "drill"];
    let output = home.run(&halt).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let command = fake.state().commands.pop().expect("a command");
    let command: v1::HaltCommand =
        prost::Message::decode(command.body.as_slice()).expect("its message");
    assert_eq!((command.target.as_str(), command.reason.as_str()), ("venue:okx", "drill"));
    assert_eq!(command.level(), v1::HaltLevel::NoNewRisk);

    // One symbol, in either way of saying it.
    for target in [&["symbol:okx/BTC-USDT"][..], &["--symbol", "okx/BTC-USDT"]] {
        let halt = [&["halt"], target, &["--level", "nothing", "--reason", "drill"]].concat();
        let output = home.run(&halt).await;
        assert!(stdout(&output).starts_with("symbol:okx/BTC-USDT halted: NOTHING; "));
        let command: v1::HaltCommand =
            fake.state().last("vault.v1.HaltService/Halt").expect("a command");
        assert_eq!(command.target, "symbol:okx/BTC-USDT");
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    }
    let mistyped =
        ["halt", "--symbol", "okx/btc-usdt", "--level", "nothing", "--reason", "x", "--json"];
    let output = home.run(&mistyped).await;
    assert!(code(&output) == 0 && stderr(&output).contains("warning: no approved instrument"));
    assert_eq!(json(&stdout(&output))["symbol_unknown"], true);
    for wrong in [&["all", "--symbol", "okx/BTC-USDT"][..], &["--symbol", "okx"], &["symbol:okx"]] {
        let halt = [&["halt"], wrong, &["--level", "nothing", "--reason", "drill"]].concat();
        assert_eq!(code(&home.run(&halt).await), 2, "{wrong:?}");
    }
    fake.state().refusal = Some(refusal(Code::NotFound, "NOT_FOUND", "target not found", &[]));
    let output = home.run(&["halt", "venue:okex", "--level", "nothing", "--reason", "drill"]).await;
    assert!(code(&output) == 4 && stderr(&output).contains("hint: vaultctl catalog"));

    let output = home.run(&["halt", "status", "--json"]).await;
    assert_eq!(json(&stdout(&output))["halts"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vault_says_does_not_steer_the_terminal() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let output = home.run(&["status"]).await;

    assert!(stdout(&output).contains("sealed"));
    assert!(!stdout(&output).contains('\u{1b}'));
}

fn golden_log() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/golden/log")
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_what_verifies() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "audrey", Role::Auditor).await;
    let read = |name: &str| fs::read_to_string(golden_log().join(name)).expect("a golden file");
    let lines = read("entries.jsonl");
    let entries: Vec<Vec<u8>> = lines.lines().map(|line| line.as_bytes().to_vec()).collect();
    let (head, rest) = entries.split_at(2);
    let checkpoint =
        v1::Checkpoint { note: read("checkpoint"), log_vkey: read("log.vkey").trim().to_owned() };
    fake.state().export = vec![
        v1::ExportResponse { entries: head.to_vec(), first_index: 0, checkpoint: None },
        v1::ExportResponse { entries: rest.to_vec(), first_index: 2, checkpoint: None },
        v1::ExportResponse { checkpoint: Some(checkpoint), ..Default::default() },
    ];
    let output = home.run(&["audit", "export", "--out", "out"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for name in ["entries.jsonl", "checkpoint", "log.vkey"] {
        assert_eq!(fs::read_to_string(home.path("out").join(name)).expect("a file"), read(name));
    }
    let verified = home.run(&["audit", "verify", "out", "--json"]).await;
    assert_eq!(code(&verified), 0, "{}", stderr(&verified));
    assert_eq!(json(&stdout(&verified))["entries"], entries.len());
    // Not over files that are there.
    assert_eq!(code(&home.run(&["audit", "export", "--out", "out"]).await), 2);

    fs::write(home.path("out/entries.jsonl"), lines.replacen("idx", "idy", 1)).expect("written");
    let output = home.run(&["audit", "verify", "out"]).await;
    assert_eq!(code(&output), 8, "{}", stderr(&output));

    // A gap in the stream is not written as if it were whole.
    fake.state().export.remove(0);
    assert_eq!(code(&home.run(&["audit", "export", "--out", "gap"]).await), 8);
}
