//! What passes, and how it passes.

use std::time::Duration;

use vault_ipc::Dispatch;
use vault_ipc::proto::v1::Header;

use super::bed::{Egress, HOST, Identity, Reply, Venue, get, http, ok, post};
use crate::name::Names;

#[test]
fn a_request_passes_byte_for_byte_over_http_1() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| ok(r#"{"orderId":77,"code":0}"#));
    let mut egress = Egress::new(&venue, &identity);
    let mut order = post(1, "//api/v3/%6frder?a=b&&c=%2B+~&sig=x%2fy", b"\x00{\"a\": 1 }\r\n\r\n");
    order.headers.push(Header { name: "x-signature".into(), value: "second".into() });

    let told = egress.send(1, &order);

    told.is("", true, 1);
    assert_eq!((told.answer.status(), told.outcome.status), (200, 200));
    assert_eq!(told.answer.text(), r#"{"orderId":77,"code":0}"#);
    assert_eq!(told.answer.header("content-type"), Some("application/json"));
    assert_eq!((told.outcome.order_id.as_str(), told.outcome.error_code.as_str()), ("77", ""));
    assert!(told.outcome.latency_us > 0);
    assert!(told.outcome.report.is_empty() && told.outcome.held.is_empty());
    let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        venue.requests(),
        [format!(
            "POST //api/v3/%6frder?a=b&&c=%2B+~&sig=x%2fy HTTP/1.1\r\nhost: {HOST}\r\n\
             x-signature: AbC=\r\nx-signature: second\r\nuser-agent: {agent}\r\n\
             accept-encoding: identity\r\ncontent-length: 14\r\n\r\n\0{{\"a\": 1 }}\r\n\r\n"
        )]
    );
}

#[test]
fn a_request_passes_byte_for_byte_over_http_2() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::framed(&identity, Duration::ZERO);
    let mut egress = Egress::new(&venue, &identity);
    // Longer than a stream's first window.
    let body = "z".repeat(100_000);

    let told = egress.send(1, &post(1, "//a/%6f?b=%2B&sig=x%2fy", body.as_bytes()));

    told.is("", true, 1);
    assert_eq!(told.answer.header("x-path"), Some("//a/%6f"));
    let request = &venue.requests()[0];
    let head = format!("POST https://{HOST}//a/%6f?b=%2B&sig=x%2fy\r\nx-signature: AbC=\r\n");
    assert!(request.starts_with(&head), "{}", &request[..200]);
    assert!(request.contains("\r\ncontent-length: 100000\r\n\r\nz") && request.ends_with('z'));
    assert!(request.contains("\r\naccept-encoding: identity\r\n"));
}

#[test]
fn connections_are_kept_for_one_credential_alone() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| ok("{}"));
    let mut egress = Egress::new(&venue, &identity);
    for at in 1..=5 {
        egress.send(at, &get(at, "/")).is("", true, 1);
    }
    assert_eq!(venue.connections(), 1);

    let mut other = get(6, "/");
    other.credential = "beta".into();
    egress.send(6, &other).is("", true, 1);
    assert_eq!(venue.connections(), 2);
}

#[test]
fn many_requests_share_one_connection_of_http_2() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::framed(&identity, Duration::from_millis(20));
    let mut egress = Egress::new(&venue, &identity);
    for at in 1..=50 {
        egress.dispatch(at, &get(at, &format!("/{at}")));
    }
    for at in 1..=50 {
        let told = egress.told(at);
        told.is("", true, 1);
        assert_eq!(told.answer.text(), format!("{{\"path\":\"/{at}\"}}"));
    }
    assert_eq!(venue.connections(), 1);
}

#[test]
fn many_requests_pass_side_by_side_over_http_1() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, text| {
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        Reply::Wait(Duration::from_millis(500), http("200 OK", "", &path))
    });
    let mut egress = Egress::new(&venue, &identity);
    let begun = std::time::Instant::now();
    for at in 1..=30 {
        egress.dispatch(at, &get(at, &format!("/{at}")));
    }
    for at in 1..=30 {
        let told = egress.told(at);
        told.is("", true, 1);
        assert_eq!(told.answer.text(), format!("/{at}"));
    }
    // One after the other they take 15 s.
    assert!(begun.elapsed() < Duration::from_millis(7_500), "{:?}", begun.elapsed());
}

