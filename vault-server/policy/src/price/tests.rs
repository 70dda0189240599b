use std::collections::BTreeSet;

use proptest::prelude::*;
use vault_model::{ClockTime, Money, Name, Pair};

use super::{Feed, FeedDocument, NotAFeed, NotAWindow, PriceBook, PriceRefused, Window};

const SECOND: u64 = 1_000_000;
const EVERY: u64 = 10 * SECOND;

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn btc() -> Pair {
    "BTC/USD".parse().expect("a pair")
}

fn document(text: &str) -> FeedDocument {
    let head = "pair = \"BTC/USD\"\nstep_every = \"10s\"\nmax_age = \"30s\"\n";
    FeedDocument::from_toml(&format!("{head}{text}")).expect("a document")
}

const STEPS: &str = "pricers = [\"a\"]\nmax_step = \"0.02\"\nanchor = \"60000\"";
const AGREE: &str = "pricers = [\"a\", \"b\", \"c\"]\nagree_within = \"0.01\"";
const BOTH: &str = "pricers = [\"a\", \"b\"]\nmax_step = \"0.02\"\nanchor = \"60000\"\n\
                    agree_within = \"0.01\"";

fn book(text: &str) -> PriceBook {
    let mut book = PriceBook::default();
    book.set(Feed::new(document(text)).expect("a feed"), 1);
    book
}

fn put(book: &mut PriceBook, who: &str, price: &str, seconds: u64) -> Result<(), PriceRefused> {
    let at = ClockTime(seconds * SECOND);
    book.put(&btc(), &name(who), money(price), at).map(|taken| assert_eq!(taken, money(price)))
}

fn price(book: &PriceBook, seconds: u64) -> Option<String> {
    book.price(&btc(), ClockTime(seconds * SECOND)).map(|price| price.to_string())
}

