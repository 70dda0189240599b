//! The reference model: what the engine must answer, worked out slowly from the document itself,
//! with fractions, flat lists and tables of minutes. It shares no code with the engine's rules.
//!
//! It does not stop at the first objection: it collects all of them, and the engine's answer must be
//! one of them, or "allow" if there is none.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};
use vault_model::{
    Class, HaltLevel, HaltTarget, Instrument, Leg, MarginMode, Member, Mode, OrderType, Product,
    SizeUnit, Symbols, TimeInForce,
};
use vault_policy::Grant;

use crate::case::{Case, Past};
use crate::fraction::{Fraction, fraction, is_positive, of, sayable, whole};
use crate::worth;

/// The codes of everything that speaks against a request.
pub type Objections = BTreeSet<&'static str>;

/// What a request counts for, at worst.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Worst {
    pub orders: u64,
    pub resting: u64,
    /// `None`: some order in it cannot be priced.
    pub notional: Option<Fraction>,
}

/// What speaks against a request; nothing: it must be allowed.
pub fn objections(case: &Case) -> Objections {
    let mut found = Objections::new();
    about_the_caller(case, &mut found);
    let members = members(case);
    if members.is_empty() {
        found.insert("CLASS_NOT_GRANTED");
        let stops = |(target, level): &(HaltTarget, HaltLevel)| {
            *level == HaltLevel::Nothing && is_about(case, &target.to_string())
        };
        if case.halts.iter().any(stops) {
            found.insert("HALT_NOTHING");
        }
    }
    for member in members {
        about_rights(case, member, &mut found);
        about_halts(case, member, &mut found);
        about_hours(case, member, &mut found);
        about_log_ons(case, member, &mut found);
        about_orders(case, member, &mut found);
        about_settings(case, member, &mut found);
        about_withdrawals(case, member, &mut found);
    }
    about_sums(case, &mut found);
    about_repetition(case, &mut found);
    found
}

/// What a signature would let happen, or what the vault is to send.
fn members(case: &Case) -> Vec<&Member> {
    match case.mode {
        Mode::Execute => vec![&case.reading.stated],
        Mode::Sign => case.reading.closure.iter().collect(),
    }
}

fn is_one_of(class: Class, classes: &[Class]) -> bool {
    classes.contains(&class)
}

fn is_read(member: &Member) -> bool {
    is_one_of(member.class, &[Class::Public, Class::Read])
}

fn about_the_caller(case: &Case, found: &mut Objections) {
    let document = &case.document;
    let is_in = |network: &ipnet::IpNet| network.contains(&case.address);
    if document.network.deny.iter().any(is_in) {
        found.insert("NETWORK_DENIED");
    }
    if !document.network.allow.iter().any(is_in) {
        found.insert("NETWORK_NOT_ALLOWED");
    }
    if !case.client_networks.is_empty() && !case.client_networks.iter().any(is_in) {
        found.insert("CLIENT_NETWORK_NOT_ALLOWED");
    }
    if let Some(countries) = &document.network.countries {
        match case.country {
            None => {
                found.insert("COUNTRY_UNKNOWN");
            }
            Some(country) if !countries.contains(&country) => {
                found.insert("COUNTRY_NOT_ALLOWED");
            }
            Some(_) => {}
        }
    }
    if !document.credentials.contains(&case.credential) {
        found.insert("CREDENTIAL_NOT_GRANTED");
    }
    if !document.modes.contains(&case.mode) {
        found.insert("MODE_NOT_GRANTED");
    }
}

