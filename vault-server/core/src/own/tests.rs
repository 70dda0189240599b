//! Requests of the vault's own, from what asks for them to what becomes of them.

use std::time::Duration;

use prost::Message;
use vault_audit::{EntryKind, Outcome as Ending};
use vault_ipc::proto::v1;
use vault_ipc::{Dispatch, Listener, Outcome, REPORTS_MAX, Report};
use vault_model::{HaltLevel, HaltTarget, Name, Role, Serial};

use crate::act::Asker;
use crate::caller::{Caller, Origin};
use crate::credential::Import;
use crate::denial_budget::BURST;
use crate::error::VaultError;
use crate::execute::tests::bench::{
    Bench, ONE, Seen, answered, execute, kraken_balance, okx_order, sign,
};
use crate::journal::Channel;
use crate::storage::{
    CertificateRow, CertificateState, Changes, CredentialRow, CredentialState, HaltRow, Hex,
    HexBytes, Holder, HolderState, OperatorRow,
};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn asker(correlation: u64) -> Asker {
    let origin = Origin { address: Some([10, 0, 0, 9].into()), via: "direct".to_owned() };
    Asker {
        channel: Channel::Front,
        correlation,
        caller: Some(Caller {
            name: name("alice"),
            role: Role::Admin,
            serial: Serial([9; 16]),
            origin: origin.clone(),
            listener: Listener::Operator,
        }),
        origin,
        nonce: None,
        signature_hash: None,
    }
}

fn command(body: &impl Message) -> v1::SignedCommand {
    v1::SignedCommand { body: body.encode_to_vec(), ..v1::SignedCommand::default() }
}

/// A venue's answer: values by the pointers that were asked for, or by those with a row.
fn says(dispatch: &Dispatch, values: &[(&str, u32, &str)]) -> Outcome {
    let report = values
        .iter()
        .map(|(pointer, row, value)| {
            let at = dispatch.report_at.iter().position(|at| at == pointer);
            let at = at.unwrap_or_else(|| panic!("{pointer} is not asked for"));
            let at = u32::try_from(at).expect("few");
            Report { at, row: *row, value: (*value).to_owned() }
        })
        .collect();
    Outcome { report, ..answered() }
}

/// What OKX says of a key with these rights.
fn okx_rights(dispatch: &Dispatch, rights: &str) -> Outcome {
    says(
        dispatch,
        &[("/code", 0, "0"), ("/data/0/perm", 0, rights), ("/data/0/ip", 0, "192.0.2.1")],
    )
}

impl Bench {
    /// With the admin who asks.
    fn with_alice() -> Self {
        let mut bench = Self::new();
        bench.put_alice(Role::Admin, HolderState::Active);
        let mut changes = Changes::new();
        changes.put(CertificateRow {
            fingerprint: Hex([9; 32]),
            holder: Holder::Operator(name("alice")),
            issued_at: bench.now,
            not_after: bench.now.plus(Duration::from_secs(86_400)),
            parent: None,
            public_key: HexBytes(Vec::new()),
            serial: Serial([9; 16]),
            state: CertificateState::Active,
        });
        bench.change(&changes);
        bench
    }

    fn put_alice(&mut self, role: Role, state: HolderState) {
        let mut changes = Changes::new();
        changes.put(OperatorRow {
            created_at: self.now,
            name: name("alice"),
            revoked_at: None,
            role,
            state,
        });
        self.change(&changes);
    }

    fn check(&mut self, correlation: u64, credential: &str) -> Result<Seen, VaultError> {
        let command = command(&v1::CheckCredentialCommand { name: credential.to_owned() });
        self.vault.check_credential(&command, asker(correlation), self.now)?;
        Ok(self.look())
    }

    fn cancel_all(&mut self, correlation: u64, target: &str) -> Result<Seen, VaultError> {
        let command = command(&v1::CancelAllCommand { target: target.to_owned() });
        self.vault.cancel_all(&command, asker(correlation), self.now)?;
        Ok(self.look())
    }

    fn credential_row(&self, credential: &str) -> CredentialRow {
        self.vault.tables().credentials[&name(credential)].clone()
    }

