//! What must hold whatever front and egress did: read from what the core wrote to them and from its
//! log, by rules written down here and not by the vault's own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vault_audit::{Entry, EntryKind, Receipt, verify};
use vault_client::v1;
use vault_ipc::{Dispatch, Frame, Kind, Reply, StreamSend};
use vault_model::Mode;
use vault_tests::PASSPHRASE;

use crate::bed::{
    Bed, KRAKEN_SECRET, LEAVES, Leave, OKX_PASSPHRASE, OKX_SECRET, OKX_SENT_PASSPHRASE,
    OKX_SENT_SECRET, Way,
};

/// The most memory that a core may have had, whatever was done to it.
pub const RESIDENT_BYTES_MAX: u64 = 256 << 20;

/// What there was to judge.
#[derive(Debug, Default)]
pub struct Verdict {
    pub entries: Vec<Entry>,
    /// Signatures that went to the front.
    pub released: usize,
    /// Signed requests and messages that went to egress.
    pub sent: usize,
    /// Why cores ended, where it was not in order.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// How many entries of a kind there are.
    pub fn count(&self, kind: EntryKind) -> usize {
        self.entries.iter().filter(|entry| entry.kind == kind).count()
    }
}

/// Judges a bed whose cores have all ended.
pub fn judge(bed: &Bed) -> Verdict {
    let mut verdict = Verdict::default();
    for ended in &bed.ends {
        assert!(ended.is_in_order(), "{}:\n{}", ended.status, ended.stderr);
        let resident = ended.resident_bytes_max;
        assert!(resident <= RESIDENT_BYTES_MAX, "{resident} bytes of memory");
        let reason = ended.reason();
        assert!(reason.is_empty() || is_documented(reason), "not a reason to end: {reason}");
        if !reason.is_empty() {
            verdict.reasons.push(reason.to_owned());
        }
    }
    shows_no_secret(bed);

    let mut receipts = Vec::new();
    let mut signed: Vec<(Receipt, v1::SignedRequest)> = Vec::new();
    for recorded in bed.past.iter().filter(|one| one.way == Way::CoreToFront) {
        let frame = &recorded.frame;
        if frame.kind != Kind::Reply {
            continue;
        }
        let reply: Reply = frame.message().expect("a reply");
        if !reply.releases {
            continue;
        }
        let response = v1::SignResponse::decode(reply.response.as_slice()).expect("a signature");
        let receipt = response.receipt.expect("a receipt");
        let receipt = Receipt {
            index: receipt.index,
            leaf_hash: receipt.leaf_hash.as_slice().try_into().expect("32 bytes"),
            origin: receipt.log_origin,
        };
        receipts.push(receipt.clone());
        signed.push((receipt, response.request.expect("what was signed")));
    }
    verdict.released = signed.len();
    verdict.entries = read_log(bed, receipts);

    for (receipt, request) in &signed {
        let at = usize::try_from(receipt.index).expect("an index");
        let entry = verdict.entries.get(at).expect("an entry of the signature");
        assert_eq!(entry.kind, EntryKind::Sign, "{entry:?}");
        assert_eq!(entry.mode, Some(Mode::Sign));
        let leave = leave_of(entry);
        assert!(leave.is_sign, "{} may not sign: {entry:?}", leave.client);
        let signature = signature(request.headers.iter());
        let logged = entry.sig_sha256.expect("of a signature");
        assert_eq!(logged, <[u8; 32]>::from(Sha256::digest(signature)), "{entry:?}");
        let (method, url) = (request.method.as_str(), request.url.as_str());
        assert!(leave.covers(method, url, &request.body), "outside of its scope: {request:?}");
    }
    verdict.sent = judge_egress(bed, &verdict.entries);
    judge_acts(bed, &verdict.entries);
    verdict
}

/// The log, verified, with these receipts in it.
fn read_log(bed: &Bed, receipts: Vec<Receipt>) -> Vec<Entry> {
    let export = bed.scratch("export");
    vault_audit::export::export(&bed.data().join("audit"), &export, None).expect("exported");
    let options = verify::Options {
        expected_vkey: Some(bed.log_vkey.clone()),
        previous_checkpoint: None,
        receipts,
    };
    verify::verify(&export, &options, &mut |_| ()).expect("verifies");
    let text = fs::read_to_string(export.join("entries.jsonl")).expect("entries");
    let entries = text.lines().map(|line| Entry::from_line(line.as_bytes()));
    entries.collect::<Result<_, _>>().expect("entries of version 1")
}