fn about_rights(case: &Case, member: &Member, found: &mut Objections) {
    let document = &case.document;
    match member.class {
        Class::Keys => {
            found.insert("CLASS_NOT_GRANTABLE");
        }
        Class::Other if !document.operations.contains(&*member.operation) => {
            found.insert("OPERATION_NOT_GRANTED");
        }
        Class::Other => {}
        Class::Withdraw if document.withdrawal.is_none() => {
            found.insert("CLASS_NOT_GRANTABLE");
            found.insert("CLASS_NOT_GRANTED");
        }
        class if !document.classes.contains(&class) => {
            found.insert("CLASS_NOT_GRANTED");
        }
        _ => {}
    }
    if !is_read(member) && !member.schema_sourced {
        found.insert("SCHEMA_NOT_SOURCED");
    }
    match (&document.products, &member.products) {
        (Grant::Every, _) => {}
        (Grant::Only(_), None) => {
            found.insert("EVERY_PRODUCT_NOT_GRANTED");
        }
        (Grant::Only(granted), Some(products)) => {
            if products.iter().any(|product| !granted.contains(product)) {
                found.insert("PRODUCT_NOT_GRANTED");
            }
        }
    }
    if is_read(member) {
        return;
    }
    let granted = document.symbols.iter().find(|(venue, _)| venue.as_str() == case.reading.venue);
    let granted: Option<Vec<&str>> = match granted {
        Some((_, Grant::Every)) => None,
        Some((_, Grant::Only(symbols))) => {
            Some(symbols.iter().map(|symbol| symbol.as_str()).collect())
        }
        None => Some(Vec::new()),
    };
    match (granted, &member.symbols) {
        (None, _) => {}
        (Some(_), Symbols::Every) => {
            found.insert("EVERY_SYMBOL_NOT_GRANTED");
        }
        (Some(granted), Symbols::Named(symbols)) => {
            if symbols.iter().any(|symbol| !granted.contains(&symbol.as_str())) {
                found.insert("SYMBOL_NOT_GRANTED");
            }
        }
    }
}

/// Whether a halt is about the request as a whole.
fn is_about(case: &Case, target: &str) -> bool {
    [
        "all".to_owned(),
        format!("client:{}", case.client),
        format!("credential:{}", case.credential),
        format!("venue:{}", case.reading.venue),
    ]
    .contains(&target.to_owned())
}

/// Halts by their texts.
fn about_halts(case: &Case, member: &Member, found: &mut Objections) {
    let venue = case.reading.venue;
    for (target, level) in &case.halts {
        let target = target.to_string();
        let concerns = match target.strip_prefix("symbol:") {
            Some(halted) => {
                let touches = match &member.symbols {
                    Symbols::Every => halted.starts_with(&format!("{venue}/")),
                    Symbols::Named(symbols) => {
                        symbols.iter().any(|symbol| is_a_name_of(case, symbol, halted))
                    }
                };
                touches && !is_read(member)
            }
            None => is_about(case, &target),
        };
        if !concerns {
            continue;
        }
        match level {
            HaltLevel::Nothing => {
                found.insert("HALT_NOTHING");
            }
            HaltLevel::NoNewRisk => {
                if !is_one_of(member.class, &[Class::Public, Class::Read, Class::Cancel])
                    && !reduces(member)
                {
                    found.insert("HALT_NO_NEW_RISK");
                }
            }
        }
    }
}

/// Whether a symbol of the request is the halted one (`venue/symbol`), or another name of the same
/// spot market.
fn is_a_name_of(case: &Case, symbol: &str, halted: &str) -> bool {
    let venue = case.reading.venue;
    let spots = |name: &str| {
        let is_it = |known: &&Instrument| {
            format!("{}/{}", known.venue, known.symbol) == name && known.product == Product::Spot
        };
        let last = case.instruments.iter().rev().find(is_it);
        last.map(|known| format!("{} {}", known.base, known.quote))
    };
    let asked = format!("{venue}/{symbol}");
    let is_at_venue = halted.starts_with(&format!("{venue}/"));
    asked == halted || (is_at_venue && spots(&asked).is_some() && spots(&asked) == spots(halted))
}

