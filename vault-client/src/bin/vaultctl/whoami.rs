//! `vaultctl whoami`.

use std::time::SystemTime;

use serde_json::json;
use vault_client::Caller;
use vault_model::Timestamp;

use crate::context::{Context, millis};
use crate::fault::Fault;
use crate::output::pairs;

pub async fn run(context: &Context) -> Result<(), Fault> {
    let identity = context.identity()?;
    let answer = Caller::connect(&identity).await?.whoami().await?;
    let ahead_ms = millis(SystemTime::now()).saturating_sub(answer.time_ms);
    let value = json!({
        "role": answer.role,
        "name": answer.name,
        "address": answer.address,
        "via": answer.via,
        "certificate_not_after_ms": answer.certificate_not_after_ms,
        "time_ms": answer.time_ms,
        "scope": answer.scope,
        "address_allowed": answer.address_allowed,
        "sealed": answer.sealed,
        "version": answer.version,
    });
    context.output.show(&value, || {
        let is_client = matches!(answer.role.as_str(), "bot" | "pricer");
        let allowed = match (is_client, answer.sealed, answer.address_allowed) {
            (false, _, _) | (_, true, _) => "",
            (true, false, true) => "yes",
            (true, false, false) => "NO: everything from there is refused",
        };
        pairs(&[
            ("name", answer.name.clone()),
            ("role", answer.role.clone()),
            ("scope", answer.scope.clone()),
            ("address", answer.address.clone()),
            ("address allowed", allowed.to_owned()),
            ("by the balancer", answer.via.clone()),
            ("vault", if answer.sealed { "sealed" } else { "unsealed" }.to_owned()),
            ("valid until", Timestamp::from_millis(answer.certificate_not_after_ms).to_string()),
            ("vault's clock", Timestamp::from_millis(answer.time_ms).to_string()),
            ("this clock is ahead by", format!("{:.1} s", ahead_ms as f64 / 1e3)),
            ("version", answer.version.clone()),
        ])
    })
}
