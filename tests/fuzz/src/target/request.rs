//! Requests as bots state them: what [`Venue::read`] promises of whatever it takes.

use sha2::{Digest, Sha256};
use vault_model::{Environment, Member, Reading, Symbols, VenueRequest};
use vault_venue::{BODY_BYTES_MAX, Operation, ReadError, Standing, Venue};

use super::input::{self, Stand};
use super::signed;

/// A request to one venue; the shape of the input is that of [`input`].
pub fn stated(venue: &str, data: &[u8]) {
    let venue = input::venue(venue);
    let Some((request, stand)) = input::read(venue, data) else {
        return;
    };
    match judge(venue, &request, &stand) {
        // The other place.
        Some(ReadError::QueryNotAllowed) if request.body.is_empty() => {
            let body = request.query.clone().into_bytes();
            judge(venue, &VenueRequest { query: String::new(), body, ..request }, &stand);
        }
        Some(ReadError::BodyNotAllowed) if request.query.is_empty() => {
            let query = String::from_utf8_lossy(&request.body).into_owned();
            judge(venue, &VenueRequest { query, body: Vec::new(), ..request }, &stand);
        }
        _ => {}
    }
}

/// A request to any venue with every part of it out of the input:
/// `venue, flags, held`, then texts that a zero byte ends: method, scheme, host, path, query, body,
/// and names and values of headers. An empty text is what the operation has.
pub fn any(data: &[u8]) {
    let [name, flags, held, text @ ..] = data else {
        return;
    };
    let names: Vec<_> = input::registry().names().collect();
    let venue = input::venue(names[usize::from(*name) % names.len()]);
    let stand = Stand::of(venue, *flags, *held);
    let mut texts = text.split(|&byte| byte == 0);
    let mut next = || texts.next().unwrap_or_default().to_vec();
    let parts = [(); 4].map(|()| String::from_utf8_lossy(&next()).into_owned());
    let (query, body) = (String::from_utf8_lossy(&next()).into_owned(), next());
    let headers: Vec<_> = texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();

    let operations = &venue.catalog.operations;
    let Some(operation) = operations.get(input::choice(text, operations.len())) else {
        return;
    };
    let hosts = venue.catalog.hosts(stand.environment);
    let host = hosts.and_then(|hosts| hosts.of(operation).first().cloned()).unwrap_or_default();
    let scheme = if operation.is_socket() { "wss" } else { "https" };
    let own = [operation.method.clone(), scheme.to_owned(), host, input::path(operation)];
    let mut parts = parts.into_iter().zip(own).map(|(given, own)| match given.as_str() {
        "" => own,
        _ => given,
    });
    let mut part = || parts.next().unwrap_or_default();
    let request = VenueRequest {
        method: part(),
        scheme: part(),
        host: part(),
        path: part(),
        query,
        body,
        headers: headers
            .chunks(2)
            .map(|pair| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default()))
            .collect(),
    };
    judge(venue, &request, &stand);
}

/// Reads a request and checks everything that must hold of the answer. The error, if it is one.
pub fn judge(venue: &Venue, request: &VenueRequest, stand: &Stand) -> Option<ReadError> {
    let standing = stand.standing();
    let reading = match venue.read(request, &standing) {
        Ok(reading) => reading,
        Err(error) => {
            check_error(venue, &error);
            assert_eq!(venue.read(request, &standing).as_ref(), Err(&error), "the same error");
            signed::try_sign(venue, request, &standing);
            return Some(error);
        }
    };
    super::take();
    assert_eq!(venue.read(request, &standing).as_ref(), Ok(&reading), "the same reading");
    assert_eq!(reading.venue, venue.name());
    assert_eq!(reading.catalog_hash, venue.catalog.hash);
    check_stated(venue, request, &reading);
    check_closure(venue, request, &reading, &standing);
    check_wider_standings(venue, request, &reading, &standing);
    check_window(venue, request, &reading, &standing);
    signed::check(venue, request, &standing);
    None
}

