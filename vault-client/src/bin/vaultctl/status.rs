//! `vaultctl status`.

use serde_json::{Value, json};
use vault_client::v1::{Role, StatusCommand, StatusResponse, VenueHealth};
use vault_client::{Identity, role_word};
use vault_model::Timestamp;
use vault_proto::shown::confined;

use crate::context::{Context, millis};
use crate::fault::Fault;
use crate::json;
use crate::output::{pairs, table};

pub async fn run(context: &Context) -> Result<(), Fault> {
    let identity = context.identity()?;
    let own = own(&identity);
    let mut text = pairs(&[
        ("name", identity.name().to_owned()),
        ("role", role_word(identity.role()).to_owned()),
        ("identity", identity.folder().display().to_string()),
        ("address", identity.address().to_owned()),
        ("valid until", Timestamp::from_millis(millis(identity.not_after())).to_string()),
    ]);
    // The vault tells operators only.
    let status = if matches!(identity.role(), Role::Bot | Role::Pricer) {
        Value::Null
    } else {
        let status = context.operator().await?.status(StatusCommand {}).await?;
        text += "\n";
        text += &people(&status);
        json::status(&status)
    };
    context.output.show(&json!({ "identity": own, "vault": status }), || text)
}

fn own(identity: &Identity) -> Value {
    json!({
        "name": identity.name(),
        "role": role_word(identity.role()),
        "folder": identity.folder(),
        "address": identity.address(),
        "serial": hex::encode(identity.serial()),
        "not_after_ms": millis(identity.not_after()),
        "renewal_at_ms": millis(identity.renewal_at()),
        "core_fingerprint": hex::encode(identity.core_fingerprint()),
        "ca_fingerprint": hex::encode(identity.ca_fingerprint()),
        "instance_id": hex::encode(identity.instance_id()),
    })
}

fn people(status: &StatusResponse) -> String {
    let slots: Vec<String> =
        status.slots.iter().map(|slot| format!("{} ({})", slot.id, slot.kind)).collect();
    let retry = match status.retry_after_s {
        0 => String::new(),
        seconds => format!("{seconds} s"),
    };
    let development = if status.development { "DEVELOPMENT: for tests only" } else { "" };
    let catalogs: Vec<String> = status
        .catalogs
        .iter()
        .map(|catalog| {
            let hash = hex::encode(&catalog.hash);
            format!("{} {}", catalog.venue, hash.get(..12).unwrap_or_default())
        })
        .collect();
    let additions = match status.catalog_additions {
        0 => String::new(),
        count => count.to_string(),
    };
    let processes: Vec<(String, String)> = status
        .hardening
        .iter()
        .map(|process| (format!("sandbox of {}", process.process), confined(process)))
        .collect();
    let mut rows = vec![
        ("vault", json::seal_state(status.state()).to_owned()),
        ("reason", status.reason.clone()),
        ("mode", development.to_owned()),
        ("next unseal attempt in", retry),
        ("version", format!("{} ({})", status.version, status.build)),
        ("node", format!("{}, epoch {}", status.node, status.epoch)),
        ("log", format!("{}, {} entries", status.log_origin, status.log_size)),
        ("state revision", status.state_rev.to_string()),
        ("slots", slots.join(", ")),
        ("catalogues", catalogs.join(", ")),
        ("catalogue additions", additions),
        ("Sign is halted for", status.drifted_credentials.join(", ")),
        ("server certificate", Timestamp::from_millis(status.server_not_after_ms).to_string()),
    ];
    rows.extend(processes.iter().map(|(name, text)| (name.as_str(), text.clone())));
    pairs(&rows) + &venues(&status.venues)
}

/// How the venues are that were spoken to of late.
fn venues(venues: &[VenueHealth]) -> String {
    if venues.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = venues
        .iter()
        .map(|venue| {
            let until = match venue.until_us {
                0 => String::new(),
                micros => Timestamp(micros).to_string(),
            };
            let weight = match (venue.used_weight, venue.weight_limit) {
                (0, _) => String::new(),
                (used, 0) => used.to_string(),
                (used, limit) => format!("{used} of {limit}"),
            };
            vec![
                venue.venue.clone(),
                venue.host.clone(),
                venue.source.clone(),
                json::venue_state(venue.state()).to_owned(),
                until,
                weight,
                venue.in_flight.to_string(),
                venue.streams.to_string(),
                venue.last_problem.clone(),
            ]
        })
        .collect();
    let head = [
        "VENUE",
        "HOST",
        "FROM",
        "STATE",
        "UNTIL",
        "WEIGHT",
        "UNDER WAY",
        "WEBSOCKETS",
        "LAST PROBLEM",
    ];
    format!("\n{}", table(&head, &rows))
}