#[test]
fn a_feed_must_be_one_that_can_be_followed() {
    let refused = |text: &str| Feed::new(document(text)).expect_err(text);

    for (text, error) in [
        ("pricers = []\nagree_within = \"0.1\"", NotAFeed::Pricers),
        ("pricers = [\"a\", \"b\"]", NotAFeed::Closed),
        ("pricers = [\"a\"]\nagree_within = \"0.1\"", NotAFeed::Alone),
        ("pricers = [\"a\"]\nmax_step = \"0.1\"", NotAFeed::Anchor),
        ("pricers = [\"a\", \"b\"]\nagree_within = \"0.1\"\nanchor = \"1\"", NotAFeed::Anchor),
        ("pricers = [\"a\"]\nmax_step = \"1\"\nanchor = \"1\"", NotAFeed::Fraction),
        ("pricers = [\"a\"]\nmax_step = \"0\"\nanchor = \"1\"", NotAFeed::Fraction),
        ("pricers = [\"a\"]\nmax_step = \"-0.1\"\nanchor = \"1\"", NotAFeed::Fraction),
        ("pricers = [\"a\", \"b\"]\nagree_within = \"1\"", NotAFeed::Fraction),
        ("pricers = [\"a\"]\nmax_step = \"0.1\"\nanchor = \"0\"", NotAFeed::NotAPrice),
        ("pricers = [\"a\"]\nmax_step = \"0.1\"\nanchor = \"-1\"", NotAFeed::NotAPrice),
        (
            "pricers = [\"a\"]\nmax_step = \"0.1\"\nanchor = \"1.000000000000000001\"",
            NotAFeed::NotAPrice,
        ),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
    let crowd: Vec<String> = (0..17).map(|number| format!("\"p{number}\"")).collect();
    let crowd = format!("pricers = [{}]\nagree_within = \"0.1\"", crowd.join(","));
    assert_eq!(refused(&crowd), NotAFeed::Pricers);
    for text in [STEPS, AGREE, BOTH] {
        let document = document(text);
        let stored = serde_json::to_value(&document).expect("JSON");
        let read: FeedDocument = serde_json::from_value(stored).expect("reads back");
        assert_eq!(read, document);
        assert!(Feed::new(read).is_ok());
    }
    assert!(FeedDocument::from_toml("pair = \"BTC/USD\"").is_err());
    let unstated = document_without_step_every();
    assert_eq!(unstated.step_every.to_string(), "1m");
}

fn document_without_step_every() -> FeedDocument {
    let text = "pair = \"BTC/USD\"\nmax_age = \"30s\"\npricers = [\"a\"]";
    FeedDocument::from_toml(text).expect("a document")
}

#[test]
fn a_price_moves_a_step_from_the_anchor_and_no_further() {
    for (up, down) in [("61200", "58800"), ("60000", "60000")] {
        assert_eq!(put(&mut book(STEPS), "a", up, 1), Ok(()));
        assert_eq!(put(&mut book(STEPS), "a", down, 1), Ok(()));
    }
    let mut book = book(STEPS);
    assert_eq!(price(&book, 1), None, "an anchor is no price");
    for beyond in ["61200.000001", "58799.999999"] {
        assert_eq!(put(&mut book, "a", beyond, 1), Err(PriceRefused::StepTooLarge));
    }
    put(&mut book, "a", "61200", 1).expect("one step");
    assert_eq!(put(&mut book, "a", "61201", 10), Err(PriceRefused::StepTooLarge));
    assert_eq!(put(&mut book, "a", "61201", 11), Ok(()), "the anchor ended 10 s ago");
    assert_eq!(put(&mut book, "a", "62424", 20), Ok(()));
    assert_eq!(put(&mut book, "a", "62424.01", 20), Err(PriceRefused::StepTooLarge));
    assert_eq!(price(&book, 21).as_deref(), Some("62424"));
}

#[test]
fn many_small_steps_are_no_further_than_a_large_one() {
    let mut book = book(STEPS);
    let mut refused = 0;
    for step in 1..=1_000u64 {
        let price = (60_000 + 10 * step).to_string();
        let at = ClockTime(SECOND + step);
        refused += u64::from(book.put(&btc(), &name("a"), money(&price), at).is_err());
    }
    assert_eq!(refused, 1_000 - 120);
    assert_eq!(price(&book, 2).as_deref(), Some("61200"));
    // Neither up to the limit and down to the other.
    assert_eq!(put(&mut book, "a", "59900", 2), Err(PriceRefused::StepTooLarge));
    assert_eq!(put(&mut book, "a", "59976", 2), Ok(()));
}

#[test]
fn what_is_no_price_and_who_is_no_pricer_is_refused() {
    let mut book = book(BOTH);
    for wrong in ["0", "-1", "-60000"] {
        assert_eq!(put(&mut book, "a", wrong, 1), Err(PriceRefused::NotPositive));
    }
    assert_eq!(put(&mut book, "x", "60000", 1), Err(PriceRefused::PricerNotListed));
    // A price that could not be compared exactly would block the feed once it is in force.
    let fine = "60000.000000000000000001";
    assert_eq!(put(&mut book, "a", fine, 1), Err(PriceRefused::NotExact));
    assert_eq!(put(&mut book, "a", "60000.00000000000001", 1), Ok(()));
    let other = "ETH/USD".parse().expect("a pair");
    let unknown = book.put(&other, &name("a"), money("1"), ClockTime(1));
    assert_eq!(unknown, Err(PriceRefused::FeedUnknown));
    let state = book.feeds().next().expect("a feed");
    assert_eq!((state.accepted, state.refused), (1, 5));
}

#[test]
fn beyond_a_step_two_must_agree() {
    let mut book = book(BOTH);
    assert_eq!(put(&mut book, "a", "70000", 1), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "a", "70000", 2), Err(PriceRefused::NotConfirmed), "not by himself");
    assert_eq!(put(&mut book, "b", "70701", 3), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "b", "69300", 3), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "b", "70700", 3), Ok(()));
    assert_eq!(price(&book, 4).as_deref(), Some("70700"));
    // A step from what each of them said: otherwise the second of them, lying within the agreement,
    // would have one more, and the first, who is honest, would be outside from then on.
    assert_eq!(put(&mut book, "b", "71401", 4), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "a", "71400", 4), Ok(()), "a step from where they agreed");
    assert_eq!(put(&mut book, "a", "70000", 4), Ok(()));

    let mut book = self::book(AGREE);
    assert_eq!(put(&mut book, "a", "60000", 1), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "b", "60000", 31), Err(PriceRefused::NotConfirmed), "too long ago");
    assert_eq!(put(&mut book, "c", "60100", 60), Ok(()));
    assert_eq!(put(&mut book, "a", "61000", 61), Err(PriceRefused::NotConfirmed));
    assert_eq!(price(&book, 61).as_deref(), Some("60100"), "what was refused changes nothing");
}

