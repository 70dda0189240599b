//! `vaultctl catalog closure`.

use clap::ValueEnum;
use serde_json::{Value, json};
use vault_client::{Refusal, venue_request};
use vault_model::{Environment, Leg, Member, Reading, Symbols, VenueRequest};
use vault_venue::{Catalog, KeyType, ReadError, Standing, Venue};

use super::{Additions, nearest, show, venue, words};
use crate::arguments;
use crate::fault::{Exit, Fault};
use crate::output::{Output, pairs, table};

#[derive(clap::Args)]
pub struct Arguments {
    /// As vaultctl catalog list names it
    venue: String,
    /// GET, POST ..., or WS for a request over a WebSocket
    method: String,
    /// The path, with or without a query, or a whole URL
    #[arg(value_name = "PATH|URL")]
    target: String,
    /// The query, without its question mark
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// The body: as it stands, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT|@FILE|-")]
    body: Option<String>,
    /// The host, where it is not the operation's first
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// What the credential would assume of the venue
    #[arg(long, value_enum)]
    assume: Vec<Assumption>,
    /// The rights that the key would have, in the venue's words; without this, all of them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    rights: Option<Vec<String>>,
    #[arg(long, default_value = "live")]
    environment: Environment,
    /// The type of the key; without this, the first that the venue takes
    #[arg(long, value_name = "TYPE", value_parser = key_type)]
    key_type: Option<KeyType>,
    /// Show the whole closure, however long it is
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    additions: Additions,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Assumption {
    /// The venue refuses unknown parameters
    #[value(name = "venue_checks")]
    VenueChecks,
}

fn key_type(word: &str) -> Result<KeyType, String> {
    word.parse().map_err(|_| format!("expected one of: {}", words::listed(KeyType::ALL)))
}

pub fn run(output: Output, arguments: Arguments) -> Result<(), Fault> {
    let registry = arguments.additions.registry()?;
    let venue = venue(&registry, &arguments.venue)?;
    let standing = arguments.standing(venue)?;
    let request = arguments.request(venue)?;
    let read = |standing: &Standing<'_>| {
        venue.read(&request, standing).map_err(|error| misread(venue, &request, standing, &error))
    };
    let answer = Answer {
        catalog: &venue.catalog,
        reading: read(&standing)?,
        with_checks: read(&Standing { venue_checks: true, ..standing })?,
        without_checks: read(&Standing { venue_checks: false, ..standing })?,
        request: &request,
        standing,
    };
    let rows_max = if arguments.all { usize::MAX } else { ROWS_MAX };
    output.show(&answer.machines(), || answer.people(rows_max))
}

impl Arguments {
    fn standing(&self, venue: &Venue) -> Result<Standing<'_>, Fault> {
        let catalog = &venue.catalog;
        let known = venue.key_types();
        let key_type = match self.key_type {
            Some(key_type) if !known.contains(&key_type) => {
                let message = format!("{} takes no {key_type} keys", catalog.title);
                return Err(Fault::usage(message).with_hint(words::listed(known)));
            }
            Some(key_type) => key_type,
            None => known.first().copied().unwrap_or(KeyType::Hmac),
        };
        let unknown = self.rights.iter().flatten().find(|right| !catalog.rights.contains(right));
        if let Some(right) = unknown {
            return Err(show::unknown_right(catalog, right));
        }
        Ok(Standing {
            environment: self.environment,
            sites: None,
            venue_checks: self.assume.contains(&Assumption::VenueChecks),
            rights: self.rights.as_deref(),
            key_type,
        })
    }

    fn request(&self, venue: &Venue) -> Result<VenueRequest, Fault> {
        let body = arguments::body(self.body.as_deref())?;
        let mut request =
            VenueRequest { method: self.method.clone(), body, ..VenueRequest::default() };
        if self.target.contains("://") {
            if self.host.is_some() {
                return Err(Fault::usage("the URL has a host already; leave out --host"));
            }
            let url = venue_request(&self.method, &self.target, Vec::new())
                .map_err(|error| Fault::usage(error.to_string()))?;
            (request.scheme, request.host) = (url.scheme, url.host);
            (request.path, request.query) = (url.path, url.query);
        } else {
            let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
            (request.path, request.query) = (path.to_owned(), query.to_owned());
            // One that is not there is refused by the reader, whatever its host.
            let operation = venue.catalog.operation(&self.method, path);
            let is_socket = operation.is_some_and(|operation| operation.is_socket());
            request.scheme = if is_socket { "wss" } else { "https" }.to_owned();
            let hosts = venue.catalog.hosts(self.environment);
            let default = operation.zip(hosts).and_then(|(op, hosts)| hosts.of(op).first());
            request.host = self.host.as_ref().or(default).cloned().unwrap_or_default();
        }
        match &self.query {
            Some(_) if !request.query.is_empty() => {
                Err(Fault::usage("the path has a query already; leave out --query"))
            }
            Some(query) => Ok(VenueRequest { query: query.clone(), ..request }),
            None => Ok(request),
        }
    }
}

