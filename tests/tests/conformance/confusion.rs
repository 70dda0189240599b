//! Requests that look harmless and are not, and harmless ones that look bad: read by the venue's
//! catalogue, judged by scopes, and signed where the mode is `sign`. Only allow and deny are
//! compared.
//!
//! A file has its cases in lists under `deny`, `allow` or `cases`, each with its `expected`.
//! `context.how_to_read` of the file says what its fields mean.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use vault_model::{Class, Environment, Mode, Name, SecretBytes, Timestamp, VenueRequest};
use vault_policy::{Decision, Denial, Grant, Halts, Question, Scope, ScopeDocument, judge};
use vault_venue::{Key, Moment, Operation, Registry, Standing, Venue};

use crate::field::{self, bytes, text, text_at, text_or_empty, texts};
use crate::report::{Miss, NO_VENUE, Report};

/// Where a file has its cases.
const LISTS: &[&str] = &["allow", "cases", "deny"];

/// Classes that no scope can grant yet.
const NOT_GRANTABLE: &[Class] = &[Class::Keys, Class::Other, Class::Withdraw];

/// The one client of a case.
const CLIENT: &str = "client";

/// The one credential of a case: every right at the venue.
const CREDENTIAL: &str = "credential";

/// Base64, so that it is a secret of every kind of text.
const SECRET: &[u8] = b"Y291bnRlcnNpZ24gY29uZm9ybWFuY2Uga2V5IDAwMDE=";

/// Runs every case of a file.
pub fn run(registry: &Registry, path: &Path, report: &mut Report) {
    let file = match field::file(path) {
        Ok(file) => file,
        Err(words) => return report.fail(words),
    };
    for case in LISTS.iter().filter_map(|list| file[*list].as_array()).flatten() {
        let (venue, id) = field::names(case);
        report.add(&venue, &id, check(registry, &venue, case));
    }
    if report.is_empty() {
        report.fail(format!("{} has no cases at all", path.display()));
    }
}

fn check(registry: &Registry, name: &str, case: &Value) -> Result<(), Miss> {
    let venue = registry.venue(name).ok_or_else(|| Miss::left_out(NO_VENUE))?;
    let scope = GrantedScope::read(venue, &case["scope"])?;
    let answer = answer(venue, case, &scope)?;
    match (text(case, "/expected")?, answer) {
        ("allow", Answer::Allowed) | ("deny", Answer::Denied(_)) => Ok(()),
        // Nothing that this build has denies it; a dimension that it lacks may.
        ("deny", Answer::Allowed) if !scope.missing.is_empty() => {
            Err(Miss::left_out(format!("needs {}", scope.missing.join(", "))))
        }
        ("deny", Answer::Allowed) => Err(Miss::failed(format!(
            "expected deny ({}), actual allow",
            text_at(case, "/why_dangerous").unwrap_or("no reason given")
        ))),
        ("allow", Answer::Denied(why)) if scope.grants_too_much && why.is_not_grantable => {
            Err(Miss::left_out("its class cannot be granted yet"))
        }
        ("allow", Answer::Denied(why)) => {
            Err(Miss::failed(format!("expected allow, actual deny: {}", why.words)))
        }
        (other, _) => Err(Miss::failed(format!("expected is {other:?}, neither allow nor deny"))),
    }
}

enum Answer {
    Allowed,
    Denied(Why),
}

struct Why {
    words: String,
    /// The class is one that no scope can grant.
    is_not_grantable: bool,
}

impl Why {
    fn code(code: &str) -> Self {
        Self { words: code.to_owned(), is_not_grantable: false }
    }
}

fn answer(venue: &Venue, case: &Value, scope: &GrantedScope) -> Result<Answer, Miss> {
    let mode: Mode = text(case, "/mode")?.parse().map_err(|_| Miss::failed("mode is not known"))?;
    let request = request(case)?;
    let standing = Standing {
        environment: Environment::Live,
        venue_checks: venue_checks(case)?,
        rights: None,
    };
    let reading = match venue.read(&request, &standing) {
        Ok(reading) => reading,
        Err(error) => return Ok(Answer::Denied(Why::code(error.code()))),
    };
    let decision = judge(&Question {
        client: &name(CLIENT)?,
        credential: &name(CREDENTIAL)?,
        mode,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        reading: &reading,
        scope: &scope.scope,
        client_networks: &[],
        halts: &Halts::default(),
    });
    if let Decision::Deny(denial) = decision {
        return Ok(Answer::Denied(Why {
            words: format!("{} {denial:?}", denial.code()),
            is_not_grantable: matches!(denial, Denial::ClassNotGrantable(_)),
        }));
    }
    match mode {
        // The sending itself is no part of a case.
        Mode::Execute => Ok(Answer::Allowed),
        Mode::Sign => sign(venue, case, &request),
    }
}

