//! `vaultctl renew`.

use serde_json::json;
use vault_model::Timestamp;

use crate::context::{Context, millis};
use crate::fault::Fault;
use crate::output::pairs;

pub async fn run(context: &Context) -> Result<(), Fault> {
    let renewed = context.identity()?.renew().await?;
    let serial = hex::encode(renewed.serial());
    let not_after_ms = millis(renewed.not_after());
    let value = json!({
        "name": renewed.name(),
        "identity": renewed.folder(),
        "serial": serial,
        "not_after_ms": not_after_ms,
    });
    context.output.show(&value, || {
        pairs(&[
            ("name", renewed.name().to_owned()),
            ("serial", serial.clone()),
            ("valid until", Timestamp::from_millis(not_after_ms).to_string()),
        ])
    })
}
