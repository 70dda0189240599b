//! `vaultctl instrument`.

mod import;

use std::collections::BTreeSet;

use clap::Subcommand;
use serde_json::{Value, json};
use vault_client::Operator;
use vault_client::v1::{self, DeleteInstrumentsCommand, InstrumentKey, ListInstrumentsCommand};
use vault_model::{Name, Product};
use vault_venue::Registry;

use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::output::table;
use crate::{confirm, json};

#[derive(Subcommand)]
pub enum Command {
    /// Delete instruments; asks for a token that the first run prints
    Delete {
        #[arg(long)]
        venue: Name,
        #[arg(long)]
        product: Product,
        /// As the venue writes them
        #[arg(required = true)]
        symbols: Vec<String>,
        /// The token that the first run printed
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
    /// Approve instruments from a venue's own public listing; shows what would change and asks for a
    /// token that the first run prints
    #[command(after_help = import::HELP)]
    Import(Box<import::Arguments>),
    /// List the approved instruments
    List {
        /// Of this venue alone
        #[arg(long)]
        venue: Option<Name>,
    },
}

pub async fn run(context: &Context, command: Command) -> Result<(), Fault> {
    match command {
        Command::Delete { venue, product, symbols, confirm } => {
            delete(context, &venue, product, symbols, confirm).await
        }
        Command::Import(arguments) => import::run(context, *arguments).await,
        Command::List { venue } => list(context, venue).await,
    }
}

/// Refuses a venue that this build does not know.
fn known(venue: &Name) -> Result<(), Fault> {
    let registry = Registry::bundled().map_err(|error| Fault::other(error.to_string()))?;
    if registry.venue(venue.as_str()).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = registry.names().collect();
    Err(Fault::new(Exit::NotFound, format!("this build knows no venue {venue}"))
        .with_hint(format!("known: {}", known.join(", "))))
}

fn counted(count: usize) -> String {
    format!("{count} instrument{}", if count == 1 { "" } else { "s" })
}

const HEAD: [&str; 10] =
    ["", "PRODUCT", "SYMBOL", "BASE", "QUOTE", "SIZE", "IN", "REFERENCE", "TICK", "STEP"];

/// A row; where something changes, `old -> new`.
fn cells(word: &str, old: Option<&v1::Instrument>, new: &v1::Instrument) -> Vec<String> {
    let fields: [fn(&v1::Instrument) -> &String; 9] = [
        |one| &one.product,
        |one| &one.symbol,
        |one| &one.base,
        |one| &one.quote,
        |one| &one.contract_size,
        |one| &one.size_unit,
        |one| &one.reference,
        |one| &one.price_tick,
        |one| &one.quantity_step,
    ];
    let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let cell = |field: fn(&v1::Instrument) -> &String| match old {
        Some(old) if field(old) != field(new) => {
            format!("{} -> {}", shown(field(old)), shown(field(new)))
        }
        _ => field(new).clone(),
    };
    std::iter::once(word.to_owned()).chain(fields.into_iter().map(cell)).collect()
}

async fn list(context: &Context, venue: Option<Name>) -> Result<(), Fault> {
    let operator = context.operator().await?;
    if let Some(venue) = &venue {
        known(venue)?;
    }
    let venue = venue.map(String::from).unwrap_or_default();
    let instruments = list_of(&operator, &venue).await?;
    let values: Vec<Value> = instruments.iter().map(value).collect();
    context.output.show(&json!({ "instruments": values }), || {
        if instruments.is_empty() {
            return "there are none: vaultctl instrument import".to_owned();
        }
        let rows: Vec<Vec<String>> =
            instruments.iter().map(|one| cells(&one.venue, None, one)).collect();
        let mut head = HEAD;
        head[0] = "VENUE";
        table(&head, &rows)
    })
}

async fn list_of(operator: &Operator, venue: &str) -> Result<Vec<v1::Instrument>, Fault> {
    let command = ListInstrumentsCommand { venue: venue.to_owned(), ..Default::default() };
    Ok(operator.list_instruments(command).await?.instruments)
}

async fn delete(
    context: &Context,
    venue: &Name,
    product: Product,
    symbols: Vec<String>,
    given: Option<String>,
) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let product = product.to_string();
    let symbols: BTreeSet<String> = symbols.into_iter().collect();
    let listed = list_of(&operator, venue.as_str()).await?;
    let there: Vec<&v1::Instrument> = listed
        .iter()
        .filter(|one| one.product == product && symbols.contains(&one.symbol))
        .collect();
    if there.len() != symbols.len() {
        let missing =
            symbols.iter().filter(|symbol| !there.iter().any(|one| one.symbol == **symbol));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        let message = format!("{venue} has no {product} instrument {}", missing.join(", "));
        return Err(Fault::new(Exit::NotFound, message)
            .with_hint(format!("vaultctl instrument list --venue {venue}")));
    }
    let act = format!("delete {product} {} of {venue}", counted(there.len()));
    let state = Value::Array(there.iter().map(|one| value(one)).collect()).to_string();
    confirm::require(operator.identity().instance_id(), &act, &[&state], given.as_deref())?;
    let keys = symbols
        .into_iter()
        .map(|symbol| InstrumentKey { venue: venue.to_string(), product: product.clone(), symbol })
        .collect();
    let answer = operator.delete_instruments(DeleteInstrumentsCommand { keys }).await?;
    let value = json!({ "change": json::change(answer.change.as_ref()) });
    let count = there.len();
    context.output.show(&value, || format!("{} deleted", counted(count)))
}

fn value(instrument: &v1::Instrument) -> Value {
    json!({
        "venue": instrument.venue,
        "product": instrument.product,
        "symbol": instrument.symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "contract_size": instrument.contract_size,
        "size_unit": instrument.size_unit,
        "reference": instrument.reference,
        "price_tick": instrument.price_tick,
        "quantity_step": instrument.quantity_step,
    })
}