#[test]
fn beyond_so_many_connections_requests_wait() {
    let identity = Identity::new(&[HOST]);
    let wait = Duration::from_secs(3);
    // Half of the connections end without being given back.
    let venue = Venue::plain(&identity, move |number, _| match number % 2 {
        0 => Reply::Wait(wait, http("200 OK", "", "{}")),
        _ => Reply::WaitAndClose(wait),
    });
    let mut egress = Egress::new(&venue, &identity);
    for at in 1..=300 {
        let mut cancel = post(at, "/", b"x");
        cancel.class = "cancel".into();
        cancel.timeout_ms = 30_000;
        egress.dispatch(at, &cancel);
    }
    while venue.requests().len() < 256 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((venue.requests().len(), venue.connections()), (256, 256));

    let outcomes: Vec<_> = (1..=300).map(|at| egress.outcome(at)).collect();
    assert!(outcomes.iter().all(|outcome| outcome.sent && outcome.attempts == 1));
    let lost = outcomes.iter().filter(|outcome| outcome.problem == "CONNECTION_LOST").count();
    assert_eq!((lost, venue.requests().len()), (150, 300));
}

#[test]
fn what_authorises_is_struck_out_of_head_and_body() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| {
        let head = "HTTP/1.1 400 Bad Request\r\nx-echo: sig=c2lnbmF0dXJl/+==;\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let mut pieces = vec![head.as_bytes().to_vec()];
        // One chunk for each byte.
        for byte in br#"{"you sent":"c2lnbmF0dXJl\/+==","and":"c2lnbmF0dXJl%2F%2B%3D%3D"}"# {
            pieces.push([b"1\r\n".as_slice(), &[*byte], b"\r\n"].concat());
        }
        pieces.push(b"0\r\n\r\n".to_vec());
        Reply::SayInPieces(pieces)
    });
    let mut egress = Egress::new(&venue, &identity);
    let mut order = post(1, "/", b"");
    order.secrets = vec!["c2lnbmF0dXJl/+==".into()];

    let told = egress.send(1, &order);

    told.is("", true, 1);
    assert_eq!(told.answer.header("x-echo"), Some("sig=****************;"));
    let stars = |count| "*".repeat(count);
    let expected = format!(r#"{{"you sent":"{}","and":"{}"}}"#, stars(17), stars(24));
    assert_eq!(told.answer.text(), expected);
    assert_eq!(told.answer.header("transfer-encoding"), None);
}

#[test]
fn a_redirect_is_passed_on_and_not_followed() {
    let identity = Identity::new(&[HOST, "other.example"]);
    let venue = Venue::plain(&identity, |_, _| {
        Reply::Say(http("302 Found", "location: https://other.example/x\r\n", ""))
    });
    let hosts = [(HOST, venue.address, Some(identity.pem.as_str()))];
    let with_other = [hosts[0], ("other.example", venue.address, Some(identity.pem.as_str()))];
    let mut egress = Egress::with(&with_other, Names::Nobody, |_| {});

    let told = egress.send(1, &get(1, "/"));

    told.is("", true, 1);
    assert_eq!(told.answer.status(), 302);
    assert_eq!(told.answer.header("location"), Some("https://other.example/x"));
    assert_eq!(venue.requests().len(), 1);
}

#[test]
fn it_ends_with_the_core() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| ok("{}"));
    let mut egress = Egress::new(&venue, &identity);
    egress.send(1, &get(1, "/")).is("", true, 1);
    assert!(egress.ends_with_the_core());

    // Also with a core that has left unread what it was told.
    let mut egress = Egress::new(&venue, &identity);
    egress.dispatch(1, &get(1, "/"));
    egress.answer(1_001);
    egress.leave_unread();
    assert!(egress.ends_with_the_core());
}

#[test]
fn reads_of_one_client_keep_nobody_from_cancelling_and_trading() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, text| match text.starts_with("GET /slow") {
        true => Reply::Wait(Duration::from_secs(2), http("200 OK", "", "{}")),
        false => ok("{}"),
    });
    let hosts = [(HOST, venue.address, Some(identity.pem.as_str()))];
    let mut egress = Egress::with(&hosts, Names::Nobody, |config| config.limits.per_host = 32);
    for at in 1..=100 {
        let slow = Dispatch { client: "a".into(), timeout_ms: 30_000, ..get(at, "/slow") };
        egress.dispatch(at, &slow);
    }
    // Four of the 32 are not for reads.
    while venue.requests().len() < 28 {
        std::thread::sleep(Duration::from_millis(5));
    }
    egress.send(101, &Dispatch { client: "b".into(), ..post(101, "/", b"x") }).is("", true, 1);
    let cancel = Dispatch { client: "b".into(), class: "cancel".into(), ..post(102, "/", b"x") };
    egress.send(102, &cancel).is("", true, 1);
    assert!((1..=100).all(|at| !egress.has_outcome(at)));
    assert_eq!(venue.requests().len(), 30);

    // Its read waits for one turn, not for all that came before.
    egress.send(103, &Dispatch { client: "b".into(), ..get(103, "/") }).is("", true, 1);
    assert!((1..=100).filter(|at| egress.has_outcome(*at)).count() <= 28);
    for at in 1..=100 {
        egress.told(at).is("", true, 1);
    }
}
