//! `vaultctl price` and `vaultctl instrument`.

use std::fs;

use vault_client::v1::{self, Role};

use crate::fake::Fake;
use crate::vaultctl::{Home, code, json, stderr, stdout};

const OKX: &str = r#"{"code":"0","msg":"","data":[
{"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001","state":"live","ctVal":"","ctMult":"","ctValCcy":"","settleCcy":"","uly":"","instFamily":"","ctType":""},
{"instType":"SPOT","instId":"ETH-USDT","baseCcy":"ETH","quoteCcy":"USDT","tickSz":"0.01","lotSz":"0.000001","minSz":"0.0001","state":"suspend","ctVal":"","ctMult":"","ctValCcy":"","settleCcy":"","uly":"","instFamily":"","ctType":""},
{"instType":"SWAP","instId":"BTC-USDT-SWAP","baseCcy":"","quoteCcy":"","tickSz":"0.1","lotSz":"0.1","minSz":"0.1","state":"live","ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","settleCcy":"USDT","uly":"BTC-USDT","instFamily":"BTC-USDT","ctType":"linear"}]}"#;

async fn admin(fake: &Fake) -> Home {
    let home = Home::enrolled(fake, "alice", Role::Admin).await;
    fs::write(home.path("okx.json"), OKX).expect("a file");
    home
}

