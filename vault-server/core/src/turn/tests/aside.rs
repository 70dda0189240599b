//! Calls that are set aside until a worker has signed for them.

use vault_ipc::{Frame, Kind};
use vault_model::Name;

use super::{CHEAP, COSTLY, frame, name, sign};
use crate::ahead::Done;
use crate::turn::queue::ASIDE_MAX;
use crate::turn::{Served, Turn, Turns, Whose};

fn put(turns: &mut Turns, client: &Name, correlations: std::ops::Range<u64>) {
    for correlation in correlations {
        turns.put(Whose::Client(client), sign(correlation)).expect("room");
    }
}

/// What is next: a call, in which way it comes, and who has had the turn.
fn take(turns: &mut Turns) -> Option<(&'static str, Frame, Served)> {
    let (turn, served) = turns.next()?;
    let (how, frame) = match turn {
        Turn::Behind(frame) => ("behind", frame),
        Turn::Frame(frame) => ("frame", frame),
        Turn::Signed(frame, ready) => {
            assert!(ready.is_none(), "none of these is signed");
            ("signed", frame)
        }
        Turn::Lane(_) => panic!("a lane"),
    };
    Some((how, frame, served))
}

/// The number of what is next, which is decided.
fn next(turns: &mut Turns) -> Option<(&'static str, u64)> {
    let (how, frame, served) = take(turns)?;
    turns.charge(served, CHEAP);
    Some((how, frame.correlation))
}

/// Sets aside what is next, for a job of its own number.
fn aside(turns: &mut Turns) -> (&'static str, u64) {
    let (how, frame, served) = take(turns).expect("something is next");
    let Served::Client(queue) = served else { panic!("an operator's") };
    let correlation = frame.correlation;
    turns.set_aside(queue, frame, correlation);
    turns.charge(served, CHEAP);
    (how, correlation)
}

/// Puts back what is next.
fn put_back(turns: &mut Turns) -> (&'static str, u64) {
    let (how, frame, served) = take(turns).expect("something is next");
    let Served::Client(queue) = served else { panic!("an operator's") };
    let correlation = frame.correlation;
    turns.put_back(queue, frame);
    turns.charge(served, CHEAP);
    (how, correlation)
}

fn done(job: u64) -> Done {
    Done { job, signature: None }
}

#[test]
fn nothing_of_a_client_is_decided_before_what_is_set_aside() {
    let (one, other) = (name("one"), name("other"));
    let mut turns = Turns::default();
    put(&mut turns, &one, 0..3);
    assert_eq!(aside(&mut turns), ("frame", 0));
    assert_eq!(put_back(&mut turns), ("behind", 1));
    assert!(turns.is_empty(), "there is nothing to decide");
    assert_eq!(turns.waiting()[0], ("clients", 3), "and all of it waits");
    assert!(next(&mut turns).is_none());

    put(&mut turns, &other, 10..12);
    let of_other: Vec<_> = (0..2).filter_map(|_| next(&mut turns)).map(|next| next.1).collect();
    assert_eq!(of_other, [10, 11]);
    turns.signed(done(0));
    let left: Vec<_> = std::iter::from_fn(|| next(&mut turns)).collect();
    assert_eq!(left, [("signed", 0), ("frame", 1), ("frame", 2)]);
    assert_eq!(turns.waiting()[0], ("clients", 0));
}

#[test]
fn a_few_are_set_aside_at_once_and_come_back_in_their_order() {
    let one = name("one");
    let mut turns = Turns::default();
    put(&mut turns, &one, 0..ASIDE_MAX as u64 + 2);
    for correlation in 0..ASIDE_MAX as u64 {
        assert_eq!(aside(&mut turns).1, correlation);
    }
    assert!(turns.is_empty(), "no more of one client");
    turns.signed(done(1));
    turns.signed(done(2));
    assert!(turns.is_empty(), "the first is not done");
    turns.signed(done(0));
    for correlation in 0..3 {
        assert_eq!(next(&mut turns), Some(("signed", correlation)));
    }
    assert_eq!(aside(&mut turns), ("behind", ASIDE_MAX as u64), "there is room again");
}

#[test]
fn what_is_set_aside_can_be_taken_back() {
    let one = name("one");
    let mut turns = Turns::default();
    put(&mut turns, &one, 0..3);
    aside(&mut turns);
    aside(&mut turns);
    assert!(turns.forget(Whose::Client(&one), 1));
    assert!(!turns.forget(Whose::Client(&one), 1), "it is gone");
    assert!(!turns.forget(Whose::Stranger, 0), "it is another's");
    assert!(turns.forget(Whose::Client(&one), 0));
    // Nothing is aside any more, so that the last is decided as any other.
    turns.signed(done(0));
    turns.signed(done(1));
    assert_eq!(next(&mut turns), Some(("frame", 2)));
    assert_eq!(turns.waiting()[0], ("clients", 0));
    assert!(turns.is_empty());
}

#[test]
fn a_client_that_waits_for_a_signature_keeps_no_operator_waiting() {
    let (bot, admin) = (name("bot"), name("admin"));
    let mut turns = Turns::default();
    put(&mut turns, &bot, 0..2);
    aside(&mut turns);
    put_back(&mut turns);
    for correlation in 10..13 {
        turns.put(Whose::Operator(&admin), frame(Kind::Command, correlation)).expect("room");
    }
    // Operators are ahead, and what the bot has cannot go.
    let (_, served) = turns.next().expect("an operator's");
    turns.charge(served, COSTLY);
    let left: Vec<_> = std::iter::from_fn(|| next(&mut turns)).map(|next| next.1).collect();
    assert_eq!(left, [11, 12]);
}

#[test]
fn a_free_lane_does_not_wait_for_what_came_later() {
    let one = name("one");
    let mut turns = Turns::default();
    put(&mut turns, &one, 0..1);
    aside(&mut turns);
    turns.put_lane(&one, name("main"));
    assert!(matches!(turns.next(), Some((Turn::Lane(_), Served::Client(_)))));
}

#[test]
fn what_is_taken_back_counts_until_its_worker_is_through_with_it() {
    let one = name("one");
    let (mut turns, most) = (Turns::default(), ASIDE_MAX as u64);
    put(&mut turns, &one, 0..most + 2);
    for correlation in 0..most {
        aside(&mut turns);
        assert!(turns.forget(Whose::Client(&one), correlation));
    }
    let (how, frame, Served::Client(queue)) = take(&mut turns).expect("it is its turn") else {
        panic!("an operator's")
    };
    assert_eq!((how, frame.correlation), ("frame", most));
    assert!(!turns.may_set_aside(queue), "four are under way: it is decided as it is");
    turns.signed(done(0));
    assert!(turns.may_set_aside(queue));
}
