//! `vaultctl catalog show`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vault_model::{Class, Environment};
use vault_venue::{Catalog, Hosts, Operation, Site};

use super::{Additions, nearest, venue, words};
use crate::fault::{Exit, Fault};
use crate::output::{Output, pairs, table};

#[derive(clap::Args)]
pub struct Arguments {
    /// As vaultctl catalog list names it
    venue: String,
    /// Operations of this class alone; repeat for more
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<Class>,
    /// Operations that change something alone
    #[arg(long)]
    writes: bool,
    /// Operations alone whose parameters nobody has sourced
    #[arg(long)]
    unsourced: bool,
    /// Operations alone that the API key opens without a signature
    #[arg(long)]
    disclosed: bool,
    /// Operations alone that need this right of a key
    #[arg(long, value_name = "RIGHT")]
    right: Option<String>,
    /// Operations alone with this text in their name, tag or note, whatever its case
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    #[command(flatten)]
    additions: Additions,
}

pub fn run(output: Output, arguments: &Arguments) -> Result<(), Fault> {
    let registry = arguments.additions.registry()?;
    let catalog = &venue(&registry, &arguments.venue)?.catalog;
    if let Some(right) = &arguments.right
        && !catalog.rights.contains(right)
    {
        return Err(unknown_right(catalog, right));
    }
    let shown: Vec<&Operation> =
        catalog.operations.iter().filter(|operation| arguments.takes(operation)).collect();
    output.show(&machines(catalog, &shown), || people(catalog, &shown))
}

/// The fault for a right that the venue does not have.
pub fn unknown_right(catalog: &Catalog, right: &str) -> Fault {
    let fault = Fault::new(Exit::Usage, format!("{} has no right {right}", catalog.title));
    if catalog.rights.is_empty() {
        return fault.with_hint("its words for rights are not known");
    }
    let known = catalog.rights.join(", ");
    match nearest::words(right, catalog.rights.iter().map(String::as_str)).first() {
        Some(near) => fault.with_hint(format!("{near}? known: {known}")),
        None => fault.with_hint(format!("known: {known}")),
    }
}

impl Arguments {
    fn takes(&self, operation: &Operation) -> bool {
        let has = |text: &str| {
            let text = text.to_lowercase();
            [Some(&*operation.name), operation.tag.as_deref(), operation.note.as_deref()]
                .into_iter()
                .flatten()
                .any(|words| words.to_lowercase().contains(&text))
        };
        (self.classes.is_empty() || self.classes.contains(&operation.class))
            && (!self.writes || operation.class.is_write())
            && (!self.unsourced || !operation.schema_sourced())
            && (!self.disclosed || operation.is_disclosed())
            && self.right.as_ref().is_none_or(|right| operation.rights.contains(right))
            && self.grep.as_deref().is_none_or(has)
    }
}

fn people(catalog: &Catalog, shown: &[&Operation]) -> String {
    let mut text = head(catalog);
    text += "\n";
    text += &facts(catalog);
    text += "\n";
    text += &hosts(catalog);
    text += "\n";
    let sites = sites(catalog);
    if !sites.is_empty() {
        text += &format!(
            "{}A key is of one site, and for no host of another: vaultctl credential import --site\n\n",
            table(&["ENVIRONMENT", "SITE", "HOSTS", "SOURCE"], &sites)
        );
    }
    text += &counts(catalog);
    text += "\n";
    if shown.is_empty() {
        return text + "no operation is of that kind\n";
    }
    text += &operations(catalog, shown);
    let disclosed: Vec<&Operation> =
        shown.iter().copied().filter(|operation| operation.is_disclosed()).collect();
    if !disclosed.is_empty() {
        text += &format!(
            "\nDisclosed: the API key alone opens these {}, without a signature. Sign hands the bot \
             a request with\nthe API key in it, so whoever may sign has them too, whatever its scope \
             says. Execute hands out no key.\n",
            disclosed.len()
        );
        for operation in disclosed {
            text += &format!("  {}  ({})\n", operation.name, operation.class);
        }
    }
    text += "\nSources:\n";
    for (key, citation) in sources(catalog, shown) {
        text += &format!("  {key}: {citation}\n");
    }
    text
}

