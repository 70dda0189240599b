//! Execute over gRPC: what is judged is what arrives, and the log says so.

use vault_audit::EntryKind;
use vault_client::{SignOrder, get, post};
use vault_tests::reason;

use crate::bed::{BINANCE_KEY, Bed, TRADER, binance_order, execute};

const READER: &str = r#"
name = "reader"
credentials = ["binance-main"]
classes = ["public", "read"]
modes = ["sign", "execute"]
products = ["spot"]

[network]
allow = ["127.0.0.0/8"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_must_not_be_signed_is_executed() {
    let bed = Bed::start(READER).await;
    let bot = bed.bot().await;
    let open_orders =
        || get("https://api.binance.com/api/v3/openOrders?symbol=BTCUSDT").expect("a URL");

    let sign = SignOrder {
        request_id: None,
        credential: "binance-main".to_owned(),
        request: open_orders(),
    };
    assert_eq!(reason(bot.sign(sign).await), "CLASS_NOT_GRANTED");
    let executed = bot.execute(execute("binance-main", open_orders())).await.expect("executed");
    assert_eq!((executed.status, executed.body.as_slice()), (200, b"[]".as_slice()));
    assert!(executed.receipt.is_some());
    assert_eq!(
        reason(bot.execute(execute("binance-main", binance_order("BTCUSDT", "1"))).await),
        "CLASS_NOT_GRANTED"
    );
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_is_what_was_judged() {
    let bed = Bed::start(TRADER).await;
    let bot = bed.bot().await;
    let order = binance_order("BTCUSDT", "0.25");
    let executed = bot.execute(execute("binance-main", order.clone())).await.expect("executed");
    assert_eq!(executed.status, 200, "{}", String::from_utf8_lossy(&executed.body));

    let accepted = bed.mocks.accepted();
    let [arrived] = accepted.as_slice() else { panic!("{accepted:?}") };
    assert_eq!((arrived.method.as_str(), arrived.host.as_str()), ("POST", "api.binance.com"));
    assert_eq!((arrived.path.as_str(), arrived.api_key.as_str()), ("/api/v3/order", BINANCE_KEY));
    let sent = if arrived.query.is_empty() { &arrived.body } else { &arrived.query };
    let rest = sent.strip_prefix(&order.query).expect("what was judged comes first, as it was");
    let names: Vec<&str> = rest
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .filter(|n| !n.is_empty())
        .collect();
    for name in &names {
        assert!(["recvWindow", "timestamp", "signature"].contains(name), "{names:?}");
    }

    let intents = bed.logged(EntryKind::ExecuteIntent, 1).await;
    let outcomes = bed.logged(EntryKind::ExecuteOutcome, 1).await;
    let ([intent], [outcome]) = (intents.as_slice(), outcomes.as_slice()) else {
        panic!("one of each")
    };
    assert_eq!(executed.receipt.map(|receipt| receipt.index), Some(intent.idx));
    assert_eq!(intent.operation.as_deref(), Some("POST /api/v3/order"));
    assert_eq!(outcome.detail["intent"], intent.idx.to_string());
    assert_eq!(outcome.detail["status"], "200");
    let body: serde_json::Value = serde_json::from_slice(&executed.body).expect("JSON");
    assert_eq!(outcome.detail["order_id"], body["orderId"].to_string());
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_twice_under_one_id() {
    let mut bed = Bed::start(TRADER).await;
    let bot = bed.bot().await;
    let mut order = execute("okx-main", vault_tests::okx_order("BTC-USDT", "1"));
    order.request_id = Some("once".to_owned());
    bot.execute(order.clone()).await.expect("executed");
    assert_eq!(reason(bot.execute(order.clone()).await), "OUTCOME_UNKNOWN");
    let mut other = order.clone();
    other.request = vault_tests::okx_order("BTC-USDT", "2");
    assert_eq!(reason(bot.execute(other).await), "REQUEST_ID_REUSED");
    bed.vault.restart().await;
    let bot = bed.bot().await;
    assert_eq!(reason(bot.execute(order).await), "OUTCOME_UNKNOWN");
    assert_eq!(bed.mocks.accepted().len(), 1);
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_of_many_clients_arrive_in_order() {
    let clients: usize = number("COUNTERSIGN_KRAKEN_CLIENTS", 8);
    let each: usize = number("COUNTERSIGN_KRAKEN_EACH", 25);
    let wishes = crate::bed::Wishes {
        delay: Some(std::time::Duration::ZERO..std::time::Duration::from_millis(4)),
        ..Default::default()
    };
    let bed = Bed::with(TRADER, wishes).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let bot = bed.bot().await;
        tasks.spawn(async move {
            for _ in 0..each {
                let balance = post("https://api.kraken.com/0/private/Balance", "").expect("a URL");
                let executed =
                    bot.execute(execute("kraken-main", balance)).await.expect("executed");
                let body = String::from_utf8_lossy(&executed.body).into_owned();
                assert!(executed.status == 200 && body.contains(r#""error":[]"#), "{body}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("every request was answered");
    }
    assert_eq!(bed.mocks.refused(), []);
    assert_eq!(bed.mocks.accepted().len(), clients * each);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_and_a_revocation_stop_executions() {
    let bed = Bed::start(TRADER).await;
    let bot = bed.bot().await;
    let order = || execute("okx-main", vault_tests::okx_order("BTC-USDT", "1"));
    bot.execute(order()).await.expect("executed");

    let admin = bed.vault.admin().await;
    let halt = vault_client::v1::HaltCommand {
        target: "venue:okx".to_owned(),
        level: vault_client::v1::HaltLevel::NoNewRisk.into(),
        reason: "a test".to_owned(),
    };
    admin.halt(halt).await.expect("halted");
    assert_eq!(reason(bot.execute(order()).await), "HALT_NO_NEW_RISK");
    let read = execute("okx-main", vault_tests::okx_balance());
    bot.execute(read).await.expect("reads go on");

    let revoke = vault_client::v1::RevokeClientCommand {
        name: "bot".to_owned(),
        reason: "a test".to_owned(),
    };
    admin.revoke_client(revoke).await.expect("revoked");
    let before = bed.mocks.arrived();
    assert!(bot.execute(order()).await.is_err());
    assert_eq!(bed.mocks.arrived(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_count_executions_through_restarts() {
    let scope = format!("{TRADER}\n[cumulative]\norders = [{{ per = \"1h\", at_most = 2 }}]\n");
    let mut bed = Bed::start(&scope).await;
    let order = || execute("okx-main", vault_tests::okx_order("BTC-USDT", "1"));
    let bot = bed.bot().await;
    bot.execute(order()).await.expect("the first");
    bed.vault.restart().await;
    let bot = bed.bot().await;
    bot.execute(order()).await.expect("the second");
    assert_eq!(reason(bot.execute(order()).await), "ORDER_RATE_REACHED");
    assert_eq!(bed.mocks.accepted().len(), 2);
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
