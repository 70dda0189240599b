//! Traces of bots.

use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::metadata::MetadataValue;
use vault_client::v1;
use vault_client::v1::sign_service_client::SignServiceClient;
use vault_tests::{TestVault, okx_order};

use crate::collector::{Answer, Collector};
use crate::{bot, builder, channel, roots};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn sampled(span: &str) -> String {
    format!("00-{TRACE}-{span}-01")
}

/// Signs once, with this in the head of the call.
async fn sign(vault: &TestVault, id: &str, parents: &[&str]) {
    let mut client = SignServiceClient::new(channel(vault).await);
    let mut request = tonic::Request::new(v1::SignRequest {
        request_id: id.to_owned(),
        credential: "okx-main".to_owned(),
        request: Some(okx_order("BTC-USDT", "1")),
    });
    for parent in parents {
        let parent = MetadataValue::try_from(*parent).expect("of ASCII");
        request.metadata_mut().append("traceparent", parent);
    }
    client.sign(request).await.expect("signed");
}

fn of_trace(span: &&Span) -> bool {
    hex::encode(&span.trace_id) == TRACE
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bots_trace_is_continued_and_without_one_nothing_is_traced_by_chance() {
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 0.0).start().await;
    bot(&vault).await;
    for id in ["one", "two", "three"] {
        sign(&vault, id, &[]).await;
    }
    // Whoever does not record its own trace would have a part of it.
    sign(&vault, "unsampled", &[&format!("00-{TRACE}-00f067aa0ba902b7-00")]).await;
    for (place, bad) in
        ["", "00", "00-0-0-01", &sampled("0000000000000000"), &sampled("00F067AA0BA902B7")]
            .iter()
            .enumerate()
    {
        sign(&vault, &format!("bad-{place}"), &[bad]).await;
    }
    let twice = sampled("00f067aa0ba902b7");
    sign(&vault, "twice", &[&twice, &twice]).await;
    // The last: what was asked before it would be there before it.
    sign(&vault, "last", &[&sampled("00f067aa0ba902b7")]).await;

    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    let [call] = roots(&spans, "countersign.sign")[..] else { panic!("{spans:#?}") };
    assert_eq!(hex::encode(&call.parent_span_id), "00f067aa0ba902b7");
    assert!(spans.iter().all(|span| of_trace(&span)), "{spans:#?}");
    // The parent is elsewhere.
    assert_eq!(call.flags, 0x301);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_does_not_read_is_none() {
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 1.0).start().await;
    bot(&vault).await;
    sign(&vault, "bad", &[&format!("00-{TRACE}-00f067aa0ba902b7-0")]).await;
    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    let [call] = roots(&spans, "countersign.sign")[..] else { panic!("{spans:#?}") };
    assert!(call.parent_span_id.is_empty() && !of_trace(&call));
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_have_no_say_where_they_are_not_to() {
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 1.0).config("tracing", "from_bots", false).start().await;
    bot(&vault).await;
    sign(&vault, "one", &[&sampled("00f067aa0ba902b7")]).await;
    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    assert!(spans.iter().all(|span| !of_trace(&span)), "{spans:#?}");
}
