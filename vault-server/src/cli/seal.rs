//! `vault-server seal`.

use std::path::Path;

use serde_json::json;
use vault_ipc::LocalOperation;
use vault_ipc::proto::v1::SealResponse;

use crate::fault::Fault;
use crate::local::Vault;
use crate::output::Output;

pub fn run(output: Output, data: &Path) -> Result<(), Fault> {
    let SealResponse {} = Vault::connect(data)?.ask(LocalOperation::Seal)?;
    output.show(&json!({ "sealed": true }), || {
        "sealed; the processes start anew, and a person must unseal".to_owned()
    })
}
