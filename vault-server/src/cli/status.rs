//! `vault-server status`.

use std::path::Path;

use serde_json::{Value, json};
use vault_ipc::proto::v1::StatusResponse;
use vault_model::Timestamp;

use crate::fault::Fault;
use crate::local::Vault;
use crate::output::{Output, pairs};
use crate::supervisor::state_word;

pub fn run(output: Output, data: &Path) -> Result<(), Fault> {
    let status = Vault::connect(data)?.status()?;
    output.show(&value(&status), || people(&status))
}

/// The same names as `vaultctl status --json` has under `vault`.
fn value(status: &StatusResponse) -> Value {
    let slots: Vec<_> =
        status.slots.iter().map(|slot| json!({ "id": slot.id, "kind": slot.kind })).collect();
    let catalogs: Vec<_> = status
        .catalogs
        .iter()
        .map(|catalog| {
            json!({
                "venue": catalog.venue,
                "hash": hex::encode(&catalog.hash),
                "operations": catalog.operations,
            })
        })
        .collect();
    json!({
        "state": state_word(status.state()),
        "reason": status.reason,
        "development": status.development,
        "version": status.version,
        "build": status.build,
        "instance_id": hex::encode(&status.instance_id),
        "node": status.node,
        "epoch": status.epoch,
        "log_origin": status.log_origin,
        "log_size": status.log_size,
        "state_rev": status.state_rev,
        "slots": slots,
        "retry_after_s": status.retry_after_s,
        "time_ms": status.time_ms,
        "server_not_after_ms": status.server_not_after_ms,
        "catalogs": catalogs,
        "catalog_additions": status.catalog_additions,
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
    pairs(&[
        ("vault", state_word(status.state()).to_owned()),
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
        ("server certificate", Timestamp::from_millis(status.server_not_after_ms).to_string()),
    ])
}
