//! WebSockets, from the call to the cut.

use std::time::Duration;

use prost::Message;
use vault_audit::{EntryKind, Outcome as Ending};
use vault_ipc::proto::v1;
use vault_ipc::{
    Frame, Kind, Outcome, StreamCall, StreamCut, StreamDial, StreamMessage, StreamRefusal,
    StreamSend,
};
use vault_model::{Class, ClockTime, Mode, Name, Serial};
use vault_policy::{Grant, OrderCap, Span};

use super::{CLIENT_STREAMS_MAX, OPENINGS_MAX, REFUSED_MAX, Streams};
use crate::act::Asker;
use crate::caller::Origin;
use crate::execute::tests::bench::{Bench, ONE, OTHER, Seen, answered, caller, execute};
use crate::journal::Channel;
use crate::storage::{CertificateState, Changes, CredentialState, HolderState};

const PRIVATE: (&str, &str, &str) = ("ws.okx.com", "/ws/v5/private", "");
const PUBLIC: (&str, &str, &str) = ("ws.okx.com:8443", "/ws/v5/public", "");
const LOGON: &str = r#"{"op":"login","args":[{"apiKey":"countersign:okx-main","passphrase":"p","timestamp":"1","sign":"s"}]}"#;
const ORDERS: &str = r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#;
const ORDER: &str = r#"{"id":"7","op":"order","args":[{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"1"}]}"#;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

impl Bench {
    fn dial_as(&mut self, bot: u8, front: u64, (host, path, query): (&str, &str, &str)) -> Seen {
        let request = v1::VenueRequest {
            method: "GET".to_owned(),
            scheme: "wss".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..v1::VenueRequest::default()
        };
        let call = StreamCall { caller: caller(bot), request, deadline_us: 0 };
        self.vault.open_stream(call, front, self.now).expect("a decision");
        self.look()
    }

    fn dial(&mut self, front: u64, at: (&str, &str, &str)) -> Seen {
        self.dial_as(ONE, front, at)
    }

    /// Opens one; returns the core's number.
    fn open(&mut self, front: u64, at: (&str, &str, &str)) -> u64 {
        self.dial(front, at).dialled().0
    }

    fn say(&mut self, front: u64, text: &str) -> Seen {
        self.say_bytes(front, text.as_bytes(), false)
    }

    fn say_bytes(&mut self, front: u64, bytes: &[u8], binary: bool) -> Seen {
        let message = StreamMessage { bytes: bytes.to_vec(), binary };
        self.vault.stream_message(&message, front, self.now).expect("a decision");
        self.look()
    }

    fn put(&mut self, fill: impl FnOnce(&mut Changes)) {
        let mut changes = Changes::new();
        fill(&mut changes);
        self.change(&changes);
    }

    /// Another credential of OKX, which both bots may use.
    fn second_okx(&mut self) {
        let metadata = v1::CredentialMetadata {
            name: "okx-second".to_owned(),
            venue: "okx".to_owned(),
            environment: "live".to_owned(),
            ..v1::CredentialMetadata::default()
        };
        let secret = v1::CredentialSecret {
            api_key: "okx-second-api-key".to_owned(),
            secret: "not-a-real-secret-nor-any-other".into(),
            passphrase: "open-sesame".into(),
            ..v1::CredentialSecret::default()
        };
        let (row, version) = self.vault.sample_credential(&metadata, &secret, self.now);
        self.put(|changes| {
            changes.put(row).put(version);
        });
        self.rescope(|document| {
            document.credentials.insert(name("okx-second"));
        });
    }

    /// Takes up a change of policy.
    fn recut(&mut self) -> Seen {
        let now = self.now;
        self.vault.cut_streams(None, now);
        self.look()
    }

    fn is_empty(&self) -> bool {
        let streams = &self.vault.streams;
        streams.open.is_empty() && streams.of_front.is_empty() && streams.of_client.is_empty()
    }
}

fn one<M: Message + Default>(frames: &[Frame], kind: Kind) -> (u64, M) {
    let found: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == kind).collect();
    let [frame] = found.as_slice() else { panic!("one {kind:?} of {frames:?}") };
    (frame.correlation, frame.message().expect("decodes"))
}

