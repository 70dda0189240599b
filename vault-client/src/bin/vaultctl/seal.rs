//! `vaultctl unseal` and `vaultctl seal`.

use serde_json::json;
use vault_client::v1::SealCommand;

use crate::context::Context;
use crate::fault::Fault;
use crate::secret;

pub async fn unseal(context: &Context) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let passphrase = secret::passphrase("Passphrase: ")?;
    let answer = operator.unseal(&passphrase).await?;
    let value = json!({ "state": "unsealed", "state_rev": answer.state_rev });
    context.output.show(&value, || format!("unsealed, state revision {}", answer.state_rev))
}

pub async fn seal(context: &Context) -> Result<(), Fault> {
    context.operator().await?.seal(SealCommand {}).await?;
    context.output.show(&json!({ "state": "sealed" }), || "sealed".to_owned())
}
