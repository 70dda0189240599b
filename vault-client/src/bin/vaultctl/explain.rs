//! `vaultctl explain`.

use std::net::IpAddr;

use clap::ValueEnum;
use vault_client::v1::{ExplainCommand, ExplainResponse};
use vault_model::Name;

use crate::arguments::Request;
use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::json;
use crate::output::{pairs, table};

/// Exits with 0 if the request would be allowed, with 3 if not.
#[derive(clap::Args)]
pub struct Arguments {
    /// Whose scope, networks and halts to use
    #[arg(long)]
    client: Name,
    #[arg(long)]
    credential: Name,
    #[arg(long, value_enum, default_value = "sign")]
    mode: Mode,
    /// The address it would come from
    #[arg(long, value_name = "IP")]
    from: IpAddr,
    #[command(flatten)]
    request: Request,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Execute,
    Sign,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let command = ExplainCommand {
        client: arguments.client.to_string(),
        credential: arguments.credential.to_string(),
        mode: match arguments.mode {
            Mode::Execute => "execute",
            Mode::Sign => "sign",
        }
        .to_owned(),
        request: Some(arguments.request.into_venue_request()?),
        address: arguments.from.to_string(),
    };
    let answer = context.operator().await?.explain(command).await?;
    context.output.show(&json::explanation(&answer), || people(&answer))?;
    Ok(if answer.allowed { Exit::Ok } else { Exit::Denied })
}

fn people(answer: &ExplainResponse) -> String {
    let head = pairs(&[
        ("decision", if answer.allowed { "allowed" } else { "denied" }.to_owned()),
        ("reason", answer.reason.clone()),
        ("operation", answer.operation.clone()),
        ("message", answer.message.clone()),
        ("hint", answer.hint.clone()),
        ("widest class", answer.closure_widest.clone()),
    ]);
    let rows: Vec<Vec<String>> = answer
        .closure
        .iter()
        .map(|member| {
            let symbols = if member.every_symbol {
                "every symbol".to_owned()
            } else {
                member.symbols.join(" ")
            };
            vec![
                member.operation.clone(),
                member.class.clone(),
                member.products.join(" "),
                symbols,
                member.legs.len().to_string(),
            ]
        })
        .collect();
    format!("{head}\n{}", table(&["ACCEPTED BY", "CLASS", "PRODUCTS", "SYMBOLS", "LEGS"], &rows))
}