/// The client of an entry, which must exist, and have been active, at an address of its own.
fn leave_of(entry: &Entry) -> &'static Leave {
    let client = entry.client.as_ref().expect("a client");
    let leave = LEAVES.iter().find(|leave| leave.client == client.as_str());
    let leave = leave.unwrap_or_else(|| panic!("nobody may ask for this: {entry:?}"));
    assert_ne!(leave.client, "dave", "was revoked: {entry:?}");
    assert_eq!(entry.credential.as_ref().map(|name| name.as_str()), Some(leave.credential));
    let Some(std::net::IpAddr::V4(address)) = entry.ip else { panic!("no address: {entry:?}") };
    assert_eq!(address.octets()[..2], leave.network, "{entry:?}");
    leave
}

/// The decoded signature among the headers of a request.
fn signature<'h>(headers: impl Iterator<Item = &'h v1::Header>) -> Vec<u8> {
    let of = |header: &&v1::Header| {
        ["ok-access-sign", "api-sign"].contains(&header.name.to_ascii_lowercase().as_str())
    };
    let mut headers = headers;
    let header = headers.find(of).expect("a header with the signature");
    BASE64_STANDARD.decode(&header.value).expect("base64")
}

/// Whatever went to egress is of an intent, and within the scope of its client. Returns how much of it
/// carries a signature.
fn judge_egress(bed: &Bed, entries: &[Entry]) -> usize {
    let intents: HashMap<[u8; 32], &Entry> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::ExecuteIntent)
        .filter_map(|entry| Some((entry.sig_sha256?, entry)))
        .collect();
    let intent_of = |signature: &[u8]| -> &Entry {
        let hash = <[u8; 32]>::from(Sha256::digest(signature));
        intents.get(&hash).expect("an intent of what went to egress")
    };
    // Of two orders that are alike in all, and of one millisecond, the signatures are alike too.
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let intended = |signature: &[u8]| {
        let hash = <[u8; 32]>::from(Sha256::digest(signature));
        let of = |entry: &&Entry| {
            entry.kind == EntryKind::ExecuteIntent && entry.sig_sha256 == Some(hash)
        };
        entries.iter().filter(of).count()
    };
    let mut sent = 0;
    for recorded in bed.past.iter().filter(|one| one.way == Way::CoreToEgress) {
        let frame = &recorded.frame;
        match frame.kind {
            Kind::Dispatch => {
                let dispatch: Dispatch = frame.message().expect("a dispatch");
                if dispatch.credential.is_empty() {
                    assert_eq!(dispatch.method, "GET", "nobody signed it: {}", dispatch.url);
                    continue;
                }
                sent += 1;
                let signature = signature(dispatch.headers.iter());
                let entry = intent_of(&signature);
                let times = seen.entry(signature.clone()).or_default();
                *times += 1;
                let is_alone = *times == 1 || *times <= intended(&signature);
                assert!(is_alone, "sent more often than intended: {}", dispatch.url);
                assert_eq!(
                    entry.credential.as_ref().map(|n| n.as_str()),
                    Some(&*dispatch.credential)
                );
                // What the vault asks for itself: reads and cancels.
                if let Some(purpose) = entry.detail.get("purpose") {
                    let is_quiet = dispatch.method == "GET" || dispatch.url.contains("cancel");
                    assert!(is_quiet || dispatch.venue == "kraken", "{purpose}: {}", dispatch.url);
                    continue;
                }
                let leave = leave_of(entry);
                assert!(!leave.is_sign, "{} may not send: {entry:?}", leave.client);
                assert!(
                    leave.covers(&dispatch.method, &dispatch.url, &dispatch.body),
                    "outside of its scope: {} {}",
                    dispatch.url,
                    String::from_utf8_lossy(&dispatch.body)
                );
            }
            Kind::StreamSend => {
                let send: StreamSend = frame.message().expect("a message");
                if send.outcome == 0 {
                    continue;
                }
                sent += 1;
                let message: Value = serde_json::from_slice(&send.text).expect("JSON");
                let carol = &LEAVES[2];
                if message["op"] == "login" {
                    let sign = message["args"][0]["sign"].as_str().expect("a signature");
                    let entry = intent_of(&BASE64_STANDARD.decode(sign).expect("base64"));
                    assert_eq!(leave_of(entry).client, carol.client);
                } else {
                    let args = message["args"].as_array().expect("orders");
                    assert!(!args.is_empty());
                    assert!(args.iter().all(|one| carol.has_symbol(one)), "{message}");
                }
            }
            _ => {}
        }
    }
    // Intents come first: there may be more, of what a core's end kept from leaving.
    let count = entries.iter().filter(|entry| entry.kind == EntryKind::ExecuteIntent).count();
    assert!(sent <= count, "{sent} sent, {count} intents");
    sent
}

