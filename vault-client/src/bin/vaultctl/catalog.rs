//! `vaultctl catalog`: what is known of the venues, offline. It asks no vault and needs no identity.

mod closure;
mod nearest;
mod show;
mod words;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use vault_model::Class;
use vault_venue::{Catalog, Part, Registry, Venue};

use crate::fault::{Exit, Fault, file};
use crate::output::{Output, table};

#[derive(Subcommand)]
pub enum Command {
    /// Show every operation that one signature would open
    #[command(after_help = CLOSURE_EXAMPLES)]
    Closure(closure::Arguments),
    /// List the venues that this build knows
    List {
        /// Count the operations of each class
        #[arg(long)]
        classes: bool,
        #[command(flatten)]
        additions: Additions,
    },
    /// Show a venue's operations, and what its signatures bind
    Show(show::Arguments),
}

/// Files that add operations to the catalogues.
#[derive(clap::Args)]
pub struct Additions {
    /// A file of your own that adds operations, as in the vault's config.toml; repeat for more
    #[arg(long = "additions", value_name = "FILE")]
    files: Vec<PathBuf>,
}

const CLOSURE_EXAMPLES: &str = "\
Examples:
  vaultctl catalog closure binance GET '/api/v3/openOrders?symbol=BTCUSDT'
  vaultctl catalog closure okx POST https://www.okx.com/api/v5/trade/order --body @order.json
  vaultctl catalog closure binance WS /ws-api/v3/order.place --body @params.json --assume venue_checks";

pub fn run(output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Closure(arguments) => closure::run(output, arguments),
        Command::List { classes, additions } => list(output, &additions, classes),
        Command::Show(arguments) => show::run(output, &arguments),
    }
}

impl Additions {
    /// The catalogues of this build with these files.
    fn registry(&self) -> Result<Registry, Fault> {
        let mut texts = Vec::with_capacity(self.files.len());
        for path in &self.files {
            let text = std::fs::read_to_string(path).map_err(file(path))?;
            texts.push((path.display().to_string(), text));
        }
        let parts: Vec<Part<'_>> = texts.iter().map(|(file, text)| Part { file, text }).collect();
        Registry::with_additions(&parts).map_err(|error| {
            Fault::other(error.to_string()).with_hint("vault-server catalog check FILE tells more")
        })
    }
}

/// The venue of this name.
fn venue<'r>(registry: &'r Registry, name: &str) -> Result<&'r Venue, Fault> {
    registry.venue(name).ok_or_else(|| {
        let known: Vec<&str> = registry.names().collect();
        let fault = Fault::new(Exit::NotFound, format!("this build knows no venue {name}"));
        match nearest::words(name, known.iter().copied()).first() {
            Some(near) => fault.with_hint(format!("{near}? known: {}", known.join(", "))),
            None => fault.with_hint(format!("known: {}", known.join(", "))),
        }
    })
}

fn list(output: Output, additions: &Additions, classes: bool) -> Result<(), Fault> {
    let registry = additions.registry()?;
    let venues: Vec<&Catalog> = registry
        .names()
        .filter_map(|name| registry.venue(name))
        .map(|venue| &venue.catalog)
        .collect();
    let value: Vec<Value> = venues
        .iter()
        .map(|catalog| {
            let counts: serde_json::Map<String, Value> = Class::ALL
                .iter()
                .map(|&class| (class.to_string(), json!(count(catalog, class))))
                .collect();
            json!({
                "venue": catalog.venue,
                "title": catalog.title,
                "hash": hex::encode(catalog.hash),
                "operations": catalog.operations.len(),
                "classes": counts,
            })
        })
        .collect();
    output.show(&json!({ "venues": value }), || {
        if classes { by_class(&venues) } else { by_hash(&venues) }
    })
}

fn by_hash(venues: &[&Catalog]) -> String {
    let rows: Vec<Vec<String>> = venues
        .iter()
        .map(|catalog| {
            vec![
                catalog.venue.clone(),
                catalog.title.clone(),
                catalog.operations.len().to_string(),
                hex::encode(catalog.hash),
            ]
        })
        .collect();
    table(&["VENUE", "TITLE", "OPERATIONS", "HASH"], &rows)
}

fn by_class(venues: &[&Catalog]) -> String {
    let head: Vec<String> = std::iter::once("CLASS".to_owned())
        .chain(venues.iter().map(|catalog| catalog.venue.to_uppercase()))
        .collect();
    let mut rows: Vec<Vec<String>> = Class::ALL
        .iter()
        .map(|&class| {
            let counts = venues.iter().map(|catalog| match count(catalog, class) {
                0 => String::new(),
                count => count.to_string(),
            });
            std::iter::once(class.to_string()).chain(counts).collect()
        })
        .collect();
    let all = venues.iter().map(|catalog| catalog.operations.len().to_string());
    rows.push(std::iter::once("all".to_owned()).chain(all).collect());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table(&head, &rows)
}

fn count(catalog: &Catalog, class: Class) -> usize {
    catalog.operations.iter().filter(|operation| operation.class == class).count()
}
