mod aside;

use std::time::Duration;

use prost::Message as _;
use vault_ipc::{Caller, CommandCall, EnrollCall, ForgetCall, Frame, Kind, SignCall, WhoamiCall};
use vault_model::{Name, Role, Serial, Timestamp};

use super::{ALL_MAX, KEPT, ONE_MAX, READ_MAX, Served, Turn, Turns, URGENT_MAX, Whose};
use crate::command::Method;
use crate::execute::tests::bench::{Bench, ONE, OTHER, caller};
use crate::storage::{
    CertificateRow, CertificateState, Changes, ClientRow, Hex, HexBytes, Holder, HolderState,
    OperatorRow,
};

const CHEAP: Duration = Duration::from_micros(20);
const COSTLY: Duration = Duration::from_millis(6);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn frame(kind: Kind, correlation: u64) -> Frame {
    Frame { kind, correlation, body: Vec::new() }
}

fn sign(correlation: u64) -> Frame {
    frame(Kind::Sign, correlation)
}

/// The order in which what waits is decided, if each call costs what `cost` says.
fn drain(turns: &mut Turns, cost: impl Fn(u64) -> Duration) -> Vec<u64> {
    let mut order = Vec::new();
    while let Some((turn, served)) = turns.next() {
        let Turn::Frame(frame) = turn else { panic!("a lane") };
        order.push(frame.correlation);
        turns.charge(served, cost(frame.correlation));
    }
    assert!(turns.is_empty());
    order
}

fn place(order: &[u64], correlation: u64) -> usize {
    order.iter().position(|at| *at == correlation).expect("decided")
}

#[test]
fn what_waits_is_counted_in_its_queue() {
    let mut turns = Turns::default();
    for correlation in 0..3 {
        turns.put(Whose::Client(&name("loud")), sign(correlation)).expect("room");
    }
    turns.put(Whose::Stranger, sign(3)).expect("room");
    turns.put(Whose::Operator(&name("alice")), frame(Kind::Command, 4)).expect("room");
    turns.put(Whose::Urgent, frame(Kind::Command, 5)).expect("room");
    assert_eq!(turns.waiting(), [("clients", 4), ("operators", 1), ("urgent", 1)]);
    drain(&mut turns, |_| CHEAP);
    assert_eq!(turns.waiting(), [("clients", 0), ("operators", 0), ("urgent", 0)]);
}

#[test]
fn who_calls_much_makes_nobody_wait_for_all_of_it() {
    let (loud, quiet) = (name("loud"), name("quiet"));
    let mut turns = Turns::default();
    for correlation in 0..1_000 {
        turns.put(Whose::Client(&loud), sign(correlation)).expect("room");
    }
    for correlation in 2_000..2_003 {
        turns.put(Whose::Client(&quiet), sign(correlation)).expect("room");
    }
    let order = drain(&mut turns, |_| CHEAP);
    assert!(place(&order, 2_002) <= 6, "behind {}", place(&order, 2_002));
    // Each client's own calls in the order in which they came.
    let of_loud: Vec<u64> = order.iter().copied().filter(|at| *at < 2_000).collect();
    assert!(of_loud.into_iter().eq(0..1_000));
    let of_quiet: Vec<u64> = order.iter().copied().filter(|at| *at >= 2_000).collect();
    assert_eq!(of_quiet, [2_000, 2_001, 2_002]);
}

#[test]
fn time_is_shared_out_and_not_calls() {
    let (costly, cheap) = (name("costly"), name("cheap"));
    let mut turns = Turns::default();
    for correlation in 0..100 {
        turns.put(Whose::Client(&costly), sign(correlation)).expect("room");
    }
    for correlation in 1_000..1_600 {
        turns.put(Whose::Client(&cheap), sign(correlation)).expect("room");
    }
    let cost = |correlation| if correlation < 1_000 { COSTLY } else { CHEAP };
    let order = drain(&mut turns, cost);
    // 600 cheap calls cost what two costly ones do.
    let costly_before = order[..place(&order, 1_599)].iter().filter(|at| **at < 1_000).count();
    assert!((1..=3).contains(&costly_before), "{costly_before}");
}

