//! Messages on a WebSocket that stands.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};
use vault_tests::{OKX_KEY, OKX_PASSPHRASE, OKX_SCOPE, OKX_SECRET, TestVault, wire};

use crate::{SHAPES, found, log_is_clean, stderr_is_clean};

const PRIVATE: &str = "wss://ws.okx.com:8443/ws/v5/private";
const LOGON: &str = r#"{"op":"login","args":[{"apiKey":"countersign:okx-main","passphrase":"-","timestamp":"1","sign":"-"}]}"#;

/// How long a message may take that nobody need answer.
const SILENCE: Duration = Duration::from_secs(2);
/// How long one may take that is answered.
const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

struct Bed {
    vault: TestVault,
    mocks: MockVenues,
}

impl Bed {
    async fn start() -> Self {
        let account = Account {
            venue: Venue::Okx,
            api_key: OKX_KEY.to_owned(),
            secret: OKX_SECRET.to_owned(),
            passphrase: Some(OKX_PASSPHRASE.to_owned()),
            demo: false,
        };
        let clock = Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        let config = MockConfig { tls: Some(Tls::made()), ..MockConfig::new(vec![account], clock) };
        let mocks = MockVenues::start(config).expect("a mock venue");
        let folder = tempfile::tempdir().expect("a folder");
        let roots = folder.path().join("ca.pem");
        std::fs::write(&roots, mocks.ca_pem().expect("an authority")).expect("written");
        let place = toml::Table::from_iter([
            ("host".to_owned(), "*".into()),
            ("connect".to_owned(), mocks.tls_address().expect("TLS").to_string().into()),
            ("ca_file".to_owned(), roots.to_str().expect("plain").into()),
        ]);
        let vault = TestVault::builder()
            .config("egress", "override", vec![toml::Value::Table(place)])
            .config("log", "level", "trace")
            .start()
            .await;
        vault.import_okx("okx-main").await;
        let scope = OKX_SCOPE
            .replace(r#"["sign"]"#, r#"["execute"]"#)
            .replace(r#"products = ["spot"]"#, r#"products = ["*"]"#)
            .replace(r#"classes = ["read","#, r#"classes = ["public", "read","#);
        vault.bot_identity("bot", &scope, &[]).await;
        Self { vault, mocks }
    }

    /// A socket on which the vault has logged on.
    async fn open(&self) -> Socket {
        let identity = self.vault.identity("bot");
        let mut tls = wire::tls(&identity, Some(&identity));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let at = self.vault.ready().bot;
        let stream = wire::stream(tls, at, None).await.expect("connected");
        let request = format!("wss://{at}/{PRIVATE}").into_client_request().expect("a URL");
        let (mut socket, _) =
            tokio_tungstenite::client_async(request, stream).await.expect("opened");
        socket.send(Message::text(LOGON)).await.expect("sent");
        let answer = next(&mut socket, PATIENCE).await;
        assert!(
            matches!(&answer, Some(Message::Text(text)) if text.contains("login")),
            "{answer:?}"
        );
        socket
    }
}

/// What comes next and is no ping; `None`: nothing within a time, or the end.
async fn next(socket: &mut Socket, within: Duration) -> Option<Message> {
    loop {
        match tokio::time::timeout(within, socket.next()).await.ok()?? {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(message) => return Some(message),
            Err(_) => return None,
        }
    }
}

/// What an unfriendly bot might say, with `text` in one place of it.
fn messages(text: &str) -> Vec<(&'static str, Message)> {
    let json = Value::from(text).to_string();
    let order = |member: &str, value: &str| {
        let mut args = serde_json::json!({
            "instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "px": "1", "sz": "1"
        });
        if let Some(args) = args.as_object_mut() {
            args.insert(member.to_owned(), Value::from(value));
        }
        serde_json::json!({ "id": "7", "op": "order", "args": [args] }).to_string()
    };
    let said = |what, text: String| (what, Message::text(text));
    vec![
        said("no JSON", text.to_owned()),
        said("a text", json.clone()),
        said("a member", format!("{{{json}:{json}}}")),
        said("two members of a name", format!("{{{json}:1,{json}:2}}")),
        said("the operation", format!(r#"{{"op":{json},"args":[]}}"#)),
        said(
            "the operation and all else",
            format!(r#"{{"op":{json},"id":{json},"args":[{json}]}}"#),
        ),
        said("the id", order("instId", "XXX").replace(r#""7""#, &json)),
        said("a channel", format!(r#"{{"op":"subscribe","args":[{{"channel":{json}}}]}}"#)),
        said(
            "a parameter of a channel",
            format!(r#"{{"op":"subscribe","args":[{{"channel":"orders",{json}:{json}}}]}}"#),
        ),
        said("a symbol", order("instId", text)),
        said("a size", order("sz", text)),
        said("a price", order("px", text)),
        said("a word", order("side", text)),
        said("a parameter's name", order(text, "1")),
        said("the credential", LOGON.replace("okx-main", json.trim_matches('"'))),
        said("an API key", LOGON.replace(r#""countersign:okx-main""#, &json)),
        said(
            "a passphrase",
            LOGON.replace(r#""passphrase":"-""#, &format!(r#""passphrase":{json}"#)),
        ),
        ("bytes", Message::Binary(Bytes::from(text.as_bytes().to_vec()))),
    ]
}

/// What the vault itself says, but for the message's own id, by which libraries know what they asked: a
/// whole number, or 1 to 64 letters, digits and `-_.`. A venue's answer is the venue's.
fn said_by_the_vault(message: &Message) -> Option<String> {
    match message {
        Message::Text(text) => {
            let mut answer: Value = serde_json::from_str(text).ok()?;
            let members = answer.as_object_mut()?;
            members.get("countersign")?;
            if let Some(Value::String(id)) = members.remove("id") {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                assert!((1..=64).contains(&id.len()) && id.chars().all(is_plain), "{id:.80}");
            }
            Some(answer.to_string())
        }
        Message::Close(Some(frame)) => Some(frame.reason.to_string()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_on_a_standing_socket_repeats_what_was_said() {
    let bed = Bed::start().await;
    let mut socket = bed.open().await;
    let mut refused = 0;
    for shape in SHAPES {
        for (place, message) in messages(shape.what) {
            // Who was refused too often was cut: anew.
            if socket.send(message.clone()).await.is_err() {
                socket = bed.open().await;
                socket.send(message).await.expect("sent");
            }
            let Some(answer) = next(&mut socket, SILENCE).await else {
                socket = bed.open().await;
                continue;
            };
            if let Some(said) = said_by_the_vault(&answer) {
                refused += 1;
                assert_eq!(found(said.as_bytes()), None, "{place}, {:.20}", shape.what);
            }
            if answer.is_close() {
                socket = bed.open().await;
            }
        }
    }
    assert!(refused > 100, "only {refused} were refused");
    assert!(bed.mocks.streams() > 0, "it stood");
    stderr_is_clean(&bed.vault);
    log_is_clean(&bed.vault);
}
