//! `vaultctl price`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Subcommand;
use serde_json::{Value, json};
use vault_client::v1::{
    self, DeleteFeedCommand, ListClientsCommand, ListPricesCommand, PutFeedCommand, Quote, Role,
};
use vault_client::{Client, Operator};
use vault_model::{Money, Name, Pair};
use vault_policy::{Feed, FeedDocument, Span};
use vault_wire::feed_to_wire;

use crate::context::{Context, wrong_role};
use crate::fault::{Exit, Fault, file};
use crate::output::table;
use crate::{confirm, json};

#[derive(Subcommand)]
pub enum Command {
    /// Who may put the price of a pair, and how far it may move
    #[command(subcommand)]
    Feed(FeedCommand),
    /// List the feeds with their prices
    List,
    /// Put prices (with a pricer's identity); each is answered for itself
    #[command(after_help = PUT_HELP)]
    Put {
        /// BASE/QUOTE=PRICE, such as BTC/USD=60000.1
        #[arg(required = true, value_name = "PAIR=PRICE", value_parser = quote)]
        quotes: Vec<(Pair, Money)>,
    },
}

#[derive(Subcommand)]
pub enum FeedCommand {
    /// Delete a feed, and with it its price; asks for a token that the first run prints
    Delete {
        /// Such as BTC/USD
        pair: Pair,
        /// The token that the first run printed
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
    /// The same as vaultctl price list
    List,
    /// Make or replace a feed, from a TOML file or from options
    #[command(after_help = FEED_HELP)]
    Put(Box<FeedArguments>),
}

#[derive(clap::Args)]
pub struct FeedArguments {
    /// A TOML file with the fields below; - for stdin
    #[arg(conflicts_with_all = ["pair", "pricers", "max_age", "max_step", "step_every",
        "agree_within", "anchor"])]
    file: Option<PathBuf>,
    /// What is priced: BTC/USD
    #[arg(long, requires = "max_age", requires = "pricers")]
    pair: Option<Pair>,
    /// Name of a client that may put it; once for each
    #[arg(long = "pricer", value_name = "NAME")]
    pricers: Vec<Name>,
    /// How old a price may be before orders that need it are denied: 10s, 1m ...
    #[arg(long, value_name = "SPAN")]
    max_age: Option<Span>,
    /// How far the price may move within --step-every: 0.02 is 2 %
    #[arg(long, value_name = "FRACTION", requires = "anchor")]
    max_step: Option<Money>,
    /// [default: 1m]
    #[arg(long, value_name = "SPAN")]
    step_every: Option<Span>,
    /// Lets the price move further where two pricers are no further apart: 0.005 is 0.5 %
    #[arg(long, value_name = "FRACTION")]
    agree_within: Option<Money>,
    /// The price to begin from, for --max-step
    #[arg(long, value_name = "PRICE", requires = "max_step")]
    anchor: Option<Money>,
}

const FEED_HINT: &str = "for one pricer: --pair BTC/USD --pricer NAME --max-age 10s --max-step 0.02 \
                         --anchor 60000; for two that must agree: --agree-within 0.005";

const PUT_HELP: &str = "\
The exit code is 3 if the vault refused one of them; the reason stands beside it. What was refused
leaves the price as it was, until that is too old.";

const FEED_HELP: &str = "\
A feed as a file:

  pair = \"BTC/USD\"
  pricers = [\"pricer-1\", \"pricer-2\"]
  max_age = \"10s\"
  max_step = \"0.02\"
  step_every = \"1m\"
  agree_within = \"0.005\"
  anchor = \"60000\"

Leave max_step and anchor out, and every price needs two pricers that agree; leave agree_within out,
and a step that is too large is refused until the feed is put again with another anchor.
Putting a feed again takes its price away until a pricer puts the next one.";

pub async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Feed(FeedCommand::Delete { pair, confirm }) => {
            delete_feed(context, &pair, confirm).await?;
        }
        Command::Feed(FeedCommand::Put(arguments)) => put_feed(context, *arguments).await?,
        Command::List | Command::Feed(FeedCommand::List) => list(context).await?,
        Command::Put { quotes } => return put(context, quotes).await,
    }
    Ok(Exit::Ok)
}