/// Errors carry the catalogue's names and never the caller's text.
fn check_error(venue: &Venue, error: &ReadError) {
    assert!(error.code().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    let (ReadError::ParameterMissing(names)
    | ReadError::ParameterRefused(names)
    | ReadError::ParameterReserved(names)
    | ReadError::ParameterValue(names)) = error
    else {
        return;
    };
    if input::registry().venue(venue.name()).is_some_and(|known| std::ptr::eq(known, venue)) {
        let words = input::words(venue.name());
        for name in names.split(" or ").flat_map(|names| names.split(" and ")) {
            let is_ours = words.binary_search_by(|word| word.as_str().cmp(name)).is_ok();
            assert!(is_ours, "{name:?} is no name of the catalogue");
        }
    }
}

fn check_stated(venue: &Venue, request: &VenueRequest, reading: &Reading) {
    let operation = input::operation(venue, &reading.stated.operation).expect("in the catalogue");
    assert_eq!(operation.method, request.method);
    assert!(input::is_path_of(operation, &request.path), "{}", operation.name);
    assert_eq!(request.scheme == "wss", operation.is_socket());
    assert!(request.query.is_empty() || request.body.is_empty(), "one place");
    // Two programs read this text alike.
    assert!(request.query.bytes().all(|b| b.is_ascii_graphic()), "plain");
    assert!(!request.query.contains(['+', '#', ';']), "plain");
    assert!(request.body.len() <= BODY_BYTES_MAX);
    if matches!(request.body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).expect("JSON for others");
    }
}

/// The closure is sorted, hashed as it is, has the stated operation in it, and each of the others
/// has every part that the signature binds, takes a signature, and is open to the key.
fn check_closure(
    venue: &Venue,
    request: &VenueRequest,
    reading: &Reading,
    standing: &Standing<'_>,
) {
    let closure = &reading.closure;
    assert!(closure.windows(2).all(|two| two[0].operation < two[1].operation), "sorted, unique");
    let mut hasher = Sha256::new();
    for member in closure {
        hasher.update(format!("{}\n", member.operation));
    }
    assert_eq!(reading.closure_hash, <[u8; 32]>::from(hasher.finalize()));
    assert!(closure.contains(reading.widest()));

    let catalog = &venue.catalog;
    let stated = input::operation(venue, &reading.stated.operation).expect("in the catalogue");
    let member = find(closure, &stated.name).expect("the stated operation");
    assert!(*member == reading.stated || is_unread(member, stated), "{member:?}");
    assert!(stated.signed || closure.len() == 1, "an unsigned request authorises itself");
    let binds = catalog.binds(stated, standing.key_type);
    let hosts = catalog.hosts(standing.environment).expect("it was read");
    for member in closure {
        let operation = input::operation(venue, &member.operation).expect("in the catalogue");
        check_member(member, operation);
        assert_eq!(member.class, operation.class);
        assert_eq!(member.schema_sourced, operation.schema_sourced());
        let is_open = standing.rights.is_none_or(|held| {
            operation.rights.is_empty() || operation.rights.iter().any(|right| held.contains(right))
        });
        assert!(is_open, "{}: the key lacks the right", operation.name);
        if std::ptr::eq(operation, stated) {
            continue;
        }
        let name = &operation.name;
        assert!(operation.signed, "{name}");
        assert!(!binds.method || operation.method == request.method, "{name}: method");
        assert!(!binds.path || input::is_path_of(operation, &request.path), "{name}: path");
        assert!(!binds.host || hosts.of(operation).contains(&request.host), "{name}: host");
        assert!(operation.schema_sourced() || !standing.venue_checks, "{name}: no schema");
    }
}

fn check_member(member: &Member, operation: &Operation) {
    let is_decimal = |text: &Option<String>| text.as_deref().is_none_or(is_decimal);
    for leg in &member.legs {
        let decimals =
            [&leg.quantity, &leg.quote_quantity, &leg.price, &leg.trigger_price, &leg.leverage];
        assert!(decimals.into_iter().all(is_decimal), "{leg:?}");
    }
    assert!(member.legs.is_empty() || member.class.is_write(), "{member:?}");
    // What is not known could be anything.
    if !member.schema_sourced && member.class.is_write() {
        assert!(is_unread(member, operation), "{member:?}");
    }
}