#[test]
fn a_newcomer_is_next_and_nobody_saves_time_up() {
    let (one, other) = (name("one"), name("other"));
    let mut turns = Turns::default();
    for correlation in 0..500 {
        turns.put(Whose::Client(&one), sign(correlation)).expect("room");
    }
    for _ in 0..100 {
        let (_, served) = turns.next().expect("waits");
        turns.charge(served, COSTLY);
    }
    // Quiet while 600 ms were given to another, and served half of the time from now on.
    for correlation in 1_000..1_100 {
        turns.put(Whose::Client(&other), sign(correlation)).expect("room");
    }
    let order = drain(&mut turns, |_| COSTLY);
    assert!(place(&order, 1_000) <= 1, "{}", place(&order, 1_000));
    let of_one = order[..place(&order, 1_099)].iter().filter(|at| **at < 1_000).count();
    assert!((98..=101).contains(&of_one), "{of_one}");
}

#[test]
fn what_stops_goes_before_all_and_operators_get_half_at_least() {
    let (bot, admin, auditor) = (name("bot"), name("admin"), name("auditor"));
    let mut turns = Turns::default();
    for correlation in 0..200 {
        turns.put(Whose::Client(&bot), sign(correlation)).expect("room");
        turns.put(Whose::Operator(&auditor), sign(1_000 + correlation)).expect("room");
    }
    for _ in 0..20 {
        let (_, served) = turns.next().expect("waits");
        turns.charge(served, COSTLY);
    }
    turns.put(Whose::Operator(&admin), sign(2_000)).expect("room");
    turns.put(Whose::Urgent, sign(3_000)).expect("room");
    let order = drain(&mut turns, |_| COSTLY);
    assert_eq!(order[0], 3_000);
    // No other operator's calls before his but one, and no more of bots' than of operators'.
    assert!(place(&order, 2_000) <= 3, "{}", place(&order, 2_000));
    let operators = order[..100].iter().filter(|at| (1_000..2_000).contains(*at)).count();
    assert!((48..=51).contains(&operators), "{operators}");
}

#[test]
fn operators_who_ask_for_much_leave_half_of_the_time_to_clients() {
    let (bot, admin) = (name("bot"), name("admin"));
    let mut turns = Turns::default();
    for correlation in 0..500 {
        turns.put(Whose::Operator(&admin), sign(correlation)).expect("room");
    }
    turns.put(Whose::Client(&bot), sign(1_000)).expect("room");
    let order = drain(&mut turns, |_| COSTLY);
    assert!(place(&order, 1_000) <= 1, "{}", place(&order, 1_000));
}

#[test]
fn no_more_waits_than_may_and_others_have_room() {
    let (loud, quiet) = (name("loud"), name("quiet"));
    let mut turns = Turns::default();
    let mut taken = 0;
    while turns.put(Whose::Client(&loud), sign(taken)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, ONE_MAX.turns as u64);
    turns.put(Whose::Client(&quiet), sign(5_000)).expect("room for others");
    // The end of what was let in is never refused.
    turns.put(Whose::Client(&loud), frame(Kind::StreamEnd, 7)).expect("room");

    let mut turns = Turns::default();
    let long = Frame { body: vec![0; 1 << 20], ..sign(1) };
    let taken = (0..100).take_while(|_| turns.put(Whose::Client(&loud), long.clone()).is_ok());
    assert_eq!(taken.count(), (ONE_MAX.bytes >> 20) - 1);

    let mut turns = Turns::default();
    let names: Vec<Name> = (0..64).map(|number| name(&format!("bot-{number}"))).collect();
    let mut taken = 0;
    for client in &names {
        while turns.put(Whose::Client(client), sign(taken)).is_ok() {
            taken += 1;
        }
    }
    assert_eq!(taken, ALL_MAX.turns as u64);
    assert!(turns.has_room(), "operators are heard");
    turns.put(Whose::Operator(&loud), sign(1)).expect("room for operators");
    turns.put(Whose::Urgent, sign(2)).expect("room for what stops");
    let urgent = (0..).take_while(|_| turns.put(Whose::Urgent, sign(3)).is_ok()).count();
    assert_eq!(urgent, URGENT_MAX.turns - 1);
    // Ends without end: no front of ours sends them.
    while turns.has_room() {
        turns.put(Whose::Client(&loud), frame(Kind::StreamEnd, 7)).expect("never refused");
    }
    assert_eq!(turns.all.turns, READ_MAX.turns);
    drain(&mut turns, |_| CHEAP);
    let left = [turns.all, turns.clients.load, turns.operators.load, turns.urgent_load];
    assert!(left.iter().all(|load| load.turns == 0 && load.bytes == 0), "{left:?}");
}

