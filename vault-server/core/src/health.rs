//! How the venues are, as egress last said it: shown in the vault's status and among its figures, and
//! nothing else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vault_ipc::proto::v1;
use vault_ipc::{HEALTH_ROWS_MAX, Health, HealthRow, HealthState};
use vault_venue::Registry;

use crate::execute::is_problem;

/// The newest picture, as a status has it. What egress says of venues is theirs in part: rows and
/// texts that are not of their form are left out, and so short that a snapshot of all figures fits
/// into a frame. A place is there once.
pub(crate) fn venues(health: Health, registry: &Registry) -> Vec<v1::VenueHealth> {
    let mut seen = BTreeSet::new();
    let rows = health.rows.into_iter().take(HEALTH_ROWS_MAX);
    rows.filter_map(|row| venue(row, registry))
        .filter(|row| seen.insert((row.venue.clone(), row.host.clone(), row.source.clone())))
        .collect()
}

fn venue(row: HealthRow, registry: &Registry) -> Option<v1::VenueHealth> {
    let state = match row.state() {
        HealthState::Unspecified => return None,
        HealthState::Closed => v1::VenueState::Closed,
        HealthState::Open => v1::VenueState::Open,
        HealthState::Paused => v1::VenueState::Paused,
        HealthState::Low => v1::VenueState::Low,
        HealthState::Banned => v1::VenueState::Banned,
    };
    let HealthRow { venue, host, source, until_us, used_weight, weight_limit, .. } = row;
    let is_known = registry.venue(&venue).is_some();
    let is_source = source.is_empty() || source.parse::<IpAddr>().is_ok();
    let is_word = row.last_problem.is_empty() || is_problem(&row.last_problem);
    if !(is_known && is_host(&host) && is_source && is_word) {
        return None;
    }
    Some(v1::VenueHealth {
        venue,
        host,
        source,
        state: state.into(),
        until_us,
        used_weight,
        weight_limit,
        in_flight: row.in_flight,
        streams: row.streams,
        last_problem: row.last_problem,
    })
}

/// Whether it may be a host of a catalogue, with a port or without.
fn is_host(text: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// No host of a catalogue is as long.
pub(crate) const HOST_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use vault_ipc::proto::v1::{VenueHealth, VenueState};
    use vault_ipc::{HEALTH_ROWS_MAX, Health, HealthRow, HealthState};
    use vault_venue::Registry;

    use super::HOST_BYTES_MAX;

    fn venues(rows: Vec<HealthRow>) -> Vec<VenueHealth> {
        super::venues(Health { rows }, &Registry::bundled().expect("catalogues"))
    }

    fn row() -> HealthRow {
        HealthRow {
            venue: "okx".to_owned(),
            host: "www.okx.com".to_owned(),
            state: HealthState::Paused.into(),
            until_us: 5,
            used_weight: 7,
            last_problem: "TIMEOUT".to_owned(),
            ..HealthRow::default()
        }
    }

    #[test]
    fn a_row_is_shown_as_it_is_and_what_is_none_is_left_out() {
        let long = "x".repeat(HOST_BYTES_MAX + 1);
        let rows = vec![
            HealthRow { state: 0, ..row() },
            HealthRow { state: 99, ..row() },
            HealthRow { host: String::new(), ..row() },
            HealthRow { host: long, ..row() },
            HealthRow { host: "www.okx.com\"} 1".to_owned(), ..row() },
            HealthRow { venue: "nowhere".to_owned(), ..row() },
            HealthRow { venue: "okx\n".to_owned(), ..row() },
            HealthRow { source: "10.0.0.1.".to_owned(), ..row() },
            HealthRow { last_problem: "a b\n".to_owned(), ..row() },
            HealthRow { last_problem: "A".repeat(65), ..row() },
            row(),
            // The same place again.
            HealthRow { used_weight: 8, ..row() },
        ];
        let shown = venues(rows);
        let [venue] = shown.as_slice() else { panic!("one row: {shown:?}") };
        assert_eq!((venue.venue.as_str(), venue.host.as_str()), ("okx", "www.okx.com"));
        assert_eq!((venue.state(), venue.until_us), (VenueState::Paused, 5));
        assert_eq!((venue.used_weight, venue.last_problem.as_str()), (7, "TIMEOUT"));
        let many =
            (0..=HEALTH_ROWS_MAX).map(|number| HealthRow { host: format!("h{number}.x"), ..row() });
        assert_eq!(venues(many.collect()).len(), HEALTH_ROWS_MAX);
    }

    #[test]
    fn every_host_of_the_catalogues_is_short_enough() {
        let registry = Registry::bundled().expect("catalogues");
        for name in registry.names() {
            let catalog = &registry.venue(name).expect("bundled").catalog;
            for environment in [vault_model::Environment::Live, vault_model::Environment::Demo] {
                let hosts = catalog.hosts(environment);
                for host in hosts.iter().flat_map(|hosts| hosts.rest.iter().chain(&hosts.ws)) {
                    assert!(super::is_host(host), "{host}");
                }
            }
            assert!(catalog.socket_hosts().all(super::is_host), "{name}");
        }
    }
}
