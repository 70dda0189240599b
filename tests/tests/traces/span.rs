//! What the spans of a call are, and what is not in them.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tonic::metadata::MetadataValue;
use vault_client::{SignOrder, v1};
use vault_tests::{
    OKX_KEY, OKX_PASSPHRASE, OKX_SECRET, TestVault, okx_order, okx_withdrawal, order, reason,
};

use crate::collector::{Answer, Collector};
use crate::{attribute, bot, builder, channel, children, roots};

const STAGES: [&str; 5] = ["decode", "hop", "decide", "sync", "release"];

/// Whether a call has all of these stages.
fn has(spans: &[Span], call: &Span, stages: &[&str]) -> bool {
    let children = children(spans, call);
    stages.iter().all(|stage| children.iter().any(|span| span.name == *stage))
}

fn child<'a>(spans: &'a [Span], of: &Span, name: &str) -> &'a Span {
    let found: Vec<_> = children(spans, of).into_iter().filter(|span| span.name == name).collect();
    let [span] = found.as_slice() else { panic!("{} of {name} in {spans:#?}", found.len()) };
    span
}

/// The stages follow each other, within the call.
fn check_order(spans: &[Span], call: &Span) {
    let mut before = call.start_time_unix_nano;
    for stage in STAGES {
        let span = child(spans, call, stage);
        assert_eq!(span.trace_id, call.trace_id);
        assert!(span.start_time_unix_nano >= before, "{stage}: {spans:#?}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{stage}");
        before = span.end_time_unix_nano;
    }
    assert!(before <= call.end_time_unix_nano);
    // One follows the other without a gap until it is decided.
    let end = |name| child(spans, call, name).end_time_unix_nano;
    let start = |name| child(spans, call, name).start_time_unix_nano;
    assert_eq!((end("decode"), end("hop")), (start("hop"), start("decide")));
    let decide = child(spans, call, "decide");
    let sign = child(spans, decide, "sign");
    assert!(sign.start_time_unix_nano >= decide.start_time_unix_nano);
    assert!(sign.end_time_unix_nano <= decide.end_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_has_its_stages_within_it_before_and_after_a_seal() {
    let collector = Collector::start(Answer::Take).await;
    let mut vault = builder(&collector, 1.0).start().await;
    let bot_client = bot(&vault).await;
    let before = std::time::SystemTime::now();
    let signed =
        bot_client.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");

    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    let [call] = roots(&spans, "countersign.sign")[..] else { panic!("{spans:#?}") };
    assert!(has(&spans, call, &STAGES), "{spans:#?}");
    check_order(&spans, call);
    assert!(call.parent_span_id.is_empty() && call.trace_id.len() == 16);
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(call.status.as_ref().map(|status| status.code()), Some(StatusCode::Unset));
    for (key, value) in [
        ("countersign.outcome", "OK".to_owned()),
        ("countersign.client", "bot".to_owned()),
        ("countersign.venue", "okx".to_owned()),
        ("countersign.entry_index", signed.receipt.index.to_string()),
        ("countersign.seq", signed.seq.to_string()),
    ] {
        assert_eq!(attribute(call, key), value, "{key}");
    }
    let since = before.duration_since(std::time::UNIX_EPOCH).expect("after it").as_nanos();
    assert!(u128::from(call.end_time_unix_nano) > since, "it is the wall's time");
    for head in collector.heads() {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    }
    let resource = &collector.resources()[0];
    let of_service = |key: &str| {
        let found = resource.attributes.iter().find(|attribute| attribute.key == key);
        format!("{:?}", found.expect("there"))
    };
    assert!(of_service("service.name").contains("countersign"));
    assert!(of_service("service.instance.id").contains("127.0.0.1"));

    let hardening = vault.local().status().hardening;
    let exporter = hardening.iter().find(|row| row.process == "exporter").expect("it is one");
    assert!(exporter.seccomp && exporter.landlock_abi > 0 && exporter.no_capabilities);
    vault.guard().await.seal(Default::default()).await.expect("sealed");
    vault.restarted().await;
    vault.unseal();
    let bot = vault.connect_bot("bot").await;
    bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
    collector.until(|spans| roots(spans, "countersign.sign").len() == 2).await;
    vault.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_says_its_reason_and_was_not_signed() {
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    let denied = bot.sign(order("okx-main", okx_withdrawal())).await;
    assert_eq!(reason(denied), "CLASS_NOT_GRANTABLE");

    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    let [call] = roots(&spans, "countersign.sign")[..] else { panic!("{spans:#?}") };
    assert_eq!(attribute(call, "countersign.outcome"), "CLASS_NOT_GRANTABLE");
    assert_eq!(attribute(call, "countersign.venue"), "okx");
    assert_ne!(attribute(call, "countersign.entry_index"), "");
    let status = call.status.clone().expect("there");
    assert_eq!(
        (status.code(), status.message.as_str()),
        (StatusCode::Error, "CLASS_NOT_GRANTABLE")
    );
    // Nothing is released, and nothing signed.
    assert!(has(&spans, call, &STAGES[..4]) && !has(&spans, call, &["release"]));
    assert!(spans.iter().all(|span| span.name != "sign"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_the_first_have_spans_within_it_and_of_a_stream_each_is_a_trace() {
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    let one = |symbol: &str| order("okx-main", okx_order(symbol, "1"));
    let mut orders: Vec<SignOrder> = (0..20).map(|_| one("BTC-USDT")).collect();
    orders[3] = one("DOGE-USDT");
    bot.sign_batch(orders).await.expect("answered");

    let spans = collector.until(|spans| !roots(spans, "countersign.sign_batch").is_empty()).await;
    let [batch] = roots(&spans, "countersign.sign_batch")[..] else { panic!("{spans:#?}") };
    assert_eq!(attribute(batch, "countersign.batch.size"), "20");
    let items: Vec<&Span> = children(&spans, batch)
        .into_iter()
        .filter(|span| span.name == "countersign.sign")
        .collect();
    assert_eq!(items.len(), 16);
    for item in &items {
        assert_eq!(item.trace_id, batch.trace_id);
        assert!(item.start_time_unix_nano >= batch.start_time_unix_nano);
        assert!(item.end_time_unix_nano <= batch.end_time_unix_nano);
        match attribute(item, "countersign.outcome").as_str() {
            "OK" => check_order(&spans, item),
            other => assert_eq!(other, "SYMBOL_NOT_GRANTED"),
        }
    }
    let denied = |item: &&&Span| attribute(item, "countersign.outcome") != "OK";
    assert_eq!(items.iter().filter(denied).count(), 1);

    let (sender, mut answers) = bot.sign_stream().await.expect("a stream");
    for _ in 0..3 {
        sender.send(one("BTC-USDT")).await.expect("sent");
        answers.next().await.expect("read").expect("answered");
    }
    let of_stream = |spans: &[Span]| {
        let mut traces: Vec<Vec<u8>> = roots(spans, "countersign.sign")
            .iter()
            .filter(|span| span.parent_span_id.is_empty())
            .map(|span| span.trace_id.clone())
            .collect();
        traces.sort();
        traces.dedup();
        traces.len()
    };
    collector.until(|spans| of_stream(spans) == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_bot_sends_or_gets_is_in_what_leaves() {
    const MARK: &str = "zqxj";
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    let signed = bot.sign(order("okx-main", okx_order("BTC-USDT", "0.731"))).await.expect("signed");

    let request = |request_id: &str, credential: &str, at: v1::VenueRequest| v1::SignRequest {
        request_id: request_id.to_owned(),
        credential: credential.to_owned(),
        request: Some(at),
    };
    let plain = || okx_order("BTC-USDT", "1");
    let marked = [
        request(MARK, "okx-main", plain()),
        request("one", MARK, plain()),
        request("two", "okx-main", v1::VenueRequest { host: format!("{MARK}.okx.com"), ..plain() }),
        request("three", "okx-main", v1::VenueRequest { path: format!("/{MARK}"), ..plain() }),
        request("four", "okx-main", okx_order(MARK, "1")),
        request("five", "okx-main", v1::VenueRequest { method: MARK.to_owned(), ..plain() }),
    ];
    let mut client = v1::sign_service_client::SignServiceClient::new(channel(&vault).await);
    for request in marked.clone() {
        let mut request = tonic::Request::new(request);
        let mark = MetadataValue::from_static(MARK);
        for name in ["tracestate", "baggage", "traceparent", "x-request-id"] {
            request.metadata_mut().insert(name, mark.clone());
        }
        // The first is signed, and the others are refused.
        let _ = client.sign(request).await;
    }
    let count = 1 + marked.len();
    collector.until(|spans| roots(spans, "countersign.sign").len() == count).await;

    let bytes = collector.bytes();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"countersign.client"), "it looks where something is");
    for absent in [
        MARK,
        "okx-main",
        "BTC-USDT",
        "0.731",
        "www.okx.com",
        OKX_KEY,
        OKX_SECRET,
        OKX_PASSPHRASE,
        &signed.request_id,
    ] {
        assert!(!holds(absent.as_bytes()), "{absent}");
    }
    let signature = signed
        .request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("ok-access-sign"));
    assert!(!holds(signature.expect("signed").value.as_bytes()));
    let leaf = signed.receipt.encode_to_vec();
    assert!(!holds(&leaf));
    // Nor whose certificate it was, or where the bot is.
    assert!(!holds(b"spiffe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_is_traced_though_nobody_chose_it() {
    let collector = Collector::start(Answer::Take).await;
    // Of nobody's choosing: the ratio is 0, and the bot says no parent.
    let vault = TestVault::builder()
        .config("tracing", "otlp_endpoint", collector.endpoint())
        .config("tracing", "slow_ms", 1)
        .start()
        .await;
    let bot = bot(&vault).await;
    let end = std::time::Instant::now() + crate::SOON;
    while collector.spans().is_empty() {
        let orders = (0..256).map(|_| order("okx-main", okx_order("BTC-USDT", "1"))).collect();
        bot.sign_batch(orders).await.expect("answered");
        assert!(std::time::Instant::now() < end, "none was slow");
    }
    let spans = collector.spans();
    let [batch, ..] = roots(&spans, "countersign.sign_batch")[..] else { panic!("{spans:#?}") };
    assert!(batch.end_time_unix_nano - batch.start_time_unix_nano >= 1_000_000);
    assert!(children(&spans, batch).iter().any(|span| span.name == "countersign.sign"));
}
