//! What stays inside: texts with handles, and bodies that are the core's own.

use vault_ipc::{Dispatch, Hold, Report};

use super::bed::{Egress, HOST, Identity, Reply, Venue, get, http, ok, post};

const KEY: &str = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1";
const HANDLE: &str = "HANDLE0123456789abcdefghijklmnop";

fn holding(correlation: u64) -> Dispatch {
    let hold = Hold { at: "/listenKey".into(), handle: HANDLE.into(), ..Hold::default() };
    Dispatch { holds: vec![hold], ..post(correlation, "/listenKey", b"") }
}

fn reported(outcome: &vault_ipc::Outcome) -> Vec<(u32, u32, &str)> {
    let all = outcome.report.iter();
    all.map(|Report { at, row, value }| (*at, *row, value.as_str())).collect()
}

#[test]
fn the_core_gets_what_it_asks_for_of_its_own_answers_and_the_front_nothing() {
    let identity = Identity::new(&[HOST]);
    let body = r#"{"ipRestrict":true,"rows":[{"id":7,"x":"a"},{"id":"8"}],"sig":"c2lnbmF0"}"#;
    let venue = Venue::plain(&identity, move |_, _| ok(body));
    let mut egress = Egress::new(&venue, &identity);
    let mut own = get(1, "/");
    own.front_correlation = 0;
    own.secrets = vec!["c2lnbmF0".into()];
    own.report_at = ["/rows/*/id", "/ipRestrict", "/none", "/sig"].map(String::from).to_vec();

    egress.dispatch(1, &own);
    let outcome = egress.outcome(1);

    let expected = [(1, 0, "true"), (0, 0, "7"), (0, 1, "8"), (3, 0, "********")];
    assert_eq!((outcome.status, outcome.problem.as_str(), outcome.report_cut), (200, "", false));
    assert_eq!(reported(&outcome), expected);
    // The next thing that the front hears is of the next, of which the core gets no value.
    let mut next = get(2, "/");
    next.report_at = own.report_at;
    let told = egress.send(2, &next);
    told.is("", true, 1);
    assert_eq!((told.answer.text().as_str(), told.outcome.report.len()), (body, 0));
}