/// `^-?[0-9]{1,18}(\.[0-9]{1,18})?$`
fn is_decimal(text: &str) -> bool {
    let digits =
        |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

/// Whether a member could be anything: everything of its product, as far as the operation says one.
/// A read may touch no instrument at all.
fn is_unread(member: &Member, operation: &Operation) -> bool {
    let product = operation.product.map(|product| vec![product]);
    let is_read = !member.class.is_write();
    let touches_none = is_read && member.symbols == Symbols::Named(Vec::new());
    (member.products == product || (is_read && member.products.as_ref().is_some_and(Vec::is_empty)))
        && (member.symbols == Symbols::Every || touches_none)
        && member.legs.is_empty()
        && member.client_order_id.is_none()
}

fn find<'m>(closure: &'m [Member], name: &str) -> Option<&'m Member> {
    let at = closure.binary_search_by(|member| (*member.operation).cmp(name)).ok()?;
    closure.get(at)
}

/// A key that may do more, or a venue that checks less, only makes the closure wider.
fn check_wider_standings(
    venue: &Venue,
    request: &VenueRequest,
    reading: &Reading,
    standing: &Standing<'_>,
) {
    let all = Standing { rights: None, ..*standing };
    let lax = Standing { venue_checks: false, ..*standing };
    for wider in [all, lax] {
        if (wider.venue_checks, wider.rights) == (standing.venue_checks, standing.rights) {
            continue;
        }
        let wide = venue.read(request, &wider).expect("what was read with less");
        assert_eq!(wide.stated, reading.stated);
        for member in &reading.closure {
            assert!(find(&wide.closure, &member.operation).is_some(), "{}", member.operation);
        }
    }
    let none: &[String] = &[];
    let narrow = Standing { venue_checks: true, rights: Some(none), ..*standing };
    if let Ok(less) = venue.read(request, &narrow) {
        assert_eq!(less.stated, reading.stated);
        for member in &less.closure {
            assert!(find(&reading.closure, &member.operation).is_some(), "{}", member.operation);
        }
    }
    // The place changes nothing about what it says.
    let demo = Standing { environment: Environment::Demo, ..*standing };
    if let Ok(other) = venue.read(request, &demo) {
        assert_eq!(other.stated, reading.stated);
    }
}

/// A narrower window is no other request.
fn check_window(venue: &Venue, request: &VenueRequest, reading: &Reading, standing: &Standing<'_>) {
    let Some(window) = &venue.catalog.signature.window else {
        return;
    };
    let said = |text: &[u8]| String::from_utf8_lossy(text).contains(&window.name);
    let is_long = request.query.len() > 8_000
        || request.body.len() > BODY_BYTES_MAX - 100
        || request.query.matches('&').count() > 250
        || request.body.iter().filter(|&&b| b == b'&').count() > 250;
    if said(request.query.as_bytes()) || said(&request.body) || is_long {
        return;
    }
    let mut narrowed = request.clone();
    let pair = format!("{}={}", window.name, window.max_ms);
    let body = request.body.trim_ascii_start();
    let is_socket = request.scheme == "wss";
    if body.first() == Some(&b'{') || (is_socket && body.is_empty()) {
        let rest = body.get(1..).unwrap_or(b"}");
        let is_empty = rest.trim_ascii_start().first() == Some(&b'}');
        let comma = if is_empty { "" } else { "," };
        let head = format!("{{\"{}\":{}{comma}", window.name, window.max_ms);
        narrowed.body = [head.as_bytes(), rest].concat();
    } else if !body.is_empty() {
        narrowed.body.extend(format!("&{pair}").bytes());
    } else {
        let mark = if request.query.is_empty() { "" } else { "&" };
        narrowed.query = format!("{}{mark}{pair}", request.query);
    }
    let again = venue.read(&narrowed, standing).expect("a narrower window is always taken");
    assert_eq!(again.stated, reading.stated);
    let names = |reading: &Reading| {
        reading.closure.iter().map(|member| member.operation.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&again), names(reading), "the window changes nothing");
    assert_eq!(again.closure, reading.closure, "the window changes nothing");
}
