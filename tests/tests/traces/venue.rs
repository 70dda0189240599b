//! Requests that the vault sends itself.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use toml::{Table, Value};
use vault_client::ExecuteOrder;
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};
use vault_tests::{
    Builder, OKX_KEY, OKX_PASSPHRASE, OKX_SCOPE, OKX_SECRET, TestVault, okx_balance,
};

use crate::collector::{Answer, Collector};
use crate::{attribute, builder, children, roots};

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after it");
    i64::try_from(now.as_millis()).expect("fits")
}

fn elsewhere(builder: Builder, place: &[(&str, &str)]) -> Builder {
    let place: Table =
        place.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    builder.config("egress", "override", vec![Value::Table(place)])
}

async fn execute(vault: &TestVault) -> Result<vault_client::Executed, vault_client::ClientError> {
    vault.import_okx("okx-main").await;
    let scope = OKX_SCOPE.replace(r#"["sign"]"#, r#"["sign", "execute"]"#);
    let bot = vault.bot("bot", &scope, &[]).await;
    let order = ExecuteOrder {
        credential: "okx-main".to_owned(),
        request: okx_balance(),
        ..ExecuteOrder::default()
    };
    bot.execute(order).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execute_has_the_venues_part_in_it() {
    let account = Account {
        venue: Venue::Okx,
        api_key: OKX_KEY.to_owned(),
        secret: OKX_SECRET.to_owned(),
        passphrase: Some(OKX_PASSPHRASE.to_owned()),
        demo: false,
    };
    let config =
        MockConfig { tls: Some(Tls::made()), ..MockConfig::new(vec![account], Arc::new(now_ms)) };
    let mocks = MockVenues::start(config).expect("mock venues");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, mocks.ca_pem().expect("an authority")).expect("written");
    let at = mocks.tls_address().expect("TLS").to_string();
    let collector = Collector::start(Answer::Take).await;
    let place = [("host", "*"), ("connect", &at), ("ca_file", ca.to_str().expect("plain"))];
    let vault = elsewhere(builder(&collector, 1.0), &place).start().await;
    let executed = execute(&vault).await.expect("answered");
    assert_eq!(executed.status, 200);

    let spans = collector.until(|spans| !roots(spans, "countersign.execute").is_empty()).await;
    let [call] = roots(&spans, "countersign.execute")[..] else { panic!("{spans:#?}") };
    assert_eq!(attribute(call, "countersign.outcome"), "OK");
    assert_eq!(attribute(call, "countersign.venue"), "okx");
    let stages = children(&spans, call);
    let [venue] = stages.iter().filter(|span| span.name == "venue").collect::<Vec<_>>()[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(venue.kind(), SpanKind::Client);
    assert_eq!(attribute(venue, "http.response.status_code"), "200");
    assert!(venue.start_time_unix_nano >= call.start_time_unix_nano);
    assert!(venue.end_time_unix_nano <= call.end_time_unix_nano);
    for stage in ["decode", "hop", "decide", "sync"] {
        assert!(stages.iter().any(|span| span.name == stage), "{stage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_is_not_there_is_said_where_it_was_asked() {
    let collector = Collector::start(Answer::Take).await;
    let place = [("host", "*"), ("connect", "127.0.0.1:9")];
    let vault = elsewhere(builder(&collector, 1.0), &place).start().await;
    execute(&vault).await.expect_err("nobody is there");

    let spans = collector.until(|spans| !roots(spans, "countersign.execute").is_empty()).await;
    let [call] = roots(&spans, "countersign.execute")[..] else { panic!("{spans:#?}") };
    assert_eq!(attribute(call, "countersign.outcome"), "NOT_SENT");
    let stages = children(&spans, call);
    let venue = stages.iter().find(|span| span.name == "venue").expect("asked");
    let problem = venue.status.clone().expect("there").message;
    assert!(problem.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{problem}");
    assert!(!problem.is_empty());
}
