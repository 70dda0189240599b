//! `vaultctl status`.

use serde_json::{Value, json};
use vault_client::v1::{Role, StatusCommand, StatusResponse};
use vault_client::{Identity, role_word};
use vault_model::Timestamp;

use crate::context::{Context, millis};
use crate::fault::Fault;
use crate::json;
use crate::output::pairs;

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
    pairs(&[
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
        ("server certificate", Timestamp::from_millis(status.server_not_after_ms).to_string()),
    ])
}