/// What the vault would refuse, and what may be done about it.
fn misread(
    venue: &Venue,
    request: &VenueRequest,
    standing: &Standing<'_>,
    error: &ReadError,
) -> Fault {
    let catalog = &venue.catalog;
    let operation = catalog.operation(&request.method, &request.path);
    let hint = hint(catalog, request, standing, error);
    let exit = match error {
        ReadError::OperationUnknown => Exit::NotFound,
        _ => Exit::Denied,
    };
    let mut fault = Fault::new(exit, format!("{error} ({})", error.code())).with_hint(hint);
    fault.refusal = Some(Box::new(Refusal {
        code: tonic::Code::PermissionDenied,
        reason: error.code().to_owned(),
        message: error.to_string(),
        operation: operation.map(|operation| operation.name.to_string()).unwrap_or_default(),
        class: operation.map(|operation| operation.class.to_string()).unwrap_or_default(),
        remedies: Vec::new(),
        hint: fault.hint.clone(),
        entry_index: None,
        retry_after: None,
    }));
    fault
}

fn hint(
    catalog: &Catalog,
    request: &VenueRequest,
    standing: &Standing<'_>,
    error: &ReadError,
) -> String {
    let operation = catalog.operation(&request.method, &request.path);
    let described = || {
        let source = operation.and_then(|operation| catalog.schema_source(operation));
        source.map_or_else(String::new, |source| format!("its parameters: {source}"))
    };
    match error {
        ReadError::OperationUnknown | ReadError::MethodNotPlain | ReadError::PathNotPlain => {
            match nearest::operations(catalog, &request.method, &request.path).as_slice() {
                [] => format!("vaultctl catalog show {} --grep TEXT", catalog.venue),
                near => format!("did you mean {}?", near.join(", or ")),
            }
        }
        ReadError::HostElsewhere => format!("vaultctl catalog show {}", catalog.venue),
        ReadError::HostUnknown => {
            let hosts = catalog.hosts(standing.environment).zip(operation);
            let known = hosts.map_or(String::new(), |(hosts, of)| hosts.of(of).join(", "));
            format!("its hosts: {known}")
        }
        ReadError::EnvironmentUnknown => {
            format!("{} has no {} environment", catalog.title, standing.environment)
        }
        ReadError::SchemeNotAllowed => match operation.is_some_and(|of| of.is_socket()) {
            true => "this one goes over a WebSocket: wss://".to_owned(),
            false => "https://".to_owned(),
        },
        ReadError::RightNotHeld => operation.map_or_else(String::new, |operation| {
            format!("it needs {}: add it to --rights", operation.rights.join(" or "))
        }),
        ReadError::BodyNotAllowed if request.query.is_empty() => {
            "the venue reads its parameters from the query: --query".to_owned()
        }
        ReadError::BodyNotAllowed => {
            "parameters in the query or in the body, not in both".to_owned()
        }
        ReadError::QueryNotAllowed => {
            "the venue reads its parameters from the body, or has none here: --body".to_owned()
        }
        ReadError::BodyMalformed => {
            "strict JSON or name=value&name=value, as the venue wants it; no value that needs an \
             escape is taken"
                .to_owned()
        }
        ReadError::QueryMalformed => {
            "name=value&name=value; no value that needs an escape is taken".to_owned()
        }
        ReadError::ParameterReserved(_) => "leave it out".to_owned(),
        ReadError::KeyNotPlaceholder | ReadError::PlaceholdersDiffer => {
            "countersign:NAME, with the name of one credential".to_owned()
        }
        ReadError::ParameterMissing(_)
        | ReadError::ParameterUnknown
        | ReadError::ParameterValue(_)
        | ReadError::MarginModeUnknown
        | ReadError::OrderTypeUnknown => described(),
        ReadError::ArrayLength
        | ReadError::BodyTooLarge
        | ReadError::HeaderNotAllowed
        | ReadError::ParameterDuplicate
        | ReadError::ParameterRefused(_) => String::new(),
    }
}

