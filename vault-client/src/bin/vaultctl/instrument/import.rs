//! `vaultctl instrument import`: what a venue's listing would change, and the change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vault_client::Operator;
use vault_client::v1::{self, GetScopeCommand, ImportInstrumentsCommand};
use vault_model::{Instrument, Name, Product};
use vault_venue::listing::{self, Listing};
use vault_wire::instrument_to_wire;

use super::{HEAD, cells, counted, known, list_of, value};
use crate::context::Context;
use crate::fault::{Exit, Fault, file};
use crate::output::table;
use crate::{confirm, json};

#[derive(clap::Args)]
pub struct Arguments {
    /// Files with the listing as the venue answered it, one for each page or product; - for stdin
    #[arg(required = true, value_name = "LISTING.json")]
    listings: Vec<PathBuf>,
    #[arg(long)]
    venue: Name,
    /// This product of the listing alone
    #[arg(long)]
    product: Option<Product>,
    #[command(flatten)]
    which: Which,
    /// Does not ask
    #[arg(long, conflicts_with = "confirm")]
    yes: bool,
    /// The token that the first run printed
    #[arg(long, value_name = "TOKEN")]
    confirm: Option<String>,
}

/// Which of the listing.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// These symbols
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    symbols: Vec<String>,
    /// The symbols that this scope names
    #[arg(long, value_name = "NAME")]
    scope: Option<Name>,
    /// All of it
    #[arg(long)]
    all: bool,
}

pub const HELP: &str = "\
Fetch the listing yourself, from the venue and over TLS; the vault asks nobody. Each answer is one file:

  binance   https://api.binance.com/api/v3/exchangeInfo        spot and margin
            https://fapi.binance.com/fapi/v1/exchangeInfo      USD-M: linear
            https://dapi.binance.com/dapi/v1/exchangeInfo      COIN-M: inverse
            https://eapi.binance.com/eapi/v1/exchangeInfo      options
  bybit     https://api.bybit.com/v5/market/instruments-info?category=spot
            category=linear, inverse, option; with limit=1000, and cursor= for further pages
  coinbase  https://api.coinbase.com/api/v3/brokerage/market/products
  kraken    https://api.kraken.com/0/public/AssetPairs
  okx       https://www.okx.com/api/v5/public/instruments?instType=SPOT
            instType=SWAP, FUTURES; OPTION with instFamily=BTC-USD

For example:

  curl -fsS 'https://www.okx.com/api/v5/public/instruments?instType=SWAP' > okx-swap.json
  vaultctl instrument import --venue okx --symbols BTC-USDT-SWAP okx-swap.json

At most 2000 at once, all or none. Orders in what is traded on margin use the spot instrument.";

/// What an import would do.
#[derive(Debug, Default)]
struct Difference {
    added: Vec<v1::Instrument>,
    /// Old and new.
    changed: Vec<(v1::Instrument, v1::Instrument)>,
    same: Vec<v1::Instrument>,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<(), Fault> {
    let Arguments { listings, venue, product, which, yes, confirm } = arguments;
    known(&venue)?;
    if listings.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Fault::usage("only one listing can come from stdin"));
    }
    let mut listed = Listing::default();
    for path in &listings {
        let Listing { instruments, skipped, is_partial } = read(context, &venue, product, path)?;
        listed.instruments.extend(instruments);
        listed.skipped.extend(skipped);
        listed.is_partial |= is_partial;
    }
    let operator = context.operator().await?;
    let wanted = which.symbols(&operator, &venue).await?;
    let chosen = choose(listed.instruments, &listed.skipped, wanted.as_ref())?;
    let known = list_of(&operator, venue.as_str()).await?;
    let difference = Difference::new(known, chosen);

    let count = difference.added.len() + difference.changed.len();
    let mut value = difference.value();
    let state = value.to_string();
    value["skipped"] = listed
        .skipped
        .iter()
        .map(|(symbol, reason)| json!({ "symbol": symbol, "reason": reason }))
        .collect();
    value["partial"] = json!(listed.is_partial);
    if count == 0 {
        let same = difference.same.len();
        return context
            .output
            .show(&value, || format!("nothing to do: {same} are there as they are"));
    }
    if count > IMPORT_MAX {
        let message = format!("{count} instruments would change; {IMPORT_MAX} can at once");
        return Err(Fault::usage(message).with_hint("choose with --symbols, --scope or --product"));
    }
    if !context.output.is_json() {
        context.output.talk(&difference.table());
    }
    if !yes {
        let act = format!("import {} of {venue}", counted(count));
        let asked =
            confirm::look(operator.identity().instance_id(), &act, &[&state], confirm.as_deref());
        if asked.is_err() && context.output.is_json() {
            context.output.show(&value, String::new)?;
        }
        asked?;
    }
    let new = difference.changed.into_iter().map(|(_, new)| new);
    let instruments = difference.added.into_iter().chain(new).collect();
    let answer = operator.import_instruments(ImportInstrumentsCommand { instruments }).await?;
    value["change"] = json::change(answer.change.as_ref());
    context
        .output
        .show(&value, || format!("{} added, {} changed in {venue}", answer.added, answer.changed))
}

