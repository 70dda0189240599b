//! What would change the answer to a Sign that was denied because its signature authorises too much.
//!
//! Looked for after the decision and only where people will read it: it judges the request again, up
//! to twice, and changes nothing of the answer itself.

use std::collections::HashSet;

use vault_model::{Mode, Reading};
use vault_policy::{Denial, Remedy};
use vault_venue::{Standing, Venue};

use crate::authorize::{Ground, Judged};

impl Ground<'_> {
    /// Each of these alone would have Sign allowed, or the request served by Execute. None for a
    /// denial that is not about an operation, or where the client may not do what it states.
    pub(crate) fn remedies(
        &self,
        judged: Judged<'_>,
        denial: &Denial,
        reading: &Reading,
    ) -> Vec<Remedy> {
        let question = self.question(judged, reading);
        let stated_is_outside = vault_policy::judge_member(&question, &reading.stated).is_some();
        if judged.mode != Mode::Sign || denial.outside().is_none() || stated_is_outside {
            return Vec::new();
        }
        let mut remedies: Vec<Remedy> =
            vault_policy::execute_remedy(&question).into_iter().collect();
        let standing = self.standing();
        if !standing.venue_checks
            && self.allows(judged, &Standing { venue_checks: true, ..standing })
        {
            remedies.push(Remedy::VenueChecks);
        }
        let outside: HashSet<&str> = reading
            .closure
            .iter()
            .filter(|member| vault_policy::judge_member(&question, member).is_some())
            .map(|member| &*member.operation)
            .collect();
        if let Some(kept) = rights_without(self.venue, standing.rights, &outside)
            && self.allows(judged, &Standing { rights: Some(&kept), ..standing })
        {
            remedies.push(Remedy::Rights(kept));
        }
        remedies
    }

    fn allows(&self, judged: Judged<'_>, standing: &Standing<'_>) -> bool {
        let Ok(reading) = self.venue.read(judged.request, standing) else {
            return false;
        };
        vault_policy::judge(&self.question(judged, &reading)).is_allowed()
    }
}

/// The rights that are held now but for those that open an operation outside; `None` if one of those
/// is open to every key, or if that would drop nothing.
fn rights_without(
    venue: &Venue,
    held: Option<&[String]>,
    outside: &HashSet<&str>,
) -> Option<Vec<String>> {
    let operations = venue.catalog.operations.iter();
    let mut dropped: HashSet<&str> = HashSet::new();
    for operation in operations.filter(|operation| outside.contains(&*operation.name)) {
        if operation.rights.is_empty() {
            return None;
        }
        dropped.extend(operation.rights.iter().map(String::as_str));
    }
    let held = held.unwrap_or_else(|| venue.rights());
    let kept: Vec<String> =
        held.iter().filter(|right| !dropped.contains(right.as_str())).cloned().collect();
    (kept.len() < held.len()).then_some(kept)
}

#[cfg(test)]
pub(crate) mod sample {
    //! A made-up venue that signs parameters only, and a client of it.

    use std::collections::BTreeSet;

    use vault_model::{Class, ClockTime, Environment, Mode, Name, Role, Timestamp, VenueRequest};
    use vault_policy::{Country, Grant, Halts, History, Market, Scope, ScopeDocument};
    use vault_venue::{KeyType, Part, Venue};

    use crate::authorize::{Ground, Judged};
    use crate::storage::{ClientRow, CredentialRow, CredentialState, HolderState};
    use crate::vault::CompiledScope;

    const CATALOG: &str = r##"format = 1
venue = "params"
title = "Signs parameters only"
[sources]
docs = "made up for this test"
[environments.live]
hosts = ["api.example"]
[signature]
scheme = "okx"
binds = ["query", "body"]
source = "docs"
client_order_id_reuse = "unknown"
[rights]
names = ["reading", "spot", "futures"]
source = "docs"
[[product]]
product = "spot"
symbol = "*"

[shape.symbol]
source = "docs"
params = [{ name = "symbol", type = "symbol", required = true, role = "symbol" }]
[shape.asset]
source = "docs"
params = [{ name = "asset", type = "string", required = true, role = "asset" }]

[[operation]]
method = "GET"
path = "/orders"
class = "read"
source = "docs"
right = "reading"
shape = "symbol"
[[operation]]
method = "DELETE"
path = "/orders"
class = "cancel"
source = "docs"
params_in = "query"
right = "futures"
shape = "symbol"
[[operation]]
method = "GET"
path = "/asset"
class = "read"
source = "docs"
right = "reading"
shape = "asset"
[[operation]]
method = "POST"
path = "/asset"
class = "account"
source = "docs"
params_in = "query"
shape = "asset"
"##;

    /// As `CATALOG`, with an operation that nobody sourced.
    const UNSOURCED: &str = r#"
[[operation]]
method = "POST"
path = "/unsourced"
class = "transfer"
source = "docs"
body = "form"
"#;