struct Answer<'a> {
    catalog: &'a Catalog,
    request: &'a VenueRequest,
    standing: Standing<'a>,
    reading: Reading,
    with_checks: Reading,
    without_checks: Reading,
}

impl Answer<'_> {
    fn people(&self, rows_max: usize) -> String {
        let mut text = self.head();
        let legs = &self.reading.stated.legs;
        if !legs.is_empty() {
            let rows: Vec<Vec<String>> = legs.iter().map(leg).collect();
            text += "\n";
            text += &table(&["ORDER", "PRODUCT", "SYMBOL", "QUANTITY", "PRICE", "FLAGS"], &rows);
        }
        text += "\n";
        text += &self.summary();
        text += "\n";
        let members = self.members();
        let rows: Vec<Vec<String>> =
            members.iter().take(rows_max).map(|member| self.row(member)).collect();
        text += &table(&["CLASS", "OPERATION", "PRODUCTS", "SYMBOLS", "MARKS"], &rows);
        let left = members.len() - rows.len();
        if left > 0 {
            text += &format!("... and {left} more (--all)\n");
        }
        text
    }

    fn head(&self) -> String {
        let request = self.request;
        let query =
            if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let (signed, unsigned) = self.bound();
        let is_signed = self.is_signed();
        let signed = match (is_signed, signed.as_slice()) {
            (false, _) => "nothing: the operation takes no signature".to_owned(),
            (true, []) => "nothing of the request".to_owned(),
            (true, parts) => format!("{}; not: {}", parts.join(" "), unsigned.join(" ")),
        };
        let usable = self.catalog.signature.facts(self.standing.key_type).usable_ms;
        let widest = self.reading.widest();
        pairs(&[
            (
                "request",
                format!(
                    "{} {}://{}{}{query}",
                    request.method, request.scheme, request.host, request.path
                ),
            ),
            ("class", self.reading.stated.class.to_string()),
            ("environment", self.standing.environment.to_string()),
            ("key type", self.standing.key_type.to_string()),
            ("rights", self.standing.rights.map_or("all".to_owned(), words::listed)),
            (
                "assume",
                if self.standing.venue_checks { VENUE_CHECKS } else { "nothing" }.to_owned(),
            ),
            ("signed", signed),
            ("good for", if is_signed { words::usable(usable) } else { String::new() }),
            ("catalogue hash", hex::encode(self.reading.catalog_hash)),
            ("closure", operations(self.reading.closure.len())),
            ("closure hash", hex::encode(self.reading.closure_hash)),
            ("widest", format!("{} ({})", widest.operation, widest.class)),
        ])
    }

    fn is_signed(&self) -> bool {
        let operation = self.catalog.operation(&self.request.method, &self.request.path);
        operation.is_some_and(|operation| operation.signed)
    }

    fn bound(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let operation = self.catalog.operation(&self.request.method, &self.request.path);
        operation.map_or_else(Default::default, |operation| {
            let binds = self.catalog.binds(operation, self.standing.key_type);
            (words::bound(binds, true), words::bound(binds, false))
        })
    }

    /// What else the signature opens, and what an assumption would change.
    fn summary(&self) -> String {
        let stated = &self.reading.stated.operation;
        let others: Vec<&Member> =
            self.reading.closure.iter().filter(|member| member.operation != *stated).collect();
        let mut text = if others.is_empty() {
            "the signature is good for nothing else\n".to_owned()
        } else {
            let classes = words::per_class(others.iter().map(|member| member.class));
            format!("the signature would also be: {classes}\n")
        };
        let (with, without) = (&self.with_checks, &self.without_checks);
        let fewer = without.closure.len().saturating_sub(with.closure.len());
        if fewer > 0 && self.standing.venue_checks {
            text += &format!(
                "without --assume {VENUE_CHECKS}: {}, widest {} ({})\n",
                operations(without.closure.len()),
                without.widest().operation,
                without.widest().class
            );
        } else if fewer > 0 {
            text += &format!(
                "with --assume {VENUE_CHECKS}: {}, {fewer} fewer; widest {} ({})\n",
                operations(with.closure.len()),
                with.widest().operation,
                with.widest().class
            );
        }
        text
    }

    /// What was asked, then the most dangerous.
    fn members(&self) -> Vec<&Member> {
        let stated = &self.reading.stated.operation;
        let mut members: Vec<&Member> = self.reading.closure.iter().collect();
        members.sort_by(|one, other| {
            let is_other = |member: &Member| member.operation != *stated;
            (is_other(one), other.class, &one.operation).cmp(&(
                is_other(other),
                one.class,
                &other.operation,
            ))
        });
        members
    }

    fn row(&self, member: &Member) -> Vec<String> {
        let products = match &member.products {
            None => "every".to_owned(),
            Some(products) => words::listed(products),
        };
        let symbols = match &member.symbols {
            Symbols::Every => "every".to_owned(),
            Symbols::Named(symbols) if symbols.len() > SYMBOLS_MAX => {
                let left = symbols.len() - SYMBOLS_MAX;
                format!("{} +{left}", words::listed(&symbols[..SYMBOLS_MAX]))
            }
            Symbols::Named(symbols) => words::listed(symbols),
        };
        let marks = [
            (member.operation == self.reading.stated.operation, "asked"),
            (member.operation == self.reading.widest().operation, "widest"),
            (!member.schema_sourced, "no schema"),
        ];
        let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        vec![
            member.class.to_string(),
            member.operation.to_string(),
            products,
            symbols,
            marks.join(", "),
        ]
    }

    fn machines(&self) -> Value {
        let brief = |reading: &Reading| {
            json!({
                "operations": reading.closure.len(),
                "hash": hex::encode(reading.closure_hash),
                "widest": *reading.widest().operation,
                "widest_class": reading.widest().class,
            })
        };
        let classes: serde_json::Map<String, Value> = vault_model::Class::ALL
            .iter()
            .map(|&class| {
                let of_it = self.reading.closure.iter().filter(|member| member.class == class);
                (class.to_string(), json!(of_it.count()))
            })
            .collect();
        json!({
            "venue": self.reading.venue,
            "catalog_hash": hex::encode(self.reading.catalog_hash),
            "environment": self.standing.environment,
            "key_type": self.standing.key_type.as_str(),
            "rights": self.standing.rights,
            "assume": if self.standing.venue_checks { vec![VENUE_CHECKS] } else { Vec::new() },
            "binds": self.bound().0,
            "signed": self.is_signed(),
            "usable_ms": self.catalog.signature.facts(self.standing.key_type).usable_ms,
            "request": {
                "method": self.request.method,
                "scheme": self.request.scheme,
                "host": self.request.host,
                "path": self.request.path,
                "query": self.request.query,
            },
            "stated": member(&self.reading.stated),
            "closure": self.reading.closure.iter().map(member).collect::<Vec<_>>(),
            "closure_hash": hex::encode(self.reading.closure_hash),
            "closure_widest": *self.reading.widest().operation,
            "closure_classes": classes,
            "with_venue_checks": brief(&self.with_checks),
            "without_venue_checks": brief(&self.without_checks),
        })
    }
}

