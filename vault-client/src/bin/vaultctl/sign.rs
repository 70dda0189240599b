//! `vaultctl sign`, for bots.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;
use vault_client::v1::{Role, SignedRequest};
use vault_client::{Client, SignOrder, Signed};
use vault_model::{Name, RequestId};

use crate::arguments::Request;
use crate::context::{Context, wrong_role};
use crate::fault::{Fault, file};
use crate::json;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long)]
    credential: Name,
    /// Id by which a retry is recognised; random if not given
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
    /// Also write the receipt to a file, for audit verify --receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    request: Request,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<(), Fault> {
    let mut identity = context.identity()?;
    if identity.role() != Role::Bot {
        return Err(wrong_role(&identity, "only a bot may sign"));
    }
    let order = SignOrder {
        request_id: arguments.request_id.map(|id| id.to_string()),
        credential: arguments.credential.to_string(),
        request: arguments.request.into_venue_request()?,
    };
    // Before, since this process may end before the client has renewed by itself.
    if identity.needs_renewal(SystemTime::now()) {
        match identity.renew().await {
            Ok(renewed) => identity = renewed,
            Err(error) => {
                context.output.talk(&format!("vaultctl: certificate not renewed: {error}"))
            }
        }
    }
    let signed = Client::connect(identity).await?.sign(order).await?;
    let receipt = json::receipt(&signed.receipt);
    if let Some(path) = &arguments.receipt {
        std::fs::write(path, format!("{receipt}\n")).map_err(file(path))?;
    }
    let usable_for_ms = signed.usable_for.map(|time| time.as_millis() as u64);
    let value = json!({
        "request_id": signed.request_id,
        "request": json::signed_request(&signed.request),
        "usable_for_ms": usable_for_ms,
        "receipt": receipt,
        "seq": signed.seq,
        "notional_usd": signed.notional_usd,
        "limits_left": signed.limits_left,
    });
    if context.output.is_json() {
        return context.output.show(&value, String::new);
    }
    context.output.talk(&about(&signed));
    context.output.bytes(&as_http(&signed.request))
}

fn about(signed: &Signed) -> String {
    let usable = match signed.usable_for {
        Some(time) => format!("usable for {} ms", time.as_millis()),
        None => "without expiry".to_owned(),
    };
    let mut text = format!(
        "signed: entry {} of {}, {usable}",
        signed.receipt.index, signed.receipt.log_origin
    );
    if let Some(notional) = &signed.notional_usd {
        text += &format!("; worth {notional} USD at worst");
    }
    let left: Vec<String> =
        signed.limits_left.iter().map(|(limit, left)| format!("{limit} {left}")).collect();
    if !left.is_empty() {
        text += &format!("; left after it: {}", left.join("  "));
    }
    text
}

/// Method and URL, headers, an empty line, and the body byte for byte.
fn as_http(request: &SignedRequest) -> Vec<u8> {
    let mut text = format!("{} {}\n", request.method, request.url);
    for header in &request.headers {
        text += &format!("{}: {}\n", header.name, header.value);
    }
    text.push('\n');
    [text.as_bytes(), &request.body].concat()
}