#[test]
fn names_are_forgotten_when_there_are_too_many() {
    let mut turns = Turns::default();
    for number in 0..10 * KEPT as u64 {
        let client = name(&format!("bot-{number}"));
        turns.put(Whose::Client(&client), sign(number)).expect("room");
        assert_eq!(drain(&mut turns, |_| CHEAP), [number]);
    }
    assert!(turns.clients.by_name.len() <= KEPT && turns.clients.queues.len() <= KEPT);
}

#[test]
fn what_is_forgotten_is_not_decided() {
    let (one, other) = (name("one"), name("other"));
    let mut turns = Turns::default();
    for correlation in 0..4 {
        turns.put(Whose::Client(&one), sign(correlation)).expect("room");
    }
    turns.put(Whose::Client(&other), sign(4)).expect("room");
    assert!(turns.forget(Whose::Client(&one), 1));
    assert!(!turns.forget(Whose::Client(&one), 1));
    assert!(!turns.forget(Whose::Client(&one), 4), "another's");
    assert!(!turns.forget(Whose::Client(&name("nobody")), 4));
    // Nobody's calls but one's own are looked through.
    turns.put(Whose::Stranger, sign(5)).expect("room");
    turns.put(Whose::Operator(&one), sign(6)).expect("room");
    for whose in [Whose::Stranger, Whose::Operator(&one), Whose::Urgent] {
        assert!(!turns.forget(whose, 4), "{whose:?}");
    }
    assert!(turns.forget(Whose::Stranger, 5));
    assert!(turns.forget(Whose::Client(&other), 4));
    let mut order = drain(&mut turns, |_| CHEAP);
    order.sort_unstable();
    assert_eq!(order, [0, 2, 3, 6]);
    let left = [turns.all, turns.clients.load, turns.operators.load];
    assert!(left.iter().all(|load| load.turns == 0 && load.bytes == 0), "{left:?}");
}

#[test]
fn a_lane_has_the_turn_of_the_client_whose_call_is_next() {
    let (one, other, main) = (name("one"), name("other"), name("main"));
    let mut turns = Turns::default();
    for correlation in 0..3 {
        turns.put(Whose::Client(&one), sign(correlation)).expect("room");
    }
    for correlation in 10..13 {
        turns.put(Whose::Client(&other), sign(correlation)).expect("room");
    }
    // A lane with many calls that are all refused, each at some cost: it is in line again each time.
    turns.put_lane(&one, main.clone());
    let (mut order, mut left) = (Vec::new(), 20);
    while let Some((turn, served)) = turns.next() {
        turns.charge(served, COSTLY);
        match turn {
            Turn::Frame(frame) => order.push(frame.correlation),
            Turn::Lane(credential) => {
                assert_eq!(credential, main);
                order.push(100);
                left -= 1;
                if left > 0 {
                    turns.put_lane(&one, credential);
                }
            }
            turn => panic!("{turn:?}"),
        }
    }
    assert!(turns.is_empty());
    // Before the later calls of its own client, and in turn with those of others.
    assert!(place(&order, 12) <= 6, "{order:?}");
    let of_one: Vec<u64> = order.into_iter().filter(|at| !(10..13).contains(at)).collect();
    assert!(of_one[..20].iter().all(|at| *at == 100), "{of_one:?}");
    assert_eq!(of_one[20..], [0, 1, 2]);
}