fn head(catalog: &Catalog) -> String {
    let signature = &catalog.signature;
    let window = signature.window.as_ref().map_or_else(String::new, |window| {
        format!("{}, 1 to {} ms; a caller may narrow with it", window.name, window.max_ms)
    });
    let rights = match catalog.rights.as_slice() {
        [] => "not known".to_owned(),
        rights => words::listed(rights),
    };
    let yes = |is: bool, words: &str| if is { words.to_owned() } else { String::new() };
    pairs(&[
        ("venue", format!("{} ({})", catalog.title, catalog.venue)),
        ("catalogue hash", hex::encode(catalog.hash)),
        ("scheme", signature.scheme.clone()),
        ("query and body", words::joined(signature.joined).to_owned()),
        ("window", window),
        ("nonce", yes(signature.nonce, "strictly increasing, set by the vault")),
        ("passphrase", yes(signature.needs_passphrase, "beside every signature, in clear")),
        ("set by the vault", words::listed(&signature.reserved)),
        ("caller's headers", words::listed(&signature.caller_headers)),
        ("order id again", words::reuse(signature.client_order_id_reuse).to_owned()),
        ("rights", rights),
    ])
}

fn facts(catalog: &Catalog) -> String {
    let rows: Vec<Vec<String>> = words::facts(&catalog.signature)
        .into_iter()
        .map(|(key_types, facts)| {
            vec![
                words::listed(&key_types),
                words::listed(&words::bound(facts.binds, true)),
                words::listed(&words::bound(facts.binds, false)),
                words::usable(facts.usable_ms),
                facts.source.clone(),
            ]
        })
        .collect();
    table(&["KEY TYPES", "SIGNED", "NOT SIGNED", "GOOD FOR", "SOURCE"], &rows)
}

fn hosts(catalog: &Catalog) -> String {
    let mut rows = Vec::new();
    for (environment, hosts) in environments(catalog) {
        for route in routes(catalog, hosts) {
            let mut paths: Vec<&str> = route.paths.iter().map(String::as_str).collect();
            let left = paths.len().saturating_sub(PATHS_MAX);
            paths.truncate(PATHS_MAX);
            let more = if left > 0 { format!(" +{left}") } else { String::new() };
            rows.push(vec![
                environment.to_string(),
                if route.is_socket { "wss" } else { "https" }.to_owned(),
                words::listed(&paths) + &more,
                words::listed(route.hosts),
            ]);
        }
    }
    table(&["ENVIRONMENT", "OVER", "PATHS", "HOSTS"], &rows)
}

fn sites(catalog: &Catalog) -> Vec<Vec<String>> {
    let of = |(environment, hosts): (Environment, &Hosts)| -> Vec<Vec<String>> {
        let row = |site: &Site| {
            vec![
                environment.to_string(),
                site.name.clone(),
                words::listed(&site.hosts),
                site.source.clone(),
            ]
        };
        hosts.sites.iter().map(row).collect()
    };
    environments(catalog).flat_map(of).collect()
}

fn environments(catalog: &Catalog) -> impl Iterator<Item = (Environment, &Hosts)> {
    let all = [Environment::Live, Environment::Demo];
    all.into_iter().filter_map(|environment| Some((environment, catalog.hosts(environment)?)))
}

/// Hosts on which the same operations live.
struct Route<'h> {
    is_socket: bool,
    hosts: &'h [String],
    /// The first segments of the operations' paths.
    paths: BTreeSet<String>,
}

