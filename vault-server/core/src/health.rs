//! How the venues are, as egress last said it: shown in the vault's status, and nothing else.

use vault_ipc::proto::v1;
use vault_ipc::{Health, HealthRow, HealthState};

/// The newest picture, as a status has it. What egress says of venues is theirs in part: rows and
/// texts that are not of their form are left out.
pub(crate) fn venues(health: Health) -> Vec<v1::VenueHealth> {
    health.rows.into_iter().take(ROWS_MAX).filter_map(venue).collect()
}

fn venue(row: HealthRow) -> Option<v1::VenueHealth> {
    let state = match row.state() {
        HealthState::Unspecified => return None,
        HealthState::Closed => v1::VenueState::Closed,
        HealthState::Open => v1::VenueState::Open,
        HealthState::Paused => v1::VenueState::Paused,
        HealthState::Low => v1::VenueState::Low,
        HealthState::Banned => v1::VenueState::Banned,
    };
    let HealthRow { venue, host, source, until_us, used_weight, weight_limit, .. } = row;
    let texts = [&venue, &host, &source, &row.last_problem];
    if venue.is_empty() || host.is_empty() || !texts.into_iter().all(|text| is_plain(text)) {
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

fn is_plain(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

const ROWS_MAX: usize = 256;
/// A host name is no longer.
const TEXT_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use vault_ipc::proto::v1::VenueState;
    use vault_ipc::{Health, HealthRow, HealthState};

    use super::{ROWS_MAX, venues};

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
        let long = "x".repeat(254);
        let rows = vec![
            HealthRow { state: 0, ..row() },
            HealthRow { state: 99, ..row() },
            HealthRow { host: String::new(), ..row() },
            HealthRow { host: long, ..row() },
            HealthRow { last_problem: "a b\n".to_owned(), ..row() },
            row(),
        ];
        let shown = venues(Health { rows });
        let [venue] = shown.as_slice() else { panic!("one row: {shown:?}") };
        assert_eq!((venue.venue.as_str(), venue.host.as_str()), ("okx", "www.okx.com"));
        assert_eq!((venue.state(), venue.until_us), (VenueState::Paused, 5));
        assert_eq!((venue.used_weight, venue.last_problem.as_str()), (7, "TIMEOUT"));
        assert_eq!(venues(Health { rows: vec![row(); ROWS_MAX + 1] }).len(), ROWS_MAX);
    }
}
