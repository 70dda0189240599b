//! How much a bot can have traced.

use futures_util::future::join_all;
use tonic::metadata::MetadataValue;
use vault_client::v1;
use vault_client::v1::sign_service_client::SignServiceClient;
use vault_tests::okx_order;

use crate::collector::{Answer, Collector};
use crate::{bot, builder, channel, figure, roots, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_asks_for_every_call_gets_a_few_a_second() {
    const CALLS: usize = 400;
    let collector = Collector::start(Answer::Take).await;
    let vault = builder(&collector, 0.0).config("tracing", "max_per_second", 10).start().await;
    bot(&vault).await;
    let began = std::time::Instant::now();
    let client = SignServiceClient::new(channel(&vault).await);
    for round in 0..CALLS / 50 {
        let calls = (0..50).map(|number| {
            let mut client = client.clone();
            let mut request = tonic::Request::new(v1::SignRequest {
                request_id: format!("call-{round}-{number}"),
                credential: "okx-main".to_owned(),
                request: Some(okx_order("BTC-USDT", "1")),
            });
            let parent = MetadataValue::from_static(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            );
            request.metadata_mut().insert("traceparent", parent);
            async move { client.sign(request).await.expect("signed") }
        });
        join_all(calls).await;
    }
    let traced = r#"countersign_traces_total{reason="parent"}"#;
    let limited = until(&vault, "countersign_traces_limited_total", |count| count > 0.0).await;
    let traced = figure(&vault, traced).await;
    assert_eq!(traced + limited, CALLS as f64);
    // Half of ten in each second, and as many at first.
    let seconds = began.elapsed().as_secs() + 2;
    assert!(traced >= 5.0 && traced <= 5.0 * seconds as f64, "{traced} in {seconds} s");
    let spans =
        collector.until(|spans| roots(spans, "countersign.sign").len() as f64 >= traced).await;
    assert_eq!(roots(&spans, "countersign.sign").len() as f64, traced);
}