fn routes<'h>(catalog: &Catalog, hosts: &'h Hosts) -> Vec<Route<'h>> {
    let mut routes: Vec<Route<'h>> = Vec::new();
    for operation in &catalog.operations {
        let (is_socket, hosts) = (operation.is_socket(), hosts.of(operation));
        let end = operation.path.match_indices('/').nth(1).map(|(at, _)| at + 1);
        let path = operation.path[..end.unwrap_or(operation.path.len())].to_owned();
        match routes.iter_mut().find(|r| r.is_socket == is_socket && r.hosts == hosts) {
            Some(route) => _ = route.paths.insert(path),
            None => routes.push(Route { is_socket, hosts, paths: BTreeSet::from([path]) }),
        }
    }
    routes.sort_by(|one, other| {
        (one.is_socket, one.paths.first()).cmp(&(other.is_socket, other.paths.first()))
    });
    routes
}

fn counts(catalog: &Catalog) -> String {
    let row = |name: &str, of: &dyn Fn(&Operation) -> bool| {
        let of_it = || catalog.operations.iter().filter(|operation| of(operation));
        let number = |count: usize| if count == 0 { String::new() } else { count.to_string() };
        vec![
            name.to_owned(),
            number(of_it().count()),
            number(of_it().filter(|operation| !operation.schema_sourced()).count()),
            number(of_it().filter(|operation| operation.is_disclosed()).count()),
        ]
    };
    let mut rows: Vec<Vec<String>> = Class::ALL
        .iter()
        .map(|&class| row(class.as_str(), &|operation| operation.class == class))
        .filter(|row| !row[1].is_empty())
        .collect();
    rows.push(row("all", &|_| true));
    table(&["CLASS", "OPERATIONS", "WITHOUT SCHEMA", "DISCLOSED"], &rows)
}

fn operations(catalog: &Catalog, shown: &[&Operation]) -> String {
    let mut sorted = shown.to_vec();
    sorted.sort_by_key(|operation| (operation.class, operation.name.clone()));
    let rows: Vec<Vec<String>> = sorted
        .into_iter()
        .map(|operation| {
            vec![
                operation.class.to_string(),
                operation.name.to_string(),
                operation.product.map(|product| product.to_string()).unwrap_or_default(),
                if operation.schema_sourced() { "yes" } else { "no" }.to_owned(),
                marks(catalog, operation).join(", "),
                source_keys(catalog, operation).join(" "),
                operation.rights.join(" or "),
            ]
        })
        .collect();
    let mut text =
        table(&["CLASS", "OPERATION", "PRODUCT", "SCHEMA", "MARKS", "SOURCE", "RIGHTS"], &rows);
    if shown.len() < catalog.operations.len() {
        text += &format!("{} of {} operations\n", shown.len(), catalog.operations.len());
    }
    if shown.iter().any(|operation| operation.class.is_write() && !operation.schema_sourced()) {
        text += "SCHEMA no: as a write nobody can be granted it, and it accepts whatever is signed, \
                 unless venue_checks are assumed\n";
    }
    text
}

/// The keys of an operation's sources: that of the operation, then that of its schema.
fn source_keys<'c>(catalog: &'c Catalog, operation: &'c Operation) -> Vec<&'c str> {
    let mut keys = vec![operation.source.as_str()];
    let schema = catalog.schema_source(operation);
    if schema.is_some() && schema != catalog.citation(&operation.source) {
        let known = catalog.sources.iter().find(|(_, text)| Some(text.as_str()) == schema);
        keys.extend(known.map(|(key, _)| key.as_str()));
    }
    keys
}

fn marks(catalog: &Catalog, operation: &Operation) -> Vec<String> {
    let mut marks = Vec::new();
    if operation.is_disclosed() {
        marks.push("disclosed".to_owned());
    } else if !operation.signed {
        marks.push("unsigned".to_owned());
    }
    if operation.ws {
        marks.push("log-on".to_owned());
    }
    if operation.rpc {
        marks.push("over WebSocket".to_owned());
    }
    for (key_types, facts) in words::facts(&catalog.signature) {
        let binds = key_types.first().map(|&key_type| catalog.binds(operation, key_type));
        if operation.signed && binds.is_some_and(|binds| binds != facts.binds) {
            let bound = binds.map(|binds| words::bound(binds, true)).unwrap_or_default();
            let bound = if bound.is_empty() { "nothing".to_owned() } else { bound.join(" ") };
            marks.push(format!("binds {bound}"));
            break;
        }
    }
    if let Some(sensitive) = &operation.sensitive {
        marks.push(format!("sensitive: {sensitive}"));
    }
    marks.extend(operation.tag.clone());
    marks
}

