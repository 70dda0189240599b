//! Requests that look harmless and are not, and harmless ones that look bad: read by the venue's
//! catalogue, judged by scopes, and signed where the mode is `sign`. Only allow and deny are
//! compared.
//!
//! A file has its cases in lists under `deny`, `allow` or `cases`, each with its `expected`.
//! `context.how_to_read` of the file says what its fields mean; what it says of prices and
//! instruments, `market.rs` reads.
//!
//! Every case is judged in its own mode, and that must give what it expects. It is judged in the
//! other mode too, and what is not about the signature must come out the same there: what `Sign`
//! gives, `Execute` does; what `Sign` denies for what the request itself is, `Execute` denies. Cases
//! that `Sign` denies only for what else the signature would authorise are listed in a note: those
//! `Execute` may serve.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use vault_model::{
    Class, ClockTime, Environment, Mode, Money, Name, Reading, SecretBytes, Timestamp, VenueRequest,
};
use vault_policy::{
    Decision, Denial, Grant, Halts, History, Question, Scope, ScopeDocument, judge,
};
use vault_venue::{Key, KeyType, Moment, Operation, Registry, Standing, Venue};

use crate::field::{self, bytes, text, text_at, text_or_empty, texts};
use crate::market::{self, Context};
use crate::report::{Miss, NO_VENUE, Report};

/// Where a file has its cases.
const LISTS: &[&str] = &["allow", "cases", "deny"];

/// Classes that no scope grants by a word alone.
const NOT_GRANTABLE: &[Class] = &[Class::Keys, Class::Other, Class::Withdraw];

/// The one client of a case.
const CLIENT: &str = "client";

/// The one credential of a case: every right at the venue, if the case names none.
const CREDENTIAL: &str = "credential";

/// Base64, so that it is a shared secret of every kind of text.
const SECRET: &[u8] = b"Y291bnRlcnNpZ24gY29uZm9ybWFuY2Uga2V5IDAwMDE=";

/// Private keys are made anew for each run.
static RSA: LazyLock<String> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der = pair.as_der().expect("DER");
    pem(der.as_ref())
});
static ED25519_SEED: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).expect("randomness");
    seed
});
static ES256: LazyLock<String> = LazyLock::new(|| {
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate(algorithm).expect("a key");
    pem(pair.to_pkcs8v1().expect("DER").as_ref())
});

fn pem(der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{digits}\n-----END PRIVATE KEY-----\n")
}

/// Runs every case of a file.
pub fn run(registry: &Registry, path: &Path, report: &mut Report) {
    let file = match field::file(path) {
        Ok(file) => file,
        Err(words) => return report.fail(words),
    };
    let context = market::read(&file["context"]);
    for unknown in &context.unknown {
        report.note(format!("LEFT OUT of the context, so nothing is priced by it: {unknown}"));
    }
    let mut served = Vec::new();
    for case in LISTS.iter().filter_map(|list| file[*list].as_array()).flatten() {
        let (venue, id) = field::names(case);
        let outcome = check(registry, &context, &venue, case).map(|by_execute| {
            if by_execute {
                served.push(id.clone());
            }
        });
        report.add(&venue, &id, outcome);
    }
    if report.is_empty() {
        report.fail(format!("{} has no cases at all", path.display()));
    }
    if !served.is_empty() {
        let ids = served.join(" ");
        report.note(format!(
            "denied for what else the signature would authorise; Execute may serve: {ids}"
        ));
    }
}

/// Whether `Execute` serves what `Sign` denies as expected.
fn check(registry: &Registry, context: &Context, name: &str, case: &Value) -> Result<bool, Miss> {
    let venue = registry.venue(name).ok_or_else(|| Miss::left_out(NO_VENUE))?;
    let scope = GrantedScope::read(venue, context, &case["scope"])?;
    let mode: Mode = text(case, "/mode")?.parse().map_err(|_| Miss::failed("mode is not known"))?;
    // A case that does not say what kind of key it is about holds for all that the venue issues.
    let issued = venue.key_types().iter().copied().filter(|kind| *kind != KeyType::LegacyHmac);
    let key_types = match text_at(case, "/key_type") {
        None => issued.collect(),
        Some(word) => {
            vec![word.parse().map_err(|_| Miss::left_out(format!("no key type {word}")))?]
        }
    };
    let mut is_served = false;
    for key_type in key_types {
        let answer = |mode| answer(venue, case, context, &scope, key_type, mode);
        let in_words = |miss| match miss {
            Miss::Failed(words) => Miss::Failed(format!("{words} (key type {key_type})")),
            left_out @ Miss::LeftOut(_) => left_out,
        };
        let own = answer(mode)?;
        check_answer(case, &scope, &own).map_err(in_words)?;
        let (signed, executed) = match mode {
            Mode::Sign => (own, answer(Mode::Execute)?),
            Mode::Execute => (answer(Mode::Sign)?, own),
        };
        is_served |= check_other_mode(&signed, &executed).map_err(in_words)?;
    }
    Ok(is_served)
}