/// Whether it can make positions smaller only.
fn reduces(member: &Member) -> bool {
    member.class == Class::Trade
        && member.schema_sourced
        && !member.legs.is_empty()
        && member.legs.iter().all(leg_reduces)
}

fn leg_reduces(leg: &Leg) -> bool {
    leg.reduce_only == Some(true)
        && matches!(leg.product, Some(Product::Inverse | Product::Linear | Product::Option))
}

/// By a table of all minutes of a week.
fn about_hours(case: &Case, member: &Member, found: &mut Objections) {
    let Some(hours) = &case.document.hours else { return };
    if is_read(member) || member.class == Class::Cancel {
        return;
    }
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let mut open = vec![false; 7 * 24 * 60];
    for window in &hours.windows {
        let text = window.to_string();
        let (days, times) = text.split_once(' ').expect("days and times");
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let day = |word: &str| DAYS.iter().position(|day| *day == word).expect("a day");
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':').expect("a time");
            hour.parse::<usize>().expect("hours") * 60 + minute.parse::<usize>().expect("minutes")
        };
        let (from, to) = times.split_once('-').expect("times");
        let mut at = day(first);
        loop {
            for minute in minute(from)..minute(to) {
                open[at * 24 * 60 + minute] = true;
            }
            if at == day(last) {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    let zone: chrono_tz::Tz = hours.timezone.to_string().parse().expect("a time zone");
    let utc = chrono::DateTime::from_timestamp_micros(case.now.micros()).expect("a time");
    let there = utc.with_timezone(&zone);
    let day = there.weekday().num_days_from_monday() as usize;
    let minute = there.hour() as usize * 60 + there.minute() as usize;
    if !open[day * 24 * 60 + minute] {
        found.insert("HOURS_CLOSED");
    }
}

fn has_order_rules(case: &Case) -> bool {
    case.document.orders != Default::default()
}

fn has_caps(case: &Case) -> bool {
    case.document.cumulative != Default::default()
}

/// A log-on lets orders go that nobody signs.
fn about_log_ons(case: &Case, member: &Member, found: &mut Objections) {
    let document = &case.document;
    let has_limits = has_order_rules(case)
        || has_caps(case)
        || document.withdrawal.is_some()
        || document.hours.is_some()
        || document.duplicates != Default::default();
    if member.class == Class::Logon && has_limits {
        found.insert("LOGON_BYPASSES_CAPS");
    }
}

fn is_limit(order_type: OrderType) -> bool {
    order_type.as_str().contains("LIMIT")
}

fn about_orders(case: &Case, member: &Member, found: &mut Objections) {
    if member.class != Class::Trade {
        return;
    }
    let is_judged =
        has_order_rules(case) || has_caps(case) || case.document.duplicates.order.is_some();
    if member.legs.is_empty() && is_judged {
        found.insert("ORDER_UNKNOWN");
    }
    let rules = &case.document.orders;
    for leg in &member.legs {
        if let Some(types) = &rules.types {
            let fits = leg.order_type.map_or(leg.amends, |own| types.contains(&own));
            if !fits {
                found.insert("ORDER_TYPE_NOT_ALLOWED");
            }
        }
        if let Some(listed) = &rules.time_in_force {
            // What says none stays until it is cancelled, unless it cannot stay or is there already.
            let may_stay = leg.order_type != Some(OrderType::Market) && !leg.amends;
            let own = leg.tif.or(may_stay.then_some(TimeInForce::Gtc));
            if own.is_some_and(|own| !listed.contains(&own)) {
                found.insert("TIME_IN_FORCE_NOT_ALLOWED");
            }
        }
        if rules.reduce_only && !leg_reduces(leg) {
            found.insert("REDUCE_ONLY_REQUIRED");
        }
        let rests_only = leg.post_only == Some(true)
            || leg.order_type == Some(OrderType::LimitMaker)
            || leg.tif == Some(TimeInForce::Gtx);
        // An amendment that says nothing of it keeps what the order was.
        let keeps = leg.amends && leg.post_only.is_none();
        // What has no limit takes, whatever it says.
        let takes = leg.order_type.map_or(!leg.amends, |it| !is_limit(it));
        if rules.post_only && (takes || (!rests_only && !keeps)) {
            found.insert("POST_ONLY_REQUIRED");
        }
        if rules.max_quantity.is_some() {
            found.extend(size_objections(case, leg));
        }
        if let Some(band) = rules.price_band {
            found.extend(band_objections(case, leg, &of(band)));
        }
    }
    if let Some(cap) = rules.max_notional_usd {
        match worst(case, member).notional {
            None => found.extend(unpriced(case, member)),
            Some(notional) if notional > of(cap) => {
                found.insert("NOTIONAL_TOO_LARGE");
            }
            Some(_) => {}
        }
    }
}

/// The codes that fit an order without a price.
fn unpriced(case: &Case, member: &Member) -> Vec<&'static str> {
    let mut codes = vec!["NOTIONAL_UNKNOWN"];
    if member.legs.is_empty() {
        codes.push("ORDER_UNKNOWN");
    }
    for leg in &member.legs {
        match worth::traded(case, leg) {
            None => codes.push("INSTRUMENT_UNKNOWN"),
            // Some price of the two is missing; which order really needs it, the notional has said.
            Some(_) => codes.push("PRICE_STALE"),
        }
    }
    codes
}

