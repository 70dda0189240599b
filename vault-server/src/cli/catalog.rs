//! `vault-server catalog`: an operator's own additions to the catalogues, checked before a start.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;
use vault_venue::{Catalog, CatalogError, Operation, Part, Registry};

use crate::child::chain;
use crate::config::{self, Config};
use crate::fault::{Exit, Fault};
use crate::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Check files that add operations to the catalogues: catalog.additions of config.toml
    #[command(after_help = "Exits with 1 if a file cannot be used. Needs no vault.")]
    Check {
        /// The files, all that the vault would load
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub fn run(output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Check { files } => check(output, files),
    }
}

fn check(output: Output, paths: Vec<PathBuf>) -> Result<(), Fault> {
    let catalog = config::Catalog { additions: paths };
    let config = Config { catalog, ..Config::default() };
    // Read as a start reads them.
    let texts =
        config.catalog_additions(Path::new("")).map_err(|error| Fault::other(chain(&error)))?;
    let parts: Vec<Part<'_>> =
        texts.iter().map(|addition| Part { file: &addition.file, text: &addition.text }).collect();
    let (registry, errors) = load(&parts);
    let additions: Vec<Addition<'_>> = parts
        .iter()
        .filter(|part| !errors.iter().any(|error| place(error).0 == part.file))
        .filter_map(|part| registry.as_ref().and_then(|registry| Addition::of(part, registry)))
        .collect();

    let value = json!({
        "ok": errors.is_empty(),
        "errors": errors.iter().map(described).collect::<Vec<_>>(),
        "files": additions.iter().map(Addition::machines).collect::<Vec<_>>(),
    });
    output.show(&value, || {
        let errors = errors.iter().map(|error| format!("{error}\n"));
        errors.chain(additions.iter().map(Addition::people)).collect()
    })?;
    let dependent = errors.len() < parts.len() && parts.len() > 1;
    match errors.len() {
        0 => Ok(()),
        count => {
            let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
            let fault = Fault::new(Exit::Other, format!("{files} cannot be used"));
            Err(if dependent { fault.with_hint(WITHOUT_THEM) } else { fault })
        }
    }
}

/// Loads the catalogues with these parts. A part that cannot be used is left out, and the rest is
/// tried again, so that each tells its first error.
fn load(parts: &[Part<'_>]) -> (Option<Registry>, Vec<CatalogError>) {
    let mut left = parts.to_vec();
    let mut errors = Vec::new();
    loop {
        match Registry::with_additions(&left) {
            Ok(registry) => return (Some(registry), errors),
            Err(error) => {
                let before = left.len();
                left.retain(|part| part.file != place(&error).0);
                errors.push(error);
                // What is wrong between the parts names none of them.
                if left.len() == before {
                    return (None, errors);
                }
            }
        }
    }
}

/// The file of an error, and its line and column, where they are known.
fn place(error: &CatalogError) -> (&str, Option<(usize, usize)>) {
    match error {
        CatalogError::Inconsistent { file, .. } => (file, None),
        CatalogError::Syntax { file, line, column, .. } => (file, Some((*line, *column))),
    }
}

fn described(error: &CatalogError) -> Value {
    let (file, at) = place(error);
    let (CatalogError::Inconsistent { what, .. } | CatalogError::Syntax { what, .. }) = error;
    json!({
        "file": file,
        "line": at.map(|(line, _)| line),
        "column": at.map(|(_, column)| column),
        "what": what,
    })
}

/// What one file adds.
struct Addition<'r> {
    file: &'r str,
    catalog: &'r Catalog,
    operations: Vec<Added<'r>>,
}

/// One operation that a file adds.
struct Added<'r> {
    line: usize,
    operation: &'r Operation,
    /// What an operator should know; empty: nothing.
    warnings: Vec<&'static str>,
}

/// What is read in a file beside its errors.
#[derive(Deserialize)]
struct Outline {
    venue: String,
    #[serde(default)]
    operation: Vec<Spanned<Stated>>,
}