#[test]
fn a_lane_keeps_nobody_waiting_who_stops_something() {
    let (one, main) = (name("one"), name("main"));
    let mut turns = Turns::default();
    turns.put_lane(&one, main.clone());
    let (_, served) = turns.next().expect("the lane");
    turns.charge(served, CHEAP);
    turns.put_lane(&one, main);
    turns.put(Whose::Urgent, sign(1)).expect("room");
    turns.put(Whose::Operator(&one), sign(2)).expect("room");
    let next = |turns: &mut Turns| match turns.next() {
        Some((Turn::Frame(frame), served)) => {
            turns.charge(served, CHEAP);
            frame.correlation
        }
        turn => panic!("{turn:?}"),
    };
    assert_eq!([next(&mut turns), next(&mut turns)], [1, 2]);
}

#[test]
fn what_comes_over_a_websocket_stays_behind_the_call_for_it() {
    let (one, other) = (name("one"), name("other"));
    let mut turns = Turns::default();
    for correlation in 0..8 {
        turns.put(Whose::Client(&other), sign(correlation)).expect("room");
    }
    turns.put(Whose::Client(&one), sign(100)).expect("room");
    turns.put(Whose::Client(&one), frame(Kind::Stream, 101)).expect("room");
    assert!(turns.is_opening(101) && !turns.is_opening(100));
    turns.follow(frame(Kind::StreamEnd, 101)).expect("its call waits");
    assert!(turns.follow(frame(Kind::StreamEnd, 100)).is_err());
    let order = drain(&mut turns, |_| CHEAP);
    assert_eq!(order.iter().filter(|at| **at == 101).count(), 2);
    assert!(!turns.is_opening(101));
}

#[test]
fn a_front_that_invents_callers_makes_no_queues() {
    let bench = Bench::new();
    let whose = |kind, body: Vec<u8>| {
        let frame = Frame { kind, correlation: 1, body };
        let whose = bench.vault.whose(&frame);
        match whose {
            Whose::Client(name) => format!("client {name}"),
            Whose::Operator(name) => format!("operator {name}"),
            Whose::Stranger => "stranger".to_owned(),
            Whose::Urgent => "urgent".to_owned(),
        }
    };
    let one = SignCall { caller: caller(ONE), ..SignCall::default() }.encode_to_vec();
    assert_eq!(whose(Kind::Sign, one.clone()), "client one");
    assert_eq!(
        whose(Kind::Forget, ForgetCall { caller: Some(caller(ONE)) }.encode_to_vec()),
        "client one"
    );
    let other = WhoamiCall { caller: caller(OTHER) }.encode_to_vec();
    assert_eq!(whose(Kind::Whoami, other), "client other");
    for serial in [vec![], vec![9; 16], vec![9; 15], vec![9; 4_096]] {
        let invented = Caller { serial, ..caller(ONE) };
        let call = SignCall { caller: invented, ..SignCall::default() };
        assert_eq!(whose(Kind::Sign, call.encode_to_vec()), "stranger");
    }
    for body in [vec![], vec![0xff; 64], one[..9].to_vec()] {
        assert_eq!(whose(Kind::Execute, body), "stranger");
    }
    assert_eq!(whose(Kind::Enroll, EnrollCall::default().encode_to_vec()), "stranger");
    assert_eq!(whose(Kind::StreamMessage, Vec::new()), "stranger");
    assert_eq!(whose(Kind::Pull, Vec::new()), "stranger");
    // A client's command stops nothing, whatever it is called.
    let halt = Method::HaltHalt.name().to_owned();
    let command = CommandCall { caller: caller(ONE), method: halt, ..CommandCall::default() };
    assert_eq!(whose(Kind::Command, command.encode_to_vec()), "client one");
}

