//! How all open orders of a key are found and cancelled: first a look, then cancels of what the
//! answer names. Pure: nothing is sent here.
//!
//! What a venue reports goes into requests that are signed. So it has to be of strict form, and a
//! request that the reader would not read as the cancel that it is meant to be is not made at all.

use std::collections::{BTreeMap, BTreeSet};

use vault_model::Class;

use crate::catalog::{Ask, CancelRule, Catalog, LookRule, Parameters};
use crate::key::KeyType;
use crate::own::{self, Account, Answer, OwnRequest};
use crate::read::{self, Standing};

/// The longest symbol or id that is taken, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What follows from a look.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// How many open orders the answer shows.
    pub found: u32,
    /// How many of them cannot be cancelled, because the answer does not name them as it should.
    pub unread: u32,
    /// There are, or may be, more than the answer shows.
    pub is_partial: bool,
    /// The cancels, in the order in which they are to be sent. Then look again.
    pub requests: Vec<OwnRequest>,
}

/// The first requests: looks, and cancels where the venue cancels everything without a look. For
/// one symbol if given: only what cancels no other one.
///
/// # Errors
///
/// A code: `CANCEL_ALL_NOT_POSSIBLE` for a venue whose catalogue does not say how;
/// `SYMBOL_ALONE_NOT_POSSIBLE` where all can be cancelled, but not one symbol's orders alone;
/// `SYMBOL_NOT_PLAIN`, `SYMBOL_UNKNOWN`.
pub(crate) fn looks(
    venue: &'static str,
    catalog: &Catalog,
    account: Account<'_>,
    rights: Option<&[String]>,
    symbol: Option<&str>,
) -> Result<Vec<OwnRequest>, &'static str> {
    if symbol.is_some_and(|symbol| !is_plain(symbol)) {
        return Err("SYMBOL_NOT_PLAIN");
    }
    let maker = Maker { venue, catalog, account };
    let rules = catalog.own.cancel_all.iter().enumerate();
    let here = rules.filter(|(_, rule)| rule.environments.contains(&account.environment));
    let (mut any, mut can_narrow) = (false, false);
    let mut requests = Vec::new();
    for (number, rule) in here {
        any = true;
        can_narrow |= rule.look.as_ref().is_some_and(|look| look.ask.one.is_some());
        let held = |held: &[String]| rule.rights.iter().any(|right| held.contains(right));
        if rights.is_none_or(|rights| rule.rights.is_empty() || held(rights)) {
            requests.extend(maker.first(number, rule, symbol));
        }
    }
    match symbol {
        _ if !any => Err("CANCEL_ALL_NOT_POSSIBLE"),
        Some(_) if !can_narrow => Err("SYMBOL_ALONE_NOT_POSSIBLE"),
        Some(_) if requests.is_empty() => Err("SYMBOL_UNKNOWN"),
        _ => Ok(requests),
    }
}

/// What the answer to a look makes necessary.
///
/// # Errors
///
/// A code: see [`Answer::judge`]; `NO_LOOK` for a request that is none.
pub(crate) fn cancels(
    venue: &'static str,
    catalog: &Catalog,
    account: Account<'_>,
    asked: &OwnRequest,
    answer: &Answer,
) -> Result<Step, &'static str> {
    let judge = catalog.own.answer.as_ref().ok_or("NO_LOOK")?;
    let rule = asked.rule.filter(|_| asked.is_look);
    let (number, rule) = rule
        .and_then(|number| Some((number, catalog.own.cancel_all.get(number)?)))
        .ok_or("NO_LOOK")?;
    let look = rule.look.as_ref().ok_or("NO_LOOK")?;
    answer.judge(judge)?;

    let orders = orders(look, answer);
    let found = u32::try_from(orders.len()).unwrap_or(u32::MAX);
    let mut step = Step {
        found,
        is_partial: answer.cut || look.page.is_some_and(|page| found >= page),
        ..Step::default()
    };
    let maker = Maker { venue, catalog, account };
    let named: Vec<&Order<'_>> = orders
        .values()
        .filter(|order| asked.symbol.is_none() || order.symbol == asked.symbol.as_deref())
        .collect();
    let made = maker.all(number, rule, &named, asked.symbol.as_deref());
    let covered: u32 = made.iter().map(|request| request.order_count).sum();
    step.unread = found.saturating_sub(covered);
    step.requests = made;
    Ok(step)
}

/// How many orders a cancel has cancelled, where the venue says so.
///
/// # Errors
///
/// A code: see [`Answer::judge`].
pub(crate) fn cancelled(
    catalog: &Catalog,
    asked: &OwnRequest,
    answer: &Answer,
) -> Result<Option<u32>, &'static str> {
    let judge = catalog.own.answer.as_ref().ok_or("VENUE_REFUSED")?;
    match answer.judge(judge) {
        Err(problem) => Err(problem),
        Ok(()) if asked.report_at.len() > 1 => {
            Ok(answer.at(1).next().and_then(|count| count.parse().ok()))
        }
        Ok(()) => Ok(None),
    }
}

/// An open order, as far as an answer names it.
#[derive(Default)]
struct Order<'a> {
    symbol: Option<&'a str>,
    id: Option<&'a str>,
}