/// Each act of an operator is one that its operator has signed, and none came of a command twice.
fn judge_acts(bed: &Bed, entries: &[Entry]) {
    let mut used = HashSet::new();
    let mut enrolled = HashSet::new();
    // By whom which call was made, as far as entries show it otherwise than by a signature's hash.
    let mut others: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in entries {
        match entry.kind {
            EntryKind::AdminIntent | EntryKind::AdminApplied => {
                let operation = entry.operation.as_deref().expect("an operation");
                if operation == "local/init" {
                    continue;
                }
                if operation == "vault.v1.ClientService/Enroll" {
                    // A token's holder may ask again for a while: whoever repeats the call gets nothing
                    // that the holder's key is not for.
                    enrolled.insert(entry.detail.get("name").cloned());
                    continue;
                }
                // What a start finishes for a process that has died is known by its intent.
                let Some(approval) = entry.approvals.iter().find(|one| one.method == "command")
                else {
                    if entry.kind == EntryKind::AdminIntent {
                        let by = entry.client.as_ref().expect("an operator");
                        *others.entry((by.to_string(), operation.to_owned())).or_default() += 1;
                    }
                    continue;
                };
                let hash = approval.sig_sha256.expect("of its signature");
                let honest = bed.honest.iter().find(|honest| honest.sig_sha256 == hash);
                let honest = honest.unwrap_or_else(|| panic!("nobody signed it: {entry:?}"));
                let named = (operation, approval.approver.as_str());
                assert_eq!((honest.method.as_str(), honest.by.as_str()), named);
                assert!(used.insert(hash), "carried out twice: {entry:?}");
            }
            EntryKind::Seal | EntryKind::Export | EntryKind::HaltCancelAll | EntryKind::Unseal => {
                let stage = entry.detail.get("stage").map(String::as_str);
                if let (Some(client), false) = (&entry.client, stage == Some("done")) {
                    let method = entry.operation.clone().expect("an operation");
                    *others.entry((client.to_string(), method)).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    let tried = bed.enrolments;
    assert!(enrolled.len() <= tried, "{} enrolled, {tried} tried", enrolled.len());
    for ((by, method), count) in others {
        let signed = bed.honest.iter().filter(|one| one.by == by && one.method == method).count();
        assert!(count <= signed, "{method} by {by}: {count} entries, {signed} commands");
    }
}

impl Leave {
    /// Whether a signed request is within what the client may.
    fn covers(&self, method: &str, url: &str, body: &[u8]) -> bool {
        let Some((host, target)) =
            url.strip_prefix("https://").and_then(|rest| rest.split_once('/'))
        else {
            return false;
        };
        if !self.hosts.contains(&host) {
            return false;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match host {
            "www.okx.com" => match method {
                // No endpoint of OKX that is read moves anything.
                "GET" => body.is_empty() && !path.contains(".."),
                "POST" if path.starts_with("api/v5/trade/") => {
                    let json: Value = serde_json::from_slice(body).unwrap_or_default();
                    let legs = json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
                    query.is_empty() && legs.iter().all(|leg| self.has_symbol(leg))
                }
                _ => false,
            },
            "api.kraken.com" => {
                let Some(call) = path.strip_prefix("0/private/") else { return false };
                let form = String::from_utf8_lossy(body);
                let values = |name: &str| -> Vec<&str> {
                    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
                    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
                };
                match call {
                    "AddOrder" | "EditOrder" | "AddOrderBatch" => {
                        matches!(values("pair").as_slice(), [pair] if self.symbols.contains(pair))
                    }
                    _ => KRAKEN_READS.contains(&call),
                }
            }
            _ => false,
        }
    }

    fn has_symbol(&self, leg: &Value) -> bool {
        leg["instId"].as_str().is_some_and(|symbol| self.symbols.contains(&symbol))
    }
}

/// Calls of Kraken that move nothing.
/// Source: <https://docs.kraken.com/api/>, read 2026-11-22.
const KRAKEN_READS: &[&str] = &[
    "Balance",
    "BalanceEx",
    "ClosedOrders",
    "CreditLines",
    "GetApiKeyInfo",
    "GetWebSocketsToken",
    "Ledgers",
    "OpenOrders",
    "OpenPositions",
    "OrderAmends",
    "QueryLedgers",
    "QueryOrders",
    "QueryTrades",
    "TradeBalance",
    "TradeVolume",
    "TradesHistory",
];

/// No secret in anything that the core wrote, in raw, hex and base64 form.
fn shows_no_secret(bed: &Bed) {
    let kraken = BASE64_STANDARD.decode(KRAKEN_SECRET).expect("base64");
    // What goes to neither, and what goes to egress alone.
    let never: [&[u8]; 5] = [
        OKX_SECRET.as_bytes(),
        OKX_SENT_SECRET.as_bytes(),
        KRAKEN_SECRET.as_bytes(),
        &kraken,
        PASSPHRASE.as_bytes(),
    ];
    let not_to_front: [&[u8]; 1] = [OKX_SENT_PASSPHRASE.as_bytes()];
    let in_forms = |secrets: &[&[u8]]| -> Vec<Vec<u8>> {
        let forms = |secret: &&[u8]| {
            let base64 = BASE64_STANDARD.encode(secret);
            // The last letters depend on what follows.
            let base64 = base64.trim_end_matches('=').as_bytes();
            let base64 = base64[..base64.len() - 2].to_vec();
            let hex = hex::encode(secret);
            [secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), base64]
        };
        secrets.iter().flat_map(forms).collect()
    };
    let (never, not_to_front) = (in_forms(&never), in_forms(&not_to_front));
    for recorded in &bed.past {
        let Frame { kind, correlation, body } = &recorded.frame;
        let is_front = recorded.way == Way::CoreToFront;
        let forbidden = never.iter().chain(not_to_front.iter().filter(|_| is_front));
        for secret in forbidden {
            let at = body.windows(secret.len()).position(|window| window == secret.as_slice());
            assert_eq!(at, None, "a secret in {kind:?} {correlation} to {:?}", recorded.way);
        }
    }
    // That this finds anything: the passphrase of `Sign` goes to the front, if anything was signed.
    let has = |text: &str| {
        let bytes = text.as_bytes();
        bed.past.iter().any(|one| one.frame.body.windows(bytes.len()).any(|window| window == bytes))
    };
    let is_signed = |one: &crate::bed::Recorded| {
        one.way == Way::CoreToFront
            && one.frame.kind == Kind::Reply
            && one.frame.message::<Reply>().is_ok_and(|reply| reply.releases)
    };
    assert_eq!(
        bed.past.iter().any(is_signed),
        has(OKX_PASSPHRASE) && bed.past.iter().any(is_signed)
    );
}

/// Whether a core may end for this reason because of what a front or an egress sent: frames that are
/// none of theirs, silence at a barrier, an end in the middle.
fn is_documented(reason: &str) -> bool {
    DOCUMENTED.iter().any(|known| reason.contains(known))
}

const DOCUMENTED: &[&str] = &[
    "a channel to another process broke",
    "egress did not confirm a barrier in time",
    "egress ended a stream that was not open",
    "egress has closed its channel",
    "egress sent a frame of another process",
    "egress sent a frame that does not decode",
    "egress sent an outcome of nothing that was sent",
    "the front did not confirm a barrier in time",
    "the front gave two streams one number",
    "the front has closed its channel",
    "the front sent a call without a number",
    "the front sent a frame of another process",
    "the front sent a frame that does not decode",
    "the log cannot be written; nothing was released",
];
