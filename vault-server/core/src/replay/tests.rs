mod fairness;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vault_model::{ClockTime, Name};

use super::answer::ANSWERS_MAX;
use super::{BYTES_MAX, Known, Replay, RequestKey};

const NOW: ClockTime = ClockTime(1_000_000_000);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn key(number: u32) -> RequestKey {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&number.to_le_bytes());
    key
}

fn answer(replay: &mut Replay, number: u32, reply: &[u8], now: ClockTime) {
    replay.signed(key(number), u64::from(number));
    replay.answered(key(number), [9; 32], &name("bot"), &name("main"), reply, now);
}

#[test]
fn gives_the_same_answer_for_a_minute_then_the_index() {
    let mut replay = Replay::default();
    answer(&mut replay, 7, b"reply", NOW);

    let later = NOW.plus(Duration::from_secs(59));
    assert_eq!(replay.look(&key(7), &[9; 32], later), Known::Answered(b"reply".to_vec(), 7));
    assert_eq!(replay.look(&key(7), &[8; 32], later), Known::Different);
    assert_eq!(replay.look(&key(2), &[9; 32], later), Known::New);
    let too_late = NOW.plus(Duration::from_secs(61));
    assert_eq!(replay.look(&key(7), &[9; 32], too_late), Known::Signed(7));
    assert_eq!(replay.look(&key(7), &[8; 32], too_late), Known::Signed(7));
}

#[test]
fn what_was_sent_has_no_answer_to_give_again() {
    let mut replay = Replay::default();
    replay.sent([1; 16], [9; 32], &name("bot"), 7, NOW);

    assert_eq!(replay.look(&[1; 16], &[9; 32], NOW), Known::Signed(7));
    assert_eq!(replay.look(&[1; 16], &[8; 32], NOW), Known::Different);
    let later = NOW.plus(Duration::from_secs(61));
    assert_eq!(replay.look(&[1; 16], &[8; 32], later), Known::Signed(7));
}

#[test]
fn forgets_answers_on_demand_but_not_that_it_signed() {
    let mut replay = Replay::default();
    answer(&mut replay, 7, b"reply", NOW);
    replay.forget_answers();

    assert_eq!(replay.look(&key(7), &[9; 32], NOW), Known::Signed(7));
    answer(&mut replay, 8, b"next", NOW);
    assert_eq!(replay.look(&key(8), &[9; 32], NOW), Known::Answered(b"next".to_vec(), 8));
    assert_eq!(replay.look(&key(7), &[9; 32], NOW), Known::Signed(7));
}

#[test]
fn an_earlier_request_gets_no_other_answer() {
    let mut replay = Replay::default();
    answer(&mut replay, 1, b"one", NOW);
    answer(&mut replay, 2, b"two", NOW);
    answer(&mut replay, 1, b"again", NOW);

    assert_eq!(replay.look(&key(1), &[9; 32], NOW), Known::Answered(b"one".to_vec(), 1));
    assert_eq!(replay.look(&key(2), &[9; 32], NOW), Known::Answered(b"two".to_vec(), 2));
}

/// Bytes of which none is like another.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn is_bounded_in_bytes_whatever_is_answered() {
    let mut replay = Replay::default();
    const LONG: usize = BYTES_MAX / 64;
    for number in 0..100 {
        answer(&mut replay, number, &noise(number, LONG), NOW);
        // Short ones would be models of those that come after.
        answer(&mut replay, 1_000 + number, &noise(number, 600), NOW);
        assert!(replay.answers.size() <= BYTES_MAX);
    }
    assert_eq!(replay.look(&key(0), &[9; 32], NOW), Known::Signed(0));
    assert_eq!(replay.look(&key(99), &[9; 32], NOW), Known::Answered(noise(99, LONG), 99));
    assert_eq!(replay.look(&key(1_099), &[9; 32], NOW), Known::Answered(noise(99, 600), 1_099));
}

/// To a client with a credential of the same name.
fn answer_of(replay: &mut Replay, of: &str, number: u32, reply: &[u8], now: ClockTime) {
    answer_to(replay, of, of, number, reply, now);
}

fn answer_to(
    replay: &mut Replay,
    client: &str,
    credential: &str,
    number: u32,
    reply: &[u8],
    now: ClockTime,
) {
    replay.signed(key(number), u64::from(number));
    let (client, credential) = (name(client), name(credential));
    assert!(replay.answered(key(number), [9; 32], &client, &credential, reply, now));
    assert!(replay.answers.size() <= BYTES_MAX, "{}", replay.answers.size());
}