/// What is missing about an order's instrument: its name, or its approval.
fn not_traded(leg: &Leg, unknown: &'static str) -> &'static str {
    let is_named = leg.symbol.is_some() && leg.product.is_some_and(|it| it != Product::Spread);
    if is_named { "INSTRUMENT_UNKNOWN" } else { unknown }
}

/// What speaks against the size of an order.
fn size_objections(case: &Case, leg: &Leg) -> Vec<&'static str> {
    let mut found = Vec::new();
    let listed = case.document.orders.max_quantity.iter().flatten();
    let limit = listed
        .filter(|(venue, _)| venue.as_str() == case.reading.venue)
        .flat_map(|(_, symbols)| symbols)
        .find(|(symbol, _)| Some(symbol.as_str()) == leg.symbol.as_deref())
        .map(|(_, limit)| of(*limit));
    if limit.is_none() {
        found.push("QUANTITY_TOO_LARGE");
    }
    if leg.symbol.is_none() {
        found.push("QUANTITY_UNKNOWN");
    }
    let [quantity, quote, price, trigger] =
        [&leg.quantity, &leg.quote_quantity, &leg.price, &leg.trigger_price]
            .map(|it| it.as_deref().map(fraction));
    let is_unsized = quantity.is_none() && quote.is_none();
    let numbers = [&quantity, &quote, &price, &trigger];
    if is_unsized || numbers.into_iter().flatten().any(|it| !is_positive(it)) {
        found.push("QUANTITY_UNKNOWN");
    }
    let Some(traded) = worth::traded(case, leg) else {
        found.push(not_traded(leg, "QUANTITY_UNKNOWN"));
        return found;
    };
    let Some(limit) = limit else { return found };
    let is_inverse = traded.instrument.size_unit == SizeUnit::Quote;
    let reference = traded.reference();
    if reference.is_none() && (is_inverse && quantity.is_some() || quote.is_some()) {
        found.push("PRICE_STALE");
    }
    if leg.amends && price.is_none() && (is_inverse && quantity.is_some() || quote.is_some()) {
        // It keeps a price that nobody here knows.
        found.push("QUANTITY_UNKNOWN");
    }
    // What may be, in the quote asset: at the lowest price that is known of it.
    let lowest = reference.map(|it| [Some(it), price, trigger].into_iter().flatten().min());
    let in_quote = lowest.flatten().map(|it| it * &limit);
    // Pairs of what is asked and what may be, in the same asset.
    let mut pairs = Vec::new();
    if let Some(quantity) = quantity {
        let most = if is_inverse { in_quote.clone() } else { Some(limit) };
        pairs.push((quantity * traded.contract_size(), most));
    }
    if let Some(quote) = quote {
        pairs.push((quote, in_quote));
    }
    for (asked, most) in pairs {
        match (sayable(asked), most.map(sayable)) {
            (Some(asked), Some(Some(most))) if asked > most => found.push("QUANTITY_TOO_LARGE"),
            (None, _) | (_, Some(None)) => found.push("QUANTITY_UNKNOWN"),
            _ => {}
        }
    }
    found
}

