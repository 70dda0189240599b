//! Kraken under a cap: what an order is worth at the worst price it could fill at, and how much of
//! that there has been today.

use std::time::{Duration, SystemTime};

use vault_client::v1::{
    Cumulative, Feed, ImportInstrumentsCommand, Instrument, Network, NotionalCap, Pricing,
    PutFeedCommand, Quote, Role, Scope, VenueRequest, VenueSymbols,
};
use vault_client::{Client, Operator};

use super::act::{
    connect, enroll, import, invite, invite_as, metadata, put_scope, refusal, request, signed,
    words,
};
use super::binance::Stage;
use super::mismatch::{Mismatch, instead_of};
use super::report::{Done, Report, Stopped};
use super::story::kraken_order_id;
use super::tally::Tally;

/// Names of the credential, of who trades with it, and of who puts prices.
const CAPPED: &str = "kraken-capped";
const TRADER: &str = "demo-capped";
const PRICER: &str = "demo-pricer";

const SYMBOL: &str = "XBTUSD";
const PAIR: &str = "XBT/USD";
const PRICE: &str = "60000";
/// USD in any 24 hours.
const PER_DAY: &str = "2000";

/// Has an order refused for what it could cost, one signed under the cap, and the next one refused.
pub async fn show(stage: &Stage<'_>, report: &mut Report) -> Result<Tally, Stopped> {
    report
        .step("an instrument is approved, and a pricer puts its price", async {
            approve(stage.admin).await?;
            let token = invite_as(stage.admin, PRICER, Role::Pricer, "").await?;
            let pricer = enroll(stage.place, &token, PRICER, stage.enroll_address).await?;
            put_price(&connect(pricer).await?).await?;
            Ok(((), format!("{PAIR} {PRICE}")))
        })
        .await?;
    let trader = report
        .step("a scope caps a day's orders", async {
            import(stage.admin, metadata(CAPPED, "kraken"), stage.venues.kraken_secret()).await?;
            put_scope(stage.admin, scope()).await?;
            let token = invite(stage.admin, TRADER, TRADER).await?;
            let identity = enroll(stage.place, &token, TRADER, stage.enroll_address).await?;
            Ok((connect(identity).await?, format!("{PER_DAY} USD in 24 hours")))
        })
        .await?;
    report
        .step("a sale at 0.01 counts at the market's price", async {
            refused(&trader, order("sell", "0.01", "0.05")?).await
        })
        .await?;
    report
        .step("a Kraken order under the cap is signed, and accepted", async {
            let signed = signed(&trader, CAPPED, order("buy", PRICE, "0.02")?).await?;
            let answer = stage.venues.send(&signed.request).await?;
            let left = signed.limits_left.values().next().map_or("nothing", String::as_str);
            let order_id = kraken_order_id(&answer)?;
            Ok(((), format!("{order_id}, {left} USD left")))
        })
        .await?;
    report
        .step("the next one would pass the cap", async {
            refused(&trader, order("buy", PRICE, "0.02")?).await
        })
        .await?;
    Ok(Tally { signed: 1, denied: 2, ..Tally::default() })
}

async fn approve(admin: &Operator) -> Result<(), Mismatch> {
    let instrument = Instrument {
        venue: "kraken".to_owned(),
        product: "spot".to_owned(),
        symbol: SYMBOL.to_owned(),
        base: "XBT".to_owned(),
        quote: "USD".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: PAIR.to_owned(),
        ..Instrument::default()
    };
    let command = ImportInstrumentsCommand { instruments: vec![instrument] };
    admin.import_instruments(command).await.map_err(instead_of("an instrument"))?;
    let feed = Feed {
        pair: PAIR.to_owned(),
        pricers: words(&[PRICER]),
        max_age: "1h".to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1m".to_owned(),
        anchor: PRICE.to_owned(),
        ..Feed::default()
    };
    let command = PutFeedCommand { feed: Some(feed) };
    admin.put_feed(command).await.map(|_| ()).map_err(instead_of("a feed"))
}

async fn put_price(pricer: &Client) -> Result<(), Mismatch> {
    let quote = Quote { pair: PAIR.to_owned(), price: PRICE.to_owned() };
    let expected = "a price that is taken over";
    let answers = pricer.put_prices(vec![quote]).await.map_err(instead_of(expected))?;
    match answers.iter().find(|answer| !answer.accepted) {
        Some(answer) => Err(Mismatch::new(expected, &answer.reason)),
        None => Ok(()),
    }
}

fn scope() -> Scope {
    let symbols = VenueSymbols { venue: "kraken".to_owned(), symbols: words(&[SYMBOL]) };
    let cap = NotionalCap { per: "24h".to_owned(), at_most: PER_DAY.to_owned() };
    Scope {
        name: TRADER.to_owned(),
        credentials: words(&[CAPPED]),
        classes: words(&["trade"]),
        modes: words(&["sign"]),
        products: words(&["spot"]),
        symbols: vec![symbols],
        network: Some(Network { allow: words(&["127.0.0.0/8"]), ..Network::default() }),
        pricing: Some(Pricing::default()),
        cumulative: Some(Cumulative { notional_usd: vec![cap], ..Cumulative::default() }),
        ..Scope::default()
    }
}

/// It states its end, as orders under a cap must: a signature that stays good could be kept for
/// another day.
fn order(side: &str, price: &str, volume: &str) -> Result<VenueRequest, Mismatch> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = vault_model::Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    let end = now.plus(Duration::from_secs(30)).iso_millis().replace(':', "%3A");
    let terms = format!("ordertype=limit&type={side}&pair={SYMBOL}&price={price}&volume={volume}");
    request("https://api.kraken.com/0/private/AddOrder", &format!("{terms}&deadline={end}"))
}

async fn refused(trader: &Client, request: VenueRequest) -> Done<()> {
    let refusal = refusal(trader, CAPPED, request, "NOTIONAL_CAP_REACHED").await?;
    Ok(((), format!("{}\n{}", refusal.reason, refusal.hint)))
}
