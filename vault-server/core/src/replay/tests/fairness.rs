//! Whose answers are pushed out when some client takes more than its share.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use vault_model::ClockTime;

use super::{NOW, answer_of, answer_to, key, noise, okx};
use crate::replay::{BYTES_MAX, Known, Replay};

fn micros(micros: u32) -> Duration {
    Duration::from_micros(micros.into())
}

fn seconds(seconds: u64) -> ClockTime {
    NOW.plus(Duration::from_secs(seconds))
}

/// As of a body that is padded with white space at random, which nothing makes smaller.
fn padded(number: u32, length: usize) -> Vec<u8> {
    noise(number, length).iter().map(|byte| b" \t\n\r"[usize::from(byte % 4)]).collect()
}

fn is_kept(replay: &mut Replay, number: u32, reply: &[u8], now: ClockTime) -> bool {
    let known = replay.look(&key(number), &[9; 32], now);
    let is_kept = known == Known::Answered(reply.to_vec(), u64::from(number));
    assert!(is_kept || known == Known::Signed(number.into()), "{number} has the answer of another");
    is_kept
}

/// Orders of a bot, 40 a second: those before this number.
fn quiet_until(replay: &mut Replay, end: u32) {
    for number in 0..end {
        answer_of(replay, "quiet", number, &okx(number), NOW.plus(micros(25_000 * number)));
    }
}

#[test]
fn who_pads_what_he_signs_takes_no_answers_from_others() {
    let mut replay = Replay::default();
    quiet_until(&mut replay, 2_000);
    let at = seconds(55);
    for number in 2_000..2_600 {
        answer_of(&mut replay, "loud", number, &padded(number, 32 << 10), at);
        // Others go on.
        answer_of(&mut replay, "quiet", number + 10_000, &okx(number), at);
        answer_of(&mut replay, "loud", number + 20_000, &padded(number, 32 << 10), at);
    }
    for number in 0..2_000 {
        assert!(is_kept(&mut replay, number, &okx(number), at), "{number}");
    }
    for number in 2_000..2_600 {
        assert!(is_kept(&mut replay, number + 10_000, &okx(number), at), "{number}");
    }
    // He pushed out his own.
    assert!(!is_kept(&mut replay, 2_100, &padded(2_100, 32 << 10), at));
    assert!(is_kept(&mut replay, 22_599, &padded(2_599, 32 << 10), at));
}

/// One model of each credential would be larger than what is written of its answers.
#[test]
fn who_pads_with_many_credentials_takes_no_answers_from_others() {
    let mut replay = Replay::default();
    quiet_until(&mut replay, 1_000);
    let at = seconds(26);
    for number in 1_000..2_500 {
        let credential = format!("loud-{}", number % 250);
        answer_to(&mut replay, "loud", &credential, number, &padded(number, 16_300), at);
    }
    for number in 0..1_000 {
        assert!(is_kept(&mut replay, number, &okx(number), at), "{number}");
    }
    assert!(is_kept(&mut replay, 2_499, &padded(2_499, 16_300), at));
}

/// As long as they are among the last 262,144 of all.
#[test]
fn who_signs_much_takes_no_answers_from_others() {
    let mut replay = Replay::default();
    quiet_until(&mut replay, 500);
    let begun = seconds(13);
    for number in 500..260_000 {
        answer_of(&mut replay, "loud", number, &okx(number), begun.plus(micros(33 * number)));
    }
    let at = begun.plus(micros(33 * 260_000));
    for number in 0..500 {
        assert!(is_kept(&mut replay, number, &okx(number), at), "{number}");
    }
    // What is left is his.
    for number in (130_000..260_000).step_by(997) {
        assert!(is_kept(&mut replay, number, &okx(number), at), "{number}");
    }
    assert!(!is_kept(&mut replay, 60_000, &okx(60_000), at));
}

#[test]
fn who_was_loud_is_within_its_share_as_soon_as_it_asks_for_no_more() {
    let mut replay = Replay::default();
    let (loud, calm) = (20_000, 20_000 + 2_500);
    for number in 0..loud {
        answer_of(&mut replay, "bot", number, &okx(number), NOW.plus(micros(1_000 * number)));
    }
    let begun = seconds(20);
    for number in loud..calm {
        let at = begun.plus(micros(4_000 * (number - loud)));
        answer_of(&mut replay, "bot", number, &okx(number), at);
    }
    let at = seconds(30);
    for number in calm..calm + 1_000 {
        answer_of(&mut replay, "other", number, &padded(number, 32 << 10), at);
    }
    // Until there is room for one that nothing makes smaller: some of the first are apart.
    for number in loud + 20..calm {
        assert!(is_kept(&mut replay, number, &okx(number), at), "{number}");
    }
}