#[test]
fn only_who_may_stop_something_goes_before_all() {
    let mut bench = Bench::new();
    let (guard, auditor) = (3, 4);
    let mut changes = Changes::new();
    for (serial, who, role) in [(guard, "guard", Role::Guard), (auditor, "auditor", Role::Auditor)]
    {
        changes.put(OperatorRow {
            created_at: bench.now,
            name: name(who),
            revoked_at: None,
            role,
            state: HolderState::Active,
        });
        changes.put(CertificateRow {
            fingerprint: Hex([serial; 32]),
            holder: Holder::Operator(name(who)),
            issued_at: bench.now,
            not_after: bench.now.plus(Duration::from_secs(60)),
            parent: None,
            public_key: HexBytes(Vec::new()),
            serial: Serial([serial; 16]),
            state: CertificateState::Active,
        });
    }
    bench.change(&changes);
    let is_urgent = |of: u8, method: &str| {
        let call =
            CommandCall { caller: caller(of), method: method.to_owned(), ..CommandCall::default() };
        let frame = Frame { body: call.encode_to_vec(), ..frame(Kind::Command, 1) };
        bench.vault.whose(&frame) == Whose::Urgent
    };
    for method in Method::ALL {
        let stops = ["Halt", "CancelAll", "Disable", "Revoke", "Seal"];
        let (_, last) = method.name().rsplit_once('/').expect("a service and a call");
        let may = stops.contains(&last) && method.roles().contains(&Role::Guard);
        assert_eq!(is_urgent(guard, method.name()), may, "{}", method.name());
        assert!(!is_urgent(auditor, method.name()), "{}", method.name());
        assert!(!is_urgent(ONE, method.name()), "{}", method.name());
    }
    assert!(is_urgent(guard, Method::HaltHalt.name()));
    assert!(!is_urgent(guard, "vault.v1.HaltService/None"));
}

#[test]
fn who_was_revoked_is_a_stranger() {
    let mut bench = Bench::new();
    let guard = 3;
    let row = |state| OperatorRow {
        created_at: Timestamp::default(),
        name: name("guard"),
        revoked_at: None,
        role: Role::Guard,
        state,
    };
    let certificate = |state| CertificateRow {
        fingerprint: Hex([guard; 32]),
        holder: Holder::Operator(name("guard")),
        issued_at: Timestamp::default(),
        not_after: Timestamp::default(),
        parent: None,
        public_key: HexBytes(Vec::new()),
        serial: Serial([guard; 16]),
        state,
    };
    let halt = CommandCall {
        caller: caller(guard),
        method: Method::HaltHalt.name().to_owned(),
        ..CommandCall::default()
    };
    let halt = Frame { body: halt.encode_to_vec(), ..frame(Kind::Command, 1) };
    use CertificateState::{Active, Revoked, Superseded};
    for (operator, of_certificate, whose) in [
        (HolderState::Active, Active, Whose::Urgent),
        (HolderState::Active, Superseded, Whose::Urgent),
        (HolderState::Active, Revoked, Whose::Stranger),
        (HolderState::Revoked, Active, Whose::Stranger),
    ] {
        let mut changes = Changes::new();
        changes.put(row(operator)).put(certificate(of_certificate));
        bench.change(&changes);
        assert_eq!(bench.vault.whose(&halt), whose, "{operator:?} {of_certificate:?}");
    }
    let client = bench.vault.tables().clients[&name("one")].clone();
    let call = SignCall { caller: caller(ONE), ..SignCall::default() }.encode_to_vec();
    let call = Frame { body: call, ..sign(1) };
    assert_eq!(bench.vault.whose(&call), Whose::Client(&name("one")));
    let mut changes = Changes::new();
    changes.put(ClientRow { state: HolderState::Revoked, ..client });
    bench.change(&changes);
    assert_eq!(bench.vault.whose(&call), Whose::Stranger);
}

#[test]
fn turns_are_charged_to_who_had_them() {
    let bot = name("bot");
    let mut turns = Turns::default();
    turns.put(Whose::Client(&bot), sign(1)).expect("room");
    turns.put(Whose::Stranger, sign(2)).expect("room");
    let (_, first) = turns.next().expect("waits");
    turns.charge(first, COSTLY);
    let (_, second) = turns.next().expect("waits");
    turns.charge(second, CHEAP);
    let (Served::Client(first), Served::Client(second)) = (first, second) else {
        panic!("{first:?} {second:?}")
    };
    assert_ne!(first, second);
    let ran = |at: usize| turns.clients.queues[at].clock_ns;
    assert_eq!((ran(first), ran(second)), (6_000_000, 20_000));
}