    fn state_rights(&mut self, credential: &str, rights: &[&str]) {
        let mut row = self.credential_row(credential);
        row.rights = Some(rights.iter().map(|right| (*right).to_owned()).collect());
        let mut changes = Changes::new();
        changes.put(row);
        self.change(&changes);
    }

    fn halt(&mut self, target: HaltTarget, level: HaltLevel) {
        let mut changes = Changes::new();
        changes.put(HaltRow {
            at: self.now,
            by: "alice".to_owned(),
            level,
            reason: "test".to_owned(),
            target,
        });
        self.change(&changes);
    }

    fn pass(&mut self, time: Duration) -> Seen {
        self.wait(time);
        self.vault.own_tick(self.now).expect("no defect");
        self.look()
    }
}

impl Seen {
    /// The one request of the vault's own.
    fn own(&self) -> (u64, &Dispatch) {
        let [(id, dispatch)] = self.dispatches.as_slice() else {
            panic!("one request: {:?}", self.replies)
        };
        assert_eq!(dispatch.front_correlation, 0, "the core alone hears of it");
        (*id, dispatch)
    }

    fn reply<M: Message + Default>(&self, correlation: u64) -> M {
        let [(to, reply)] = self.replies.as_slice() else { panic!("one answer") };
        assert_eq!((*to, &reply.failure), (correlation, &None));
        assert!(!reply.releases);
        M::decode(reply.response.as_slice()).expect("an answer")
    }

    fn kinds(&self) -> Vec<EntryKind> {
        self.entries.iter().map(|entry| entry.kind).collect()
    }
}