impl Seen {
    /// The one WebSocket that is asked for.
    fn dialled(&self) -> (u64, StreamDial) {
        let [(_, reply)] = self.replies.as_slice() else { panic!("one answer") };
        assert_eq!(reply.failure, None);
        one(&self.egress_frames, Kind::StreamDial)
    }

    /// The one message that goes to the venue.
    fn passed(&self) -> (u64, StreamSend) {
        assert!(self.front.is_empty(), "the bot is told nothing: {:?}", self.front_frames);
        one(&self.egress_frames, Kind::StreamSend)
    }

    fn text(&self) -> String {
        String::from_utf8(self.passed().1.text).expect("text")
    }

    /// The one refusal that a bot is told, and nothing goes out.
    fn refused(&self) -> (u64, StreamRefusal) {
        assert_eq!(self.egress, []);
        one(&self.front_frames, Kind::StreamRefusal)
    }

    fn refusal(&self) -> String {
        self.refused().1.failure.reason
    }

    /// The reason for which one is cut, and that both ends are told.
    fn cut(&self, front: u64, id: u64) -> String {
        let (to, cut): (u64, StreamCut) = one(&self.front_frames, Kind::StreamCut);
        assert_eq!(to, front);
        let (to, egress): (u64, StreamCut) = one(&self.egress_frames, Kind::StreamCut);
        assert_eq!((to, egress.failure), (id, None));
        cut.failure.expect("a reason").reason
    }
}

#[test]
fn a_public_socket_is_opened_for_whom_may_and_at_its_address() {
    let mut bench = Bench::new();
    let (id, dial) = bench.dial(40, PUBLIC).dialled();
    assert_eq!(dial.front_correlation, 40);
    assert_eq!((dial.venue.as_str(), dial.credential.as_str()), ("okx", ""));
    assert_eq!(dial.url, "wss://ws.okx.com:8443/ws/v5/public");
    assert_eq!((dial.timeout_ms, dial.handles.len()), (10_000, 0));
    bench.vault.stream_ended(id).expect("it was open");

    let refused = [
        (("ws.okx.com:9443", "/ws/v5/public", ""), "HOST_UNKNOWN"),
        (("ws.okx.example", "/ws/v5/public", ""), "HOST_UNKNOWN"),
        (("ws.okx.com", "/ws/v5/other", ""), "OPERATION_UNKNOWN"),
        (("ws.okx.com", "/ws/v5/public", "a=b"), "QUERY_NOT_ALLOWED"),
    ];
    for (at, reason) in refused {
        let seen = bench.dial(41, at);
        assert_eq!(seen.reason(), reason, "{at:?}");
        let [entry] = seen.entries.as_slice() else { panic!("one entry") };
        assert_eq!((entry.kind, entry.mode), (EntryKind::ExecuteDenied, Some(Mode::Execute)));
        assert_eq!(entry.client, Some(name("one")));
    }
    bench.rescope(|document| {
        document.classes.remove(&Class::Public);
    });
    assert_eq!(bench.dial(42, PUBLIC).reason(), "CLASS_NOT_GRANTED");
    assert!(bench.is_empty());
}

#[test]
fn a_credential_is_known_on_websockets_of_its_own_site_alone() {
    let mut bench = Bench::new();
    bench.rescope(|document| {
        document.classes.remove(&Class::Public);
    });
    let elsewhere = ("wseea.okx.com", "/ws/v5/private", "");
    assert_eq!(bench.dial(1, elsewhere).reason(), "HOST_ELSEWHERE");
    // With market data the socket may be had, and the key all the same not.
    bench.rescope(|document| {
        document.classes.insert(Class::Public);
    });
    bench.open(2, elsewhere);
    assert_eq!(bench.say(2, LOGON).refusal(), "HOST_ELSEWHERE");
    assert_eq!(bench.say(2, ORDERS).refusal(), "STREAM_NOT_LOGGED_ON");

    bench.resite("okx-main", &["eea"]);
    assert!(bench.say(2, LOGON).egress.contains(&Kind::StreamSend));
    assert!(bench.say(2, ORDER).egress.contains(&Kind::StreamSend));
    bench.open(3, PRIVATE);
    assert_eq!(bench.say(3, LOGON).refusal(), "HOST_ELSEWHERE");
    // What was logged on before is not believed for ever.
    bench.resite("okx-main", &[]);
    assert_eq!(bench.say(2, ORDERS).refusal(), "HOST_ELSEWHERE");
    assert_eq!(bench.say(2, ORDER).refusal(), "HOST_ELSEWHERE");
}