/// The sources of these operations and of the signature.
fn sources<'c>(catalog: &'c Catalog, shown: &[&'c Operation]) -> BTreeMap<&'c str, &'c str> {
    let of_facts = words::facts(&catalog.signature).into_iter().map(|(_, f)| f.source.as_str());
    let of_operations = shown.iter().flat_map(|operation| source_keys(catalog, operation));
    let of_sites = environments(catalog)
        .flat_map(|(_, hosts)| hosts.sites.iter())
        .map(|site| site.source.as_str());
    let all = of_facts.chain(of_operations).chain(of_sites);
    all.filter_map(|key| Some((key, catalog.citation(key)?))).collect()
}

fn machines(catalog: &Catalog, shown: &[&Operation]) -> Value {
    let signature = &catalog.signature;
    let facts: Vec<Value> = words::facts(signature)
        .into_iter()
        .map(|(key_types, facts)| {
            json!({
                "key_types": key_types.iter().map(|key| key.as_str()).collect::<Vec<_>>(),
                "binds": words::bound(facts.binds, true),
                "usable_ms": facts.usable_ms,
                "source": facts.source,
            })
        })
        .collect();
    let environments: serde_json::Map<String, Value> = environments(catalog)
        .map(|(environment, hosts)| {
            let routes: Vec<Value> = routes(catalog, hosts)
                .into_iter()
                .map(|route| {
                    json!({
                        "scheme": if route.is_socket { "wss" } else { "https" },
                        "paths": route.paths,
                        "hosts": route.hosts,
                    })
                })
                .collect();
            let headers: BTreeMap<_, _> = hosts.headers.iter().cloned().collect();
            let sites: BTreeMap<_, _> =
                hosts.sites.iter().map(|site| (site.name.as_str(), &site.hosts)).collect();
            let value = json!({ "headers": headers, "routes": routes, "sites": sites });
            (environment.to_string(), value)
        })
        .collect();
    json!({
        "venue": catalog.venue,
        "title": catalog.title,
        "hash": hex::encode(catalog.hash),
        "signature": {
            "scheme": signature.scheme,
            "facts": facts,
            "joined": words::joined_key(signature.joined),
            "window": signature.window.as_ref().map(|window| {
                json!({ "name": window.name, "max_ms": window.max_ms })
            }),
            "nonce": signature.nonce,
            "needs_passphrase": signature.needs_passphrase,
            "client_order_id_reuse": words::reuse(signature.client_order_id_reuse),
            "reserved": signature.reserved,
            "caller_headers": signature.caller_headers,
        },
        "rights": catalog.rights,
        "environments": environments,
        "operations_in_all": catalog.operations.len(),
        "operations": shown.iter().map(|operation| described(catalog, operation)).collect::<Vec<_>>(),
        "sources": sources(catalog, shown),
    })
}

fn described(catalog: &Catalog, operation: &Operation) -> Value {
    let binds: BTreeMap<&str, Vec<&str>> = catalog
        .signature
        .key_types
        .iter()
        .map(|&key_type| {
            (key_type.as_str(), words::bound(catalog.binds(operation, key_type), true))
        })
        .collect();
    json!({
        "operation": *operation.name,
        "class": operation.class,
        "product": operation.product,
        "rights": operation.rights,
        "schema_sourced": operation.schema_sourced(),
        "sources": source_keys(catalog, operation),
        "signed": operation.signed,
        "binds": if operation.signed { json!(binds) } else { Value::Null },
        "disclosed": operation.is_disclosed(),
        "logon": operation.ws,
        "rpc": operation.rpc,
        "tag": operation.tag,
        "note": operation.note,
        "sensitive": operation.sensitive,
    })
}

/// Path prefixes that are shown for a group of hosts.
const PATHS_MAX: usize = 6;