/// The orders of an answer, by row. What is not of strict form is as if it were not there.
fn orders<'a>(look: &LookRule, answer: &'a Answer) -> BTreeMap<u32, Order<'a>> {
    // The first pointer is that of the answer's rule.
    let id_at = 1 + u32::from(look.symbol.is_some());
    let mut orders: BTreeMap<u32, Order<'a>> = BTreeMap::new();
    for one in answer.reported.iter().filter(|one| one.at > 0) {
        let order = orders.entry(one.row).or_default();
        let value = Some(one.value.as_str()).filter(|value| is_plain(value));
        if look.id.is_some() && one.at == id_at {
            order.id = value;
        } else if look.symbol.is_some() && one.at == 1 {
            order.symbol = value;
        }
    }
    orders
}

/// Makes requests for one venue and account.
struct Maker<'c> {
    venue: &'static str,
    catalog: &'c Catalog,
    account: Account<'c>,
}

impl Maker<'_> {
    /// What a rule begins with.
    fn first(&self, number: usize, rule: &CancelRule, symbol: Option<&str>) -> Option<OwnRequest> {
        let Some(look) = &rule.look else {
            // Everything at once: never for one symbol.
            let all = rule.cancel.all.clone();
            return symbol.is_none().then(|| self.cancel(number, rule, &all, 0))?;
        };
        let parameters = match symbol {
            Some(symbol) => filled(look.ask.one.as_ref()?, "{symbol}", symbol),
            None if rule.by_symbol_only => return None,
            None => look.ask.all.clone(),
        };
        let pointers = look.symbol.iter().chain(&look.id);
        let mut request = self.request(&look.ask, &parameters, Class::Read, pointers)?;
        request.rule = Some(number);
        request.is_look = true;
        request.symbol = symbol.map(str::to_owned);
        request.rounds = rule.rounds;
        request.name.clone_from(&rule.name);
        Some(request)
    }

    /// The cancels of these orders.
    fn all(
        &self,
        number: usize,
        rule: &CancelRule,
        orders: &[&Order<'_>],
        symbol: Option<&str>,
    ) -> Vec<OwnRequest> {
        let all = &rule.cancel.all;
        if let Some((item, max)) = &rule.item {
            let items: BTreeSet<String> =
                orders.iter().filter_map(|order| order_text(item, order)).collect();
            let items: Vec<String> = items.into_iter().collect();
            let of = |batch: &[String]| {
                let parameters = filled(all, "{items}", &batch.join(","));
                self.cancel(number, rule, &parameters, batch.len())
            };
            return items.chunks(*max).filter_map(of).collect();
        }
        if let (Some(one), Some(symbol)) = (&rule.cancel.one, symbol) {
            let parameters = filled(one, "{symbol}", symbol);
            let request = self.cancel(number, rule, &parameters, orders.len());
            return request.filter(|_| !orders.is_empty()).into_iter().collect();
        }
        if !all.mentions("{symbol}") {
            let any = !orders.is_empty() && symbol.is_none();
            let request = any.then(|| self.cancel(number, rule, all, orders.len()));
            return request.flatten().into_iter().collect();
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for symbol in orders.iter().filter_map(|order| order.symbol) {
            *counts.entry(symbol).or_default() += 1;
        }
        let of = |(symbol, count): (&str, usize)| {
            let parameters = filled(all, "{symbol}", symbol);
            let mut request = self.cancel(number, rule, &parameters, count)?;
            request.symbol = Some(symbol.to_owned());
            Some(request)
        };
        counts.into_iter().filter_map(of).collect()
    }

    fn cancel(
        &self,
        number: usize,
        rule: &CancelRule,
        parameters: &Parameters,
        count: usize,
    ) -> Option<OwnRequest> {
        let mut request = self.request(&rule.cancel, parameters, Class::Cancel, &rule.count)?;
        request.rule = Some(number);
        request.order_count = u32::try_from(count).unwrap_or(u32::MAX);
        request.rounds = rule.rounds;
        request.name.clone_from(&rule.name);
        Some(request)
    }

    /// A request, if the reader takes it for what it is meant to be.
    fn request<'a>(
        &self,
        ask: &Ask,
        parameters: &Parameters,
        class: Class,
        pointers: impl IntoIterator<Item = &'a String>,
    ) -> Option<OwnRequest> {
        let answer = self.catalog.own.answer.as_ref()?;
        let request = own::request(self.catalog, self.account, ask, parameters)?;
        let standing = Standing {
            environment: self.account.environment,
            sites: Some(self.account.sites),
            venue_checks: false,
            rights: None,
            key_type: self.catalog.signature.key_types.first().copied().unwrap_or(KeyType::Hmac),
        };
        let reading = read::read(self.venue, self.catalog, &request, &standing).ok()?;
        let operation = self.catalog.operation(&ask.method, &ask.path)?;
        if reading.stated.class != class || reading.stated.operation != operation.name {
            return None;
        }
        Some(OwnRequest {
            request,
            operation: operation.name.clone(),
            report_at: std::iter::once(answer.at.clone())
                .chain(pointers.into_iter().cloned())
                .collect(),
            rule: None,
            is_look: false,
            symbol: None,
            order_count: 0,
            rounds: 1,
            name: String::new(),
        })
    }
}

/// One order of a batch; absent where the answer did not name what it wants.
fn order_text(item: &str, order: &Order<'_>) -> Option<String> {
    let mut text = item.to_owned();
    for (place, value) in [("{symbol}", order.symbol), ("{id}", order.id)] {
        if item.contains(place) {
            text = text.replace(place, value?);
        }
    }
    Some(text)
}

fn filled(parameters: &Parameters, place: &str, value: &str) -> Parameters {
    Parameters {
        query: parameters.query.replace(place, value),
        body: parameters.body.replace(place, value),
    }
}

/// Whether a symbol or an id can stand in a query and in a JSON text as it is.
fn is_plain(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}