fn codes(check: &v1::CredentialCheck) -> Vec<&str> {
    check.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn what_the_vault_asks_itself_goes_to_the_site_of_the_key() {
    let mut bench = Bench::with_alice();
    bench.resite("okx-main", &["eea"]);
    let seen = bench.check(1, "okx-main").expect("begun");
    assert!(seen.own().1.url.starts_with("https://eea.okx.com/"), "{}", seen.own().1.url);

    bench.halt(HaltTarget::Credential(name("okx-main")), HaltLevel::Nothing);
    let seen = bench.cancel_all(2, "credential:okx-main").expect("begun");
    assert!(!seen.dispatches.is_empty());
    for (_, dispatch) in &seen.dispatches {
        assert!(dispatch.url.starts_with("https://eea.okx.com/"), "{}", dispatch.url);
    }
}

#[test]
fn a_check_is_signed_logged_and_sent_like_any_request_and_nobody_but_the_core_hears_of_it() {
    let mut bench = Bench::new();
    bench.state_rights("okx-main", &["read_only", "trade"]);
    let seen = bench.check(7, "okx-main").expect("begun");
    let (id, dispatch) = seen.own();
    assert_eq!(dispatch.url, "https://www.okx.com/api/v5/account/config");
    assert_eq!((dispatch.class.as_str(), dispatch.repeatable), ("read", true));
    assert_eq!((dispatch.credential.as_str(), dispatch.timeout_ms), ("okx-main", 10_000));
    assert!(!dispatch.secrets.is_empty() && seen.replies.is_empty());
    let [intent] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((intent.kind, &intent.client), (EntryKind::ExecuteIntent, &None));
    assert_eq!(intent.detail.get("purpose").map(String::as_str), Some("check"));
    assert_eq!(intent.detail.get("by").map(String::as_str), Some("alice"));
    assert!(intent.sig_sha256.is_some() && intent.payload_mac.is_some());

    let told = okx_rights(dispatch, "read_only,trade");
    let seen = bench.outcome(id, &told);
    assert_eq!(seen.kinds(), [EntryKind::ExecuteOutcome, EntryKind::CredentialCheck]);
    let [outcome, check] = seen.entries.as_slice() else { panic!("two entries") };
    assert_eq!(outcome.detail.get("intent"), Some(&intent.idx.to_string()));
    assert_eq!((&outcome.client, &check.client), (&None, &Some(name("alice"))));
    assert_eq!(check.detail.get("rights").map(String::as_str), Some("read_only,trade"));
    assert_eq!(check.detail.get("drifted").map(String::as_str), Some("no"));
    let answer: v1::CheckCredentialResponse = seen.reply(7);
    let check = answer.check.expect("a check");
    assert_eq!(check.rights, ["read_only", "trade"]);
    assert!(!check.drifted && check.problem.is_empty());
    assert!(!codes(&check).contains(&"RIGHT_NOT_STATED"), "{:?}", codes(&check));
    // What it said is shown from now on.
    let described = bench.vault.describe_credential("okx-main", bench.now).expect("there");
    let shown = described.credential.and_then(|info| info.check).expect("checked");
    assert_eq!(shown.rights, ["read_only", "trade"]);
}

#[test]
fn drift_halts_sign_until_a_check_finds_none() {
    let mut bench = Bench::new();
    // At Kraken alone Sign would be allowed otherwise.
    bench.state_rights("kraken-main", &["Funds permissions - Query"]);
    let signed = |bench: &mut Bench, id: &str| {
        let call = sign(ONE, id, "kraken-main", kraken_balance());
        bench.wait(Duration::from_secs(30));
        bench.sign(1, &call)
    };
    assert!(signed(&mut bench, "before").replies[0].1.failure.is_none());
    bench.wait(Duration::from_secs(30));

    let kraken = |dispatch: &Dispatch, rights: &[&str]| {
        let mut values: Vec<(&str, u32, &str)> = vec![
            ("/result/validUntil", 0, "0"),
            ("/result/nonceWindow", 0, "0"),
            ("/result/ipAllowlist/*", 0, "192.0.2.1"),
        ];
        let rows = (0u32..).zip(rights);
        values.extend(rows.map(|(row, right)| ("/result/permissions/*", row, *right)));
        says(dispatch, &values)
    };
    let seen = bench.check(2, "kraken-main").expect("begun");
    let (id, dispatch) = seen.own();
    assert!(!dispatch.repeatable, "a nonce is good once");
    let seen = bench.outcome(id, &kraken(dispatch, &["query-funds", "modify-trades"]));
    let check = seen.reply::<v1::CheckCredentialResponse>(2).check.expect("a check");
    assert!(check.drifted && codes(&check).contains(&"RIGHT_NOT_STATED"));

    assert_eq!(signed(&mut bench, "drifted").reason(), "CREDENTIAL_DRIFTED");
    // Nor is an answer of before given again.
    let again = sign(ONE, "before", "kraken-main", kraken_balance());
    assert_eq!(bench.sign(3, &again).reason(), "OUTCOME_UNKNOWN");
    // What is sent is judged by what it says.
    let sent = bench.execute(4, execute("sent", "kraken-main", kraken_balance()));
    let (id, _, _) = sent.sent();
    bench.outcome(id, &answered());
    let status = bench.vault.status(crate::seal::Guesser::Local, bench.now).expect("a status");
    assert_eq!(status.drifted_credentials, ["kraken-main"]);

    // A venue that does not answer takes nothing back.
    let seen = bench.check(5, "kraken-main").expect("begun");
    let (id, _) = seen.own();
    let lost = Outcome { problem: "TIMEOUT".to_owned(), sent: true, ..Outcome::default() };
    let seen = bench.outcome(id, &lost);
    let check = seen.reply::<v1::CheckCredentialResponse>(5).check.expect("a check");
    assert_eq!((check.drifted, check.problem.as_str()), (true, "TIMEOUT"));
    assert_eq!(seen.entries[1].outcome, Ending::Error);
    assert_eq!(signed(&mut bench, "still").reason(), "CREDENTIAL_DRIFTED");

    let seen = bench.check(6, "kraken-main").expect("begun");
    let (id, dispatch) = seen.own();
    let seen = bench.outcome(id, &kraken(dispatch, &["query-funds"]));
    let check = seen.reply::<v1::CheckCredentialResponse>(6).check.expect("a check");
    assert!(!check.drifted, "{:?}", codes(&check));
    assert!(signed(&mut bench, "after").replies[0].1.failure.is_none());
}

#[test]
fn where_nonces_go_in_order_the_vaults_own_request_takes_its_turn() {
    let mut bench = Bench::new();
    let first = bench.execute(1, execute("one", "kraken-main", kraken_balance()));
    let (id, _, _) = first.sent();
    bench.execute(2, execute("two", "kraken-main", kraken_balance()));
    let seen = bench.check(3, "kraken-main").expect("begun");
    assert!(seen.dispatches.is_empty() && seen.entries.is_empty(), "one is on its way");
    bench.halt(HaltTarget::Venue(name("kraken")), HaltLevel::NoNewRisk);
    let seen = bench.cancel_all(4, "credential:kraken-main").expect("begun");
    assert_eq!(seen.kinds(), [EntryKind::HaltCancelAll]);

    // To cancel goes before to ask, and both before what clients want.
    let seen = bench.outcome(id, &answered());
    let (cancel, dispatch) = seen.own();
    assert!(dispatch.url.ends_with("/0/private/CancelAll") && dispatch.class == "cancel");
    let nonce: u64 =
        seen.entries[1].nonce.as_ref().and_then(|nonce| nonce.parse().ok()).expect("a nonce");
    let told = says(dispatch, &[("/result/count", 0, "3")]);
    let seen = bench.outcome(cancel, &told);
    let steps = seen.reply::<v1::CancelAllResponse>(4).steps;
    let [step] = steps.as_slice() else { panic!("one step: {steps:?}") };
    assert_eq!((step.order_count, step.problem.as_str(), step.status), (3, "", 200));
    assert!(step.entry.is_some());
    let (check, dispatch) = seen.own();
    assert!(dispatch.url.ends_with("/0/private/GetApiKeyInfo"));
    let later = seen.entries.iter().filter_map(|entry| entry.nonce.as_ref());
    assert!(later.into_iter().all(|later| later.parse::<u64>().expect("a number") > nonce));
    let seen = bench.outcome(check, &Outcome { status: 500, sent: true, ..Outcome::default() });
    let [(_, dispatch)] = seen.dispatches.as_slice() else { panic!("one at a time") };
    assert_eq!(dispatch.front_correlation, 2, "now it is the client's turn");
}

#[test]
fn a_bot_that_signs_does_not_lose_its_nonce_to_a_question() {
    let mut bench = Bench::new();
    let signed = bench.sign(1, &sign(ONE, "one", "kraken-main", kraken_balance()));
    assert!(signed.replies[0].1.failure.is_none());
    let seen = bench.check(2, "kraken-main").expect("answered");
    let check = seen.reply::<v1::CheckCredentialResponse>(2).check.expect("a check");
    assert_eq!(check.problem, "CREDENTIAL_LEASED");
    // To cancel is worth it.
    bench.halt(HaltTarget::All, HaltLevel::Nothing);
    let seen = bench.cancel_all(3, "credential:kraken-main").expect("begun");
    assert_eq!(seen.own().1.class, "cancel");
}

#[test]
fn a_bot_that_signs_on_and_on_keeps_no_key_from_being_checked() {
    let mut bench = Bench::new();
    for (number, id) in [(1, "one"), (2, "two"), (3, "three")] {
        let signed = bench.sign(number, &sign(ONE, id, "kraken-main", kraken_balance()));
        assert!(signed.replies[0].1.failure.is_none());
        let seen = bench.check(10 + number, "kraken-main").expect("begun");
        if number < 3 {
            let check = seen.reply::<v1::CheckCredentialResponse>(10 + number).check;
            assert_eq!(check.expect("a check").problem, "CREDENTIAL_LEASED");
            bench.wait(Duration::from_secs(9));
            continue;
        }
        let (id, dispatch) = seen.own();
        assert!(dispatch.url.ends_with("/0/private/GetApiKeyInfo"));
        bench.outcome(id, &says(dispatch, &[]));
    }
}

#[test]
fn orders_are_looked_for_cancelled_and_looked_for_again() {
    let mut bench = Bench::new();
    assert!(matches!(
        bench.cancel_all(1, "credential:okx-main"),
        Err(VaultError::Conflict(crate::error::Conflict::NotHalted))
    ));
    bench.halt(HaltTarget::Venue(name("okx")), HaltLevel::Nothing);
    let mut seen = bench.cancel_all(2, "symbol:okx/BTC-USDT").expect("begun");
    let mut cancelled = 0;
    let mut answer = None;
    // Orders of this symbol are there until they are cancelled, and one is of another.
    let mut open = vec![("BTC-USDT", "11"), ("BTC-USDT", "12")];
    for _ in 0..200 {
        let dispatches = std::mem::take(&mut seen.dispatches);
        if !seen.replies.is_empty() {
            answer = Some(seen.reply::<v1::CancelAllResponse>(2));
            break;
        }
        let mut next = Vec::new();
        for (id, dispatch) in dispatches {
            assert_eq!(dispatch.front_correlation, 0);
            assert_eq!(dispatch.class, "cancel", "no pause holds up a listing either");
            let mut values = vec![("/code", 0, "0")];
            if dispatch.url.contains("/orders-pending") {
                assert!(dispatch.url.contains("instId=BTC-USDT"), "{}", dispatch.url);
                for (row, (symbol, order)) in (0u32..).zip(&open) {
                    values.push(("/data/*/instId", row, *symbol));
                    values.push(("/data/*/ordId", row, *order));
                }
            } else if dispatch.method == "POST" {
                let body = String::from_utf8(dispatch.body.clone()).expect("JSON");
                assert!(body.contains("\"11\"") && body.contains("\"12\""), "{body}");
                open.clear();
                cancelled += 1;
            }
            let told = says(&dispatch, &values);
            next.push(bench.outcome(id, &told));
        }
        seen = bench.pass(Duration::from_secs(1));
        for part in next {
            seen.dispatches.extend(part.dispatches);
            seen.replies.extend(part.replies);
        }
    }
    assert_eq!(cancelled, 1);
    let steps = answer.expect("an answer").steps;
    let counts = |operation: &str| -> Vec<u32> {
        let of = steps.iter().filter(|step| step.operation == operation);
        of.map(|step| step.order_count).collect()
    };
    assert!(steps.iter().all(|step| step.problem.is_empty()), "{steps:?}");
    assert_eq!(counts("GET /api/v5/trade/orders-pending"), [2, 0]);
    assert_eq!(counts("POST /api/v5/trade/cancel-batch-orders"), [2]);
}

#[test]
fn of_a_response_no_more_is_taken_than_egress_may_tell() {
    let mut bench = Bench::new();
    bench.halt(HaltTarget::Venue(name("okx")), HaltLevel::Nothing);
    let seen = bench.cancel_all(2, "symbol:okx/BTC-USDT").expect("begun");
    let is_look = |(_, dispatch): &&(u64, Dispatch)| dispatch.url.contains("/orders-pending");
    let (id, dispatch) = seen.dispatches.iter().find(is_look).expect("it looks for orders");
    let orders: Vec<String> = (0..2 * REPORTS_MAX).map(|number| number.to_string()).collect();
    let mut values = vec![("/code", 0, "0")];
    for (row, order) in (0u32..).zip(&orders) {
        values.push(("/data/*/instId", row, "BTC-USDT"));
        values.push(("/data/*/ordId", row, order));
    }
    let told = says(dispatch, &values);
    bench.outcome(*id, &told);
    let job = bench.vault.own.jobs.values().next().expect("a job");
    // Each order is a symbol and an id.
    let found = job.steps.iter().map(|step| step.order_count).max();
    assert!(found.is_some_and(|found| (2_000..=2_048).contains(&found)), "{found:?}");
}

#[test]
fn refused_commands_of_one_operator_are_logged_up_to_a_number() {
    let mut bench = Bench::new();
    let mut refused = |correlation| {
        let error = VaultError::NotFound("credential");
        let asker = asker(correlation);
        let method = crate::command::Method::CredentialImport;
        bench.vault.refuse_asker(Err(error), method, &asker, bench.now).expect("no defect");
        let seen = bench.look();
        assert_eq!(seen.reason(), "NOT_FOUND");
        seen.kinds()
    };
    for correlation in 1..=BURST {
        assert_eq!(refused(correlation), [EntryKind::AdminDenied]);
    }
    assert_eq!(refused(BURST + 1), []);
    // While the disk is nearly full none is.
    let mut full = Bench::new();
    full.vault.disk_full = true;
    let error = VaultError::NotFound("credential");
    let method = crate::command::Method::CredentialImport;
    full.vault.refuse_asker(Err(error), method, &asker(1), full.now).expect("no defect");
    assert_eq!(full.look().kinds(), []);
    // Those of clients have budgets of their own, whatever their names.
    assert!(bench.vault.denials.take(&name("alice"), bench.vault.clock_time()));
}

#[test]
fn what_is_unfinished_after_a_minute_says_so_and_a_late_outcome_is_logged() {
    let mut bench = Bench::new();
    bench.halt(HaltTarget::All, HaltLevel::NoNewRisk);
    let mut row = bench.credential_row("okx-main");
    row.state = CredentialState::Disabled;
    let mut changes = Changes::new();
    changes.put(row);
    bench.change(&changes);
    let seen = bench.cancel_all(1, "all").expect("begun");
    let [begun, ..] = seen.entries.as_slice() else { panic!("an entry") };
    assert_eq!(begun.detail.get("credentials").map(String::as_str), Some("3"));
    let of = |seen: &Seen, credential: &str| {
        let mut of = seen.dispatches.iter().filter(|(_, other)| other.credential == credential);
        of.next().map(|(id, _)| *id)
    };
    assert!(of(&seen, "okx-main").is_none(), "every use of it is stopped");
    let kraken = of(&seen, "kraken-main").expect("a cancel");
    let sent = seen.dispatches.len();
    assert!(bench.pass(Duration::from_secs(59)).replies.is_empty());
    let seen = bench.pass(Duration::from_secs(2));
    let steps = seen.reply::<v1::CancelAllResponse>(1).steps;
    let late = steps.iter().filter(|step| step.problem == "DEADLINE_EXCEEDED").count();
    assert!(late >= sent, "{late} of {sent}");
    let disabled: Vec<&str> = steps
        .iter()
        .filter(|step| step.credential == "okx-main")
        .map(|step| step.problem.as_str())
        .collect();
    assert_eq!(disabled, ["CREDENTIAL_DISABLED"]);
    // The truth comes to the log all the same, and the lane is free again.
    let seen = bench.outcome(kraken, &answered());
    assert_eq!(seen.kinds(), [EntryKind::ExecuteOutcome]);
    bench.execute(3, execute("one", "kraken-main", kraken_balance())).sent();
}

fn import(bench: &Bench, correlation: u64, rights: &[&str]) -> Import {
    let metadata = v1::CredentialMetadata {
        name: "okx-new".to_owned(),
        venue: "okx".to_owned(),
        environment: "live".to_owned(),
        rights: rights.iter().map(|right| (*right).to_owned()).collect(),
        rights_stated: true,
        ..v1::CredentialMetadata::default()
    };
    let secret = v1::CredentialSecret {
        api_key: "okx-new-key".to_owned(),
        secret: "not-a-real-secret-nor-any-other".into(),
        passphrase: "open-sesame".into(),
        ..v1::CredentialSecret::default()
    };
    let (row, version) = bench.vault.sample_credential(&metadata, &secret, bench.now);
    Import {
        row,
        version,
        key_type: vault_venue::KeyType::Hmac,
        before: None,
        allow_withdrawals: false,
        asker: asker(correlation),
    }
}

#[test]
fn a_key_that_may_withdraw_is_not_stored_unless_that_is_meant() {
    let mut bench = Bench::with_alice();
    let begin = |bench: &mut Bench, allow: bool| {
        let import = import(bench, 5, &["read_only", "trade", "withdraw"]);
        let import = Import { allow_withdrawals: allow, ..import };
        bench.vault.check_import(import, bench.now).expect("begun");
        let seen = bench.look();
        assert_eq!(seen.own().1.credential, "okx-new");
        // Nobody can use it meanwhile.
        assert!(!bench.vault.tables().credentials.contains_key("okx-new"));
        seen
    };
    let seen = begin(&mut bench, false);
    let (id, dispatch) = seen.own();
    let seen = bench.outcome(id, &okx_rights(dispatch, "read_only,trade,withdraw"));
    assert_eq!(seen.reason(), "KEY_MAY_WITHDRAW");
    let kinds = [EntryKind::ExecuteOutcome, EntryKind::CredentialCheck, EntryKind::AdminDenied];
    assert_eq!(seen.kinds(), kinds);
    assert!(!bench.vault.tables().credentials.contains_key("okx-new"));

    let seen = begin(&mut bench, true);
    let (id, dispatch) = seen.own();
    let seen = bench.outcome(id, &okx_rights(dispatch, "read_only,trade,withdraw"));
    assert_eq!(seen.kinds().last(), Some(&EntryKind::AdminIntent));
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    let seen = bench.look();
    let answer: v1::ImportResponse = seen.reply(5);
    let check = answer.check.expect("a check");
    assert!(codes(&check).contains(&"WITHDRAWALS_ENABLED") && !check.drifted);
    assert!(bench.vault.tables().credentials.contains_key("okx-new"));
    let described = bench.vault.describe_credential("okx-new", bench.now).expect("there");
    assert!(described.credential.is_some_and(|info| info.check.is_some()));
}

#[test]
fn a_key_that_cannot_be_checked_is_not_stored_and_one_that_has_drifted_cannot_sign() {
    let mut bench = Bench::with_alice();
    let begun = |bench: &mut Bench| {
        let import = import(bench, 5, &["read_only"]);
        bench.vault.check_import(import, bench.now).expect("begun");
        let seen = bench.look();
        let (id, dispatch) = seen.own();
        (id, dispatch.clone())
    };
    let (id, _) = begun(&mut bench);
    let down = Outcome { problem: "CONNECT_FAILED".to_owned(), ..Outcome::default() };
    let seen = bench.outcome(id, &down);
    assert_eq!(seen.reason(), "CHECK_NOT_POSSIBLE");
    let failure = seen.replies[0].1.failure.clone().expect("a failure");
    assert!(failure.hint.contains("--no-check") && failure.message.contains("CONNECT_FAILED"));

    // An act is under way when the venue has answered: it waits for that.
    let (id, dispatch) = begun(&mut bench);
    let other = import(&bench, 6, &["read_only"]);
    let mut row = other.row.clone();
    row.name = name("okx-other");
    let mut version = other.version.clone();
    version.credential = name("okx-other");
    let other = Import { row, version, ..other };
    bench.vault.finish_import(other, None, bench.now).expect("begun");
    bench.look();
    let seen = bench.outcome(id, &okx_rights(&dispatch, "read_only,trade"));
    assert!(seen.replies.is_empty());
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    let (call, correlation) = bench.vault.acts.next_waiting().expect("it waits");
    assert_eq!(correlation, 5);
    let crate::act::ActCall::Checked(id) = call else { panic!("the import waits") };
    bench.vault.unpark_import(id, bench.now).expect("begun");
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    bench.look();
    bench.rescope(|scope| {
        scope.credentials.insert(name("okx-new"));
    });
    let refused = bench.sign(7, &sign(ONE, "one", "okx-new", okx_order("1")));
    assert_eq!(refused.reason(), "CREDENTIAL_DRIFTED");
}

#[test]
fn an_import_that_was_overtaken_is_refused() {
    let mut bench = Bench::with_alice();
    let import = import(&bench, 5, &["read_only"]);
    bench.vault.check_import(import, bench.now).expect("begun");
    let seen = bench.look();
    let (id, dispatch) = seen.own();
    // The same name was imported meanwhile, without a check.
    let faster = self::import(&bench, 6, &["read_only"]);
    let mut changes = Changes::new();
    changes.put(faster.row).put(faster.version);
    bench.change(&changes);
    let seen = bench.outcome(id, &okx_rights(dispatch, "read_only"));
    assert_eq!(seen.reason(), "CREDENTIAL_CHANGED");
}

#[test]
fn an_import_is_refused_if_its_asker_may_no_longer_import_when_the_venue_has_answered() {
    let day = Duration::from_secs(86_400);
    for (role, state, after, reason) in [
        (Role::Admin, HolderState::Revoked, Duration::ZERO, "CERTIFICATE_REVOKED"),
        (Role::Guard, HolderState::Active, Duration::ZERO, "ROLE"),
        (Role::Admin, HolderState::Active, day, "CERTIFICATE_EXPIRED"),
    ] {
        let mut bench = Bench::with_alice();
        let import = import(&bench, 5, &["read_only"]);
        bench.vault.check_import(import, bench.now).expect("begun");
        let seen = bench.look();
        let (id, dispatch) = seen.own();
        bench.put_alice(role, state);
        bench.wait(after);
        let seen = bench.outcome(id, &okx_rights(dispatch, "read_only"));
        assert_eq!(seen.reason(), reason);
        let kinds = [EntryKind::ExecuteOutcome, EntryKind::CredentialCheck, EntryKind::AdminDenied];
        assert_eq!(seen.kinds(), kinds);
        assert!(!bench.vault.acts.is_busy(), "nothing is to be stored");
        assert!(!bench.vault.tables().credentials.contains_key("okx-new"));
    }
}

#[test]
fn an_import_that_waits_is_refused_if_the_act_before_it_revokes_its_asker() {
    let mut bench = Bench::with_alice();
    let waiting = import(&bench, 5, &["read_only"]);
    bench.vault.check_import(waiting, bench.now).expect("begun");
    let seen = bench.look();
    let (id, dispatch) = seen.own();
    let mut other = import(&bench, 6, &["read_only"]);
    other.row.name = name("okx-other");
    other.version.credential = name("okx-other");
    bench.vault.finish_import(other, None, bench.now).expect("begun");
    bench.look();
    assert!(bench.outcome(id, &okx_rights(dispatch, "read_only")).replies.is_empty());
    bench.vault.act_committed(Ok(()), bench.now).expect("committed");
    bench.look();
    bench.put_alice(Role::Admin, HolderState::Revoked);
    let (call, _) = bench.vault.acts.next_waiting().expect("it waits");
    let crate::act::ActCall::Checked(id) = call else { panic!("the import waits") };
    bench.vault.unpark_import(id, bench.now).expect("no defect");
    let seen = bench.look();
    assert_eq!(seen.reason(), "CERTIFICATE_REVOKED");
    assert_eq!(seen.kinds(), [EntryKind::AdminDenied]);
    assert!(!bench.vault.acts.is_busy(), "nothing is to be stored");
    assert!(!bench.vault.tables().credentials.contains_key("okx-new"));
}

#[test]
fn drift_that_the_schedule_finds_does_not_lie() {
    for (rights, entries_kept) in [("read_only", 2), ("read_only,trade", 0)] {
        let mut bench = Bench::new();
        bench.state_rights("okx-main", &["read_only"]);
        for venue in ["binance", "kraken"] {
            bench.halt(HaltTarget::Venue(name(venue)), HaltLevel::Nothing);
        }
        let seen = bench.pass(Duration::from_secs(27 * 3_600));
        let (id, dispatch) = seen.own();
        let told = okx_rights(dispatch, rights);
        bench.vault.executed(&told, id, bench.now).expect("it is on its way");
        bench.vault.journal.settle(false).expect("handed over or kept");
        let seen = bench.look();
        assert!(seen.replies.is_empty(), "nobody waits");
        assert_eq!(seen.entries.len(), entries_kept, "{rights}");
    }
}

#[test]
fn the_schedule_asks_by_itself_one_key_at_a_time_and_not_where_nothing_may_be_signed() {
    let mut bench = Bench::new();
    assert!(bench.pass(Duration::from_secs(3_600)).dispatches.is_empty(), "not due");
    bench.halt(HaltTarget::Venue(name("okx")), HaltLevel::Nothing);
    let mut asked = Vec::new();
    let mut seen = bench.pass(Duration::from_secs(27 * 3_600));
    while let [(id, dispatch)] = seen.dispatches.as_slice() {
        asked.push(dispatch.venue.clone());
        let [intent] = seen.entries.as_slice() else { panic!("one entry") };
        assert_eq!(intent.detail.get("by"), None);
        let lost = Outcome { problem: "TIMEOUT".to_owned(), ..Outcome::default() };
        let after = bench.outcome(*id, &lost);
        assert!(after.replies.is_empty(), "nobody has asked");
        assert_eq!(after.entries[1].reason.as_deref(), Some("TIMEOUT"));
        seen = bench.pass(Duration::from_secs(1));
    }
    asked.sort();
    assert_eq!(asked, ["binance", "kraken"]);
    // Without an answer it asks again in an hour.
    assert!(bench.pass(Duration::from_secs(1_800)).dispatches.is_empty());
    assert_eq!(bench.pass(Duration::from_secs(3_600)).dispatches.len(), 1);
    bench.vault.config.credential_check_every_h = 0;
    bench.vault.own = Default::default();
    assert!(bench.pass(Duration::from_secs(90 * 3_600)).dispatches.is_empty());
}