/// What speaks against the prices of an order.
fn band_objections(case: &Case, leg: &Leg, band: &Fraction) -> Vec<&'static str> {
    let mut found = Vec::new();
    // Only a limit keeps a fill near a price: its own, or the one that an amendment leaves alone.
    let is_bounded = match leg.order_type {
        Some(order_type) if !is_limit(order_type) => false,
        Some(_) => leg.price.is_some() || leg.amends,
        None => leg.amends,
    };
    if !is_bounded || leg.product == Some(Product::Option) {
        found.push("PRICE_BAND_UNBOUNDED");
    }
    let stated: Vec<Fraction> =
        [&leg.price, &leg.trigger_price].into_iter().flatten().map(|it| fraction(it)).collect();
    if stated.is_empty() {
        return found;
    }
    let Some(traded) = worth::traded(case, leg) else {
        found.push(not_traded(leg, "PRICE_OUTSIDE_BAND"));
        return found;
    };
    let Some(reference) = traded.reference() else {
        found.push("PRICE_STALE");
        return found;
    };
    let lowest = reference.clone() * (whole(1) - band);
    let highest = reference * (whole(1) + band);
    if stated.iter().any(|price| *price < lowest || *price > highest) {
        found.push("PRICE_OUTSIDE_BAND");
    }
    found
}

/// What any write says of leverage and margin.
fn about_settings(case: &Case, member: &Member, found: &mut Objections) {
    if is_read(member) {
        return;
    }
    let rules = &case.document.orders;
    for leg in &member.legs {
        let leverage = leg.leverage.as_deref().map(fraction);
        if let (Some(leverage), Some(most)) = (leverage, rules.max_leverage)
            && leverage > of(most)
        {
            found.insert("LEVERAGE_TOO_HIGH");
        }
        let mut mode: Option<MarginMode> = leg.margin_mode;
        if leg.product == Some(Product::Margin) && mode.is_none() {
            mode = Some(MarginMode::Cross);
        }
        if let (Some(mode), Some(listed)) = (mode, &rules.margin_modes)
            && !listed.contains(&mode)
        {
            found.insert("MARGIN_MODE_NOT_ALLOWED");
        }
    }
}

/// What one operation counts for.
pub fn worst(case: &Case, member: &Member) -> Worst {
    if member.class != Class::Trade {
        return Worst { orders: 0, resting: 0, notional: Some(whole(0)) };
    }
    let is_gone_at_once = |leg: &&Leg| {
        let is_plain = matches!(leg.order_type, Some(OrderType::Limit | OrderType::LimitMaker));
        let fills_now = leg.order_type == Some(OrderType::Market)
            || (is_plain && matches!(leg.tif, Some(TimeInForce::Ioc | TimeInForce::Fok)));
        // What waits for a trigger is there until then.
        leg.amends || (fills_now && leg.trigger_price.is_none())
    };
    let all = member.legs.len() as u64;
    let gone = member.legs.iter().filter(is_gone_at_once).count() as u64;
    let each: Option<Vec<Fraction>> =
        member.legs.iter().map(|leg| worth::notional(case, leg)).collect();
    let sum = each.map(|each| each.into_iter().fold(whole(0), |sum, one| sum + one));
    Worst { orders: all, resting: all - gone, notional: sum.filter(|_| all > 0).and_then(sayable) }
}

