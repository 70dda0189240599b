//! What is granted, and from where.

use vault_model::{Class, Name};

use super::{Findings, listed};
use crate::grant::Grant;
use crate::lattice::{Dimension, symbols_of};

/// Networks with a shorter prefix than this are wide.
const PREFIX_V4: u8 = 8;
const PREFIX_V6: u8 = 16;

pub(super) fn look(found: &mut Findings<'_>) {
    nothing(found);
    network(found);
    classes(found);
    symbols(found);
    withdrawal(found);
    let document = found.document;
    if document.hours.as_ref().is_some_and(|hours| hours.windows.is_empty()) {
        found.warn(
            Dimension::Hours,
            "HOURS_NEVER_OPEN",
            "the hours have no window, so no write but a cancel ever passes",
            "add windows, such as \"mon-fri 09:00-17:30\", or leave hours out",
        );
    }
    if document.shadow.as_ref() == Some(&document.name) {
        found.warn(
            Dimension::Classes,
            "SHADOW_SAME_SCOPE",
            "the shadow is the scope itself, so it never answers otherwise",
            "name another scope as shadow, or leave it out",
        );
    }
}

/// An empty list grants nothing.
fn nothing(found: &mut Findings<'_>) {
    let document = found.document;
    let empty = [
        (Dimension::Credentials, document.credentials.is_empty()),
        (Dimension::Classes, document.classes.is_empty() && document.operations.is_empty()),
        (Dimension::Modes, document.modes.is_empty()),
        (Dimension::Network, document.network.allow.is_empty()),
    ];
    for (dimension, is_empty) in empty {
        if is_empty {
            let words = format!("{dimension} grants nothing, so no request ever passes");
            found.warn(dimension, "NOTHING_GRANTED", words, "");
        }
    }
}

fn network(found: &mut Findings<'_>) {
    for network in &found.document.network.allow {
        let is_wide = match network {
            ipnet::IpNet::V4(network) => network.prefix_len() < PREFIX_V4,
            ipnet::IpNet::V6(network) => network.prefix_len() < PREFIX_V6,
        };
        if network.prefix_len() == 0 {
            found.warn(
                Dimension::Network,
                "NETWORK_ANY",
                format!(
                    "{network} is every address: a stolen client key can be used from anywhere"
                ),
                "allow the networks of the bots alone",
            );
        } else if is_wide {
            found.warn(
                Dimension::Network,
                "NETWORK_WIDE",
                format!("{network} is a large part of the Internet"),
                "allow the networks of the bots alone",
            );
        }
    }
}

fn classes(found: &mut Findings<'_>) {
    let restricts_leverage = found.document.orders.max_leverage.is_some();
    if found.grants(Class::Account) && !restricts_leverage {
        found.warn(
            Dimension::OrdersMaxLeverage,
            "LEVERAGE_UNLIMITED",
            "account settings are granted and leverage has no limit: it can be raised after an order",
            "orders.max_leverage, or take account out of classes",
        );
    }
    if found.grants(Class::Transfer) {
        found.warn(
            Dimension::Classes,
            "TRANSFER_UNLIMITED",
            "transfers between the customer's accounts are granted, and no rule limits their amount",
            "take transfer out of classes if it is not needed",
        );
    }
    if found.grants(Class::Trade) && !found.grants(Class::Cancel) {
        found.warn(
            Dimension::Classes,
            "TRADE_WITHOUT_CANCEL",
            "what is ordered cannot be cancelled",
            "add cancel to classes",
        );
    }
    let needs_name = found.grants(Class::Logon);
    if needs_name && found.signs() {
        found.warn(
            Dimension::Classes,
            "LOGON_GRANTED",
            "a log-on is standing authority: what goes over it is not judged, and a halt does not \
             end it",
            "take logon out of classes if streams of public data are enough",
        );
    }
}

fn symbols(found: &mut Findings<'_>) {
    let document = found.document;
    let writes = document.classes.iter().any(|class| class.is_write());
    if !writes {
        return;
    }
    for (venue, grant) in &document.symbols {
        if *grant == Grant::Every {
            found.warn(
                Dimension::Symbols,
                "SYMBOLS_EVERY",
                format!("every symbol of {venue} is granted, also those that are listed tomorrow"),
                format!("list the symbols of {venue} that are traded"),
            );
        }
    }
    if document.products == Grant::Every {
        found.warn(
            Dimension::Products,
            "PRODUCTS_EVERY",
            "every product is granted, options and margin among them",
            "list the products that are traded",
        );
    }
    let nothing = Grant::default();
    if document.products == nothing {
        let words = "no product is granted, so no write that has one ever passes";
        found.warn(
            Dimension::Products,
            "PRODUCTS_NONE",
            words,
            "list the products that are traded",
        );
    }
    let venues: Vec<&Name> = found.credentials().map(|credential| &credential.venue).collect();
    for venue in &venues {
        let is_empty = match symbols_of(document, venue) {
            Grant::Every => false,
            Grant::Only(symbols) => symbols.is_empty(),
        };
        if is_empty {
            found.warn(
                Dimension::Symbols,
                "SYMBOLS_NONE",
                format!("no symbol of {venue} is granted, so no write there ever passes"),
                format!("list the symbols of {venue} that are traded"),
            );
        }
    }
    if !venues.is_empty() {
        let others = document.symbols.keys().filter(|venue| !venues.contains(venue));
        let others = listed(others);
        if !others.is_empty() {
            found.warn(
                Dimension::Symbols,
                "VENUE_WITHOUT_CREDENTIAL",
                format!("symbols of {others} are granted, and no credential of the scope is there"),
                "leave them out, or name a credential",
            );
        }
    }
}

fn withdrawal(found: &mut Findings<'_>) {
    let Some(table) = &found.document.withdrawal else { return };
    if !found.grants(Class::Withdraw) {
        found.warn(
            Dimension::WithdrawalAddresses,
            "WITHDRAWAL_UNUSED",
            "there is a table of withdrawals, and the class withdraw is not granted",
            "leave the table out, or add withdraw to classes",
        );
        return;
    }
    if table.addresses.is_empty() {
        found.warn(
            Dimension::WithdrawalAddresses,
            "WITHDRAWAL_NOWHERE",
            "no address is listed, so no withdrawal ever passes",
            "list addresses, or take withdraw out of classes",
        );
    }
    let without: Vec<String> = table
        .addresses
        .iter()
        .filter(|to| {
            !table.per_day.iter().any(|cap| (&cap.venue, &cap.asset) == (&to.venue, &to.asset))
        })
        .map(|to| format!("{} at {}", to.asset, to.venue))
        .collect();
    if !without.is_empty() {
        found.warn(
            Dimension::WithdrawalPerDay,
            "WITHDRAWAL_WITHOUT_AMOUNT",
            format!(
                "there is no amount per day for {}, so none can be withdrawn",
                without.join(", ")
            ),
            "add it to withdrawal.per_day",
        );
    }
}