#[test]
fn silence_is_told_from_nothing_to_report() {
    let identity = Identity::new(&[HOST]);
    let rows = format!("[{}0]", "0,".repeat(4_096));
    let venue = Venue::plain(&identity, move |_, text| {
        let path = text.split(' ').nth(1).unwrap_or_default();
        match path {
            "/empty" => ok("[]"),
            "/many" => ok(&rows),
            "/long" => ok(&format!("[{}]", " ".repeat(4 << 20))),
            "/twice" => ok(r#"[{"a":1}"#),
            _ => ok("<html>"),
        }
    });
    let mut egress = Egress::new(&venue, &identity);
    for (at, (path, problem, count, is_cut)) in [
        ("/empty", "", 0, false),
        ("/html", "RESPONSE_MALFORMED", 0, false),
        ("/twice", "RESPONSE_MALFORMED", 0, false),
        ("/long", "BODY_TOO_LONG", 0, false),
        ("/many", "", 4_096, true),
    ]
    .into_iter()
    .enumerate()
    {
        let correlation = at as u64 + 1;
        let mut own = get(correlation, path);
        (own.front_correlation, own.report_at) = (0, vec!["/*".into()]);
        egress.dispatch(correlation, &own);
        let outcome = egress.outcome(correlation);
        assert_eq!((outcome.problem.as_str(), outcome.report_cut), (problem, is_cut), "{path}");
        assert_eq!(outcome.report.len(), count, "{path}");
    }
}

#[test]
fn a_listen_key_never_leaves_and_its_handle_serves() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, text| {
        if text.starts_with("GET /plain") {
            return Reply::Say(http("200 OK", "", &format!(r#"{{"k":"{KEY}"}}"#)));
        }
        let headers = format!("x-echo: {KEY}\r\n");
        Reply::Say(http("200 OK", &headers, &format!(r#"{{"listenKey":"{KEY}","a":"{KEY}"}}"#)))
    });
    let mut egress = Egress::new(&venue, &identity);

    let told = egress.send(1, &holding(1));
    told.is("", true, 1);
    let expected = format!(r#"{{"listenKey":"{HANDLE}","a":"{HANDLE}"}}"#);
    assert_eq!(told.answer.text(), expected);
    assert_eq!(told.outcome.held, [HANDLE]);
    assert_eq!(told.answer.header("x-echo"), Some("*".repeat(KEY.len()).as_str()));
    assert_eq!(told.answer.header("content-length"), Some(expected.len().to_string().as_str()));

    // The handle serves where the key did; the answer says the handle again.
    let mut put = post(2, &format!("/listenKey?listenKey={HANDLE}"), b"");
    put.handles = vec![HANDLE.into()];
    let told = egress.send(2, &put);
    told.is("", true, 1);
    assert!(venue.requests()[1].starts_with(&format!("POST /listenKey?listenKey={KEY} ")));
    assert_eq!(told.answer.text(), expected);
    let mut form = post(3, "/listenKey", format!("listenKey={HANDLE}").as_bytes());
    form.handles = vec![HANDLE.into()];
    egress.send(3, &form).is("", true, 1);
    assert!(venue.requests()[2].ends_with(&format!("listenKey={KEY}")));

    // Any other answer for the credential has it struck out.
    let told = egress.send(4, &get(4, "/plain"));
    assert_eq!(told.answer.text(), format!(r#"{{"k":"{}"}}"#, "*".repeat(KEY.len())));
}

#[test]
fn a_handle_that_stands_for_nothing_sends_nothing() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| ok(&format!(r#"{{"listenKey":"{KEY}"}}"#)));
    let mut egress = Egress::new(&venue, &identity);
    let mut put = post(1, &format!("/listenKey?listenKey={HANDLE}"), b"");
    put.handles = vec![HANDLE.into()];
    egress.send(1, &put).is("HANDLE_UNKNOWN", false, 0);
    egress.send(2, &holding(2)).is("", true, 1);
    // Of another venue, or not where it was said to be.
    let foreign = Dispatch { venue: "other".into(), front_correlation: 1_003, ..put };
    egress.send(3, &foreign).is("HANDLE_UNKNOWN", false, 0);
    let mut elsewhere = post(4, "/listenKey", b"");
    elsewhere.handles = vec![HANDLE.into()];
    egress.send(4, &elsewhere).is("HANDLE_UNKNOWN", false, 0);
    assert_eq!(venue.requests().len(), 1);
}

#[test]
fn what_cannot_be_told_from_a_key_is_not_passed_on() {
    let identity = Identity::new(&[HOST]);
    let cases = [
        ("200 OK", format!(r#"{{"data":{{"listenKey":"{KEY}"}}}}"#), false),
        ("200 OK", r#"{"listenKey":"short"}"#.to_owned(), false),
        ("200 OK", r#"{"listenKey":12345678901234567890}"#.to_owned(), false),
        ("200 OK", format!(r#"{{"listenKey":"{KEY} "}}"#), false),
        ("200 OK", format!(r#"{{"listenKey":"\u0070{}"}}"#, &KEY[1..]), false),
        ("200 OK", format!(r#"{{"listenKey":"{KEY}","listenKey":"{KEY}"}}"#), false),
        ("200 OK", format!(r#"{{"listenKey":"{KEY}""#), false),
        ("200 OK", format!(r#"{{"listenKey":"{KEY}","x":"{}"}}"#, "x".repeat(65_536)), false),
        ("200 OK", "<html>".to_owned(), false),
        ("200 OK", "{}".to_owned(), false),
        // Errors say no key, and the bot should see them.
        ("200 OK", r#"{"code":-1,"msg":"no"}"#.to_owned(), true),
        ("400 Bad Request", r#"{"msg":"no"}"#.to_owned(), true),
        ("502 Bad Gateway", "<html>".to_owned(), true),
    ];
    let answers = cases.clone();
    let venue = Venue::plain(&identity, move |number, _| {
        let (status, body, _) = &answers[number];
        Reply::Say(http(status, "", body))
    });
    let mut egress = Egress::new(&venue, &identity);
    for (at, (_, body, passes)) in cases.iter().enumerate() {
        let correlation = at as u64 + 1;
        let told = egress.send(correlation, &holding(correlation));
        if *passes {
            told.is("", true, 1);
            assert_eq!(told.answer.text(), *body);
        } else {
            told.is("HOLD_FAILED", true, 1);
            assert!(told.answer.head.is_none() && told.answer.body.is_empty(), "{body}");
        }
        assert!(told.outcome.held.is_empty() || !passes, "{body}");
    }
}

#[test]
fn what_prolongs_a_key_need_not_say_it_and_says_a_handle_if_it_does() {
    let identity = Identity::new(&[HOST]);
    let bodies = ["{}".to_owned(), format!(r#"{{"listenKey":"{KEY}"}}"#), "<html>".to_owned()];
    let venue = Venue::plain(&identity, move |number, _| ok(&bodies[number]));
    let mut egress = Egress::new(&venue, &identity);
    let prolonging = |correlation| {
        let mut dispatch = holding(correlation);
        dispatch.holds[0].optional = true;
        dispatch
    };
    let told = egress.send(1, &prolonging(1));
    told.is("", true, 1);
    assert_eq!((told.answer.text().as_str(), told.outcome.held.len()), ("{}", 0));
    // Nothing is known of this key here, as after a restart.
    let told = egress.send(2, &prolonging(2));
    told.is("", true, 1);
    assert_eq!(told.answer.text(), format!(r#"{{"listenKey":"{HANDLE}"}}"#));
    assert_eq!(told.outcome.held, [HANDLE]);
    egress.send(3, &prolonging(3)).is("HOLD_FAILED", true, 1);
}

#[test]
fn a_key_in_half_a_body_is_not_passed_on() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| {
        let said =
            format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{{\"listenKey\":\"{KEY}\"}}");
        Reply::SayAndClose(said.into_bytes())
    });
    let mut egress = Egress::new(&venue, &identity);
    let told = egress.send(1, &holding(1));
    told.is("HOLD_FAILED", true, 1);
    assert!(told.answer.head.is_none() && told.answer.body.is_empty());
}