/// What a request counts for: of all that it could be, the largest of each.
pub fn worst_of_all(case: &Case) -> Worst {
    let each: Vec<Worst> = members(case).into_iter().map(|member| worst(case, member)).collect();
    Worst {
        orders: each.iter().map(|worst| worst.orders).max().unwrap_or(0),
        resting: each.iter().map(|worst| worst.resting).max().unwrap_or(0),
        notional: each
            .into_iter()
            .map(|worst| worst.notional)
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max()),
    }
}

/// What was there in a window that ends now, its beginning left out.
fn within(case: &Case, micros: u64) -> impl Iterator<Item = &Past> {
    let now = i128::from(case.clock.0);
    case.past.iter().filter(move |past| i128::from(past.at.0) > now - i128::from(micros))
}

/// What can have happened in a window, of one kind: what was signed counts until it can happen no
/// more, and nothing leaves a window before what came earlier.
fn happening<'c, T: 'c>(
    case: &'c Case,
    micros: u64,
    of_kind: impl Fn(&'c Past) -> Option<T> + 'c,
) -> impl Iterator<Item = T> + 'c {
    let now = i128::from(case.clock.0);
    let mut newest = 0;
    let dated = case.past.iter().filter_map(move |past| {
        let kind = of_kind(past)?;
        newest = newest.max(past.until.0);
        Some((newest, kind))
    });
    dated.filter(move |(at, _)| i128::from(*at) > now - i128::from(micros)).map(|(_, kind)| kind)
}

/// Caps on sums bind what adds to them.
fn about_sums(case: &Case, found: &mut Objections) {
    let caps = &case.document.cumulative;
    let trades = |member: &&Member| member.class == Class::Trade;
    if !has_caps(case) || !members(case).iter().any(trades) {
        return;
    }
    let lasts = |leg: &Leg| leg.deadline.map(|end| end.micros() - case.steady_now.micros());
    let is_kept = |member: &Member| {
        member.legs.is_empty()
            || member
                .legs
                .iter()
                .any(|leg| lasts(leg).is_none_or(|lasts| !(1..=60_000_000).contains(&lasts)))
    };
    let holds = case.takes_signatures_once && caps.open_orders.is_none();
    if case.mode == Mode::Sign && (!holds || members(case).into_iter().filter(trades).any(is_kept))
    {
        found.insert("CAP_NOT_ENFORCEABLE");
    }
    let worst = worst_of_all(case);
    for cap in &caps.notional_usd {
        let spent = |past: &Past| past.notional_usd.filter(|notional| !notional.is_zero());
        let before =
            happening(case, cap.per.as_micros(), spent).fold(whole(0), |sum, one| sum + of(one));
        match &worst.notional {
            None => {
                for member in members(case).into_iter().filter(trades) {
                    found.extend(unpriced(case, member));
                }
            }
            Some(more) if before + more > of(cap.at_most) => {
                found.insert("NOTIONAL_CAP_REACHED");
            }
            Some(_) => {}
        }
    }
    for cap in &caps.orders {
        let orders = |past: &Past| (past.orders > 0).then_some(past.orders);
        let before: u64 = happening(case, cap.per.as_micros(), orders).sum();
        if before + worst.orders > cap.at_most {
            found.insert("ORDER_RATE_REACHED");
        }
    }
    if let Some(most) = caps.open_orders {
        let ever: u64 = case.past.iter().map(|past| past.resting).sum();
        // What adds none is not held up by those that are there.
        if worst.resting > 0 && ever.saturating_sub(case.ended) + worst.resting > most {
            found.insert("OPEN_ORDERS_REACHED");
        }
    }
}