/// As of bots that pad a body, so that every second byte differs from what they sent before.
#[test]
fn long_answers_to_many_credentials_leave_room_for_others_when_they_are_over() {
    let mut replay = Replay::default();
    for number in 0..600 * 10 {
        let mut reply = vec![b' '; 16_300];
        for (padding, byte) in reply[1..].iter_mut().step_by(2).zip(noise(number, 8_150)) {
            *padding = b" \t\n\r"[usize::from(byte % 4)];
        }
        answer_of(&mut replay, &format!("padded-{}", number / 10), number, &reply, NOW);
    }
    let later = NOW.plus(Duration::from_secs(60));
    assert_eq!(replay.look(&key(0), &[9; 32], later), Known::Signed(0));
    let all_later = later.plus(Duration::from_secs(59));
    answer_of(&mut replay, "main", 9_999, b"a short answer", later);
    let known = Known::Answered(b"a short answer".to_vec(), 9_999);
    assert_eq!(replay.look(&key(9_999), &[9; 32], all_later), known);
}

#[test]
fn models_that_wait_take_no_room_from_answers() {
    let mut replay = Replay::default();
    for number in 0..600 {
        let reply = noise(number, 16 << 10);
        answer_of(&mut replay, &format!("seldom-{number}"), number, &reply, NOW);
    }
    // One that keeps all from being forgotten at once.
    let between = NOW.plus(Duration::from_secs(30));
    answer_of(&mut replay, "main", 600, b"a short answer", between);
    let later = NOW.plus(Duration::from_secs(60));
    assert_eq!(replay.look(&key(0), &[9; 32], later), Known::Signed(0));
    // Too long to be models.
    let long = |number| noise(number, 20 << 10);
    for number in 601..1_101 {
        answer_of(&mut replay, "main", number, &long(number), later);
    }
    for number in (601..1_101).step_by(7) {
        let known = Known::Answered(long(number), u64::from(number));
        assert_eq!(replay.look(&key(number), &[9; 32], later), known, "{number}");
    }
}

#[test]
fn is_bounded_in_number_and_the_last_ones_are_kept() {
    let mut replay = Replay::default();
    let all = ANSWERS_MAX as u32 + 10;
    for number in 0..all {
        answer(&mut replay, number, b"", NOW);
    }
    assert_eq!(replay.look(&key(9), &[9; 32], NOW), Known::Signed(9));
    assert_eq!(replay.look(&key(10), &[9; 32], NOW), Known::Answered(Vec::new(), 10));
    assert_eq!(
        replay.look(&key(all - 1), &[9; 32], NOW),
        Known::Answered(Vec::new(), u64::from(all - 1))
    );
}

