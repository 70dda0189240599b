//! `vaultctl scope`: diff and lint with and without a vault, approvals, replay.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use tonic::Code;
use vault_client::v1::{self, Role};
use vault_policy::ScopeDocument;
use vault_proto::approval;
use vault_wire::{scope_hash, scope_to_wire};

use crate::fake::{Fake, INSTANCE, refusal};
use crate::vaultctl::{Home, code, json, stderr, stdout};

const MM: &str = r#"
name = "mm"
credentials = ["main"]
classes = ["read", "trade", "cancel"]
modes = ["execute"]
products = ["spot"]
[symbols]
okx = ["BTC-USDT"]
[network]
allow = ["10.0.0.0/24"]
[orders]
types = ["LIMIT"]
max_notional_usd = "50000"
[cumulative]
orders = [{ per = "1m", at_most = 10 }]
"#;

const READS: &str = r#"
name = "tax"
credentials = ["tax-key"]
classes = ["read"]
modes = ["sign"]
products = ["spot"]
[network]
allow = ["10.0.0.0/24"]
"#;

fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    for (name, text) in files {
        fs::write(home.path(name), text).expect("a file");
    }
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_compared_without_a_vault() {
    let wider = MM.replace("\"BTC-USDT\"", "\"BTC-USDT\", \"SOL-USDT\"").replace("50000", "20000");
    let home = home(&[("a.toml", MM), ("b.toml", &wider), ("same.toml", MM)]);

    let output = home.run(&["scope", "diff", "a.toml", "b.toml"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "b.toml allows what a.toml does not:\n  \
           symbols: SOL-USDT at okx\n    \
             such as: buy 1 SOL-USDT (spot) at okx, limit 100, GTC, by execute with main, from \
         10.0.0.0, on Monday 10:00 UTC; SOL/USD at 100\n\
         a.toml allows what b.toml does not:\n  \
           orders.max_notional_usd: 50000 USD -> 20000 USD\n    \
             such as: buy 500 BTC-USDT (spot) at okx, limit 100, GTC, by execute with main, from \
         10.0.0.0, on Monday 10:00 UTC; BTC/USD at 100\n"
    );

    let output = home.run(&["scope", "diff", "a.toml", "b.toml", "--json"]).await;
    let value = json(&stdout(&output));
    assert_eq!(value["same"], false);
    let first = &value["differences"][0];
    assert_eq!((&first["dimension"], &first["effect"]), (&"symbols".into(), &"opens".into()));
    assert_eq!(first["finding"], "example");
    assert_eq!(first["example"]["orders"][0]["symbol"], "SOL-USDT");
    assert_eq!(first["example"]["prices"]["SOL/USD"], "100");
    assert_eq!(value["differences"][1]["effect"], "closes");

    for (other, expected) in [("b.toml", 1), ("same.toml", 0)] {
        let output = home.run(&["scope", "diff", "a.toml", other, "--exit-code"]).await;
        assert_eq!(code(&output), expected, "{other}: {}", stderr(&output));
    }
    let output = home.run(&["scope", "diff", "a.toml", "same.toml"]).await;
    assert_eq!(stdout(&output), "a.toml and same.toml let the same pass\n");
    let output = home.run(&["scope", "diff", "a.toml", "mm", "--offline"]).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let output = home.run(&["scope", "diff", "-", "-"]).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_scope_is_compared_with_a_file() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let document = ScopeDocument::from_toml(MM).expect("a scope");
    fake.state().scopes.insert("mm".to_owned(), scope_to_wire(&document));
    fake.state().credentials = Some(vec![credential("main", "kraken")]);
    let wider = MM.replace("\"cancel\"", "\"cancel\", \"account\"");
    fs::write(home.path("mm.toml"), wider).expect("a file");

    let output = home.run(&["scope", "diff", "mm", "./mm.toml"]).await;
    // The credential is of a venue whose symbols the scope does not name.
    assert_eq!(
        stdout(&output),
        "./mm.toml allows what mm does not:\n  \
           classes: account\n    \
             by itself this opens nothing: also closed by symbols\n\
         mm allows nothing that ./mm.toml does not\n",
        "{}",
        stderr(&output)
    );

    fake.state().credentials = Some(vec![credential("main", "okx")]);
    let output = home.run(&["scope", "diff", "mm", "./mm.toml"]).await;
    let text = stdout(&output);
    assert!(text.contains("such as: set something of BTC-USDT (spot) at okx"), "{text}");
}

fn credential(name: &str, venue: &str) -> v1::CredentialInfo {
    v1::CredentialInfo {
        metadata: Some(v1::CredentialMetadata {
            name: name.to_owned(),
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            ..Default::default()
        }),
        version: 1,
        state: "enabled".to_owned(),
        key_type: "hmac".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_reviewed_without_a_vault() {
    let trades = MM.replace("max_notional_usd = \"50000\"", "");
    let trades = trades.split("[cumulative]").next().unwrap_or_default();
    let home = home(&[("mm.toml", MM), ("uncapped.toml", trades), ("tax.toml", READS)]);

    let output = home.run(&["scope", "lint", "mm.toml", "--offline", "--deny-warnings"]).await;
    assert_eq!((code(&output), stdout(&output)), (0, "mm: nothing to warn of\n".to_owned()));

    let output = home.run(&["scope", "lint", "uncapped.toml", "--offline"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("(TRADE_WITHOUT_CAPS)\n    remedy: ") && text.ends_with("1 warning\n"));
    let denied = ["scope", "lint", "uncapped.toml", "--offline", "--deny-warnings", "--json"];
    let output = home.run(&denied).await;
    assert_eq!(code(&output), 1);
    let value = json(&stdout(&output));
    assert_eq!(value["warnings"][0]["code"], "TRADE_WITHOUT_CAPS");
    assert_eq!(value["warnings"][0]["dimension"], "orders.max_notional_usd");
    assert_eq!(value["credentials_known"], false);

    // Where a credential is said to be, its venue's catalogue speaks.
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=binance"];
    let text = stdout(&home.run(&said).await);
    assert!(text.contains("can never be released one (SIGNED_READ_NEVER_RELEASED)"), "{text}");
    assert!(text.contains("remedy: modes = [\"execute\"]"), "{text}");
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=okx"];
    assert!(stdout(&home.run(&said).await).contains("nothing to warn of"));
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=nowhere"];
    assert_eq!(code(&home.run(&said).await), 4);

    // Without an identity a file is looked at all the same, and that is said.
    let output = home.run(&["scope", "lint", "mm.toml"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("the vault was not asked"), "{}", stderr(&output));
    assert_eq!(code(&home.run(&["scope", "lint", "mm"]).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_reviewed_with_what_the_vault_knows() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let document = ScopeDocument::from_toml(READS).expect("a scope");
    fake.state().scopes.insert("tax".to_owned(), scope_to_wire(&document));
    let mut binance = credential("tax-key", "binance");
    binance.metadata.as_mut().expect("it has some").assume = vec!["venue_checks".to_owned()];
    fake.state().credentials = Some(vec![binance]);

    let output = home.run(&["scope", "lint", "tax", "--json"]).await;
    let value = json(&stdout(&output));
    let codes: Vec<&str> = value["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|w| w["code"].as_str())
        .collect();
    assert_eq!(value["credentials_known"], true, "{}", stderr(&output));
    for expected in ["API_KEY_DISCLOSED", "RIGHTS_UNSTATED", "VENUE_CHECKS_ASSUMED"] {
        assert!(codes.contains(&expected), "{expected}: {codes:?}");
    }
}

/// A vault that has the scope MM at revision 3.
async fn with_mm(fake: &Fake) -> Home {
    let home = Home::enrolled(fake, "alice", Role::Admin).await;
    let document = ScopeDocument::from_toml(MM).expect("a scope");
    fake.state().scopes.insert("mm".to_owned(), scope_to_wire(&document));
    fake.state().credentials = Some(vec![credential("main", "okx")]);
    fs::write(home.path("mm.toml"), MM.replace("50000", "70000")).expect("a file");
    home
}

const PUT: &str = "vault.v1.ScopeService/Put";

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_sees_what_he_approves() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let output = home.run(&["scope", "approve", "mm.toml"]).await;

    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for part in [
        "the new one allows what the scope as it is does not:\n",
        "orders.max_notional_usd: 50000 USD -> 70000 USD\n",
        "alice approves scope mm in place of revision 3, until ",
    ] {
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    // What goes out is the approval alone, over the bytes of the format.
    let approved = approval::from_text(stdout(&output).trim()).expect("an approval");
    let in_12h = SystemTime::now() + Duration::from_secs(12 * 3_600);
    let in_12h_ms = in_12h.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    assert!((in_12h_ms - 60_000..=in_12h_ms).contains(&approved.expires_at_ms));
    let document = fs::read_to_string(home.path("mm.toml")).expect("a file");
    let hash = scope_hash(&ScopeDocument::from_toml(&document).expect("a scope"));
    let signed = approval::signing_bytes(
        &INSTANCE,
        PUT,
        &hash.expect("canonical JSON"),
        3,
        approved.expires_at_ms,
    );
    let spki = fake.state().certified[0].clone();
    // A P-256 point, uncompressed, is the last 65 bytes of its SubjectPublicKeyInfo.
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &spki[spki.len() - 65..])
        .verify(&signed.expect("short"), &approved.signature)
        .expect("verifies");

    let output = home.run(&["scope", "approve", "mm.toml", "--json", "--ttl", "1h"]).await;
    let value = json(&stdout(&output));
    assert_eq!((&value["operator"], &value["expected_revision"]), (&"alice".into(), &3.into()));
    assert_eq!(value["differences"][0]["dimension"], "orders.max_notional_usd");
    assert_eq!(value["document_sha256"].as_str().map(str::len), Some(64));
    // Nothing was sent but questions.
    assert!(fake.state().last::<v1::PutScopeCommand>(PUT).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_the_present_revision() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let approve = ["scope", "approve", "mm.toml"];
    let output = home.run(&[&approve[..], &["--expect", "2"]].concat()).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    assert!(stderr(&output).contains("mm is at revision 3 by now\nhint: --expect 3"));

    fake.state().refusal = Some(refusal(Code::NotFound, "NOT_FOUND", "scope not found", &[]));
    let output = home.run(&approve).await;
    assert!(stderr(&output).contains("there is no scope mm yet"), "{}", stderr(&output));
    assert!(stderr(&output).contains("in place of revision 0"), "{}", stderr(&output));

    // Without the vault nobody says which revision it is.
    let asked = fake.state().commands.len();
    assert_eq!(code(&home.run(&[&approve[..], &["--offline"]].concat()).await), 2);
    let offline = ["--offline", "--expect", "3", "--out", "approval"];
    let output = home.run(&[&approve[..], &offline].concat()).await;
    assert_eq!((code(&output), fake.state().commands.len()), (0, asked), "{}", stderr(&output));
    let text = fs::read_to_string(home.path("approval")).expect("a file");
    assert!(approval::from_text(text.trim()).is_some());

    let guard = Home::enrolled(&fake, "gus", Role::Guard).await;
    fs::write(guard.path("mm.toml"), MM).expect("a file");
    let output = guard.run(&approve).await;
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("gus is a guard; only admins approve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_put_with_approvals() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let approved = home.run(&["scope", "approve", "mm.toml", "--out", "approval"]).await;
    assert_eq!(code(&approved), 0, "{}", stderr(&approved));
    let text = fs::read_to_string(home.path("approval")).expect("a file");

    for (given, stated, expected) in
        [("@approval", &[][..], 3), (text.trim(), &[], 3), ("@approval", &["--expect", "7"], 7)]
    {
        let put = ["scope", "put", "mm.toml", "--approval", given];
        let output = home.run(&[&put[..], stated].concat()).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let command: v1::PutScopeCommand = fake.state().last(PUT).expect("a command");
        assert_eq!(command.expected_revision, expected);
        assert_eq!(Some(&command.approvals[0]), approval::from_text(text.trim()).as_ref());
    }
    // Without approvals nothing is asked for.
    home.run(&["scope", "put", "mm.toml"]).await;
    let command: v1::PutScopeCommand = fake.state().last(PUT).expect("a command");
    assert_eq!((command.expected_revision, command.approvals.len()), (0, 0));

    let output = home.run(&["scope", "put", "mm.toml", "--approval", "approval"]).await;
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("hint: if it is in the file: --approval @approval"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_refused_says_what_to_do() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let okex = MM.replace("okx = ", "okex = ");
    fs::write(home.path("okex.toml"), okex).expect("a file");
    for (file, code_, reason, expected) in [
        (
            "mm.toml",
            Code::FailedPrecondition,
            "APPROVAL_REQUIRED",
            "another admin runs: vaultctl scope approve mm.toml; ",
        ),
        ("mm.toml", Code::PermissionDenied, "APPROVAL_EXPIRED", "vaultctl scope approve mm.toml"),
        ("mm.toml", Code::PermissionDenied, "APPROVAL_APPROVER", "vaultctl operator list"),
        ("mm.toml", Code::AlreadyExists, "REVISION_CONFLICT", "vaultctl scope diff mm mm.toml"),
        (
            "okex.toml",
            Code::InvalidArgument,
            "SCOPE_INVALID",
            "okex is no venue; there are binance",
        ),
    ] {
        fake.state().refusal = Some(refusal(code_, reason, "not so", &[]));
        let output = home.run(&["scope", "put", file]).await;
        assert_ne!(code(&output), 0, "{reason}");
        let (said, hint) = (stderr(&output), format!("hint: {expected}"));
        assert!(said.contains(&format!("not so ({reason})")), "{said}");
        let words = said.split("hint: ").nth(1).unwrap_or_default();
        assert!(words.contains(expected), "{hint}: {said}");
    }
    fake.state().refusal = Some(refusal(Code::NotFound, "NOT_FOUND", "scope not found", &[]));
    let output = home.run(&["scope", "get", "nn"]).await;
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("there is no scope nn\nhint: vaultctl scope list"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shadow_answers_otherwise_is_counted() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let document = MM.replace("name = \"mm\"", "name = \"mm\"\nshadow = \"mm-next\"");
    let document = ScopeDocument::from_toml(&document).expect("a scope");
    fake.state().scopes.insert("mm".to_owned(), scope_to_wire(&document));

    let output = home.run(&["scope", "list"]).await;
    assert!(stdout(&output).contains("  mm-next: 2 of 5 differ  "), "{}", stdout(&output));
    let output = home.run(&["scope", "list", "--json"]).await;
    let value = json(&stdout(&output));
    let scope = &value["scopes"][0];
    assert_eq!((&scope["shadow_diverged"], &scope["shadow_judged"]), (&2.into(), &5.into()));
    assert_eq!(scope["scope"]["shadow"], "mm-next");
    let output = home.run(&["scope", "get", "mm"]).await;
    let said = "since the vault's start, mm-next has answered 2 of 5 requests otherwise";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    assert!(stdout(&output).contains("shadow = \"mm-next\"\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_replayed() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let begun = v1::GetReplayResponse { read: 10, entries: 900, ..Default::default() };
    let change = v1::ReplayChange {
        becomes: "denied".to_owned(),
        reason: "NOTIONAL_TOO_LARGE".to_owned(),
        operation: "POST /api/v5/trade/order".to_owned(),
        count: 61,
        first_index: 5_117,
        first_client: "mm-1".to_owned(),
        first_words: "buy 0.5 BTC-USDT limit 61000, okx-main".to_owned(),
        first_at_ms: 1_795_333_473_845,
    };
    let done = v1::GetReplayResponse {
        read: 900,
        entries: 900,
        finished: true,
        judged: 800,
        same: 739,
        now_denied: 61,
        changes: vec![change],
        ..Default::default()
    };
    let replay = ["scope", "replay", "mm.toml", "--since", "30d"];
    fake.state().replays = vec![begun.clone(), done.clone()];
    let output = home.run(&replay).await;
    assert_eq!(
        stdout(&output),
        "900 entries, 800 requests judged: 739 as before, 61 now denied, 0 now allowed, 0 unknown\n\n\
         BECOMES  COUNT  REASON              OPERATION                 FIRST\n\
         denied   61     NOTIONAL_TOO_LARGE  POST /api/v5/trade/order  #5117 mm-1: buy 0.5 BTC-USDT \
         limit 61000, okx-main\n",
        "{}",
        stderr(&output)
    );
    // No bar where nobody looks.
    assert_eq!(stderr(&output), "");
    let started: v1::StartReplayCommand =
        fake.state().last("vault.v1.ScopeService/StartReplay").expect("a command");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let ago_ms = now - started.since_ms;
    assert!((0..60_000).contains(&(ago_ms - 30 * 86_400_000)), "{ago_ms}");
    assert_eq!(
        started.scope.map(|scope| scope.orders.unwrap_or_default().max_notional_usd).as_deref(),
        Some("70000")
    );

    // A stored scope is a candidate, too; and clients are named.
    fake.state().replays = vec![done];
    let stored =
        ["scope", "replay", "mm", "--since", "12h", "--client", "a", "--client", "b", "--json"];
    let output = home.run(&stored).await;
    let value = json(&stdout(&output));
    assert_eq!(
        (&value["now_denied"], &value["changes"][0]["first_index"]),
        (&61.into(), &5_117.into())
    );
    let started: v1::StartReplayCommand =
        fake.state().last("vault.v1.ScopeService/StartReplay").expect("a command");
    assert_eq!(started.clients, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_says_why() {
    let fake = Fake::start().await;
    let home = with_mm(&fake).await;
    let replay = ["scope", "replay", "./mm.toml", "--since", "30d"];

    let broken = v1::GetReplayResponse {
        finished: true,
        error: "the log cannot be read".to_owned(),
        ..Default::default()
    };
    fake.state().replays = vec![broken];
    let output = home.run(&replay).await;
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    assert!(stderr(&output).contains("the replay has ended early: the log cannot be read"));

    // Another has taken its place.
    let output = home.run(&replay).await;
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("hint: somebody has begun another replay"));

    let nobody = refusal(Code::InvalidArgument, "BAD_FIELD", "no client holds it", &[]);
    fake.state().refusal = Some(nobody);
    let output = home.run(&replay).await;
    assert!(stderr(&output).contains("--client NAME"), "{}", stderr(&output));
    for since in ["30", "1w", "-1d", ""] {
        let wrong = ["scope", "replay", "mm.toml", "--since", since];
        assert_eq!(code(&home.run(&wrong).await), 2, "{since}");
    }
}