fn check_answer(case: &Value, scope: &GrantedScope, answer: &Answer) -> Result<(), Miss> {
    match (text(case, "/expected")?, answer) {
        ("deny", Answer::Denied(_)) => Ok(()),
        // What is not restricted here could be what the case is about.
        (_, Answer::Allowed) if !scope.missing.is_empty() => {
            Err(Miss::left_out(format!("needs {}", scope.missing.join(", "))))
        }
        ("allow", Answer::Allowed) => Ok(()),
        ("deny", Answer::Allowed) => Err(Miss::failed(format!(
            "expected deny ({}), actual allow",
            text_at(case, "/why_dangerous").unwrap_or("no reason given")
        ))),
        ("allow", Answer::Denied(why)) if scope.grants_too_much && why.is_not_grantable => {
            Err(Miss::left_out("its class is not granted by a word alone"))
        }
        ("allow", Answer::Denied(why)) => {
            Err(Miss::failed(format!("expected allow, actual deny: {}", why.words)))
        }
        (other, _) => Err(Miss::failed(format!("expected is {other:?}, neither allow nor deny"))),
    }
}

/// Holds the answers of both modes against each other; says whether `Execute` serves what `Sign`
/// denies.
fn check_other_mode(signed: &Answer, executed: &Answer) -> Result<bool, Miss> {
    match (signed, executed) {
        (Answer::Allowed, Answer::Denied(why)) => {
            Err(Miss::failed(format!("Sign allows, Execute denies: {}", why.words)))
        }
        (Answer::Denied(why), Answer::Allowed) if !why.is_of_signature => Err(Miss::failed(
            format!("Sign denies for what the request itself is, Execute allows: {}", why.words),
        )),
        (signed, executed) => Ok(signed.is_denied() && !executed.is_denied()),
    }
}

enum Answer {
    Allowed,
    Denied(Why),
}

impl Answer {
    fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }
}

struct Why {
    words: String,
    /// The class is one that no scope can grant.
    is_not_grantable: bool,
    /// It is about a signature that gets out, and what it is good for.
    is_of_signature: bool,
}

impl Why {
    fn code(code: &str) -> Self {
        Self { words: code.to_owned(), is_not_grantable: false, is_of_signature: false }
    }
}

fn answer(
    venue: &Venue,
    case: &Value,
    context: &Context,
    scope: &GrantedScope,
    key_type: KeyType,
    mode: Mode,
) -> Result<Answer, Miss> {
    let request = request(case)?;
    let rights = rights(venue, case)?;
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        key_type,
        venue_checks: venue_checks(case)?,
        rights: rights.as_deref(),
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
        market: &context.market,
        history: &History::default(),
        withdrawn: &History::default(),
        now: moment(case)?,
        steady_now: moment(case)?,
        clock: ClockTime(0),
        country: None,
        takes_signatures_once: venue.takes_signatures_once(),
    });
    if let Decision::Deny(denial) = decision {
        return Ok(Answer::Denied(Why {
            words: format!("{} {denial:?}", denial.code()),
            is_not_grantable: matches!(denial, Denial::ClassNotGrantable(_)),
            is_of_signature: denial.code() == "CAP_NOT_ENFORCEABLE"
                || denial.operation().is_some_and(|operation| is_wider(&reading, operation)),
        }));
    }
    match mode {
        // The sending itself is no part of a case.
        Mode::Execute => Ok(Answer::Allowed),
        Mode::Sign => sign(venue, case, &request, key_type),
    }
}

/// Whether what a signature authorises under this name is more than the request: another operation,
/// or the stated one with what is not bound.
fn is_wider(reading: &Reading, operation: &str) -> bool {
    let mut members = reading.closure.iter().filter(|member| *member.operation == *operation);
    members.any(|member| *member != reading.stated)
}

fn moment(case: &Value) -> Result<Timestamp, Miss> {
    let at = case["clock_ms"].as_i64().ok_or_else(|| Miss::failed("the case has no clock_ms"))?;
    Ok(Timestamp::from_millis(at))
}

