//! The HTTPS proxy, over both versions of HTTP, as libraries use it and as attackers do.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use vault_front::Limits;
use vault_ipc::{Failure, Kind, Listener, ProxyCall, VenueEnd};

use crate::support::{
    Egress, Front, PATIENCE, client_config, connect, executed, failed, head, is_let_in, lost,
};

const PLAIN: &str = "/https://api.binance.com/api/v3/order?symbol=BTCUSDT&x=%20a%2fb";
const ENCODED: &str =
    "/https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Forder%3Fsymbol%3DBTCUSDT%26x%3D%2520a%252fb";

enum Client {
    H1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    H2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn h1(front: &Front, serial: u8) -> Self {
        let stream = tls(front, serial, &[b"http/1.1"]).await;
        let (send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("h1");
        tokio::spawn(connection);
        Self::H1(send)
    }

    async fn h2(front: &Front, serial: u8) -> Self {
        let stream = tls(front, serial, &[b"h2", b"http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("h2");
        tokio::spawn(connection);
        Self::H2(send)
    }

    async fn both(front: &Front) -> [Self; 2] {
        [Self::h1(front, 1).await, Self::h2(front, 1).await]
    }

    async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::H1(send) => {
                send.ready().await?;
                send.send_request(request).await
            }
            Self::H2(send) => {
                let path = request.uri().path_and_query().expect("a path").as_str();
                let uri = format!("https://vault.test{path}").parse().expect("a uri");
                *request.uri_mut() = uri;
                send.ready().await?;
                send.send_request(request).await
            }
        }
    }

    async fn get(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::get(path).body(Full::default()).expect("valid");
        tokio::time::timeout(PATIENCE, self.send(request))
            .await
            .expect("in time")
            .expect("answered")
    }
}

async fn tls(front: &Front, serial: u8, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut config = client_config(&front.ca.der(), Some(&front.ca.client(serial)));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    connect(front.bot, config, &[]).await.expect("a handshake")
}

async fn body(response: Response<Incoming>) -> Bytes {
    let whole = tokio::time::timeout(PATIENCE, response.into_body().collect());
    whole.await.expect("in time").expect("whole").to_bytes()
}

/// What a refusal says; its shape is checked.
async fn refusal(response: Response<Incoming>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&body(response).await).expect("json");
    shape(&body)
}