#[derive(Deserialize)]
struct Stated {
    method: String,
    path: String,
}

impl<'r> Addition<'r> {
    fn of(part: &Part<'r>, registry: &'r Registry) -> Option<Self> {
        let outline: Outline = toml::from_str(part.text).ok()?;
        let catalog = &registry.venue(&outline.venue)?.catalog;
        let operations = outline.operation.iter().filter_map(|stated| {
            let before = part.text.get(..stated.span().start)?;
            let Stated { method, path } = stated.get_ref();
            let name = format!("{method} {path}");
            let operation = catalog.operations.iter().find(|known| *known.name == *name)?;
            Some(Added {
                line: before.matches('\n').count() + 1,
                operation,
                warnings: warnings(catalog, operation),
            })
        });
        Some(Self { file: part.file, catalog, operations: operations.collect() })
    }

    fn people(&self) -> String {
        let width =
            self.operations.iter().map(|added| added.operation.name.len()).max().unwrap_or(0);
        let mut text = format!(
            "{}: adds {} to {}, catalogue hash {}\n",
            self.file,
            match self.operations.len() {
                0 => "no operation".to_owned(),
                1 => "1 operation".to_owned(),
                count => format!("{count} operations"),
            },
            self.catalog.venue,
            hex::encode(self.catalog.hash)
        );
        for Added { operation, .. } in &self.operations {
            let granted = if is_grantable(operation) { "" } else { "  no scope can grant it" };
            text += &format!("  {:width$}  {}{granted}\n", operation.name, operation.class);
        }
        for Added { line, operation, warnings } in &self.operations {
            for warning in warnings {
                text += &format!("{}:{line}: warning: {}: {warning}\n", self.file, operation.name);
            }
        }
        text
    }

    fn machines(&self) -> Value {
        let operations: Vec<Value> = self
            .operations
            .iter()
            .map(|added| {
                json!({
                    "operation": *added.operation.name,
                    "line": added.line,
                    "class": added.operation.class,
                    "schema_sourced": added.operation.schema_sourced(),
                    "grantable": is_grantable(added.operation),
                    "disclosed": added.operation.is_disclosed(),
                    "source": self.catalog.citation(&added.operation.source),
                    "warnings": added.warnings,
                })
            })
            .collect();
        json!({
            "file": self.file,
            "venue": self.catalog.venue,
            "catalog_hash": hex::encode(self.catalog.hash),
            "operations": operations,
        })
    }
}

/// Whether a scope can grant it: nobody is granted a write without a schema, nor any operation
/// that makes keys or moves value out.
fn is_grantable(operation: &Operation) -> bool {
    use vault_model::Class;
    let is_known = operation.schema_sourced() || !operation.class.is_write();
    is_known && !matches!(operation.class, Class::Keys | Class::Withdraw)
}

fn warnings(catalog: &Catalog, operation: &Operation) -> Vec<&'static str> {
    let is_unsourced = |citation: Option<&str>| {
        citation.is_some_and(|text| matches!(text.trim(), "" | "unverified"))
    };
    let is_write = operation.class.is_write();
    let binds_path = |key_type| catalog.binds(operation, key_type).path;
    let mut warnings = Vec::new();
    if is_write && is_unsourced(catalog.citation(&operation.source)) {
        warnings.push("its source says nothing");
    }
    if is_write && is_unsourced(catalog.schema_source(operation)) {
        warnings.push("the source of its schema says nothing");
    }
    if is_write && !operation.schema_sourced() {
        warnings.push("without a schema no scope can grant it");
    }
    if operation.signed
        && !operation.schema_sourced()
        && !catalog.signature.key_types.iter().copied().all(binds_path)
    {
        warnings.push(
            "without a schema it accepts what is signed for other operations: it is in their \
             closures, unless venue_checks are assumed",
        );
    }
    if operation.is_disclosed() {
        warnings.push("the API key alone opens it, and Sign tells the bot the API key");
    }
    warnings
}

const WITHOUT_THEM: &str = "the other files were checked without them";
