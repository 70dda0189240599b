//! Requests that the vault sends of its own accord: to learn what a key may do, and to find and
//! cancel open orders. They are made here alone, from the catalogue's `[check]` and
//! `[[cancel_all]]` and from values of strict form, so that nothing else can be sent through the
//! door that they open.

use std::sync::Arc;

use vault_model::{Environment, VenueRequest};

use crate::catalog::{AnswerRule, Ask, Catalog, Parameters};

/// A request of the vault's own, without time, nonce, API key or signature.
#[derive(Clone, Debug)]
pub struct OwnRequest {
    pub(crate) request: VenueRequest,
    pub(crate) operation: Arc<str>,
    pub(crate) report_at: Vec<String>,
    /// Which of the catalogue's rules, for what looks for open orders or cancels them.
    pub(crate) rule: Option<usize>,
    pub(crate) is_look: bool,
    pub(crate) symbol: Option<String>,
    pub(crate) order_count: u32,
    pub(crate) rounds: u32,
    pub(crate) name: String,
}

impl OwnRequest {
    /// As a bot would state it.
    pub fn request(&self) -> &VenueRequest {
        &self.request
    }

    /// The name of its operation in the catalogue, such as `GET /api/v3/openOrders`.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What it is about, for people: `key rights`, or which kind of orders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is to be reported of its answer: JSON pointers, each with at most one part `*`.
    pub fn report_at(&self) -> &[String] {
        &self.report_at
    }

    /// Whether it looks for open orders; [`Venue::cancels`](crate::Venue::cancels) reads its answer.
    pub fn is_look(&self) -> bool {
        self.is_look
    }

    /// The venue's symbol that it is limited to; absent: all, or those of the orders it names.
    pub fn symbol(&self) -> Option<&str> {
        self.symbol.as_deref()
    }

    /// How often to look again at most, until nothing is left: an answer does not show all orders,
    /// and a venue takes its time to cancel.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Of a cancel: how many orders were seen that it is to cancel. 0: nobody looked.
    pub fn order_count(&self) -> u32 {
        self.order_count
    }
}

/// A value of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reported {
    /// Which of [`OwnRequest::report_at`] leads to it.
    pub at: u32,
    /// Which element of the list `*` stood for; 0 without one.
    pub row: u32,
    /// The text, or a number, `true` or `false` as written.
    pub value: String,
}

/// What is known of a venue's answer. All of it is the venue's: nothing in it is trusted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// HTTP status; 0: no answer.
    pub status: u16,
    /// What was asked for and is there.
    pub reported: Vec<Reported>,
    /// Whether there was more than fits.
    pub cut: bool,
}

impl Answer {
    /// Everything at one of the pointers, in order.
    pub(crate) fn at(&self, at: usize) -> impl Iterator<Item = &str> {
        self.reported
            .iter()
            .filter(move |one| usize::try_from(one.at) == Ok(at))
            .map(|one| one.value.as_str())
    }

    /// Whether it can be used. Its first pointer is that of the rule.
    ///
    /// # Errors
    ///
    /// A code: `NO_ANSWER`, `NOT_PERMITTED`, `VENUE_REFUSED`.
    pub(crate) fn judge(&self, rule: &AnswerRule) -> Result<(), &'static str> {
        let said = self.at(0).next();
        let is_in = |words: &[String]| said.is_some_and(|said| words.iter().any(|w| w == said));
        let is_good = is_in(&rule.ok) || (rule.silent && said.is_none());
        if self.status == 0 {
            Err("NO_ANSWER")
        } else if is_in(&rule.not_permitted) {
            Err("NOT_PERMITTED")
        } else if (200..300).contains(&self.status) && is_good {
            Ok(())
        } else {
            Err("VENUE_REFUSED")
        }
    }
}

/// Where a key is known: an environment of its venue, and sites in it, as
/// [`Sites::serve`](crate::Sites::serve) takes them.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Live or demo.
    pub environment: Environment,
    /// None: the main one.
    pub sites: &'a [String],
}

impl From<Environment> for Account<'static> {
    /// One of the main site.
    fn from(environment: Environment) -> Self {
        Self { environment, sites: &[] }
    }
}

/// The request to the first host that knows an account.
pub(crate) fn request(
    catalog: &Catalog,
    account: Account<'_>,
    ask: &Ask,
    parameters: &Parameters,
) -> Option<VenueRequest> {
    let operation = catalog.operation(&ask.method, &ask.path)?;
    let hosts = catalog.hosts(account.environment)?;
    let knows_it = |host: &&String| hosts.sites.serve(account.sites, host);
    let host = hosts.of(operation).iter().find(knows_it)?;
    Some(VenueRequest {
        method: ask.method.clone(),
        scheme: "https".to_owned(),
        host: host.clone(),
        path: ask.path.clone(),
        query: parameters.query.clone(),
        body: parameters.body.clone().into_bytes(),
        headers: Vec::new(),
    })
}