fn shape(body: &Value) -> Value {
    let object = body.as_object().expect("an object");
    assert_eq!(object.keys().collect::<Vec<_>>(), ["countersign"]);
    let said = object["countersign"].clone();
    assert!(said["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{said}");
    assert!(said["message"].as_str().is_some_and(|message| !message.is_empty()), "{said}");
    said
}

/// Sends bytes over HTTP/1.1 and reads to the end of the connection.
async fn raw(front: &Front, bytes: &[u8]) -> Vec<u8> {
    let mut stream = tls(front, 1, &[b"http/1.1"]).await;
    // The front may have ended it before all is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // Ended with or without a close_notify.
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("the connection ends");
    answer
}

/// Status and reason of the one answer in what was read, none for an empty one.
fn answered(bytes: &[u8]) -> (u16, Option<String>) {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a status");
    let said: Option<Value> = serde_json::from_str(body).ok();
    (status, said.map(|said| shape(&said)["reason"].as_str().expect("said").to_owned()))
}

/// Answers one proxied request and returns it.
fn serve_one(core: &mut crate::support::Core, egress: &mut Egress, body: &[u8]) -> ProxyCall {
    let (correlation, call) = core.next_proxy();
    core.send(Kind::Reply, correlation, &executed(41));
    egress.respond(correlation, &head(200, &[("content-type", "application/json")]), body);
    call
}

/// Nothing has reached the core but what is expected: a barrier comes back next.
fn nothing_came(front: &mut Front) {
    front.core().barrier(99, &[]);
    front.core().expect_barrier_done(99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_go_to_the_core_as_they_were_written_over_both_versions() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        for path in [PLAIN, ENCODED] {
            let mut egress = front.egress();
            let play = front.play(move |core| serve_one(core, &mut egress, b"{\"a\":1}"));
            let request = Request::post(path)
                .header("X-MBX-APIKEY", "countersign:main")
                .header("Origin", "*")
                .header("TE", "trailers")
                .body(Full::from("quantity=1&price=2"))
                .expect("valid");
            let response = client.send(request).await.expect("answered");
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["content-length"], "7");
            assert_eq!(response.headers()["countersign-entry"], "41");
            assert_eq!(response.headers()["countersign-latency-us"], "1234");
            assert_eq!(body(response).await, "{\"a\":1}");

            let ProxyCall { caller, request, request_id, deadline_us, .. } =
                play.end(&mut front).await;
            assert_eq!(caller.serial, [1; 16]);
            assert_eq!(caller.listener(), Listener::Bot);
            assert!(deadline_us > 0);
            assert!(request_id.starts_with("px-"), "{request_id}");
            assert_eq!(request.method, "POST");
            assert_eq!(request.scheme, "https");
            assert_eq!(request.host, "api.binance.com");
            assert_eq!(request.path, "/api/v3/order");
            assert_eq!(request.query, "symbol=BTCUSDT&x=%20a%2fb");
            assert_eq!(request.body, b"quantity=1&price=2");
            let mut headers: Vec<_> = request
                .headers
                .iter()
                .map(|header| (header.name.as_str(), header.value.as_str()))
                .collect();
            headers.sort_unstable();
            assert_eq!(headers, [("origin", "*"), ("x-mbx-apikey", "countersign:main")]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_query_and_a_connection_that_is_used_again() {
    let mut front = Front::start();
    let query = "%5B%7B%22".repeat(900);
    for mut client in Client::both(&front).await {
        for path in [
            format!("/https://x.y/a?{query}"),
            format!("/https%3A%2F%2Fx.y%2Fa%3F{}", query.replace('%', "%25")),
        ] {
            let mut egress = front.egress();
            let play = front.play(move |core| serve_one(core, &mut egress, b""));
            assert_eq!(client.get(&path).await.status(), StatusCode::OK);
            assert_eq!(play.end(&mut front).await.request.query, query);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venues_response_comes_as_it_is_but_for_the_connection() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_proxy();
            core.send(Kind::Reply, correlation, &executed(7));
            let head = head(
                302,
                &[
                    ("location", "https://elsewhere.example/"),
                    ("set-cookie", "a=b"),
                    ("set-cookie", "c=d"),
                    ("content-length", "999"),
                    ("connection", "close, x-hop"),
                    ("x-hop", "gone"),
                    ("keep-alive", "timeout=1"),
                    ("transfer-encoding", "chunked"),
                    ("upgrade", "h2c"),
                    ("alt-svc", "h3=\":443\""),
                    ("countersign-entry", "666"),
                    ("countersign-other", "666"),
                    ("bad name", "x"),
                    ("bad-value", "x\r\ny: z"),
                ],
            );
            egress.respond(correlation, &head, b"moved");
        });
        let response = client.get("/https://x.y/a").await;
        play.end(&mut front).await;
        assert_eq!(response.status(), StatusCode::FOUND);
        let mut names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names.retain(|name| *name != "date");
        assert_eq!(
            names,
            [
                "content-length",
                "countersign-entry",
                "countersign-latency-us",
                "location",
                "set-cookie"
            ]
        );
        assert_eq!(response.headers()["countersign-entry"], "7");
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(body(response).await, "moved");
        // The connection is as good as before.
        let mut egress = front.egress();
        let play = front.play(move |core| serve_one(core, &mut egress, b"more"));
        assert_eq!(body(client.get("/https://x.y/a").await).await, "more");
        play.end(&mut front).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_response_is_passed_on_as_it_comes() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_proxy();
            core.send(Kind::Reply, correlation, &executed(7));
            egress.head(correlation, &head(200, &[]));
            egress.body(correlation, b"first ");
            (correlation, egress)
        });
        let mut response = client.get("/https://x.y/a").await;
        let (correlation, mut egress) = play.end(&mut front).await;
        assert!(!response.headers().contains_key("content-length"));
        let first = response.body_mut().frame().await.expect("some").expect("whole");
        assert_eq!(first.into_data().expect("data"), "first ");
        let long = vec![b'x'; 5 << 20];
        let sent = long.clone();
        let sending = tokio::task::spawn_blocking(move || {
            for piece in sent.chunks(64 << 10) {
                egress.body(correlation, piece);
            }
            egress.end(correlation, &VenueEnd::default());
        });
        assert!(body(response).await == long);
        sending.await.expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_is_cut_does_not_look_whole() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_proxy();
            core.send(Kind::Reply, correlation, &executed(7));
            egress.head(correlation, &head(200, &[("content-length", "4")]));
            egress.body(correlation, b"half");
            (correlation, egress)
        });
        let response = client.get("/https://x.y/a").await;
        let (correlation, mut egress) = play.end(&mut front).await;
        egress.end(correlation, &lost("BODY_CUT", true));
        let whole = tokio::time::timeout(PATIENCE, response.into_body().collect());
        whole.await.expect("ended").expect_err("cut");
    }
    // Known before the first byte is passed on, it is said.
    for mut client in Client::both(&front).await {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_proxy();
            egress.head(correlation, &head(200, &[]));
            egress.body(correlation, b"half");
            egress.end(correlation, &lost("BODY_CUT", true));
            std::thread::sleep(Duration::from_millis(50));
            core.send(Kind::Reply, correlation, &executed(7));
        });
        let response = client.get("/https://x.y/a").await;
        play.end(&mut front).await;
        assert_eq!(response.status(), 504);
        assert_eq!(refusal(response).await["reason"], "OUTCOME_UNKNOWN");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_and_losses_have_a_status_that_libraries_understand() {
    let mut front = Front::start();
    let failure = |code, reason: &str| Failure {
        entry_index: Some(5),
        operation: "binance.spot.order".to_owned(),
        class: "trade".to_owned(),
        ..Failure::new(code, reason, "words")
    };
    use vault_ipc::Code;
    for mut client in Client::both(&front).await {
        for (failure, status, retry_after) in [
            (failure(Code::Denied, "SYMBOL_NOT_GRANTED"), 422, None),
            (failure(Code::Unauthenticated, "CERTIFICATE_REVOKED"), 422, None),
            (failure(Code::Precondition, "OUTCOME_UNKNOWN"), 504, None),
            (failure(Code::Sealed, "SEALED"), 503, Some("1")),
            (
                Failure { retry_after_ms: 4100, ..failure(Code::Exhausted, "OVERLOADED") },
                503,
                Some("5"),
            ),
        ] {
            let sent = failure.clone();
            let play = front.play(move |core| {
                let (correlation, _) = core.next_proxy();
                core.send(Kind::Reply, correlation, &failed(sent));
            });
            let response = client.get(PLAIN).await;
            play.end(&mut front).await;
            assert_eq!(response.status(), status);
            let after = response.headers().get("retry-after").map(|value| value.to_str().ok());
            assert_eq!(after.flatten(), retry_after);
            assert_eq!(response.headers()["countersign-entry"], "5");
            let said = refusal(response).await;
            assert_eq!(said["reason"], failure.reason);
            assert_eq!(said["entry"], 5);
            assert_eq!(said["operation"], "binance.spot.order");
            assert_eq!(said["class"], "trade");
        }
        for (end, status, reason) in [
            (lost("DNS_FAILED", false), 502, "NOT_SENT"),
            (lost("VENUE_PAUSED", false), 503, "NOT_SENT"),
            (lost("TIMEOUT", true), 504, "OUTCOME_UNKNOWN"),
        ] {
            let mut egress = front.egress();
            let sent = end.clone();
            let play = front.play(move |core| {
                let (correlation, _) = core.next_proxy();
                core.send(Kind::Reply, correlation, &executed(6));
                egress.end(correlation, &sent);
            });
            let response = client.get(PLAIN).await;
            play.end(&mut front).await;
            assert_eq!(response.status(), status, "{end:?}");
            let said = refusal(response).await;
            assert_eq!((&said["reason"], &said["entry"]), (&Value::from(reason), &Value::from(6)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_for_a_venue_never_reaches_the_core() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        for (path, status, reason) in [
            ("/", 404, "NOT_A_PROXY_TARGET"),
            ("/healthz", 404, "NOT_A_PROXY_TARGET"),
            ("/https:/x.y/a", 404, "NOT_A_PROXY_TARGET"),
            ("/vault.v1.SignService/Sign", 404, "NOT_A_PROXY_TARGET"),
            ("/http://x.y/a", 422, "TARGET_SCHEME"),
            ("/ws://x.y/a", 422, "TARGET_SCHEME"),
            ("/https://u:p@x.y/a", 422, "TARGET_USERINFO"),
            ("/https://x.y:443/a", 422, "TARGET_PORT"),
            ("/https://127.0.0.1/a", 422, "TARGET_HOST_IS_ADDRESS"),
            ("/https://[::1]/a", 422, "TARGET_HOST_IS_ADDRESS"),
            ("/https://API.binance.com/a", 422, "TARGET_HOST_CASE"),
            ("/https://xn--bnance-q4a.com/a", 422, "TARGET_HOST_IDN"),
            ("/https://x.y./a", 422, "TARGET_HOST_TRAILING_DOT"),
            ("/https:///a", 422, "TARGET_HOST"),
            ("/https%3A%2F%2Fx.y%2Fa%23b", 422, "TARGET_FRAGMENT"),
            ("/https%3A%2F%2Fx.y%2Fa?b=c", 422, "TARGET_OUTER_QUERY"),
            ("/https%3A%2F%2Fx.y%2Fa%0D%0Ax", 422, "TARGET_CHARACTER"),
            ("/https%3A%2F%2Fx.y%2Fa%20b", 422, "TARGET_CHARACTER"),
            ("/https%253A%252F%252Fx.y%252Fa", 404, "NOT_A_PROXY_TARGET"),
        ] {
            let response = client.get(path).await;
            assert_eq!(response.status(), status, "{path}");
            let said = refusal(response).await;
            assert_eq!(said["reason"], reason, "{path}");
            assert!(said["hint"].as_str().expect("said").contains("https://HOST/PATH"), "{path}");
            assert_eq!(said["entry"], Value::Null);
        }
        for (request, status, reason) in [
            (Request::head(PLAIN), 405, ""),
            (Request::options(PLAIN), 405, "METHOD_NOT_SERVED"),
            (Request::trace(PLAIN), 405, "METHOD_NOT_SERVED"),
            (Request::builder().method("BREW").uri(PLAIN), 405, "METHOD_NOT_SERVED"),
            (Request::post(PLAIN).header("expect", "100-continue"), 417, "EXPECT_NOT_SERVED"),
            (Request::post(PLAIN).header("x-a", "\u{e9}"), 422, "HEADER_CHARACTER"),
            (
                Request::post(PLAIN)
                    .header("countersign-request-id", "a")
                    .header("countersign-request-id", "b"),
                422,
                "REQUEST_ID_TWICE",
            ),
        ] {
            let request = request.body(Full::default()).expect("valid");
            let response = client.send(request).await.expect("answered");
            assert_eq!(response.status(), status, "{reason}");
            if reason.is_empty() {
                assert_eq!(body(response).await, "");
            } else {
                assert_eq!(refusal(response).await["reason"], reason);
            }
        }
    }
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_have_a_largest_size() {
    let mut front = Front::start();
    for mut client in Client::both(&front).await {
        let mut egress = front.egress();
        let play = front.play(move |core| serve_one(core, &mut egress, b""));
        let longest = Full::from(vec![b'x'; 64 << 10]);
        let request = Request::post(PLAIN).body(longest).expect("valid");
        assert_eq!(client.send(request).await.expect("answered").status(), 200);
        assert_eq!(play.end(&mut front).await.request.body.len(), 64 << 10);

        let too_long = Full::from(vec![b'x'; (64 << 10) + 1]);
        let request = Request::post(PLAIN).body(too_long).expect("valid");
        let response = client.send(request).await.expect("answered");
        assert_eq!(response.status(), 422);
        assert_eq!(refusal(response).await["reason"], "BODY_TOO_LONG");
    }
    // One whose length is not stated.
    let mut chunked =
        b"POST /https://x.y/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..9 {
        chunked.extend_from_slice(b"2000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x2000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&front, &chunked).await;
    assert_eq!(answered(&answer), (422, Some("BODY_TOO_LONG".to_owned())));
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_is_taken_and_is_the_last_of_its_connection() {
    let mut front = Front::start();
    let mut egress = front.egress();
    let play = front.play(move |core| serve_one(core, &mut egress, b"ok"));
    let answer = raw(
        &front,
        b"POST /https://x.y/a HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
          GET /https://x.y/smuggled HTTP/1.1\r\nHost: v\r\n\r\n",
    )
    .await;
    assert_eq!(answered(&answer).0, 200);
    assert!(String::from_utf8_lossy(&answer).contains("connection: close"));
    assert_eq!(play.end(&mut front).await.request.body, b"abcde");
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_in_two_ways_is_refused_with_its_connection() {
    let mut front = Front::start();
    let framing = "HEAD_FRAMING";
    let absolute = "TARGET_ABSOLUTE_FORM";
    for (head, status, reason) in [
        ("GET PATH HTTP/1.1\nHost: v\r\n\r\n", 400, "HEAD_BARE_LINE_FEED"),
        ("GET PATH HTTP/1.1\r\nHost: v\nX: y\r\n\r\n", 400, "HEAD_BARE_LINE_FEED"),
        ("GET PATH HTTP/1.1\r\nHost: v\r\n\n", 400, "HEAD_BARE_LINE_FEED"),
        ("GET PATH HTTP/1.1\r\nHost: v\r\nX: y\r\n folded\r\n\r\n", 400, ""),
        ("GET PATH HTTP/1.1\r\nHost : v\r\n\r\n", 400, ""),
        ("GET PATH HTTP/1.1\r\nX: a\rb\r\n\r\n", 400, ""),
        ("GET PATH HTTP/1.1\r\nX: a\0b\r\n\r\n", 400, ""),
        ("GET PATH SMUGGLED HTTP/1.1\r\n\r\n", 400, ""),
        ("GET PATH HTTP/1.1\r\nHost: v\r\nHost: v\r\n\r\n", 400, "HEAD_HOSTS"),
        ("GET PATH HTTP/1.1\r\nHost: v\r\nhost: x.y\r\n\r\n", 400, "HEAD_HOSTS"),
        ("GET PATH#f HTTP/1.1\r\n\r\n", 422, "TARGET_FRAGMENT"),
        ("POST PATH HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, framing),
        ("POST PATH HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400, ""),
        ("POST PATH HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", 400, ""),
        ("POST PATH HTTP/1.1\r\nContent-Length: +1\r\n\r\na", 400, ""),
        (
            "POST PATH HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            framing,
        ),
        (
            "POST PATH HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            400,
            framing,
        ),
        ("POST PATH HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, framing),
        ("POST PATH HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 400, ""),
        ("POST PATH HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""),
        (
            "GET https://vault.test/https://x.y/a HTTP/1.1\r\nConnection: close\r\n\r\n",
            422,
            absolute,
        ),
        ("GET https://x.y/a HTTP/1.1\r\nConnection: close\r\n\r\n", 422, absolute),
        ("CONNECT x.y:443 HTTP/1.1\r\nConnection: close\r\n\r\n", 405, "METHOD_NOT_SERVED"),
        (
            "GET PATH HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
            426,
            "WEBSOCKET_VERSION",
        ),
        ("OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n", 405, "METHOD_NOT_SERVED"),
    ] {
        let head = head.replace("PATH", "/https://x.y/a");
        let after = "GET /https://x.y/smuggled HTTP/1.1\r\nHost: v\r\n\r\n";
        let answer = raw(&front, format!("{head}{after}").as_bytes()).await;
        let (said_status, said) = answered(&answer);
        assert_eq!(said_status, status, "{head:?}");
        // Where hyper refuses it first, there is no body.
        assert_eq!(said.as_deref().unwrap_or_default(), reason, "{head:?}");
    }
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_2_a_fragment_reaches_nobody() {
    let mut front = Front::start();
    let stream = tls(&front, 1, &[b"h2"]).await;
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);
    // The type for URIs cuts it off here already, as the front's would.
    let mut egress = front.egress();
    let play = front.play(move |core| serve_one(core, &mut egress, b""));
    let request = Request::get("https://vault.test/https://x.y/a?b=c#d").body(()).expect("valid");
    let (response, _) = send.send_request(request, true).expect("sent");
    assert_eq!(response.await.expect("answered").status(), 200);
    let request = play.end(&mut front).await.request;
    assert_eq!((request.path.as_str(), request.query.as_str()), ("/a", "b=c"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_no_protocol_speaks_http_1_to_bots_listeners_only() {
    let mut front = Front::start();
    let mut stream = tls(&front, 1, &[]).await;
    let mut egress = front.egress();
    let play = front.play(move |core| serve_one(core, &mut egress, b"served"));
    stream
        .write_all(b"GET /https://x.y/a HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.ends_with(b"served"));
    play.end(&mut front).await;

    let client = front.ca.client(1);
    for (address, identity) in [(front.operator, Some(&client)), (front.enroll, None)] {
        for alpn in [&[][..], &[b"http/1.1".to_vec()][..]] {
            let mut config = client_config(&front.ca.der(), identity);
            config.alpn_protocols = alpn.to_vec();
            let Ok(mut stream) = connect(address, config, &[]).await else {
                continue;
            };
            let _ = stream.write_all(b"GET /https://x.y/a HTTP/1.1\r\n\r\n").await;
            let mut answer = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
            let _ = read.await.expect("ended");
            assert_eq!(answer, b"");
        }
        assert!(
            is_let_in(connect(address, client_config(&front.ca.der(), identity), &[]).await).await
        );
    }
    // Nor is anything proxied there over HTTP/2.
    let config = client_config(&front.ca.der(), Some(&client));
    let stream = connect(front.operator, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);
    let request = Request::get("https://vault.test/https://x.y/a").body(()).expect("valid");
    let (response, _) = send.send_request(request, true).expect("sent");
    let response = response.await.expect("answered");
    assert!(!response.headers().contains_key("countersign-entry"));
    assert_ne!(
        response.headers().get("content-type").map(|kind| kind.as_bytes()),
        Some(&b"application/json"[..])
    );
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_is_not_served_over_http_1() {
    let mut front = Front::start();
    let mut client = Client::h1(&front, 1).await;
    let request = Request::post("/vault.v1.SignService/Sign")
        .header("content-type", "application/grpc")
        .body(Full::from(vec![0; 5]))
        .expect("valid");
    let response = client.send(request).await.expect("answered");
    assert_eq!(response.status(), 404);
    refusal(response).await;
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_client_loses_its_connections_in_the_middle_of_a_response() {
    let mut front = Front::start();
    for id in [1, 2] {
        let mut client =
            if id == 1 { Client::h1(&front, 1).await } else { Client::h2(&front, 1).await };
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_proxy();
            core.send(Kind::Reply, correlation, &executed(7));
            egress.head(correlation, &head(200, &[]));
            egress.body(correlation, b"first");
            (correlation, egress)
        });
        let mut response = client.get("/https://x.y/a").await;
        let (correlation, mut egress) = play.end(&mut front).await;
        let first = response.body_mut().frame().await.expect("some").expect("whole");
        assert_eq!(first.into_data().expect("data"), "first");

        front.core().barrier(id, &[[1; 16]]);
        front.core().expect_barrier_done(id);
        egress.body(correlation, b"second");
        egress.end(correlation, &VenueEnd::default());
        let rest = tokio::time::timeout(PATIENCE, response.into_body().collect());
        rest.await.expect("ended").expect_err("cut");
    }
    // And those that are idle.
    let mut idle = tls(&front, 1, &[b"http/1.1"]).await;
    let mut egress = front.egress();
    let play = front.play(move |core| serve_one(core, &mut egress, b"served"));
    idle.write_all(b"GET /https://x.y/a HTTP/1.1\r\nHost: v\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 4096];
    while !answer.windows(6).any(|bytes| bytes == b"served") {
        assert_ne!(idle.read(&mut answer).await.expect("answered"), 0);
    }
    play.end(&mut front).await;
    front.core().barrier(9, &[[1; 16]]);
    front.core().expect_barrier_done(9);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    // No close_notify: nothing at all is written after a cut.
    assert!(ended.expect("ended").is_err());
    assert_eq!(rest, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_is_forgotten() {
    let mut front = Front::start();
    for is_h1 in [true, false] {
        let mut client =
            if is_h1 { Client::h1(&front, 1).await } else { Client::h2(&front, 1).await };
        let call = tokio::spawn(async move {
            let request = Request::get(PLAIN).body(Full::default()).expect("valid");
            client.send(request).await
        });
        let (gone, _) = front.core().next_proxy();
        call.abort();
        let _ = call.await;
        // Frames out of order break the channel only for who waits.
        front.core().expect_forget(gone);
        front.core().send(Kind::Reply, gone, &executed(1));
        let mut egress = front.egress();
        egress.body(gone, b"before its head");
        egress.end(gone, &VenueEnd::default());

        let mut client = Client::h1(&front, 2).await;
        let play = front.play(move |core| serve_one(core, &mut egress, b"served"));
        assert_eq!(body(client.get(PLAIN).await).await, "served");
        play.end(&mut front).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_slow_bodies_end() {
    let mut limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    limits.bot.execute = Duration::from_millis(300);
    let mut front = Front::start_with(limits);

    let silent = raw(&front, b"").await;
    assert_eq!(silent, b"");
    let head = raw(&front, b"GET /https://x.y/a HTTP/1.1\r\nHost:").await;
    assert!(head.is_empty() || answered(&head).0 == 408);
    let body = raw(
        &front,
        b"POST /https://x.y/a HTTP/1.1\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf",
    )
    .await;
    assert_eq!(answered(&body), (504, Some("DEADLINE_EXCEEDED".to_owned())));
    let endless = [&b"GET /https://x.y/"[..], &[b'a'; 100_000]].concat();
    let endless = raw(&front, &endless).await;
    assert!(endless.is_empty() || [400, 414, 431].contains(&answered(&endless).0));
    nothing_came(&mut front);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_requests_at_once_on_one_connection_are_answered_in_order() {
    let mut front = Front::start();
    let mut egress = front.egress();
    let play = front.play(move |core| {
        [serve_one(core, &mut egress, b"one"), serve_one(core, &mut egress, b"two")]
    });
    let answer = raw(
        &front,
        b"POST /https://x.y/a HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET \
          GET /https://x.y/b HTTP/1.1\r\nConnection: close\r\n\r\n",
    )
    .await;
    let calls = play.end(&mut front).await;
    assert_eq!(calls.map(|call| call.request.path), ["/a", "/b"]);
    let text = String::from_utf8(answer).expect("text");
    let (one, two) = (text.find("one").expect("one"), text.find("two").expect("two"));
    assert!(one < two);
}
