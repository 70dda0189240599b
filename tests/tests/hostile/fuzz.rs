//! Frames at random, into the real core: a few thousand for everybody, as many as you like by
//! `COUNTERSIGN_HOSTILE_FRAMES=1000000 COUNTERSIGN_HOSTILE_SEED=7`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use prost::Message;
use vault_client::v1;
use vault_ipc::metric::Usage;
use vault_ipc::{Health, HealthRow, Kind, PullCall, StreamEnd, StreamMessage, WhoamiCall};
use vault_tests::{kraken_order, kraken_post, okx_balance, okx_batch, okx_cancel, okx_order};

use crate::bed::{Bed, Way, answered, request_id};
use crate::core::encoded;
use crate::mutate::{self, Random};

/// Frames of a run, unless the environment says otherwise.
const FRAMES: usize = 30_000;
const SEED: u64 = 5;
/// Frames between two looks at whether an honest operator is served.
const ROUND: usize = 250;
const END: Duration = Duration::from_secs(20);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// What is mutated: a kind and a message that the core takes.
type Seed = (Kind, Vec<u8>);

/// A certificate that was used is not taken back by an enrolment that is played again.
fn everybody_calls(bed: &mut Bed) {
    bed.sign("alice", okx_order("BTC-USDT", "1")).expect("signed");
    let sent = [("carol", okx_order("SOL-USDT", "1")), ("bob", kraken_order("XBTUSD", "1"))];
    for (who, order) in sent {
        bed.execute(who, order).expect("sent");
    }
    assert!(bed.is_serving());
}

fn seeds(bed: &mut Bed) -> (Vec<Seed>, Vec<Seed>) {
    everybody_calls(bed);
    let mut front: Vec<Seed> = Vec::new();
    for order in [okx_order("BTC-USDT", "1"), okx_batch(&["BTC-USDT", "ETH-USDT"]), okx_balance()] {
        front.push((Kind::Sign, bed.sign_call("alice", order).encode_to_vec()));
    }
    for (who, order) in [
        ("carol", okx_order("SOL-USDT", "1")),
        ("carol", okx_cancel("SOL-USDT", "1")),
        ("bob", kraken_order("XBTUSD", "1")),
        ("bob", kraken_post("GetWebSocketsToken", "")),
    ] {
        front.push((Kind::Execute, bed.execute_call(who, order).encode_to_vec()));
    }
    front.push((Kind::Proxy, bed.proxy_call("carol", okx_order("SOL-USDT", "1")).encode_to_vec()));
    front.push((Kind::Stream, bed.stream_call("carol", "/ws/v5/private").encode_to_vec()));
    for text in [
        r#"{"op":"login","args":[{"apiKey":"countersign:okx-sent","passphrase":"p","timestamp":"1","sign":"s"}]}"#,
        r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#,
        r#"{"id":"7","op":"order","args":[{"instId":"SOL-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60","sz":"1"}]}"#,
    ] {
        let message = StreamMessage { bytes: text.into(), binary: false };
        front.push((Kind::StreamMessage, message.encode_to_vec()));
    }
    // Commands that were carried out, and those that nobody has sent: only a signature is wrong then.
    let commands =
        bed.sent.iter().filter(|one| matches!(one.frame.kind, Kind::Command | Kind::Enroll));
    let commands: Vec<Seed> =
        commands.map(|one| (one.frame.kind, one.frame.body.clone())).collect();
    front.extend(commands.into_iter().step_by(3));
    let grant = bed.export();
    front.push((Kind::Pull, PullCall { grant, from_index: 1 }.encode_to_vec()));
    let whoami = WhoamiCall { caller: bed.person("alice").caller() };
    front.push((Kind::Whoami, whoami.encode_to_vec()));
    front.push((Kind::StreamEnd, StreamEnd::default().encode_to_vec()));
    front.push((Kind::Forget, Vec::new()));
    front.push((Kind::MetricsCall, Vec::new()));
    front.push((Kind::BarrierDone, vec![8, 1]));
    let row = HealthRow {
        venue: "okx".to_owned(),
        host: "www.okx.com".to_owned(),
        state: 1,
        last_problem: "TIMEOUT".to_owned(),
        ..Default::default()
    };
    let egress = vec![
        (Kind::Outcome, answered().encode_to_vec()),
        (Kind::Health, Health { rows: vec![row] }.encode_to_vec()),
        (Kind::Usage, Usage { cpu_s: 1.5, memory_peak_bytes: 4096.0 }.encode_to_vec()),
        (Kind::BarrierDone, vec![8, 1]),
    ];
    (front, egress)
}

/// Whether a body is a message of its kind: what is none is another test's.
fn decodes(kind: Kind, body: &[u8]) -> bool {
    macro_rules! is {
        ($($kind:ident $message:ty),*) => {
            match kind {
                $(Kind::$kind => <$message>::decode(body).is_ok(),)*
                _ => true,
            }
        };
    }
    is!(
        Sign vault_ipc::SignCall, Execute vault_ipc::ExecuteCall, Proxy vault_ipc::ProxyCall,
        Stream vault_ipc::StreamCall, StreamMessage StreamMessage, StreamEnd StreamEnd,
        Command vault_ipc::CommandCall, Enroll vault_ipc::EnrollCall, Pull PullCall,
        BarrierDone vault_ipc::BarrierDone, Whoami WhoamiCall, Outcome vault_ipc::Outcome, Health Health,
        Usage Usage
    )
}