/// The last step of a Sign, which may still refuse.
fn sign(venue: &Venue, case: &Value, request: &VenueRequest) -> Result<Answer, Miss> {
    let at = case["clock_ms"].as_i64().ok_or_else(|| Miss::failed("the case has no clock_ms"))?;
    let secret = SecretBytes::new(SECRET.to_vec());
    let passphrase = SecretBytes::new(b"passphrase".to_vec());
    let key = Key {
        api_key: "key",
        secret: &secret,
        passphrase: venue.needs_passphrase().then_some(&passphrase),
    };
    let moment = Moment {
        at: Timestamp::from_millis(at),
        nonce: venue.needs_nonce().then(|| at.unsigned_abs()),
        environment: Environment::Live,
        disclose_passphrase: case["disclose_passphrase"] == true,
    };
    Ok(match venue.sign(request, &key, &moment) {
        Ok(_) => Answer::Allowed,
        Err(error) => Answer::Denied(Why::code(error.code())),
    })
}

fn request(case: &Value) -> Result<VenueRequest, Miss> {
    let request = &case["request"];
    let headers = match &request["headers"] {
        Value::Null => Vec::new(),
        Value::Object(headers) => headers
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<_>>()
            .ok_or_else(|| Miss::failed("a header is no text"))?,
        _ => return Err(Miss::failed("headers are no object")),
    };
    // Cases write a log-on as the GET that opens the socket; the vault calls it by its own scheme.
    let is_log_on = request.get("ws_login").is_some() || case["scope"]["ws"] == true;
    let scheme = text_at(request, "/scheme").unwrap_or("https");
    let scheme = if is_log_on && scheme == "https" { "wss" } else { scheme };
    Ok(VenueRequest {
        method: text(request, "/method")?.to_owned(),
        scheme: scheme.to_owned(),
        host: text(request, "/host")?.to_owned(),
        path: text(request, "/path")?.to_owned(),
        query: text_or_empty(request, "/query"),
        body: bytes(request.get("body"))?,
        headers,
    })
}

fn venue_checks(case: &Value) -> Result<bool, Miss> {
    if case["assume"].is_null() {
        return Ok(false);
    }
    let words = texts(&case["assume"]).ok_or_else(|| Miss::failed("assume is no list"))?;
    match words.iter().find(|word| *word != "venue_checks") {
        Some(word) => Err(Miss::left_out(format!("no assumption {word} in this build"))),
        None => Ok(!words.is_empty()),
    }
}

/// A case's scope, and what of it this build cannot say.
struct GrantedScope {
    scope: Scope,
    /// Dimensions that are not there yet.
    missing: Vec<String>,
    /// It names a class that cannot be granted yet.
    grants_too_much: bool,
}

impl GrantedScope {
    fn read(venue: &Venue, words: &Value) -> Result<Self, Miss> {
        let own = name(venue.name())?;
        let fields = words.as_object().ok_or_else(|| Miss::failed("the case has no scope"))?;
        let mut document = ScopeDocument::new(name("case")?);
        document.credentials = BTreeSet::from([name(CREDENTIAL)?]);
        document.modes = Mode::ALL.iter().copied().collect();
        document.network.allow = BTreeSet::from([std::net::IpAddr::from([127, 0, 0, 1]).into()]);
        document.classes =
            Class::ALL.iter().copied().filter(|class| !NOT_GRANTABLE.contains(class)).collect();
        if !fields.contains_key("classes") {
            // Operations of class `other` are granted one by one.
            let other = |operation: &&Operation| operation.class == Class::Other;
            let operations = venue.catalog.operations.iter().filter(other);
            document.operations = operations.map(|operation| operation.name.clone()).collect();
        }
        document.products = Grant::Every;
        document.symbols.insert(own.clone(), Grant::Every);

        let mut missing = Vec::new();
        for (dimension, value) in fields {
            let unreadable = || Miss::failed(format!("scope: {dimension} cannot be read"));
            let list = || texts(value).ok_or_else(unreadable);
            match dimension.as_str() {
                "classes" => document.classes = parse_all(&list()?).ok_or_else(unreadable)?,
                "modes" => document.modes = parse_all(&list()?).ok_or_else(unreadable)?,
                "operations" => document.operations = list()?.into_iter().collect(),
                "products" => {
                    document.products = Grant::try_from(list()?).map_err(|_| unreadable())?;
                }
                "symbols" => {
                    let symbols = Grant::try_from(list()?).map_err(|_| unreadable())?;
                    document.symbols.insert(own.clone(), symbols);
                }
                // Says what the request is, not what is granted.
                "ws" => {}
                _ => missing.push(dimension.clone()),
            }
        }
        let grants_too_much = document.classes.iter().any(|class| NOT_GRANTABLE.contains(class));
        Ok(Self { scope: Scope::compile(&document), missing, grants_too_much })
    }
}

fn parse_all<T: std::str::FromStr + Ord>(words: &[String]) -> Option<BTreeSet<T>> {
    words.iter().map(|word| word.parse().ok()).collect()
}

fn name(text: &str) -> Result<Name, Miss> {
    text.parse().map_err(|_| Miss::failed(format!("{text:?} is no name")))
}