/// The token that a first run asks to be given back.
fn token(text: &str) -> &str {
    let (_, rest) = text.rsplit_once("--confirm ").expect("a hint");
    &rest[..8]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_shown_and_then_imported() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    let import = ["instrument", "import", "--venue", "okx", "--all", "okx.json"];

    let asked = home.run(&import).await;
    assert_eq!((code(&asked), stdout(&asked).as_str()), (1, ""), "{}", stderr(&asked));
    let talk = stderr(&asked);
    for part in [
        "okx.json: left out: ETH-USDT (not in trade)",
        "added  linear   BTC-USDT-SWAP  BTC   USDT   0.01  base  BTC/USDT   0.1   0.1",
        "import 2 instruments of okx: look at what it changes",
    ] {
        assert!(talk.contains(part), "{part}: {talk}");
    }
    assert!(fake.state().instruments.is_empty());

    // As JSON, what would change is data; the token is the same.
    let asked = home.run(&[&import[..], &["--json"]].concat()).await;
    let value = json(&stdout(&asked));
    assert_eq!(value["added"].as_array().map(Vec::len), Some(2));
    assert_eq!(value["skipped"][0]["symbol"], "ETH-USDT");
    assert_eq!((&value["partial"], &value["change"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(token(&stderr(&asked)), token(&talk));

    let wrong = home.run(&[&import[..], &["--confirm", "00000000"]].concat()).await;
    assert_eq!(code(&wrong), 2);
    let done = home.run(&[&import[..], &["--confirm", token(&talk)]].concat()).await;
    assert_eq!(stdout(&done), "2 added, 0 changed in okx\n", "{}", stderr(&done));
    let again = home.run(&import).await;
    assert_eq!(stdout(&again), "nothing to do: 2 are there as they are\n");

    // The old token is not good for another listing.
    fs::write(home.path("okx.json"), OKX.replace("\"0.01\",\"ctMult\"", "\"0.1\",\"ctMult\""))
        .expect("a file");
    let asked = home.run(&[&import[..], &["--confirm", token(&talk)]].concat()).await;
    assert_eq!(code(&asked), 2);
    assert!(stderr(&asked).contains("0.01 -> 0.1"), "{}", stderr(&asked));
    assert_eq!(fake.state().instruments[0].contract_size, "0.01");
    let done = home.run(&[&import[..], &["--yes"]].concat()).await;
    assert_eq!(stdout(&done), "0 added, 1 changed in okx\n", "{}", stderr(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_may_come_from_stdin() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    let import = ["instrument", "import", "--venue", "okx", "--symbols", "BTC-USDT", "-", "--yes"];
    let output = home.run_with(&import, OKX).await;
    assert_eq!(stdout(&output), "1 added, 0 changed in okx\n", "{}", stderr(&output));
    let output = home.run_with(&[&import[..], &["-"]].concat(), OKX).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_are_chosen_by_name_or_by_scope() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    let import = |which: &[&'static str]| {
        [&["instrument", "import", "--venue", "okx", "okx.json"], which].concat()
    };

    let output = home.run(&import(&["--symbols", "btc_usdt,ETH-USDT,FOO"])).await;
    assert_eq!(code(&output), 4);
    let expected =
        "does not have ETH-USDT (not in trade), FOO, btc_usdt (but BTC-USDT)\nhint: symbols are";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));

    let okx = |symbols: &[&str]| v1::Scope {
        name: "mm".to_owned(),
        symbols: vec![v1::VenueSymbols {
            venue: "okx".to_owned(),
            symbols: symbols.iter().map(ToString::to_string).collect(),
        }],
        ..Default::default()
    };
    fake.state().scopes.insert("mm".to_owned(), okx(&["*"]));
    let output = home.run(&import(&["--scope", "mm", "--yes"])).await;
    assert!(code(&output) == 2 && stderr(&output).contains("--all"), "{}", stderr(&output));
    fake.state().scopes.insert("mm".to_owned(), okx(&["BTC-USDT"]));
    let output = home.run(&import(&["--scope", "mm", "--yes"])).await;
    assert_eq!(stdout(&output), "1 added, 0 changed in okx\n", "{}", stderr(&output));
    let output = home.run(&import(&["--scope", "other"])).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));

    // None of the three, or two.
    assert_eq!(code(&home.run(&import(&[])).await), 2);
    assert_eq!(code(&home.run(&import(&["--all", "--scope", "mm"])).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_listing_is_said_with_what_to_do() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    fs::write(home.path("page.html"), "<html>").expect("a file");
    for (venue, path, expected) in [
        ("okex", "okx.json", "known: binance, bybit, coinbase, kraken, okx"),
        ("binance", "okx.json", "it looks like one of okx"),
        ("okx", "page.html", "vaultctl instrument import --help"),
        ("okx", "nowhere.json", "nowhere.json: "),
    ] {
        let output =
            home.run(&["instrument", "import", "--venue", venue, "--all", path, "--yes"]).await;
        assert_ne!(code(&output), 0, "{venue} {path}");
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
    }
    assert!(fake.state().last::<v1::ImportInstrumentsCommand>(IMPORT).is_none());
}

const IMPORT: &str = "vault.v1.InstrumentService/Import";

#[tokio::test(flavor = "multi_thread")]
async fn instruments_are_listed_and_deleted() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    home.run(&["instrument", "import", "--venue", "okx", "--all", "okx.json", "--yes"]).await;

    let output = home.run(&["instrument", "list", "--venue", "okx"]).await;
    let text = stdout(&output);
    assert!(text.starts_with("VENUE  PRODUCT  SYMBOL") && text.lines().count() == 3, "{text}");
    let output = home.run(&["instrument", "list", "--venue", "okx", "--json"]).await;
    assert_eq!(json(&stdout(&output))["instruments"][0]["size_unit"], "base");
    let output = home.run(&["instrument", "list", "--venue", "bybit"]).await;
    assert_eq!(stdout(&output), "there are none: vaultctl instrument import\n");
    assert_eq!(code(&home.run(&["instrument", "list", "--venue", "okex"]).await), 4);

    let delete = ["instrument", "delete", "--venue", "okx", "--product", "linear"];
    let output = home.run(&[&delete[..], &["BTC-USDT"]].concat()).await;
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let delete = [&delete[..], &["BTC-USDT-SWAP"]].concat();
    let asked = home.run(&delete).await;
    assert_eq!(code(&asked), 1);
    let done = home.run(&[&delete[..], &["--confirm", token(&stderr(&asked))]].concat()).await;
    assert_eq!(stdout(&done), "1 instrument deleted\n", "{}", stderr(&done));
    let left: Vec<String> = fake.state().instruments.iter().map(|one| one.symbol.clone()).collect();
    assert_eq!(left, ["BTC-USDT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_put_from_options_or_from_a_file() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    let pricer = v1::ClientInfo {
        name: "p1".to_owned(),
        role: Role::Pricer.into(),
        state: "active".to_owned(),
        ..Default::default()
    };
    fake.state().clients = vec![pricer];
    let put = ["price", "feed", "put"];
    let options = ["--pair", "BTC/USD", "--pricer", "p1", "--pricer", "p2", "--max-age", "10s"];
    let steps = ["--max-step", "0.020", "--anchor", "60000"];

    let output = home.run(&[&put[..], &options, &steps].concat()).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // A typing error in a pricer's name shows.
    assert_eq!(stderr(&output), "vaultctl: p2 is no client yet\n");
    let command: v1::PutFeedCommand =
        fake.state().last("vault.v1.PriceService/PutFeed").expect("a command");
    let from_options = command.feed.expect("a feed");
    assert_eq!((from_options.max_step.as_str(), from_options.step_every.as_str()), ("0.02", "1m"));

    let file = "pair = \"BTC/USD\"\npricers = [\"p1\", \"p2\"]\nmax_age = \"10s\"\n\
                max_step = \"0.02\"\nanchor = \"60000\"\n";
    fs::write(home.path("btc.toml"), file).expect("a file");
    let output = home.run(&["price", "feed", "put", "btc.toml", "--json"]).await;
    assert_eq!(json(&stdout(&output))["pair"], "BTC/USD", "{}", stderr(&output));
    let command: v1::PutFeedCommand =
        fake.state().last("vault.v1.PriceService/PutFeed").expect("a command");
    assert_eq!(command.feed, Some(from_options));

    // Mistakes say what a feed is.
    fs::write(home.path("bad.toml"), file.replace("\"0.02\"", "0.02")).expect("a file");
    for (wrong, expected) in [
        (&["bad.toml"][..], "decimals and spans stand in quotes"),
        (&[], "hint: for one pricer: --pair"),
        (&options[..], "hint: for one pricer: --pair"),
        (&["btc.toml", "--pair", "BTC/USD"], "cannot be used with"),
    ] {
        let output = home.run(&[&put[..], wrong].concat()).await;
        assert_eq!(code(&output), 2, "{wrong:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_listed_and_deleted() {
    let fake = Fake::start().await;
    let home = admin(&fake).await;
    let output = home.run(&["price", "list"]).await;
    assert_eq!(stdout(&output), "there are no feeds: vaultctl price feed put\n");
    let feed = v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["p1".to_owned()],
        max_age: "10s".to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1m".to_owned(),
        anchor: "60000".to_owned(),
        ..Default::default()
    };
    let info = v1::FeedInfo {
        feed: Some(feed),
        age_ms: Some(11_000),
        accepted: 4,
        refused: 1,
        ..Default::default()
    };
    fake.state().feeds = vec![info];

    for list in [&["price", "list"][..], &["price", "feed", "list"]] {
        let output = home.run(list).await;
        assert_eq!(
            stdout(&output),
            "PAIR     PRICE  AGE    MAX AGE  MOVES       PRICERS  ACCEPTED  REFUSED\n\
             BTC/USD  stale  11.0s  10s      0.02 in 1m  p1       4         1\n"
        );
    }
    let output = home.run(&["price", "list", "--json"]).await;
    let value = json(&stdout(&output));
    assert_eq!(
        (&value["feeds"][0]["price"], &value["feeds"][0]["age_ms"]),
        (&"".into(), &11_000.into())
    );

    let delete = ["price", "feed", "delete", "BTC/USD"];
    assert_eq!(code(&home.run(&["price", "feed", "delete", "ETH/USD"]).await), 4);
    let asked = home.run(&delete).await;
    assert_eq!((code(&asked), fake.state().feeds.len()), (1, 1));
    let done = home.run(&[&delete[..], &["--confirm", token(&stderr(&asked))]].concat()).await;
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(fake.state().feeds.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_put_by_pricers_and_answered_one_by_one() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "p1", Role::Pricer).await;
    let feed = v1::Feed { pair: "BTC/USD".to_owned(), ..Default::default() };
    fake.state().feeds = vec![v1::FeedInfo { feed: Some(feed), ..Default::default() }];

    let output = home.run(&["price", "put", "BTC/USD=60000.10"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "PAIR     PRICE    ANSWER    HINT\nBTC/USD  60000.1  accepted  -\n"
    );
    let output = home.run(&["price", "put", "BTC/USD=60001", "ETH/USD=3000", "--json"]).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let value = json(&stdout(&output));
    assert_eq!(value["answers"][0]["accepted"], true);
    assert_eq!(value["answers"][1]["reason"], "FEED_UNKNOWN");
    for wrong in ["BTC/USD", "BTC-USD=1", "BTC/USD=60.000,5", "BTC/USD=0"] {
        assert_eq!(code(&home.run(&["price", "put", wrong]).await), 2, "{wrong}");
    }

    // Others may not, and are told whom to be.
    let admin = admin(&fake).await;
    let output = admin.run(&["price", "put", "BTC/USD=60000"]).await;
    assert_eq!(code(&output), 3);
    assert_eq!(
        stderr(&output),
        "vaultctl: error: alice is an admin; only a pricer may put prices\n\
         hint: choose another identity with --profile; vaultctl config lists them\n"
    );
}