#[test]
#[expect(clippy::print_stdout, reason = "what a failure is repeated with, and how fast it went")]
fn frames_at_random_do_nothing_that_is_not_allowed() {
    let count = number("COUNTERSIGN_HOSTILE_FRAMES")
        .map_or(FRAMES, |count| usize::try_from(count).expect("a count"));
    let seed = number("COUNTERSIGN_HOSTILE_SEED").unwrap_or(SEED);
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut bed = Bed::new();
    let (mut front, mut egress) = seeds(&mut bed);
    let begun = Instant::now();
    let (mut sent, mut bytes_sent, mut ends, mut judged) = (0, 0_u64, 0, [0; 2]);
    // Numbers of WebSockets that were asked for, and how far the frames to egress were looked at.
    let mut sockets: VecDeque<u64> = VecDeque::new();
    let mut seen = bed.core.egress.count();
    while sent < count {
        for _ in 0..ROUND {
            let is_front = !random.one_in(8);
            let pool = if is_front { &front } else { &egress };
            let (kind, body) = random.pick(pool).expect("seeds").clone();
            let (_, other) = random.pick(pool).expect("seeds");
            let mut body = match random.one_in(10) {
                true => body,
                false => mutate::message(&body, other, &mut random),
            };
            if !decodes(kind, &body) || body.len() > vault_ipc::body_bytes_max(kind) {
                continue;
            }
            // A request that was not asked for before, most of the time.
            if matches!(kind, Kind::Sign | Kind::Execute) && !random.one_in(4) {
                let mut call = vault_ipc::SignCall::decode(body.as_slice()).expect("it decodes");
                if call.request.request_id.len() == 32 {
                    call.request.request_id = request_id();
                    body = call.encode_to_vec();
                }
            }
            let mut correlation = 1 + random.next() % 1_000;
            match kind {
                Kind::Stream => {
                    // One number for two is an end, and tested elsewhere.
                    correlation = bed.number();
                    sockets.push_back(correlation);
                }
                Kind::StreamMessage | Kind::StreamEnd | Kind::Forget if !random.one_in(8) => {
                    let at = random.below(sockets.len());
                    correlation = sockets.get(at).copied().unwrap_or(1);
                }
                Kind::Outcome => {
                    // Of something that is on its way: all else is an end.
                    let next = bed.core.egress.find(seen, |frame| frame.kind == Kind::Dispatch);
                    let Some((at, next)) = next else { continue };
                    (correlation, seen) = (next.correlation, at + 1);
                }
                _ => {}
            }
            let wire = if is_front { &bed.core.front } else { &bed.core.egress };
            let frame = encoded(kind, correlation, &body);
            bytes_sent += frame.len() as u64;
            sent += 1;
            if wire.write(&frame).is_err() {
                break;
            }
        }
        bed.core.resident_bytes_max();
        if !bed.is_serving() {
            let reason = bed.begin_if_ended(END).expect("it lives or it ends");
            println!("after {sent} frames it ended: {reason}");
            assert!(bed.ends.last().expect("ended").is_in_order(), "seed {seed}, {sent} frames");
            everybody_calls(&mut bed);
            ends += 1;
            seen = 0;
            sockets.clear();
        }
        // A bed holds all that was said: once in a while it is judged, and another one made.
        if bed.past.len() + bed.core.front.count() > 200_000 {
            let verdict = std::mem::replace(&mut bed, Bed::new()).judge();
            (front, egress) = seeds(&mut bed);
            judged = [judged[0] + verdict.released, judged[1] + verdict.sent];
            seen = bed.core.egress.count();
            sockets.clear();
        }
    }
    let took = begun.elapsed();
    let verdict = bed.judge();
    let [released, out] = [judged[0] + verdict.released, judged[1] + verdict.sent];
    let rate = sent as f64 / took.as_secs_f64();
    println!(
        "{sent} frames, {bytes_sent} bytes in {took:.1?}: {rate:.0} a second; {released} signatures \
         to the front, {out} to egress, {ends} ends"
    );
    assert!(released > 0 && out > 0, "nothing but refusals was tried");
}

#[test]
fn bytes_at_random_end_the_core_in_order() {
    let mut bed = Bed::new();
    let seed = number("COUNTERSIGN_HOSTILE_SEED").unwrap_or(SEED);
    let mut random = Random(seed);
    let real = encoded(Kind::Pull, 1, &PullCall { grant: 1, from_index: 0 }.encode_to_vec());
    for round in 0..12 {
        let mut bytes: Vec<u8> =
            (0..1 + random.below(4_096)).map(|_| random.next() as u8).collect();
        if round % 3 == 0 {
            // After a frame that is one.
            bytes = [real.clone(), bytes].concat();
        }
        let way = if round % 4 == 0 { Way::EgressToCore } else { Way::FrontToCore };
        let wire = if way == Way::EgressToCore { &bed.core.egress } else { &bed.core.front };
        // It may have ended before all of it is written.
        let _ = wire.write(&bytes);
        wire.close();
        assert!(bed.begin_if_ended(END).is_some(), "seed {seed}, round {round}");
    }
    let serving: Result<v1::HaltStatusResponse, _> =
        bed.command("guard", "HaltService/Status", &v1::HaltStatusCommand::default());
    serving.expect("served");
    bed.judge();
}