/// The last step of a Sign, which may still refuse.
fn sign(
    venue: &Venue,
    case: &Value,
    request: &VenueRequest,
    key_type: KeyType,
) -> Result<Answer, Miss> {
    let at = moment(case)?;
    let secret = secret(venue, key_type);
    let passphrase = SecretBytes::new(b"passphrase".to_vec());
    let key = Key {
        api_key: "key",
        key_type,
        secret: &secret,
        passphrase: venue.needs_passphrase().then_some(&passphrase),
        private_key: None,
    };
    let moment = Moment {
        at,
        nonce: venue.needs_nonce().then(|| at.millis().unsigned_abs()),
        unique: [7; 16],
        environment: Environment::Live,
        disclose_passphrase: case["disclose_passphrase"] == true,
    };
    Ok(match venue.sign(request, &key, &moment) {
        Ok(_) => Answer::Allowed,
        // The vault itself may send what it gives to nobody.
        Err(error) => Answer::Denied(Why { is_of_signature: true, ..Why::code(error.code()) }),
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
    let mut stated = VenueRequest {
        method: text(request, "/method")?.to_owned(),
        scheme: text_at(request, "/scheme").unwrap_or("https").to_owned(),
        host: text(request, "/host")?.to_owned(),
        path: text(request, "/path")?.to_owned(),
        query: text_or_empty(request, "/query"),
        body: bytes(request.get("body"))?,
        headers,
    };
    // Cases write what goes over a socket as the GET that opens it; the vault calls it by the
    // socket's own scheme.
    let log_on = &request["ws_login"];
    if (log_on.is_object() || case["scope"]["ws"] == true) && stated.scheme == "https" {
        "wss".clone_into(&mut stated.scheme);
    }
    for (name, value) in log_on.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            // A request of the socket's API, which the vault names by the path.
            ("method", Value::String(method)) => {
                "WS".clone_into(&mut stated.method);
                stated.path = format!("{}/{method}", stated.path);
            }
            // What only the vault sets, and here the caller does.
            _ => {
                let separator = if stated.query.is_empty() { "" } else { "&" };
                stated.query = format!("{}{separator}{name}={value}", stated.query);
            }
        }
    }
    Ok(stated)
}

/// A secret of a type of key, in the form that the venue issues.
fn secret(venue: &Venue, key_type: KeyType) -> SecretBytes {
    let text = match key_type {
        KeyType::Hmac | KeyType::LegacyHmac => return SecretBytes::new(SECRET.to_vec()),
        KeyType::Ed25519 => {
            let seed = &*ED25519_SEED;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a key");
            match venue.name() {
                "coinbase" => STANDARD.encode([seed, pair.public_key().as_ref()].concat()),
                _ => pem(pair.to_pkcs8v1().expect("DER").as_ref()),
            }
        }
        KeyType::Es256 => ES256.clone(),
        KeyType::Rsa => RSA.clone(),
    };
    SecretBytes::new(text.into_bytes())
}

/// The rights that a case's credential holds; absent: all.
fn rights(venue: &Venue, case: &Value) -> Result<Option<Vec<String>>, Miss> {
    if case["rights"].is_null() {
        return Ok(None);
    }
    let words = texts(&case["rights"]).ok_or_else(|| Miss::failed("rights is no list"))?;
    match words.iter().find(|word| !venue.rights().contains(word)) {
        Some(word) => Err(Miss::failed(format!("the venue has no right {word}"))),
        None => Ok(Some(words)),
    }
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
    fn read(venue: &Venue, context: &Context, words: &Value) -> Result<Self, Miss> {
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
            document.operations = operations.map(|operation| operation.name.to_string()).collect();
        }
        document.products = Grant::Every;
        document.symbols.insert(own.clone(), Grant::Every);
        document.pricing.usd_par.clone_from(&context.usd_par);
        // Cases do not speak of it.
        document.pricing.slippage = Some(Money::ZERO);

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
                "order_types" => {
                    document.orders.types = Some(parse_all(&list()?).ok_or_else(unreadable)?);
                }
                "time_in_force" => {
                    let words = parse_all(&list()?).ok_or_else(unreadable)?;
                    document.orders.time_in_force = Some(words);
                }
                "margin_modes" => {
                    let words = parse_all(&list()?).ok_or_else(unreadable)?;
                    document.orders.margin_modes = Some(words);
                }
                "reduce_only" => {
                    document.orders.reduce_only = value.as_bool().ok_or_else(unreadable)?;
                }
                "post_only" => {
                    document.orders.post_only = value.as_bool().ok_or_else(unreadable)?;
                }
                "max_notional_usd" => {
                    document.orders.max_notional_usd = Some(money(value).ok_or_else(unreadable)?);
                }
                "max_leverage" => {
                    document.orders.max_leverage = Some(money(value).ok_or_else(unreadable)?);
                }
                "price_band" => {
                    document.orders.price_band = Some(money(value).ok_or_else(unreadable)?);
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

/// A decimal, as a number or a text. JSON numbers stand as they were written.
fn money(value: &Value) -> Option<Money> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn name(text: &str) -> Result<Name, Miss> {
    text.parse().map_err(|_| Miss::failed(format!("{text:?} is no name")))
}