    pub(crate) struct Sample {
        pub(crate) client: ClientRow,
        pub(crate) country: Option<Country>,
        pub(crate) credential: CredentialRow,
        pub(crate) halts: Halts,
        pub(crate) history: History,
        pub(crate) market: Market,
        pub(crate) scope: CompiledScope,
        venue: Venue,
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    impl Sample {
        pub(crate) fn new(unsourced: bool) -> Self {
            let text = if unsourced { format!("{CATALOG}{UNSOURCED}") } else { CATALOG.to_owned() };
            let parts = [Part { file: "params.toml", text: &text }];
            let mut document = ScopeDocument::new(name("scope"));
            document.credentials = BTreeSet::from([name("main")]);
            document.classes = BTreeSet::from([Class::Read]);
            document.modes = BTreeSet::from([Mode::Sign]);
            document.products = Grant::Every;
            document.symbols.insert(name("params"), Grant::Every);
            document.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
            Self {
                client: ClientRow {
                    created_at: Timestamp::default(),
                    name: name("bot"),
                    networks: Vec::new(),
                    revoke_reason: None,
                    revoked_at: None,
                    role: Role::Bot,
                    scope: Some(name("scope")),
                    state: HolderState::Active,
                },
                credential: CredentialRow {
                    assume: Vec::new(),
                    created_at: Timestamp::default(),
                    disclose_passphrase: false,
                    environment: Environment::Live,
                    name: name("main"),
                    nonce_floor: 0,
                    rights: None,
                    sites: Vec::new(),
                    state: CredentialState::Enabled,
                    venue: "params".to_owned(),
                    version: 1,
                },
                country: None,
                halts: Halts::default(),
                history: History::default(),
                market: Market::default(),
                scope: CompiledScope { scope: Scope::compile(&document), document, revision: 1 },
                venue: Venue::load("params", &parts).expect("a sound catalogue"),
            }
        }

        pub(crate) fn rescope(&mut self, change: impl FnOnce(&mut ScopeDocument)) {
            change(&mut self.scope.document);
            self.scope.scope = Scope::compile(&self.scope.document);
        }

        pub(crate) fn ground(&self) -> Ground<'_> {
            self.ground_at(&self.venue)
        }

        /// The same client at a venue of the build.
        pub(crate) fn ground_at<'s>(&'s self, venue: &'s Venue) -> Ground<'s> {
            Ground {
                country: self.country,
                credential: &self.credential,
                drifted: false,
                halts: &self.halts,
                history: &self.history,
                withdrawn: &self.history,
                key_type: KeyType::Hmac,
                market: &self.market,
                scope: &self.scope,
                shadow: None,
                venue,
            }
        }

        pub(crate) fn judged<'s>(&'s self, request: &'s VenueRequest, mode: Mode) -> Judged<'s> {
            Judged {
                client: &self.client,
                address: "10.0.0.1".parse().expect("an address"),
                credential: &self.credential.name,
                mode,
                request,
                now: Timestamp::default(),
                steady_now: Timestamp::default(),
                clock: ClockTime(0),
            }
        }
    }

    pub(crate) fn request(method: &str, path: &str, query: &str) -> VenueRequest {
        VenueRequest {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: "api.example".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..VenueRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_model::{Mode, VenueRequest};
    use vault_policy::Decision;

    use super::sample::{Sample, request};

    /// The denial's operation and the remedies, as words.
    fn found(sample: &Sample, request: &VenueRequest) -> (String, Vec<String>) {
        let ground = sample.ground();
        let judged = sample.judged(request, Mode::Sign);
        let reading = ground.venue.read(request, &ground.standing()).expect("can be read");
        let Decision::Deny(denial) = vault_policy::judge(&ground.question(judged, &reading)) else {
            panic!("allowed")
        };
        let remedies = ground.remedies(judged, &denial, &reading);
        let words = remedies.iter().map(ToString::to_string).collect();
        (denial.operation().unwrap_or_default().to_owned(), words)
    }

    fn orders() -> VenueRequest {
        request("GET", "/orders", "symbol=BTCUSDT")
    }

    #[test]
    fn rights_that_only_others_need_can_be_left_out() {
        let sample = Sample::new(false);
        let (operation, remedies) = found(&sample, &orders());
        assert_eq!(operation, "DELETE /orders");
        assert_eq!(remedies, ["execute", "rights=reading,spot"]);

        // Of those that are held now.
        let mut sample = Sample::new(false);
        sample.credential.rights = Some(vec!["futures".to_owned(), "reading".to_owned()]);
        assert_eq!(found(&sample, &orders()).1, ["execute", "rights=reading"]);
    }

    #[test]
    fn no_right_keeps_out_what_every_key_opens() {
        let sample = Sample::new(false);
        let (operation, remedies) = found(&sample, &request("GET", "/asset", "asset=BTC"));
        assert_eq!(operation, "POST /asset");
        assert_eq!(remedies, ["execute"]);
    }

    #[test]
    fn venue_checks_help_where_only_the_unsourced_is_outside() {
        let mut sample = Sample::new(true);
        sample.rescope(|scope| {
            scope.classes.insert(vault_model::Class::Cancel);
        });
        let (operation, remedies) = found(&sample, &orders());
        assert_eq!(operation, "POST /unsourced");
        assert_eq!(remedies, ["execute", "assume=venue_checks"]);
        // Two things stand in the way: neither remedy alone removes both.
        assert_eq!(found(&Sample::new(true), &orders()).1, ["execute"]);
        // What is assumed already is no remedy.
        let mut sample = Sample::new(true);
        sample.credential.assume = vec!["venue_checks".to_owned()];
        assert_eq!(found(&sample, &orders()).1, ["execute", "rights=reading,spot"]);
    }

    #[test]
    fn nothing_helps_who_may_not_do_what_is_stated() {
        let sample = Sample::new(false);
        let cancel = request("DELETE", "/orders", "symbol=BTCUSDT");
        assert_eq!(found(&sample, &cancel), ("DELETE /orders".to_owned(), Vec::new()));
        let mut sample = Sample::new(false);
        sample.rescope(|scope| scope.network.allow.clear());
        assert_eq!(found(&sample, &orders()), (String::new(), Vec::new()));
    }
}
