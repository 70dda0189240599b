//! What a catalogue may say about WebSockets.

use vault_venue::{CatalogError, Part, Registry, Venue};

use crate::MADE;

fn load(text: &str) -> Result<Venue, CatalogError> {
    let text = format!("{MADE}[shape.none]\nsource = \"docs\"\nparams = []\n{text}");
    Venue::load("made", &[Part { file: "made.toml", text: &text }])
}

const SOCKET: &str = r#"
[[socket]]
kind = "private"
environments = ["live"]
hosts = ["ws.example", "ws.example:8443"]
paths = ["/ws/a", "/ws/b"]
source = "docs"
"#;

const CHANNEL: &str = r#"
[[channel]]
method = "SUBSCRIBE"
path = "/ws/a/orders"
class = "read"
source = "docs"
body = "json"
shape = "none"
"#;

const LOG_ON: &str = r#"
[[operation]]
method = "POST"
path = "/key"
class = "logon"
source = "docs"
body = "json"
shape = "none"
"#;

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    assert!(load(&format!("{SOCKET}{CHANNEL}{LOG_ON}held = \"/key\"\n")).is_ok());
    let twice = format!("{SOCKET}{SOCKET}");
    for (text, what) in [
        (twice.as_str(), "another one has this address"),
        (&format!("{CHANNEL}{CHANNEL}"), "stated twice"),
        (&SOCKET.replace("\"live\"", "\"live\", \"demo\""), "wants one environment"),
        (&SOCKET.replace("\"live\"", ""), "wants one environment"),
        (&SOCKET.replace("\"live\"", "\"paper\""), "unknown variant"),
        (&SOCKET.replace("private", "secret"), "unknown variant"),
        (&SOCKET.replace("ws.example:8443", "ws.example:443"), "no plain host"),
        (&SOCKET.replace("ws.example:8443", "WS.example"), "no plain host"),
        (&SOCKET.replace("\"/ws/a\", \"/ws/b\"", ""), "no hosts, or no paths"),
        (&SOCKET.replace("/ws/a", "/ws/../a"), "not plain"),
        (&SOCKET.replace("/ws/a", "/ws/{what}"), "only its end"),
        (&SOCKET.replace("/ws/a", "/ws/{handle}"), "a handle opens listen sockets"),
        (&SOCKET.replace("private", "listen"), "a handle opens listen sockets"),
        (&SOCKET.replace("\"docs\"", "\"other\""), "not in [sources]"),
        (&format!("{SOCKET}more = 1\n"), "unknown field"),
        (&CHANNEL.replace("SUBSCRIBE", "POST"), "a channel is a SUBSCRIBE"),
        (&CHANNEL.replace("\"read\"", "\"trade\""), "a channel is a SUBSCRIBE"),
        (&CHANNEL.replace("shape = \"none\"", ""), "a channel is a SUBSCRIBE"),
        (&format!("{LOG_ON}held = \"key\"\n"), "no JSON pointer"),
        (&format!("{LOG_ON}handle = \"key\"\n"), "no parameter key"),
        (&format!("{}kept = true\n", LOG_ON.replace("logon", "read")), "for log-ons"),
        (&format!("{}held = \"/key\"\n", LOG_ON.replace("logon", "trade")), "for log-ons"),
    ] {
        let error = load(text).expect_err(text).to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

/// Whatever an operator adds, a log-on goes to no other host.
#[test]
fn an_addition_has_no_socket() {
    let addition = |text: &str| {
        let text = format!("format = 1\nvenue = \"okx\"\n[sources]\nours = \"our own\"\n{text}");
        let text =
            text.replace("\"docs\"", "\"ours\"").replace("shape = \"none\"", "shape = \"empty\"");
        Registry::with_additions(&[Part { file: "own.toml", text: &text }]).map(|_| ())
    };
    let error = addition(SOCKET).expect_err("refused").to_string();
    assert_eq!(error, "own.toml:6:1: an addition has no [[socket]]");
    assert_eq!(addition(&CHANNEL.replace("/ws/a/", "/ws/v5/private/of-my-own-")), Ok(()));
}

/// All but market data is for one environment, and what looks like it at one host is too.
#[test]
fn no_address_is_for_live_and_demo() {
    for (address, live) in [
        ("ws.okx.com /ws/v5/private", true),
        ("wspap.okx.com /ws/v5/private", false),
        ("stream.bybit.com /v5/trade", true),
        ("stream-testnet.bybit.com /v5/trade", false),
        ("testnet.binancefuture.com /ws-fapi/v1", false),
    ] {
        let (host, path) = address.split_once(' ').expect("two");
        let socket = super::socket(host, path);
        assert_eq!(socket.environments.len(), 1, "{address}");
        assert_eq!(socket.environments[0] == vault_model::Environment::Live, live, "{address}");
    }
}