async fn put(context: &Context, quotes: Vec<(Pair, Money)>) -> Result<Exit, Fault> {
    let mut identity = context.identity()?;
    if identity.role() != Role::Pricer {
        return Err(wrong_role(&identity, "only a pricer may put prices"));
    }
    // Before, since this process may end before the client has renewed by itself.
    if identity.needs_renewal(SystemTime::now()) {
        match identity.renew().await {
            Ok(renewed) => identity = renewed,
            Err(error) => {
                context.output.talk(&format!("vaultctl: certificate not renewed: {error}"));
            }
        }
    }
    let quotes: Vec<Quote> = quotes
        .into_iter()
        .map(|(pair, price)| Quote { pair: pair.to_string(), price: price.to_string() })
        .collect();
    let answers = Client::connect(identity).await?.put_prices(quotes.clone()).await?;
    let both = || quotes.iter().zip(&answers);
    let values: Vec<Value> = both()
        .map(|(quote, answer)| {
            json!({
                "pair": quote.pair,
                "price": quote.price,
                "accepted": answer.accepted,
                "reason": answer.reason,
                "hint": answer.hint,
            })
        })
        .collect();
    context.output.show(&json!({ "answers": values }), || {
        let rows: Vec<Vec<String>> = both()
            .map(|(quote, answer)| {
                let word = if answer.accepted { "accepted" } else { &answer.reason };
                [&quote.pair, &quote.price, word, &answer.hint].map(str::to_owned).to_vec()
            })
            .collect();
        table(&["PAIR", "PRICE", "ANSWER", "HINT"], &rows)
    })?;
    let all_accepted = answers.iter().all(|answer| answer.accepted);
    Ok(if all_accepted { Exit::Ok } else { Exit::Denied })
}

async fn list(context: &Context) -> Result<(), Fault> {
    let feeds = context.operator().await?.list_prices(ListPricesCommand::default()).await?.feeds;
    let values: Vec<Value> = feeds.iter().map(info).collect();
    context.output.show(&json!({ "feeds": values }), || {
        if feeds.is_empty() {
            return "there are no feeds: vaultctl price feed put".to_owned();
        }
        let rows: Vec<Vec<String>> = feeds.iter().map(row).collect();
        table(
            &["PAIR", "PRICE", "AGE", "MAX AGE", "MOVES", "PRICERS", "ACCEPTED", "REFUSED"],
            &rows,
        )
    })
}

fn row(info: &v1::FeedInfo) -> Vec<String> {
    let feed = info.feed.clone().unwrap_or_default();
    let price = match (info.price.is_empty(), info.age_ms) {
        (false, _) => info.price.clone(),
        (true, Some(_)) => "stale".to_owned(),
        (true, None) => String::new(),
    };
    let age = info.age_ms.map(|millis| format!("{}.{}s", millis / 1_000, millis % 1_000 / 100));
    vec![
        feed.pair.clone(),
        price,
        age.unwrap_or_default(),
        feed.max_age.clone(),
        moves(&feed),
        feed.pricers.join(" "),
        info.accepted.to_string(),
        info.refused.to_string(),
    ]
}

/// How far a price may move, for people.
fn moves(feed: &v1::Feed) -> String {
    let mut parts = Vec::new();
    if !feed.max_step.is_empty() {
        parts.push(format!("{} in {}", feed.max_step, feed.step_every));
    }
    if !feed.agree_within.is_empty() {
        parts.push(format!("two within {}", feed.agree_within));
    }
    parts.join(", else ")
}

fn info(info: &v1::FeedInfo) -> Value {
    let feed = info.feed.clone().unwrap_or_default();
    json!({
        "feed": {
            "pair": feed.pair,
            "pricers": feed.pricers,
            "max_age": feed.max_age,
            "max_step": feed.max_step,
            "step_every": feed.step_every,
            "agree_within": feed.agree_within,
            "anchor": feed.anchor,
        },
        "price": info.price,
        "age_ms": info.age_ms,
        "accepted": info.accepted,
        "refused": info.refused,
    })
}

async fn put_feed(context: &Context, arguments: FeedArguments) -> Result<(), Fault> {
    let document = arguments.into_document()?;
    let feed = Feed::new(document)
        .map_err(|error| Fault::usage(error.to_string()).with_hint(FEED_HINT))?;
    let operator = context.operator().await?;
    warn_of_strangers(context, &operator, &feed.pricers).await?;
    let pair = feed.pair.to_string();
    let command = PutFeedCommand { feed: Some(feed_to_wire(&feed)) };
    let answer = operator.put_feed(command).await?;
    let value = json!({ "pair": pair, "change": json::change(answer.change.as_ref()) });
    context
        .output
        .show(&value, || format!("{pair} is a feed; it has no price until a pricer puts one"))
}