#[test]
fn a_private_socket_wants_a_credential_that_could_be_used_there() {
    let mut bench = Bench::new();
    let id = bench.open(1, PRIVATE);
    bench.vault.stream_ended(id).expect("it was open");
    bench.rescope(|document| {
        document.credentials.remove(&name("okx-main"));
        document.classes.remove(&Class::Public);
    });
    assert_eq!(bench.dial(2, PRIVATE).reason(), "NOT_FOUND");
    bench.rescope(|document| {
        document.credentials.insert(name("okx-main"));
        document.modes.remove(&Mode::Execute);
    });
    assert_eq!(bench.dial(3, PRIVATE).reason(), "MODE_NOT_GRANTED");
    bench.rescope(|document| {
        document.modes.insert(Mode::Execute);
        document.network.allow = ["192.0.2.0/24".parse().expect("a network")].into();
    });
    assert_eq!(bench.dial(4, PRIVATE).reason(), "NETWORK_NOT_ALLOWED");
    assert_eq!(bench.dial_as(9, 5, PRIVATE).reason(), "CERTIFICATE_UNKNOWN");
    assert!(bench.is_empty());
}

#[test]
fn only_what_is_known_passes_and_a_refusal_has_the_messages_own_id() {
    let mut bench = Bench::new();
    let id = bench.open(1, PRIVATE);
    let seen = bench.say(1, "ping");
    let (to, send) = seen.passed();
    assert_eq!((to, send.text.as_slice(), send.outcome), (id, b"ping".as_slice(), 0));
    assert!(send.secrets.is_empty() && seen.entries.is_empty());

    let seen = bench.say(1, r#"{"id":"9","op":"withdraw","args":[{}]}"#);
    let (to, refusal) = seen.refused();
    assert_eq!((to, refusal.failure.reason.as_str()), (1, "OPERATION_UNKNOWN"));
    assert_eq!((refusal.id_name.as_str(), refusal.id.as_str()), ("id", "\"9\""));
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.outcome), (EntryKind::ExecuteDenied, Ending::Denied));
    assert_eq!(refusal.failure.entry_index, Some(entry.idx));
    assert!(entry.payload_mac.is_some() && entry.request_id.is_some());

    for (bytes, binary) in
        [(b"ping".to_vec(), true), (vec![0xff], false), (vec![b'a'; 64 * 1024 + 1], false)]
    {
        assert_eq!(bench.say_bytes(1, &bytes, binary).refusal(), "STREAM_MESSAGE");
    }
    for text in ["", "{", "[]", "null", "pong", r#"{"op":"login","op":"login","args":[]}"#] {
        assert_eq!(bench.say(1, text).refused().0, 1, "{text}");
    }
}

#[test]
fn public_channels_take_the_class() {
    let mut bench = Bench::new();
    bench.open(1, PUBLIC);
    let tickers = r#"{"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}"#;
    assert_eq!(bench.say(1, tickers).text(), tickers);
    // Nobody has told the streams: the message itself is judged.
    bench.rescope(|document| {
        document.classes.remove(&Class::Public);
    });
    assert_eq!(bench.say(1, tickers).refusal(), "CLASS_NOT_GRANTED");
    assert_eq!(bench.say(1, "ping").text(), "ping");
}

