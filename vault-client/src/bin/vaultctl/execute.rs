//! `vaultctl execute`, for bots.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;
use vault_client::v1::Role;
use vault_client::{Client, ExecuteOrder, Executed};
use vault_model::{Name, RequestId};

use crate::arguments::Request;
use crate::context::{Context, wrong_role};
use crate::fault::{Fault, file};
use crate::json;
use crate::output::Foreign;

#[derive(clap::Args)]
pub struct Arguments {
    /// Leave it out for a public endpoint
    #[arg(long)]
    credential: Option<Name>,
    /// Id under which nothing is sent twice; random if not given
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
    /// Also write the receipt to a file, for audit verify --receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Write the venue's body to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the venue's body as it is to a terminal, too
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    request: Request,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<(), Fault> {
    let mut identity = context.identity()?;
    if identity.role() != Role::Bot {
        return Err(wrong_role(&identity, "only a bot may trade"));
    }
    let order = ExecuteOrder {
        request_id: arguments.request_id.map(|id| id.to_string()),
        credential: arguments.credential.map(|name| name.to_string()).unwrap_or_default(),
        request: arguments.request.into_venue_request()?,
        timeout: None,
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
    let client = Client::connect(identity).await?;
    let mut stream = client.execute_stream(order).await?;
    let receipt = stream.head.receipt.as_ref().map(json::receipt);
    if let (Some(path), Some(receipt)) = (&arguments.receipt, &receipt) {
        std::fs::write(path, format!("{receipt}\n")).map_err(file(path))?;
    }
    context.output.talk(&about(&stream.head));
    match &arguments.out {
        Some(path) => {
            let mut to = std::fs::File::create(path).map_err(file(path))?;
            while let Some(piece) = stream.next().await? {
                to.write_all(&piece).map_err(file(path))?;
            }
        }
        None if !context.output.is_json() => {
            let mut body = match arguments.raw {
                true => Foreign(None),
                false => context.output.foreign(),
            };
            while let Some(piece) = stream.next().await? {
                body.write(context.output, &piece)?;
            }
            body.end(context.output)?;
        }
        None => {
            while let Some(piece) = stream.next().await? {
                stream.head.body.extend(piece);
            }
        }
    }
    if !context.output.is_json() {
        return Ok(());
    }
    let Executed { request_id, status, headers, body, latency, seq, .. } = &stream.head;
    let headers: Vec<_> = headers.iter().map(|header| json!([header.name, header.value])).collect();
    let value = json!({
        "request_id": request_id,
        "status": status,
        "headers": headers,
        "body": serde_json::from_slice(body)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(body))),
        "latency_us": u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
        "receipt": receipt,
        "seq": seq,
        "notional_usd": stream.head.notional_usd,
        "limits_left": stream.head.limits_left,
    });
    context.output.show(&value, String::new)
}

fn about(executed: &Executed) -> String {
    let entry = match &executed.receipt {
        Some(receipt) => format!("entry {} of {}", receipt.index, receipt.log_origin),
        None => "public, not logged".to_owned(),
    };
    let mut text = format!(
        "sent: {entry}; the venue answered {} after {:.1} ms",
        executed.status,
        executed.latency.as_secs_f64() * 1e3
    );
    if let Some(notional) = &executed.notional_usd {
        text += &format!("; worth {notional} USD at worst");
    }
    let left: Vec<String> =
        executed.limits_left.iter().map(|(limit, left)| format!("{limit} {left}")).collect();
    if !left.is_empty() {
        text += &format!("; left after it: {}", left.join("  "));
    }
    text
}