/// A name without a pricer behind it is allowed: he may be invited later. He may be a typing error,
/// too.
async fn warn_of_strangers(
    context: &Context,
    operator: &Operator,
    pricers: &BTreeSet<Name>,
) -> Result<(), Fault> {
    let clients = operator.list_clients(ListClientsCommand::default()).await?.clients;
    for name in pricers {
        let client = clients.iter().find(|client| client.name == name.as_str());
        let word = match client {
            None => "no client yet",
            Some(client) if client.role() != Role::Pricer => "no pricer",
            Some(client) if client.state != "active" => "not active",
            Some(_) => continue,
        };
        context.output.talk(&format!("vaultctl: {name} is {word}"));
    }
    Ok(())
}

async fn delete_feed(context: &Context, pair: &Pair, given: Option<String>) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let feeds = operator.list_prices(ListPricesCommand::default()).await?.feeds;
    let text = pair.to_string();
    let feed = feeds.into_iter().filter_map(|info| info.feed).find(|feed| feed.pair == text);
    let state = feed.ok_or_else(|| {
        Fault::new(Exit::NotFound, format!("there is no feed {pair}"))
            .with_hint("vaultctl price list shows those that there are")
    })?;
    let act = format!("delete feed {pair}");
    let state = format!("{state:?}");
    confirm::require(operator.identity().instance_id(), &act, &[&state], given.as_deref())?;
    let answer = operator.delete_feed(DeleteFeedCommand { pair: text }).await?;
    let value = json!({ "change": json::change(answer.change.as_ref()) });
    context.output.show(&value, || format!("{pair} has no feed any more"))
}

impl FeedArguments {
    fn into_document(self) -> Result<FeedDocument, Fault> {
        if let Some(path) = &self.file {
            let text = if path.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
                    .map_err(|error| Fault::other(format!("stdin: {error}")))?
            } else {
                std::fs::read_to_string(path).map_err(file(path))?
            };
            return FeedDocument::from_toml(&text).map_err(|error| {
                let message = format!("{}: {error}", path.display());
                Fault::usage(message.trim_end()).with_hint(
                    "decimals and spans stand in quotes; vaultctl price feed put --help shows one",
                )
            });
        }
        let (Some(pair), Some(max_age)) = (self.pair, self.max_age) else {
            return Err(Fault::usage("a feed is a file, or --pair, --pricer and --max-age")
                .with_hint(FEED_HINT));
        };
        Ok(FeedDocument {
            agree_within: self.agree_within,
            anchor: self.anchor,
            max_age,
            max_step: self.max_step,
            pair,
            pricers: self.pricers.into_iter().collect(),
            step_every: self.step_every.unwrap_or_else(FeedDocument::step_every_unstated),
        })
    }
}

/// Reads `BTC/USD=60000.1`.
fn quote(text: &str) -> Result<(Pair, Money), String> {
    let (pair, price) = text.split_once('=').ok_or("expected PAIR=PRICE: BTC/USD=60000.1")?;
    let pair: Pair = pair.parse().map_err(|error| format!("{error}"))?;
    let price: Money = price.parse().map_err(|error| format!("{error}"))?;
    if price > Money::ZERO { Ok((pair, price)) } else { Err("a price is above 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use vault_client::v1;

    use super::{moves, quote, row};

    #[test]
    fn quotes_are_pairs_and_prices() {
        let (pair, price) = quote("BTC/USD=60000.10").expect("a quote");
        assert_eq!((pair.to_string(), price.to_string()), ("BTC/USD".into(), "60000.1".into()));
        for text in ["", "BTC/USD", "BTC/USD=", "BTC/USD=0", "BTC/USD=-1", "BTC=1", "BTC/USD=1e3"] {
            assert!(quote(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_price_that_is_too_old_is_shown_as_such() {
        let feed = v1::Feed {
            pair: "BTC/USD".to_owned(),
            max_step: "0.02".to_owned(),
            step_every: "1m".to_owned(),
            agree_within: "0.005".to_owned(),
            ..Default::default()
        };
        assert_eq!(moves(&feed), "0.02 in 1m, else two within 0.005");
        let info = v1::FeedInfo { feed: Some(feed), age_ms: Some(12_345), ..Default::default() };
        assert_eq!(row(&info)[1..3], ["stale".to_owned(), "12.3s".to_owned()]);
        let info = v1::FeedInfo { price: "60000".to_owned(), ..info };
        assert_eq!(row(&info)[1], "60000");
        assert_eq!(row(&v1::FeedInfo::default())[1..3], [String::new(), String::new()]);
    }
}
