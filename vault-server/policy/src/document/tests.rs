use super::{Country, NotADocument, ScopeDocument, Span, Window};
use crate::parse::Fault;

#[test]
fn a_country_is_two_capital_letters() {
    let country = "CH".parse::<Country>().expect("a country");
    assert_eq!((country.as_str(), country.to_string().as_str()), ("CH", "CH"));
    for text in ["", "C", "CHE", "ch", "cH", "Ch", "C1", "1H", "Ä", "C "] {
        assert_eq!(text.parse::<Country>(), Err(NotADocument::Country), "{text}");
    }
}

#[test]
fn a_span_has_one_way_to_be_written_in_each_unit() {
    for (text, seconds, shortest) in [
        ("1s", 1, "1s"),
        ("59s", 59, "59s"),
        ("60s", 60, "1m"),
        ("61s", 61, "61s"),
        ("90m", 5_400, "90m"),
        ("24h", 86_400, "1d"),
        ("31d", 2_678_400, "31d"),
        ("2678400s", 2_678_400, "31d"),
    ] {
        let span = text.parse::<Span>().expect(text);
        assert_eq!(span.as_seconds(), seconds, "{text}");
        assert_eq!(span.as_micros(), u64::from(seconds) * 1_000_000, "{text}");
        assert_eq!(span.to_string(), shortest, "{text}");
    }
    for text in [
        "",
        "s",
        "0s",
        "01s",
        "+1s",
        "-1s",
        "1 s",
        " 1s",
        "1",
        "1S",
        "1w",
        "1ss",
        "1sm",
        "1.5h",
        "32d",
        "2678401s",
        "12345678s",
        "4294967297s",
        "99999999999d",
        "１s",
        "s1s",
    ] {
        assert_eq!(text.parse::<Span>(), Err(NotADocument::Span), "{text}");
    }
    assert_eq!((Span::seconds(0), Span::seconds(2_678_401)), (None, None));
    assert_eq!(Span::seconds(2_678_400), Some(Span::MAX));
}

#[test]
fn hours_of_a_window_are_two_digits_each_and_in_order() {
    for (text, ends) in [
        ("mon 00:00-24:00", (0, 1_440)),
        ("mon 09:00-09:01", (540, 541)),
        ("mon 09:59-10:00", (599, 600)),
        ("mon 23:59-24:00", (1_439, 1_440)),
    ] {
        let window = text.parse::<Window>().expect(text);
        assert_eq!((window.from, window.to), ends, "{text}");
        assert_eq!(window.to_string(), text);
    }
    for text in [
        "",
        "mon",
        "mon ",
        "Mon 09:00-17:00",
        "mon-  09:00-17:00",
        "mon-tue-wed 09:00-17:00",
        "mon  09:00-17:00",
        "mon 9:00-17:00",
        "mon 09:0-17:00",
        "mon 009:00-17:00",
        "mon +9:00-17:00",
        "mon 09:+5-17:00",
        "mon 09:60-17:00",
        "mon 09:99-17:00",
        "mon 09:00-24:01",
        "mon 09:00-25:00",
        "mon 09:00-09:00",
        "mon 09:00-08:59",
        "mon 09:00",
        "mon 0900-1700",
    ] {
        assert_eq!(text.parse::<Window>(), Err(NotADocument::Window), "{text}");
    }
}

#[test]
fn an_operation_is_a_method_and_a_plain_path() {
    let check = |operation: &str| {
        let mut scope = ScopeDocument::new("a".parse().expect("a name"));
        scope.operations = [operation.to_owned()].into();
        scope.check().map_err(|misfit| misfit.fault)
    };
    let path = |length: usize| format!("GET /{}", "x".repeat(length - 1));
    for operation in ["GET /", "POST /0/private/AddOrder", "A /api/v5/a_b.c:d-e", &path(256)] {
        assert_eq!(check(operation), Ok(()), "{operation}");
    }
    for operation in [
        "",
        "GET",
        "/x",
        " /x",
        "GET ",
        "GET x",
        "GET  /x",
        "GET /x y",
        "GET /x?y",
        "GET /%2e",
        "GET /ä",
        "Get /x",
        "GET1 /x",
        "GET\t/x",
        "ABCDEFGHIJKLMNOPQ /x",
        &path(257),
    ] {
        assert_eq!(check(operation), Err(NotADocument::Operation), "{operation}");
    }
    assert_eq!(check("ABCDEFGHIJKLMNOP /x"), Ok(()));
}

#[test]
fn the_words_of_a_wrong_class_are_those_that_may_be_granted() {
    let error = ScopeDocument::from_toml("name = \"a\"\nclasses = [\"x\"]").expect_err("no class");
    let Fault::Word(words) = error.fault else { panic!("{error}") };
    assert_eq!(words, "public, read, cancel, trade, account, logon, transfer, withdraw");
}