/// One who pads a little, but with so many credentials that their models are what takes room, and who sends
/// each of them a short one now and then, so that it is needed.
#[test]
fn models_that_are_needed_count_again_each_minute() {
    let mut replay = Replay::default();
    let mut number = 0;
    for of in 0..250 {
        let at = seconds(u64::from(of) * 2);
        let due = (0..of).filter(|before| (before + of) % 30 == 0).map(|before| (before, 100));
        for (of, length) in due.chain([(of, 16_300)]) {
            answer_to(&mut replay, "loud", &format!("loud-{of}"), number, &noise(of, length), at);
            number += 1;
        }
    }
    let within = replay.answers.within.size();
    assert!(within < BYTES_MAX / 4, "{within}");
}

/// Others within their share need more than the room, all of them together.
#[test]
fn a_quarter_is_left_to_those_beyond_their_share() {
    let mut replay = Replay::default();
    let long = |number| padded(number, 32 << 10);
    for number in 0..450 {
        answer_of(&mut replay, "loud", number, &long(number), NOW);
    }
    let reply = |number| noise(number, 1_000);
    let mut number = 1_000;
    for step in 0..50 * 18 {
        let at = NOW.plus(micros(step * 1_000_000 / 18));
        for bot in 0..14 {
            answer_of(&mut replay, &format!("bot-{bot}"), number, &reply(number), at);
            number += 1;
        }
    }
    let at = seconds(50);
    // They have three quarters: of 14 times 18 each second those of half a minute.
    for number in number - 14 * 18 * 27..number {
        assert!(is_kept(&mut replay, number, &reply(number), at), "{number}");
    }
    assert!(!is_kept(&mut replay, 1_000, &reply(1_000), at));
    // He has one, with as much of a block as gives way at once.
    let his = (BYTES_MAX / 4 / (32 << 10)) as u32 - 3;
    for number in 450 - his..450 {
        assert!(is_kept(&mut replay, number, &long(number), at), "{number}");
    }
    assert!(!is_kept(&mut replay, 300, &long(300), at));
}

#[derive(Clone, Copy, Debug)]
struct Step {
    /// From 3 on: the loud one.
    client: u32,
    answers: u32,
    length: usize,
    after_ms: u32,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![0..600usize, 600..16_000usize, 16_000..60_000usize];
    let step = (0..7u32, 1..80u32, length, 0..4_000u32);
    let made = |(client, answers, length, after_ms)| Step { client, answers, length, after_ms };
    vec(step.prop_map(made), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The same as a list of everything: whatever comes back is what was kept; of clients that take little all
    /// comes back, and of one that takes without measure the last at least.
    #[test]
    fn answers_to_clients_within_their_share_come_back_whatever_others_do(steps in steps()) {
        let mut replay = Replay::default();
        let (mut now, mut number) = (NOW, 0);
        let mut all = Vec::new();
        let mut left = [40; 3];
        for Step { client, answers, length, after_ms } in steps {
            now = now.plus(micros(after_ms * 1_000));
            for _ in 0..answers {
                let (of, length) = match left.get_mut(client as usize) {
                    None => (format!("loud-{}", number % 3), length),
                    Some(0) => break,
                    Some(left) => {
                        *left -= 1;
                        // With its model less than 150 KB, all of them.
                        (format!("quiet-{client}"), length.min(600))
                    }
                };
                let reply = noise(number, length);
                let who = if client < 3 { of.as_str() } else { "loud" };
                answer_to(&mut replay, who, &of, number, &reply, now);
                all.push((number, now, client < 3, length));
                number += 1;
            }
        }
        for (number, at, is_quiet, length) in &all {
            let is_found = is_kept(&mut replay, *number, &noise(*number, *length), now);
            let is_old = at.plus(Duration::from_secs(60)) <= now;
            let is_last = number + 1 == all.len() as u32;
            prop_assert!(!is_old || !is_found, "{number} is older than a minute");
            prop_assert!(is_old || is_found || !(*is_quiet || is_last), "{number} is gone");
        }
    }
}
