//! What is peculiar to signatures and to credentials.

use vault_model::{Class, Mode};

use super::{Findings, listed};
use crate::enforceable::enforceable;
use crate::grant::Grant;
use crate::lattice::{Dimension, forbids_logons};

pub(super) fn look(found: &mut Findings<'_>) {
    standing(found);
    if found.grants(Class::Logon) && forbids_logons(found.document) {
        found.warn(
            Dimension::Classes,
            "LOGON_BESIDE_CAPS",
            "behind a log-on orders go without signature, past every rule on orders: beside such \
             rules no log-on is ever granted",
            "take logon out of classes, or give log-ons a scope of their own",
        );
    }
    let facts = found.facts;
    let once = |name: &vault_model::Name| {
        let all = facts.credentials.iter().flatten();
        all.clone().find(|known| known.name == *name).map(|known| known.takes_signatures_once)
    };
    if let Err(error) = enforceable(found.document, once) {
        let remedy = "modes = [\"execute\"]";
        found.warn(Dimension::Modes, "CAP_NOT_ENFORCEABLE", error.to_string(), remedy);
    }
    if found.signs() {
        deadlines(found);
        reads(found);
        products(found);
        disclosed(found);
    }
}

/// Orders under caps that hold over signatures.
fn deadlines(found: &mut Findings<'_>) {
    let caps = &found.document.cumulative;
    if !found.grants(Class::Trade) || (caps.notional_usd.is_empty() && caps.orders.is_empty()) {
        return;
    }
    let dimension = if caps.notional_usd.is_empty() {
        Dimension::CumulativeOrders
    } else {
        Dimension::CumulativeNotional
    };
    let once = listed(
        found.credentials().filter(|known| known.takes_signatures_once).map(|known| &known.name),
    );
    if !once.is_empty() {
        found.warn(
            dimension,
            "DEADLINE_NEEDED",
            format!(
                "with {once} a cap over time holds for orders that state a deadline, at most 60 s \
                 ahead: all others are denied in mode sign, and an order counts until its deadline \
                 and then for the whole window"
            ),
            "let the bot state a deadline in every order, or grant mode execute alone",
        );
    }
}

/// What the operator said of the credentials.
fn standing(found: &mut Findings<'_>) {
    for credential in found.credentials() {
        let (name, venue) = (&credential.name, &credential.venue);
        if !credential.rights_stated {
            found.warn(
                Dimension::Credentials,
                "RIGHTS_UNSTATED",
                format!("{name} states no rights at {venue}, so it is taken to have all of them"),
                "state the rights that the key has at the venue when it is imported",
            );
        }
        if credential.venue_checks {
            found.warn(
                Dimension::Credentials,
                "VENUE_CHECKS_ASSUMED",
                format!(
                    "{name} assumes that {venue} refuses parameters it does not know; if it does \
                     not, signatures are good for more than the vault thinks"
                ),
                "import it without --assume venue_checks, or keep the evidence for it",
            );
        }
        if !credential.is_enabled {
            found.warn(
                Dimension::Credentials,
                "CREDENTIAL_DISABLED",
                format!("{name} is disabled"),
                format!("vaultctl credential enable {name}"),
            );
        }
    }
    let Some(known) = &found.facts.credentials else { return };
    for name in &found.document.credentials {
        if !known.iter().any(|credential| credential.name == *name) {
            found.warn(
                Dimension::Credentials,
                "CREDENTIAL_UNKNOWN",
                format!("there is no credential {name}"),
                format!("vaultctl credential import {name}, or correct the name"),
            );
        }
    }
}

/// Reads whose signature is good for writes.
fn reads(found: &mut Findings<'_>) {
    let document = found.document;
    let reads_alone = document.operations.is_empty()
        && document.classes.iter().all(|class| matches!(class, Class::Public | Class::Read));
    if !found.grants(Class::Read) {
        return;
    }
    for credential in found.credentials().filter(|credential| !credential.reads_can_be_signed) {
        let (name, venue) = (&credential.name, &credential.venue);
        let words = if reads_alone {
            format!(
                "a signature for a read at {venue} is good for writes too, so with {name} in mode \
                 sign this scope can never be released one"
            )
        } else {
            format!(
                "a signature for a read at {venue} is good for writes that no scope grants, so in \
                 mode sign reads with {name} are never released"
            )
        };
        let remedy = if reads_alone || document.modes.contains(&Mode::Execute) {
            "modes = [\"execute\"]"
        } else {
            "modes = [\"execute\"], or a scope of their own for reads, with modes = [\"execute\"]"
        };
        found.warn(Dimension::Modes, "SIGNED_READ_NEVER_RELEASED", words, remedy);
    }
}

/// One credential for several products.
fn products(found: &mut Findings<'_>) {
    let products = match &found.document.products {
        Grant::Every => "every product".to_owned(),
        Grant::Only(products) if products.len() > 1 => listed(products),
        Grant::Only(_) => return,
    };
    if !found.document.classes.iter().any(|class| class.is_write()) {
        return;
    }
    let facts = found.facts;
    for name in &found.document.credentials {
        let known = facts.credentials.iter().flatten().find(|known| known.name == *name);
        if known.is_some_and(|known| known.signs_path) {
            continue;
        }
        let words = match known {
            Some(known) => format!(
                "{name} serves {products} in mode sign: at {} a signature does not name its path, \
                 so one for a product can be good for another",
                known.venue
            ),
            None => format!(
                "{name} serves {products} in mode sign: where a signature does not name its path, \
                 one for a product can be good for another"
            ),
        };
        let remedy = "an API key and a scope for each product, or modes = [\"execute\"]";
        found.warn(Dimension::Products, "SIGN_SEVERAL_PRODUCTS", words, remedy);
    }
}

/// What the API key alone opens.
fn disclosed(found: &mut Findings<'_>) {
    for credential in found.credentials().filter(|credential| credential.disclosed > 0) {
        found.warn(
            Dimension::Modes,
            "API_KEY_DISCLOSED",
            format!(
                "mode sign shows the bot the API key of {}, and at {} that key alone opens {} \
                 operations, listen keys among them, whatever the scope says",
                credential.name, credential.venue, credential.disclosed
            ),
            format!(
                "modes = [\"execute\"]; vaultctl catalog show {} --disclosed lists them",
                credential.venue
            ),
        );
    }
}