#[test]
fn the_vault_logs_on_and_then_reads_and_orders_pass() {
    let mut bench = Bench::new();
    let id = bench.open(1, PRIVATE);
    for text in [ORDERS, ORDER] {
        assert_eq!(bench.say(1, text).refusal(), "STREAM_NOT_LOGGED_ON");
    }

    let seen = bench.say(1, LOGON);
    let (to, send) = seen.passed();
    assert_eq!(to, id);
    let text = String::from_utf8(send.text).expect("text");
    assert!(text.contains("okx-api-key") && text.contains("open-sesame"));
    assert!(send.secrets.iter().any(|secret| secret == "open-sesame"));
    assert!(!seen.front_bytes.windows(11).any(|bytes| bytes == b"open-sesame"));
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.class), (EntryKind::ExecuteIntent, Some(Class::Read)));
    assert_eq!(entry.credential, Some(name("okx-main")));
    assert!(entry.sig_sha256.is_some());
    let seen = bench.outcome(send.outcome, &Outcome { sent: true, ..Outcome::default() });
    assert_eq!(seen.entries[0].kind, EntryKind::ExecuteOutcome);
    assert!(seen.front.is_empty());

    let seen = bench.say(1, ORDERS);
    assert_eq!(seen.text(), ORDERS);
    assert!(seen.entries.is_empty(), "a subscription carries no signature");

    let seen = bench.say(1, ORDER);
    let (to, send) = seen.passed();
    assert_eq!(to, id);
    let text = String::from_utf8(send.text).expect("text");
    assert!(text.starts_with(r#"{"id":"7","op":"order","args":[{"instId":"BTC-USDT""#), "{text}");
    let [entry] = seen.entries.as_slice() else { panic!("one entry") };
    assert_eq!((entry.kind, entry.class), (EntryKind::ExecuteIntent, Some(Class::Trade)));
    assert_eq!(entry.operation.as_deref(), Some("POST /api/v5/trade/order"));
    assert_eq!((entry.sig_sha256, entry.legs.len()), (None, 1));
    let intent = entry.idx.to_string();
    let told = Outcome { problem: "BARRIER".to_owned(), ..Outcome::default() };
    let mut seen = bench.outcome(send.outcome, &told);
    // The venue will never answer it: the bot hears so from the vault.
    let (to, refusal) = seen.refused();
    assert_eq!((to, refusal.failure.reason.as_str()), (1, "NOT_SENT"));
    assert_eq!((refusal.id_name.as_str(), refusal.id.as_str()), ("id", "\"7\""));
    assert_eq!(refusal.failure.entry_index.map(|index| index.to_string()), Some(intent.clone()));
    assert!(bench.vault.streams.awaited.is_empty());
    let entry = seen.entries.remove(0);
    assert_eq!(entry.detail.get("intent"), Some(&intent));
    assert_eq!(entry.detail.get("sent").map(String::as_str), Some("no"));
    assert_eq!(entry.reason.as_deref(), Some("BARRIER"));
}

#[test]
fn an_order_on_a_socket_is_judged_and_counted_like_any_other() {
    let mut bench = Bench::new();
    bench.open(1, PRIVATE);
    bench.say(1, LOGON).passed();
    bench.rescope(|document| {
        document
            .symbols
            .insert(name("okx"), Grant::Only(["ETH-USDT".parse().expect("a symbol")].into()));
    });
    let seen = bench.say(1, ORDER);
    assert_eq!(seen.refusal(), "SYMBOL_NOT_GRANTED");
    assert_eq!(seen.entries[0].legs.len(), 1);
    bench.rescope(|document| {
        document.symbols.insert(name("okx"), Grant::Every);
        document.cumulative.orders = vec![OrderCap { per: Span::DAY, at_most: 1 }];
    });
    bench.say(1, ORDER).passed();
    assert_eq!(bench.say(1, ORDER).refusal(), "ORDER_RATE_REACHED");
    // One memory for all ways.
    let call = execute("one", "okx-main", crate::execute::tests::bench::okx_order("1"));
    assert_eq!(bench.execute(9, call).reason(), "ORDER_RATE_REACHED");
}

#[test]
fn one_credential_alone_is_logged_on() {
    let mut bench = Bench::new();
    bench.second_okx();
    bench.open(1, PRIVATE);
    bench.say(1, LOGON).passed();
    bench.say(1, LOGON).passed();
    let other = LOGON.replace("okx-main", "okx-second");
    assert_eq!(bench.say(1, &other).refusal(), "STREAM_OTHER_CREDENTIAL");
    for (written, reason) in [
        ("kraken-main", "OPERATION_UNKNOWN"),
        ("nobody", "NOT_FOUND"),
        ("No Name", "KEY_NOT_PLACEHOLDER"),
    ] {
        bench.open(2, PRIVATE);
        let text = LOGON.replace("okx-main", written);
        assert_eq!(bench.say(2, &text).refusal(), reason, "{written}");
        bench.vault.stream_left(2);
        bench.look();
    }
    let real = LOGON.replace("countersign:okx-main", "okx-api-key");
    assert_eq!(bench.say(1, &real).refusal(), "KEY_NOT_PLACEHOLDER");
}

#[test]
fn a_log_on_takes_the_class_read_and_not_the_class_logon() {
    let mut bench = Bench::new();
    bench.open(1, PRIVATE);
    bench.rescope(|document| {
        document.classes.remove(&Class::Read);
        document.classes.insert(Class::Logon);
    });
    assert_eq!(bench.say(1, LOGON).refusal(), "CLASS_NOT_GRANTED");
}

#[test]
fn what_a_stream_stands_on_is_looked_at_again_after_every_act() {
    let mut stands = Bench::new();
    let id = stands.open(1, PRIVATE);
    stands.say(1, LOGON).passed();
    stands.say(1, ORDERS).passed();
    let seen = stands.recut();
    assert!(seen.egress.is_empty() && seen.front.is_empty());

    type Change = fn(&mut Bench);
    let changes: [(&str, Change, &str); 6] = [
        (
            "revoked",
            |bench| {
                let mut row = bench.vault.tables().clients[&name("one")].clone();
                row.state = HolderState::Revoked;
                bench.put(|changes| {
                    changes.put(row);
                });
            },
            "CERTIFICATE_REVOKED",
        ),
        (
            "certificate",
            |bench| {
                let mut row = bench.vault.tables().certificates[&Serial([ONE; 16])].clone();
                row.state = CertificateState::Revoked;
                bench.put(|changes| {
                    changes.put(row);
                });
            },
            "CERTIFICATE_REVOKED",
        ),
        (
            "class",
            |bench| {
                bench.rescope(|document| {
                    document.classes.remove(&Class::Read);
                })
            },
            "CLASS_NOT_GRANTED",
        ),
        (
            "network",
            |bench| {
                bench.rescope(|document| {
                    document.network.deny.insert("10.0.0.1/32".parse().expect("a network"));
                });
            },
            "NETWORK_DENIED",
        ),
        (
            "disabled",
            |bench| {
                let mut row = bench.vault.tables().credentials[&name("okx-main")].clone();
                row.state = CredentialState::Disabled;
                bench.put(|changes| {
                    changes.put(row);
                });
            },
            "NOT_FOUND",
        ),
        (
            "version",
            |bench| {
                let mut row = bench.vault.tables().credentials[&name("okx-main")].clone();
                let mut version =
                    bench.vault.tables().credential_versions[&(row.name.clone(), 1)].clone();
                (row.version, version.version) = (2, 2);
                bench.put(|changes| {
                    changes.put(row).put(version);
                });
            },
            "STREAM_CHANGED",
        ),
    ];
    for (what, change, reason) in changes {
        let mut bench = Bench::new();
        bench.rescope(|document| {
            document.classes.remove(&Class::Public);
        });
        let id = bench.open(1, PRIVATE);
        bench.say(1, LOGON).passed();
        bench.say(1, ORDERS).passed();
        let other = bench.dial_as(OTHER, 2, ("ws.kraken.com", "/v2", ""));
        assert_eq!(other.reason(), "CLASS_NOT_GRANTED");
        change(&mut bench);
        assert_eq!(bench.recut().cut(1, id), reason, "{what}");
        // It is cut once, and nothing more comes over it.
        assert!(bench.recut().egress.is_empty());
        let seen = bench.say(1, "ping");
        assert!(seen.egress.is_empty() && seen.front.is_empty());
        assert!(!bench.is_empty(), "it counts until egress has ended it");
        bench.vault.stream_ended(id).expect("it was open");
        assert!(bench.is_empty());
    }
    stands.vault.stream_ended(id).expect("it was open");
}

#[test]
fn a_halt_cuts_before_its_barrier_and_reads_may_come_back() {
    let mut bench = Bench::new();
    let id = bench.open(1, PRIVATE);
    let kraken = bench.open(2, ("ws.kraken.com", "/v2", ""));
    bench.say(1, LOGON).passed();
    let command = v1::HaltCommand {
        target: "venue:okx".to_owned(),
        level: v1::HaltLevel::NoNewRisk.into(),
        reason: "test".to_owned(),
    };
    let command = v1::SignedCommand { body: command.encode_to_vec(), ..Default::default() };
    let asker = Asker {
        channel: Channel::Front,
        correlation: 70,
        caller: None,
        origin: Origin::local(),
        nonce: None,
        signature_hash: None,
    };
    let now = bench.now;
    bench.vault.halt(&command, asker, now).expect("begins");
    bench.look();
    bench.vault.act_committed(Ok(()), now).expect("applied");
    let seen = bench.look();
    assert_eq!(seen.cut(1, id), "HALT_NO_NEW_RISK");
    let both = vec![Kind::StreamCut, Kind::Barrier];
    assert_eq!((&seen.egress, &seen.front), (&both, &both));

    bench.vault.stream_ended(id).expect("it was open");
    let id = bench.open(3, PRIVATE);
    bench.say(3, LOGON).passed();
    assert_eq!(bench.say(3, ORDERS).text(), ORDERS);
    assert_eq!(bench.say(3, ORDER).refusal(), "HALT_NO_NEW_RISK");
    // Another act leaves it: the halt was there when it was opened.
    assert!(bench.recut().egress.is_empty());
    for id in [id, kraken] {
        bench.vault.stream_ended(id).expect("it was open");
    }
    assert!(bench.is_empty());
}

#[test]
fn the_clock_ends_a_stream_with_its_certificate() {
    let mut bench = Bench::new();
    let (first, second) = (bench.open(1, PRIVATE), bench.open(2, PUBLIC));
    bench.wait(std::time::Duration::from_secs(86_400 - 1));
    let now = bench.now;
    bench.vault.cut_expired_streams(now);
    assert!(bench.look().egress.is_empty());
    bench.wait(std::time::Duration::from_secs(1));
    // A message that comes before the clock was looked at ends it too.
    assert_eq!(bench.say(1, "ping").cut(1, first), "CERTIFICATE_EXPIRED");
    let now = bench.now;
    bench.vault.cut_expired_streams(now);
    assert_eq!(bench.look().cut(2, second), "CERTIFICATE_EXPIRED");
}

#[test]
fn every_stream_ends_once_at_each_end() {
    let mut bench = Bench::new();
    let id = bench.open(1, PUBLIC);
    bench.vault.stream_left(1);
    let seen = bench.look();
    let (to, cut): (u64, StreamCut) = one(&seen.egress_frames, Kind::StreamCut);
    assert_eq!((to, cut.failure, seen.front), (id, None, vec![]));
    bench.vault.stream_left(1);
    assert!(bench.look().egress.is_empty());
    bench.vault.stream_ended(id).expect("it was open");
    assert!(bench.vault.stream_ended(id).is_err());

    let id = bench.open(2, PUBLIC);
    bench.vault.stream_ended(id).expect("it was open");
    let seen = bench.say(2, "ping");
    assert!(seen.egress.is_empty() && seen.front.is_empty());
    bench.vault.stream_left(2);
    assert!(bench.look().egress.is_empty());
    assert!(bench.vault.stream_ended(77).is_err());
    assert!(bench.is_empty());

    bench.open(3, PUBLIC);
    let call = StreamCall {
        caller: caller(ONE),
        request: v1::VenueRequest {
            scheme: "wss".to_owned(),
            host: PUBLIC.0.to_owned(),
            path: PUBLIC.1.to_owned(),
            ..v1::VenueRequest::default()
        },
        deadline_us: 0,
    };
    let now = bench.now;
    assert!(bench.vault.open_stream(call, 3, now).is_err(), "no number is given twice");
}

#[test]
fn there_are_no_more_of_a_client_than_may_be() {
    let mut bench = Bench::new();
    let most = CLIENT_STREAMS_MAX as u64;
    let ids: Vec<u64> = (1..=most).map(|front| bench.open(front, PUBLIC)).collect();
    let seen = bench.dial(most + 1, PUBLIC);
    assert_eq!(seen.reason(), "STREAMS_EXHAUSTED");
    bench.dial_as(OTHER, most + 2, PUBLIC).dialled();
    // A bot that has gone makes room only once the venue's end is gone too.
    bench.vault.stream_left(1);
    bench.look();
    assert_eq!(bench.dial(most + 3, PUBLIC).reason(), "STREAMS_EXHAUSTED");
    bench.vault.stream_ended(ids[0]).expect("it was open");
    bench.open(most + 4, PUBLIC);
}

#[test]
fn nothing_is_kept_of_an_opening_that_a_socket_is_not_known_by() {
    let mut bench = Bench::new();
    let header = v1::Header { name: "x".to_owned(), value: "y".to_owned() };
    let request = v1::VenueRequest {
        method: "GET".to_owned(),
        scheme: "wss".to_owned(),
        host: PRIVATE.0.to_owned(),
        path: PRIVATE.1.to_owned(),
        headers: vec![header; 60_000],
        body: vec![7; 60_000],
        ..v1::VenueRequest::default()
    };
    let from = vault_ipc::Caller { via: "x".repeat(60_000), ..caller(ONE) };
    let call = StreamCall { caller: from, request, deadline_us: 0 };
    bench.vault.open_stream(call, 5, bench.now).expect("a decision");
    let (id, _) = bench.look().dialled();

    let stream = &bench.vault.streams.open[&id];
    assert_eq!((stream.request.headers.len(), stream.request.body.len()), (0, 0));
    assert_eq!((stream.request.path.as_str(), stream.caller.via.as_str()), (PRIVATE.1, "direct"));
    assert_eq!(bench.say(5, LOGON).passed().0, id);
}

#[test]
fn who_is_refused_all_the_time_is_cut() {
    let mut bench = Bench::new();
    let id = bench.open(1, PUBLIC);
    for _ in 1..REFUSED_MAX {
        bench.say(1, "nonsense").refused();
        bench.say(1, "ping").passed();
    }
    let seen = bench.say(1, "nonsense");
    let (_, refusal): (u64, StreamRefusal) = one(&seen.front_frames, Kind::StreamRefusal);
    assert_eq!(refusal.id, "");
    assert_eq!(seen.cut(1, id), "STREAM_REFUSED");
}

#[test]
fn a_full_disk_lets_nothing_private_through() {
    let mut bench = Bench::new();
    bench.open(1, PRIVATE);
    bench.say(1, LOGON).passed();
    bench.vault.disk_full = true;
    for text in [LOGON, ORDERS, ORDER] {
        let seen = bench.say(1, text);
        assert_eq!(seen.refusal(), "AUDIT_DISK_FULL");
        assert!(seen.entries.is_empty());
    }
    assert_eq!(bench.say(1, "ping").text(), "ping");
    assert_eq!(bench.dial(2, PUBLIC).reason(), "AUDIT_DISK_FULL");
}

#[test]
fn a_listen_key_stays_with_egress_and_its_handle_with_its_client() {
    let mut bench = Bench::new();
    let listen = |method: &str, query: &str| v1::VenueRequest {
        method: method.to_owned(),
        host: "fapi.binance.com".to_owned(),
        path: "/fapi/v1/listenKey".to_owned(),
        query: query.to_owned(),
        ..v1::VenueRequest::default()
    };
    let seen = bench.execute(1, execute("one", "binance-main", listen("POST", "")));
    let (id, dispatch, _) = seen.sent();
    let [hold] = dispatch.holds.as_slice() else { panic!("one hold") };
    assert_eq!(hold.at, "/listenKey");
    assert_eq!((hold.handle.len(), dispatch.class.as_str()), (64, "read"));
    assert!(!seen.front_bytes.windows(64).any(|bytes| bytes == hold.handle.as_bytes()));
    let (handle, at) =
        (hold.handle.clone(), ("fstream.binance.com", format!("/ws/{}", hold.handle)));
    let held = Outcome { held: vec![handle.clone()], ..answered() };
    bench.outcome(id, &held);

    let (stream, dial) = bench.dial(2, (at.0, &at.1, "")).dialled();
    assert_eq!(dial.handles, std::slice::from_ref(&handle));
    assert_eq!((dial.credential.as_str(), dial.url.ends_with(&at.1)), ("binance-main", true));
    assert_eq!(bench.dial_as(OTHER, 3, (at.0, &at.1, "")).reason(), "HANDLE_UNKNOWN");
    let made_up = format!("/ws/{}", "A".repeat(64));
    assert_eq!(bench.dial(4, (at.0, &made_up, "")).reason(), "HANDLE_UNKNOWN");

    let query = format!("listenKey={handle}");
    let seen = bench.execute(5, execute("two", "binance-main", listen("PUT", &query)));
    assert_eq!(seen.sent().1.handles, std::slice::from_ref(&handle));
    let made_up = format!("listenKey={}", "A".repeat(64));
    let refused = bench.execute(6, execute("three", "binance-main", listen("PUT", &made_up)));
    assert_eq!(refused.reason(), "HANDLE_UNKNOWN");

    // It stands on the credential's read: without it, it goes.
    bench.rescope(|document| {
        document.classes.remove(&Class::Read);
    });
    assert_eq!(bench.recut().cut(2, stream), "CLASS_NOT_GRANTED");
    bench.rescope(|document| {
        document.classes.insert(Class::Read);
    });

    // What the venue gave no key for is forgotten.
    let seen = bench.execute(7, execute("four", "binance-main", listen("POST", "")));
    let (id, dispatch, _) = seen.sent();
    let handle = dispatch.holds[0].handle.clone();
    bench.outcome(id, &answered());
    let path = format!("/ws/{handle}");
    assert_eq!(bench.dial(8, (at.0, &path, "")).reason(), "HANDLE_UNKNOWN");
}

#[test]
fn a_new_key_ends_what_an_old_one_has_opened() {
    let mut bench = Bench::new();
    let listen = |method: &str| v1::VenueRequest {
        method: method.to_owned(),
        host: "fapi.binance.com".to_owned(),
        path: "/fapi/v1/listenKey".to_owned(),
        ..v1::VenueRequest::default()
    };
    let seen = bench.execute(1, execute("one", "binance-main", listen("POST")));
    let (id, dispatch, _) = seen.sent();
    let handle = dispatch.holds[0].handle.clone();
    bench.outcome(id, &Outcome { held: vec![handle.clone()], ..answered() });
    let path = format!("/ws/{handle}");
    let at = ("fstream.binance.com", path.as_str(), "");
    let (stream, _) = bench.dial(2, at).dialled();

    let mut row = bench.vault.tables().credentials[&name("binance-main")].clone();
    let mut version = bench.vault.tables().credential_versions[&(row.name.clone(), 1)].clone();
    (row.version, version.version) = (2, 2);
    bench.put(|changes| {
        changes.put(row).put(version);
    });
    assert_eq!(bench.recut().cut(2, stream), "STREAM_CHANGED");
    assert_eq!(bench.dial(3, at).reason(), "HANDLE_UNKNOWN");
}

#[test]
fn an_end_takes_nothing_from_another_with_the_same_number() {
    let mut bench = Bench::new();
    let first = bench.open(1, PRIVATE);
    bench.vault.stream_left(1);
    bench.look();
    let second = bench.open(1, PRIVATE);
    bench.vault.stream_ended(first).expect("it was open");
    assert_eq!(bench.say(1, "ping").passed().0, second);
    bench.rescope(|document| {
        document.modes.remove(&Mode::Execute);
    });
    assert_eq!(bench.recut().cut(1, second), "MODE_NOT_GRANTED");
}

#[test]
fn who_opens_and_closes_without_end_is_refused() {
    const NOW: ClockTime = ClockTime(1_000_000_000_000_000);
    let mut streams = Streams::default();
    let client = name("one");
    let mut opened =
        |now| (0..1_000).take_while(|_| streams.take_opening(&client, now).is_ok()).count();
    assert_eq!(opened(NOW), OPENINGS_MAX as usize);
    assert_eq!(opened(NOW), 0);
    assert_eq!(opened(NOW.plus(Duration::from_secs(3))), 3);
    assert_eq!(opened(NOW.plus(Duration::from_secs(100_000))), OPENINGS_MAX as usize);
}