#[test]
fn who_stops_goes_stale_and_does_not_come_back_far_away() {
    let mut book = book(STEPS);
    put(&mut book, "a", "60100", 1).expect("a step");
    let put_at = SECOND;
    let at = |micros| book.price(&btc(), ClockTime(micros)).is_some();
    assert!(at(put_at + 30 * SECOND - 1));
    assert!(!at(put_at + 30 * SECOND));
    assert_eq!(book.stale_at(&btc()), Some(ClockTime(put_at + 30 * SECOND)));
    // A refused price keeps nothing alive.
    assert!(put(&mut book, "a", "90000", 30).is_err());
    assert_eq!(price(&book, 31), None);
    for seconds in [31, 3_600, 86_400] {
        assert_eq!(put(&mut book, "a", "90000", seconds), Err(PriceRefused::StepTooLarge));
    }
    assert_eq!(put(&mut book, "a", "61302", 86_400), Ok(()));
    assert_eq!(price(&book, 86_401).as_deref(), Some("61302"));
}

#[test]
fn a_new_revision_begins_from_its_anchor_and_the_same_changes_nothing() {
    let mut book = book(STEPS);
    put(&mut book, "a", "60100", 1).expect("a step");
    let feed = |anchor: &str| {
        let text = STEPS.replace("60000", anchor);
        Feed::new(document(&text)).expect("a feed")
    };
    book.set(feed("90000"), 1);
    assert_eq!(price(&book, 2).as_deref(), Some("60100"));
    book.set(feed("90000"), 2);
    assert_eq!(price(&book, 2), None);
    assert_eq!(put(&mut book, "a", "60100", 2), Err(PriceRefused::StepTooLarge));
    assert_eq!(put(&mut book, "a", "90100", 2), Ok(()));
    let state = book.feeds().next().expect("a feed");
    assert_eq!((state.accepted, state.refused), (2, 1));
    book.retain(|_| false);
    assert_eq!(put(&mut book, "a", "90100", 3), Err(PriceRefused::FeedUnknown));
    assert_eq!(price(&book, 3), None);
}

#[test]
fn after_a_restart_the_last_price_is_the_base_but_stale() {
    let mut book = book(STEPS);
    book.resume(&btc(), 2, money("80000"), None);
    assert_eq!(put(&mut book, "a", "80000", 1), Err(PriceRefused::StepTooLarge), "another feed's");
    book.resume(&btc(), 1, money("-1"), None);
    book.resume(&btc(), 1, money("80000"), None);
    assert_eq!(price(&book, 1), None);
    assert_eq!(put(&mut book, "a", "81601", 1), Err(PriceRefused::StepTooLarge));
    assert_eq!(put(&mut book, "a", "81600", 1), Ok(()));
    book.resume(&btc(), 1, money("60000"), None);
    assert_eq!(put(&mut book, "a", "60000", 2), Err(PriceRefused::StepTooLarge), "too late");
}

/// As a restart makes it, from what was written down last.
fn restarted(book: &PriceBook, text: &str) -> PriceBook {
    let written = book.window(&btc()).expect("steps").to_string();
    let mut again = self::book(text);
    again.resume(&btc(), 1, money("1"), Some(&written.parse().expect("a window")));
    again
}

#[test]
fn after_a_restart_a_window_goes_on_where_it_was() {
    let mut book = book(STEPS);
    put(&mut book, "a", "60600", 21).expect("a step");
    put(&mut book, "a", "61200", 24).expect("a step");
    let mut again = restarted(&book, STEPS);
    for seconds in [24, 30] {
        assert_eq!(put(&mut again, "a", "61201", seconds), Err(PriceRefused::StepTooLarge));
    }
    assert_eq!(put(&mut again, "a", "61812", 31), Ok(()), "the anchor ended 10 s ago");
    assert_eq!(put(&mut again, "a", "61813", 31), Err(PriceRefused::StepTooLarge));
    // What two agreed on is written down as such.
    let mut book = self::book(BOTH);
    assert_eq!(book.jumps(&btc()), 0);
    assert_eq!(put(&mut book, "a", "70000", 21), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut book, "b", "70000", 22), Ok(()));
    assert_eq!(book.jumps(&btc()), 1);
    let mut again = restarted(&book, BOTH);
    assert_eq!(put(&mut again, "a", "60000", 23), Err(PriceRefused::NotConfirmed));
    assert_eq!(put(&mut again, "a", "71400", 23), Ok(()));
    assert_eq!(self::book(AGREE).window(&btc()), None);
}