/// One file of a listing. The one place that knows how they are read.
fn read(
    context: &Context,
    venue: &Name,
    product: Option<Product>,
    path: &Path,
) -> Result<Listing, Fault> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| Fault::other(format!("stdin: {error}")))?;
        bytes
    } else {
        std::fs::read(path).map_err(file(path))?
    };
    let listing = listing::parse(venue.as_str(), product, &bytes).map_err(|error| {
        Fault::other(format!("{}: {error}", path.display()))
            .with_hint("vaultctl instrument import --help says what to fetch from which venue")
    })?;
    if !listing.skipped.is_empty() {
        context.output.talk(&format!("{}: {}", path.display(), skipped_words(&listing.skipped)));
    }
    if listing.is_partial {
        let path = path.display();
        context.output.talk(&format!("{path}: the venue has more pages than this one"));
    }
    Ok(listing)
}

/// Why entries were left out: so many for each reason.
fn skipped_words(skipped: &[(String, &'static str)]) -> String {
    let mut reasons: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (symbol, reason) in skipped {
        reasons.entry(reason).or_insert((0, symbol)).0 += 1;
    }
    let parts: Vec<String> = reasons
        .iter()
        .map(|(reason, (count, first))| match count {
            1 => format!("{first} ({reason})"),
            _ => format!("{first} and {} more ({reason})", count - 1),
        })
        .collect();
    format!("left out: {}", parts.join("; "))
}

impl Which {
    /// The symbols; `None` for all.
    async fn symbols(
        self,
        operator: &Operator,
        venue: &Name,
    ) -> Result<Option<BTreeSet<String>>, Fault> {
        if self.all {
            return Ok(None);
        }
        let Some(scope) = self.scope else {
            return Ok(Some(self.symbols.into_iter().collect()));
        };
        let answer = operator.scope(GetScopeCommand { name: scope.to_string() }).await?;
        let document = answer.scope.and_then(|info| info.scope).unwrap_or_default();
        let of_venue = document.symbols.into_iter().find(|entry| entry.venue == venue.as_str());
        match of_venue.map(|entry| entry.symbols) {
            Some(symbols) if symbols.iter().any(|symbol| symbol == "*") => {
                Err(Fault::usage(format!("scope {scope} grants every symbol of {venue}"))
                    .with_hint("if all of the listing is meant: --all"))
            }
            Some(symbols) => Ok(Some(symbols.into_iter().collect())),
            None => Err(Fault::usage(format!("scope {scope} names no symbols of {venue}"))),
        }
    }
}

/// Those that are wanted, by product and symbol; every wanted symbol must be there.
fn choose(
    listed: Vec<Instrument>,
    skipped: &[(String, &'static str)],
    wanted: Option<&BTreeSet<String>>,
) -> Result<Vec<v1::Instrument>, Fault> {
    let mut chosen = BTreeMap::new();
    let missing = missing(&listed, skipped, wanted);
    for instrument in listed {
        if wanted.is_some_and(|wanted| !wanted.contains(&instrument.symbol)) {
            continue;
        }
        let key = (instrument.product, instrument.symbol.clone());
        let message = instrument_to_wire(&instrument);
        if chosen.insert(key, message.clone()).is_some_and(|other| other != message) {
            let symbol = message.symbol;
            return Err(Fault::other(format!("the listings do not agree about {symbol}")));
        }
    }
    if !missing.is_empty() {
        let message = format!("the listing does not have {}", missing.join(", "));
        return Err(Fault::new(Exit::NotFound, message)
            .with_hint("symbols are written exactly as the venue writes them"));
    }
    Ok(chosen.into_values().collect())
}

/// What is wanted and not listed, with what may explain it.
fn missing(
    listed: &[Instrument],
    skipped: &[(String, &'static str)],
    wanted: Option<&BTreeSet<String>>,
) -> Vec<String> {
    let letters = |symbol: &str| {
        let plain = symbol.chars().filter(char::is_ascii_alphanumeric);
        plain.map(|c| c.to_ascii_uppercase()).collect::<String>()
    };
    let missing = wanted.into_iter().flatten();
    missing
        .filter(|symbol| !listed.iter().any(|one| one.symbol == **symbol))
        .map(|symbol| {
            if let Some((_, reason)) = skipped.iter().find(|(skipped, _)| skipped == symbol) {
                return format!("{symbol} ({reason})");
            }
            let alike = listed.iter().find(|one| letters(&one.symbol) == letters(symbol));
            match alike {
                Some(alike) => format!("{symbol} (but {})", alike.symbol),
                None => symbol.clone(),
            }
        })
        .collect()
}

impl Difference {
    fn new(known: Vec<v1::Instrument>, chosen: Vec<v1::Instrument>) -> Self {
        let known: BTreeMap<_, _> =
            known.into_iter().map(|one| ((one.product.clone(), one.symbol.clone()), one)).collect();
        let mut difference = Self::default();
        for new in chosen {
            match known.get(&(new.product.clone(), new.symbol.clone())) {
                Some(old) if *old == new => difference.same.push(new),
                Some(old) => difference.changed.push((old.clone(), new)),
                None => difference.added.push(new),
            }
        }
        difference
    }

    fn value(&self) -> Value {
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|(old, new)| json!({ "old": value(old), "new": value(new) }))
            .collect();
        json!({
            "added": self.added.iter().map(value).collect::<Vec<_>>(),
            "changed": changed,
            "same": self.same.len(),
            "change": null,
        })
    }

    fn table(&self) -> String {
        let added = self.added.iter().map(|new| cells("added", None, new));
        let changed = self.changed.iter().map(|(old, new)| cells("changed", Some(old), new));
        let mut rows: Vec<Vec<String>> = changed.chain(added).collect();
        let more = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        let mut text = table(&HEAD, &rows);
        if more > 0 {
            text += &format!("and {more} more (--json shows all)\n");
        }
        text + &format!("{} are there as they are", self.same.len())
    }
}

/// What the vault takes at once.
const IMPORT_MAX: usize = 2_000;
/// More rows than people read.
const ROWS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vault_client::v1;
    use vault_model::{Instrument, Product};

    use super::{Difference, cells, choose, skipped_words};

    fn listed(symbol: &str, product: Product, contract_size: &str) -> Instrument {
        let value = serde_json::json!({
            "base": "BTC", "contract_size": contract_size, "product": product, "quote": "USDT",
            "reference": "BTC/USDT", "size_unit": "base", "symbol": symbol, "venue": "okx",
        });
        serde_json::from_value(value).expect("an instrument")
    }

    fn wanted(symbols: &[&str]) -> BTreeSet<String> {
        symbols.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn chooses_what_is_wanted_and_misses_what_is_not_there() {
        let all = || {
            vec![
                listed("A", Product::Spot, "1"),
                listed("B", Product::Spot, "1"),
                listed("A", Product::Linear, "1"),
            ]
        };
        assert_eq!(choose(all(), &[], None).expect("all").len(), 3);
        let chosen = choose(all(), &[], Some(&wanted(&["A"]))).expect("both products");
        assert!(chosen.iter().all(|one| one.symbol == "A") && chosen.len() == 2);
        let skipped = [("C".to_owned(), "not in trade")];
        let missing = wanted(&["A", "-b", "C", "D"]);
        let error = choose(all(), &skipped, Some(&missing)).expect_err("some are missing");
        assert_eq!(error.message, "the listing does not have -b (but B), C (not in trade), D");

        let twice = || vec![listed("A", Product::Spot, "1"), listed("A", Product::Spot, "1")];
        assert_eq!(choose(twice(), &[], None).expect("the same").len(), 1);
        let apart = vec![listed("A", Product::Spot, "1"), listed("A", Product::Spot, "2")];
        assert!(choose(apart, &[], None).is_err());
    }

    #[test]
    fn what_changes_is_shown_as_old_and_new() {
        let new = choose(
            vec![
                listed("A", Product::Spot, "1"),
                listed("B", Product::Spot, "10"),
                listed("C", Product::Spot, "1"),
            ],
            &[],
            None,
        )
        .expect("all");
        let mut known = new.clone();
        known[1].contract_size = "1".to_owned();
        known[1].price_tick = "0.1".to_owned();
        known.remove(0);
        // Not in the listing: an import deletes nothing.
        known.push(v1::Instrument { symbol: "D".to_owned(), ..known[0].clone() });
        let difference = Difference::new(known, new);
        let symbols = |list: &[v1::Instrument]| -> Vec<String> {
            list.iter().map(|one| one.symbol.clone()).collect()
        };
        assert_eq!(symbols(&difference.added), ["A"]);
        assert_eq!(symbols(&difference.same), ["C"]);
        let (old, new) = &difference.changed[0];
        let row = cells("changed", Some(old), new);
        assert_eq!((row[5].as_str(), row[8].as_str()), ("1 -> 10", "0.1 -> -"));
        assert_eq!((row[1].as_str(), row[2].as_str()), ("spot", "B"));
        let text = difference.table();
        assert!(text.contains("1 -> 10") && text.ends_with("1 are there as they are"), "{text}");
        let value = difference.value();
        assert_eq!(value["changed"][0]["old"]["contract_size"], "1");
        assert_eq!(value["same"], 1);
    }

    #[test]
    fn reasons_for_leaving_out_are_counted() {
        let skipped = [
            ("A".to_owned(), "not in trade"),
            ("B".to_owned(), "of another product"),
            ("C".to_owned(), "not in trade"),
        ];
        let words = skipped_words(&skipped);
        assert_eq!(words, "left out: A and 1 more (not in trade); B (of another product)");
    }
}