fn about_repetition(case: &Case, found: &mut Objections) {
    let rules = &case.document.duplicates;
    for member in members(case) {
        if member.class != Class::Trade {
            continue;
        }
        if let Some(span) = rules.client_order_id {
            for (place, id) in member.client_order_ids.iter().enumerate() {
                let again = member.client_order_ids[..place].contains(id);
                let mut before = within(case, span.as_micros()).flat_map(|past| &past.ids);
                let known = |(credential, known): &(_, String)| {
                    *credential == case.credential && known == id
                };
                if again || before.any(known) {
                    found.insert("DUPLICATE_CLIENT_ORDER_ID");
                }
            }
        }
    }
    // An order is what the caller says it is, and is one if the signature could be one.
    if let Some(span) = rules.order
        && worst_of_all(case).orders > 0
    {
        let placed: Vec<&Leg> = case.reading.stated.legs.iter().filter(|leg| !leg.amends).collect();
        for (place, leg) in placed.iter().enumerate() {
            let again = placed[..place].iter().any(|other| is_same(other, leg));
            let mut before = within(case, span.as_micros()).flat_map(|past| &past.placed);
            let known = |(by, other): &(_, Leg)| *by == case.credential && is_same(other, leg);
            if again || before.any(known) {
                found.insert("DUPLICATE_ORDER");
            }
        }
    }
}

/// The same order, whatever its end and its margin.
fn is_same(one: &Leg, other: &Leg) -> bool {
    let plain = |leg: &Leg| {
        let number = |text: &Option<String>| text.as_deref().map(fraction);
        let stays = leg.order_type != Some(OrderType::Market);
        (
            (leg.product, leg.symbol.clone(), leg.side, leg.order_type),
            (leg.tif.or(stays.then_some(TimeInForce::Gtc)), leg.reduce_only, leg.post_only),
            [&leg.quantity, &leg.quote_quantity, &leg.price, &leg.trigger_price, &leg.leverage]
                .map(number),
        )
    };
    plain(one) == plain(other)
}

fn about_withdrawals(case: &Case, member: &Member, found: &mut Objections) {
    if member.class != Class::Withdraw {
        return;
    }
    let Some(rules) = &case.document.withdrawal else { return };
    if case.mode == Mode::Sign {
        found.insert("CAP_NOT_ENFORCEABLE");
    }
    if member.transfers.is_empty() {
        found.insert("WITHDRAWAL_UNKNOWN");
    }
    let venue = case.reading.venue;
    for transfer in &member.transfers {
        let (Some(asset), Some(amount), Some(address)) =
            (&transfer.asset, &transfer.amount, &transfer.address)
        else {
            found.insert("WITHDRAWAL_UNKNOWN");
            continue;
        };
        if !is_positive(&fraction(amount)) {
            found.insert("WITHDRAWAL_UNKNOWN");
            continue;
        }
        if !rules.addresses.iter().any(|listed| {
            listed.venue.as_str() == venue && listed.asset == *asset && listed.address == *address
        }) {
            found.insert("ADDRESS_NOT_ALLOWED");
        }
        let moved = |past: &Past| {
            let own = |moved: &&(_, String, _)| {
                let (there, what, _): &(vault_model::Name, String, _) = moved;
                there.as_str() == venue && what == asset
            };
            past.withdrawn.iter().find(own).map(|(_, _, amount)| *amount)
        };
        let before =
            happening(case, 86_400_000_000, moved).fold(whole(0), |sum, amount| sum + of(amount));
        // All of the asset that this request moves.
        let now = member
            .transfers
            .iter()
            .filter(|other| other.asset.as_ref() == Some(asset))
            .filter_map(|other| other.amount.as_deref())
            .fold(before, |sum, amount| sum + fraction(amount));
        let caps: Vec<Fraction> = rules
            .per_day
            .iter()
            .filter(|cap| cap.venue.as_str() == venue && cap.asset == *asset)
            .map(|cap| of(cap.at_most))
            .collect();
        if caps.is_empty() || caps.iter().any(|cap| now > *cap) {
            found.insert("AMOUNT_CAP_REACHED");
        }
    }
}