#[test]
fn what_is_no_window_is_not_read_as_one() {
    let sound = "0:60000:60000:60000:0,5:60100:60300.5:60200:9";
    let window: Window = sound.parse().expect("a window");
    assert_eq!(window.to_string(), sound);
    for wrong in [
        "",
        ",",
        "60000",
        "0:60000:60000:60000",
        "0:60000:60000:60000:0:0",
        "0:60000:60000:60000:0,",
        "5:60000:60000:60000:4",
        "0:60001:60000:60000:0",
        "0:60000:60001:60002:0",
        "0:0:60000:60000:0",
        "0:-1:60000:60000:0",
        "-1:60000:60000:60000:0",
        "0:x:60000:60000:0",
        "0:60000:60000:60000:7,5:60000:60000:60000:9",
    ] {
        assert_eq!(wrong.parse::<Window>(), Err(NotAWindow), "{wrong}");
    }
}

#[test]
fn codes_are_distinct() {
    let all = [
        PriceRefused::FeedUnknown,
        PriceRefused::NotConfirmed,
        PriceRefused::NotExact,
        PriceRefused::NotPositive,
        PriceRefused::PricerNotListed,
        PriceRefused::StepTooLarge,
    ];
    let codes: BTreeSet<&str> = all.iter().map(|why| why.code()).collect();
    assert_eq!(codes.len(), all.len());
    let hints: BTreeSet<&str> = all.iter().map(|why| why.hint()).collect();
    assert_eq!(hints.len(), all.len());
    assert!(!codes.contains("") && !hints.contains(""));
}

#[test]
fn every_fault_of_a_feed_has_words_of_its_own() {
    let all = [
        NotAFeed::Alone,
        NotAFeed::Anchor,
        NotAFeed::Closed,
        NotAFeed::Fraction,
        NotAFeed::NotAPrice,
        NotAFeed::Pricers,
    ];
    let words: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
    assert!(all.iter().all(|fault| words.contains(fault.words()) && !fault.words().is_empty()));
}

#[test]
fn a_feed_is_known_by_its_revision() {
    let mut book = book(BOTH);
    assert_eq!(book.revision(&btc()), Some(1));
    book.set(Feed::new(document(STEPS)).expect("a feed"), 7);
    assert_eq!(book.revision(&btc()), Some(7));
    assert_eq!(book.feeds().count(), 1);
    let other = "ETH/USD".parse().expect("a pair");
    assert_eq!((book.revision(&other), book.stale_at(&other)), (None, None));
    assert_eq!((book.window(&other), book.jumps(&other)), (None, 0));
    assert_eq!(book.stale_at(&btc()), None, "nothing was put");
}

#[test]
fn a_feed_goes_on_from_no_price_that_it_would_not_take() {
    for wrong in ["0", "-1", "60000.000000000000000001"] {
        let mut book = book(STEPS);
        book.resume(&btc(), 1, money(wrong), None);
        assert_eq!(put(&mut book, "a", "61201", 1), Err(PriceRefused::StepTooLarge), "{wrong}");
        assert_eq!(put(&mut book, "a", "61200", 1), Ok(()), "{wrong}");
    }
    // One such price among others is enough.
    let mut book = book(STEPS);
    let window = "0:1:1:1:0,5:1:1.000000000000000001:1:5".parse().expect("a window");
    book.resume(&btc(), 1, money("1"), Some(&window));
    assert_eq!(put(&mut book, "a", "61200", 1), Ok(()));
}

/// How long until the next put, in microseconds: much at once, and around the window's ends.
fn gaps() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        0..SECOND,
        Just(EVERY - 1),
        Just(EVERY),
        Just(EVERY + 1),
        0..3 * EVERY,
    ]
}