/// As the vault answers for OKX, at 30,000 Signs a second.
fn okx(number: u32) -> Vec<u8> {
    let at_ms = number / 30;
    let sign: String =
        noise(number, 43).iter().map(|byte| char::from(BASE64[usize::from(byte % 64)])).collect();
    let head = format!(
        "POST https://www.okx.com/api/v5/trade/order content-type application/json ok-access-key \
         00000000-0000-0000-0000-000000000000 ok-access-sign {sign}= ok-access-timestamp \
         2026-11-23T08:{:02}:{:02}.{:03}Z ok-access-passphrase phrase {{\"instId\":\"BTC-USDT\",\
         \"tdMode\":\"cash\",\"side\":\"buy\",\"px\":\"60000\",\"sz\":\"0.001\"}} \
         vault.example.com/audit/node-1/1",
        at_ms / 60_000,
        at_ms / 1_000 % 60,
        at_ms % 1_000,
    );
    // Index and place in the order of decisions, seven bits in a byte.
    let long = |number: u32| [0, 7, 14, 21].map(|shift| (number >> shift) as u8 & 0x7f);
    [head.as_bytes(), &long(number), &noise(number + 1, 32), &long(number / 2), b"60"].concat()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Of 30,000 Signs a second, those of five seconds, which is as long as a call may last.
#[test]
fn the_answers_of_five_busy_seconds_are_kept() {
    let mut replay = Replay::default();
    for number in 0..300_000 {
        let at = NOW.plus(Duration::from_micros(u64::from(number) * 33));
        answer(&mut replay, number, &okx(number), at);
    }
    let at = NOW.plus(Duration::from_secs(10));
    for number in (150_000..300_000).step_by(4_999) {
        let found = replay.look(&key(number), &[9; 32], at);
        assert_eq!(found, Known::Answered(okx(number), u64::from(number)), "{number}");
    }
}

#[test]
fn a_minute_is_a_minute_to_the_microsecond() {
    let mut replay = Replay::default();
    let micros = |number: u32| Duration::from_micros(u64::from(number) * 7_919);
    for number in 0..1_000 {
        answer(&mut replay, number, &okx(number), NOW.plus(micros(number)));
    }
    for number in 0..1_000 {
        let minute = NOW.plus(micros(number)).plus(Duration::from_secs(60));
        let before = ClockTime(minute.0 - 1);
        let found = replay.look(&key(number), &[9; 32], before);
        assert_eq!(found, Known::Answered(okx(number), u64::from(number)));
        assert_eq!(replay.look(&key(number), &[8; 32], before), Known::Different);
        let signed = Known::Signed(u64::from(number));
        assert_eq!(replay.look(&key(number), &[9; 32], minute), signed);
        assert_eq!(replay.look(&key(number), &[8; 32], minute), signed);
    }
}

#[test]
fn a_clock_that_goes_back_or_far_ahead_does_no_harm() {
    let mut replay = Replay::default();
    for (number, at) in (0..).zip([NOW.0, 5, u64::MAX, 0, NOW.0]) {
        answer(&mut replay, number, b"reply", ClockTime(at));
    }
    assert_eq!(replay.look(&key(3), &[9; 32], ClockTime(9)), Known::Answered(b"reply".to_vec(), 3));
    assert_eq!(replay.look(&key(1), &[9; 32], NOW), Known::Signed(1));
    assert_eq!(replay.look(&key(4), &[9; 32], ClockTime(u64::MAX)), Known::Signed(4));
}

#[test]
fn only_the_first_half_of_what_was_asked_is_kept() {
    let mut replay = Replay::default();
    answer(&mut replay, 7, b"reply", NOW);
    for byte in 0..16 {
        let mut content = [9; 32];
        content[byte] ^= 1;
        assert_eq!(replay.look(&key(7), &content, NOW), Known::Different);
    }
}

#[test]
fn numbers_far_apart_leave_nothing_behind() {
    let mut replay = Replay::default();
    answer(&mut replay, 1, b"one", NOW);
    // Signed, but without an answer.
    for number in 2..ANSWERS_MAX as u32 + 2 {
        replay.signed(key(number), u64::from(number));
    }
    assert_eq!(replay.look(&key(1), &[9; 32], NOW), Known::Answered(b"one".to_vec(), 1));
    let last = ANSWERS_MAX as u32 + 2;
    answer(&mut replay, last, b"last", NOW);
    assert_eq!(replay.answers() as u64, ANSWERS_MAX);
    assert_eq!(replay.look(&key(1), &[9; 32], NOW), Known::Signed(1));
    assert_eq!(replay.look(&key(9), &[9; 32], NOW), Known::Signed(9));
    assert_eq!(
        replay.look(&key(last), &[9; 32], NOW),
        Known::Answered(b"last".to_vec(), u64::from(last))
    );
}

#[test]
fn what_is_too_far_back_to_be_given_again_takes_no_memory() {
    let mut replay = Replay::default();
    answer_of(&mut replay, "main", 1, b"one", NOW);
    for number in 2..ANSWERS_MAX as u32 + 2 {
        replay.signed(key(number), u64::from(number));
    }
    // Not in one block with the first.
    answer_of(
        &mut replay,
        "main",
        ANSWERS_MAX as u32 + 2,
        b"last",
        NOW.plus(Duration::from_secs(6)),
    );
    assert_eq!(replay.answers(), 1);
}

#[test]
fn what_is_kept_no_more_takes_no_memory() {
    let mut replay = Replay::default();
    for number in 0..1_000 {
        answer(&mut replay, number, &noise(number, 700), NOW);
    }
    assert!(replay.answers.size() > 0);
    replay.look(&key(1), &[9; 32], NOW.plus(Duration::from_secs(61)));
    assert_eq!(replay.answers, super::Answers::default());
}

proptest! {
    /// The same as a list of everything, of which the last minute counts.
    #[test]
    fn every_answer_of_the_last_minute_comes_back(
        steps in vec((select(vec![0u64, 1, 20, 59]), 0u32..12, 0u8..4, 0usize..900), 1..120),
    ) {
        let mut replay = Replay::default();
        let mut all: Vec<(u32, ClockTime, Option<Vec<u8>>)> = Vec::new();
        let mut now = NOW;
        for (number, (after_s, model, kind, length)) in (0..).zip(steps) {
            now = now.plus(Duration::from_secs(after_s));
            // Some so long that clients are soon beyond their share.
            let length = if length > 800 { length * 80 } else { length };
            let reply = [b"a beginning that all share ".to_vec(), noise(model, length)].concat();
            let client = name(&format!("bot-{}", model % 4));
            let credential = name(&format!("key-{}", model % 3));
            let content = [number as u8; 32];
            match kind {
                0 => {
                    replay.sent(key(number), content, &client, u64::from(number), now);
                    all.push((number, now, None));
                }
                _ => {
                    replay.signed(key(number), u64::from(number));
                    replay.answered(key(number), content, &client, &credential, &reply, now);
                    all.push((number, now, Some(reply)));
                }
            }
            for (number, at, reply) in &all {
                let is_kept = at.plus(Duration::from_secs(60)) > now;
                let signed = Known::Signed(u64::from(*number));
                let same = replay.look(&key(*number), &[*number as u8; 32], now);
                let other = replay.look(&key(*number), &[255; 32], now);
                match reply {
                    Some(reply) if is_kept => {
                        let index = u64::from(*number);
                        prop_assert_eq!(same, Known::Answered(reply.clone(), index));
                    }
                    _ => prop_assert_eq!(same, signed),
                }
                let is_different = other == Known::Different;
                prop_assert_eq!(is_different, is_kept);
            }
        }
    }
}