fn operations(count: usize) -> String {
    if count == 1 { "1 operation".to_owned() } else { format!("{count} operations") }
}

fn member(member: &Member) -> Value {
    json!({
        "operation": *member.operation,
        "class": member.class,
        "schema_sourced": member.schema_sourced,
        "every_product": member.products.is_none(),
        "products": member.products.as_deref().unwrap_or_default(),
        "every_symbol": member.symbols == Symbols::Every,
        "symbols": match &member.symbols {
            Symbols::Every => &[],
            Symbols::Named(symbols) => symbols.as_slice(),
        },
        "legs": member.legs,
        "client_order_id": member.client_order_id,
    })
}

/// An order of the request, as the vault would read it.
fn leg(leg: &Leg) -> Vec<String> {
    let all =
        |words: &[Option<String>]| words.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let flag = |is: Option<bool>, word: &str| is.filter(|&is| is).map(|_| word.to_owned());
    let with =
        |word: &str, text: &Option<String>| text.as_ref().map(|text| format!("{word} {text}"));
    vec![
        all(&[
            leg.side.map(|side| side.to_string()),
            leg.order_type.map(|order_type| order_type.to_string()),
            leg.tif.map(|tif| tif.to_string()),
        ]),
        leg.product.map(|product| product.to_string()).unwrap_or_default(),
        leg.symbol.clone().unwrap_or_default(),
        all(&[leg.quantity.clone(), with("quote", &leg.quote_quantity)]),
        all(&[leg.price.clone(), with("trigger", &leg.trigger_price)]),
        all(&[
            flag(leg.reduce_only, "reduce-only"),
            flag(leg.post_only, "post-only"),
            with("leverage", &leg.leverage),
        ]),
    ]
}

const VENUE_CHECKS: &str = "venue_checks";
/// Rows of a closure that are shown without `--all`.
const ROWS_MAX: usize = 20;
/// Symbols of an operation that are shown.
const SYMBOLS_MAX: usize = 4;