/// The next price as a multiple of the last accepted, in thousandths: mostly about a step away.
fn moves() -> impl Strategy<Value = u64> {
    prop_oneof![
        900u64..=1_100,
        975u64..=1_025,
        Just(1_020u64),
        Just(980u64),
        Just(1_000_000u64),
        Just(1u64)
    ]
}

fn cents(thousandths: u64, of: u64) -> u64 {
    (of * thousandths / 1_000).max(1)
}

fn of_cents(cents: u64) -> Money {
    format!("{}.{:02}", cents / 100, cents % 100).parse().expect("a decimal")
}

/// What was in force and from when, in hundredths: a plain list, for the plain rule.
struct InForce(Vec<(Option<u64>, u64)>);

impl InForce {
    /// Whether `price` is at most a step of 2 % from all that were in force since `begin`.
    fn is_a_step(&self, price: u64, begin: Option<u64>) -> bool {
        self.0.iter().enumerate().all(|(index, &(_, other))| {
            let end = self.0.get(index + 1).and_then(|(from, _)| *from);
            let is_over = begin.zip(end).is_some_and(|(begin, end)| end <= begin);
            is_over || 50 * price.abs_diff(other) <= other
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_single_liar_moves_a_price_by_one_step_at_most(
        puts in prop::collection::vec((gaps(), moves(), prop::bool::weighted(0.2)), 1..80),
        has_silent_second in any::<bool>(),
        restarts in any::<bool>(),
    ) {
        let text = if has_silent_second { BOTH } else { STEPS };
        let mut book = book(text);
        let mut in_force = InForce(vec![(None, 6_000_000)]);
        let mut now = 0u64;
        // What is written down is coarser.
        let shared = EVERY / 64 + if restarts { EVERY / 8 } else { 0 };
        for (gap, thousandths, is_restart) in puts {
            now += gap;
            if restarts && is_restart {
                book = restarted(&book, text);
            }
            let last = in_force.0.last().expect("an anchor").1;
            let price = cents(thousandths, last);
            let taken = book.put(&btc(), &name("a"), of_cents(price), ClockTime(now)).is_ok();
            let within = in_force.is_a_step(price, now.checked_sub(EVERY));
            // Prices of about the same moment share an entry: those just before may count, too.
            let well_within = in_force.is_a_step(price, now.checked_sub(EVERY + shared));
            prop_assert!(!taken || within, "{price} at {now} against {:?}", in_force.0);
            prop_assert!(taken || !well_within, "{price} at {now} against {:?}", in_force.0);
            if taken {
                in_force.0.push((Some(now), price));
            }
            let line = book.lines.get(&btc()).expect("a feed");
            prop_assert!(line.window.parts() <= 78, "{}", line.window.parts());
        }
    }

    #[test]
    fn two_who_lie_apart_never_confirm_each_other(
        puts in prop::collection::vec((0..2 * SECOND, any::<bool>(), 0u64..1_000), 1..60),
    ) {
        let mut book = book(AGREE);
        let mut now = 0;
        for (gap, is_first, more) in puts {
            now += gap;
            // One says 50,000 to 50,009.99, the other more than 1 % above all of that.
            let (who, from) = if is_first { ("a", 5_000_000) } else { ("b", 5_051_012) };
            let outcome = book.put(&btc(), &name(who), of_cents(from + more), ClockTime(now));
            prop_assert_eq!(outcome, Err(PriceRefused::NotConfirmed));
            prop_assert_eq!(book.price(&btc(), ClockTime(now)), None);
        }
    }

    #[test]
    fn a_liar_beside_an_honest_one_stays_near_the_truth(
        puts in prop::collection::vec((0..SECOND, prop::option::of(moves())), 1..80),
    ) {
        let mut book = book(AGREE);
        let (truth, mut now) = (6_000_000, 0);
        for (gap, lie) in puts {
            now += gap;
            let (who, price) = match lie {
                Some(thousandths) => ("a", cents(thousandths, truth)),
                None => ("b", truth),
            };
            let _ = book.put(&btc(), &name(who), of_cents(price), ClockTime(now));
            if let Some(price) = book.price(&btc(), ClockTime(now)) {
                let (low, high) = (of_cents(truth * 99 / 100), of_cents(truth * 101 / 100));
                prop_assert!((low..=high).contains(&price), "{price}");
            }
        }
    }
}
