//! `vaultctl halt` and `vaultctl resume`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use vault_client::ClientError;
use vault_client::v1::{HaltCommand, HaltLevel, HaltStatusCommand, Outstanding, ResumeCommand};
use vault_model::{HaltTarget, Timestamp};

use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::output::table;
use crate::{cancel_all, json};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct HaltArguments {
    #[command(subcommand)]
    command: Option<HaltSubcommand>,
    /// all, venue:NAME, credential:NAME, client:NAME or symbol:VENUE/SYMBOL
    #[arg(default_value = "all")]
    target: HaltTarget,
    /// The same as symbol:VENUE/SYMBOL; the symbol exactly as the venue writes it
    #[arg(long, value_name = "VENUE/SYMBOL", value_parser = symbol, conflicts_with = "target")]
    symbol: Option<HaltTarget>,
    /// What stays possible
    #[arg(long, value_enum, required = true)]
    level: Option<Level>,
    /// Why, for the log
    #[arg(long, required = true)]
    reason: Option<String>,
    /// Then cancel the open orders of all credentials that it concerns, whoever placed them; also
    /// for what is halted already
    #[arg(long)]
    cancel_all: bool,
}

#[derive(Subcommand)]
enum HaltSubcommand {
    /// List the halts in force
    Status,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    /// Only what reads, cancels or surely reduces a position passes
    NoNewRisk,
    /// No signature at all
    Nothing,
}

#[derive(clap::Args)]
pub struct ResumeArguments {
    /// all, venue:NAME, credential:NAME, client:NAME or symbol:VENUE/SYMBOL, as it was halted
    #[arg(required_unless_present = "symbol")]
    target: Option<HaltTarget>,
    /// The same as symbol:VENUE/SYMBOL
    #[arg(long, value_name = "VENUE/SYMBOL", value_parser = symbol, conflicts_with = "target")]
    symbol: Option<HaltTarget>,
}

fn symbol(text: &str) -> Result<HaltTarget, String> {
    let wrong = |_| "expected VENUE/SYMBOL, such as okx/BTC-USDT".to_owned();
    format!("symbol:{text}").parse().map_err(wrong)
}

pub async fn halt(context: &Context, arguments: HaltArguments) -> Result<Exit, Fault> {
    let (Some(level), Some(reason)) = (arguments.level, arguments.reason) else {
        return status(context).await.map(|()| Exit::Ok);
    };
    let level = match level {
        Level::NoNewRisk => HaltLevel::NoNewRisk,
        Level::Nothing => HaltLevel::Nothing,
    };
    let halted = arguments.symbol.unwrap_or(arguments.target);
    let target = halted.to_string();
    let command = HaltCommand { level: level.into(), target: target.clone(), reason };
    let operator = context.operator().await?;
    let halted_now = operator.halt(command).await;
    let is_halted_already =
        |error: &ClientError| error.refusal().is_some_and(|refusal| refusal.reason == ALREADY_SO);
    let halted_now = match halted_now {
        Err(error) if arguments.cancel_all && is_halted_already(&error) => {
            context.output.talk(&format!("{target} is halted already"));
            return cancel_all::run(context, &operator, &target, &json!({})).await;
        }
        other => other,
    };
    let answer = halted_now.map_err(|error| {
        let hint = match &halted {
            HaltTarget::Symbol { .. } | HaltTarget::Venue(_) => "vaultctl catalog lists the venues",
            _ => "nothing is halted by this; to halt everything: vaultctl halt all",
        };
        not_found(error, hint)
    })?;
    let value = json!({
        "change": json::change(answer.change.as_ref()),
        "outstanding": json::outstanding(answer.outstanding.as_ref()),
        "symbol_unknown": answer.symbol_unknown,
    });
    if answer.symbol_unknown {
        context.output.talk(
            "warning: no approved instrument and no scope names this symbol; if it is mistyped, \
             nothing is stopped (vaultctl instrument list, or halt the venue)",
        );
    }
    let people = || {
        let level = json::halt_level(level);
        let left = outstanding(answer.outstanding.as_ref());
        format!("{target} halted: {level}{}\n{left}", concern(&halted))
    };
    if arguments.cancel_all {
        context.output.talk(&people());
        return cancel_all::run(context, &operator, &target, &value).await;
    }
    context.output.show(&value, people).map(|()| Exit::Ok)
}

pub async fn resume(context: &Context, arguments: ResumeArguments) -> Result<(), Fault> {
    let target = arguments.symbol.or(arguments.target).map(|target| target.to_string());
    let target = target.unwrap_or_default();
    let operator = context.operator().await?;
    // The one that there is now, and no later one: somebody may halt again meanwhile.
    let halts = operator.halt_status(HaltStatusCommand::default()).await?.halts;
    let present = halts.iter().find(|halt| halt.target == target);
    let halted_at_us = present.map_or(0, |halt| halt.at_us);
    let command = ResumeCommand { target: target.clone(), halted_at_us };
    let answer = operator
        .resume(command)
        .await
        .map_err(|error| not_found(error, "vaultctl halt status lists the halts, as they are"))?;
    let value = json!({ "change": json::change(answer.change.as_ref()) });
    context.output.show(&value, || format!("{target} resumed"))
}

/// Says what to do where the vault does not know what was named.
fn not_found(error: ClientError, hint: &str) -> Fault {
    let fault = Fault::from(error);
    if fault.exit == Exit::NotFound { fault.with_hint(hint) } else { fault }
}

async fn status(context: &Context) -> Result<(), Fault> {
    let answer = context.operator().await?.halt_status(HaltStatusCommand::default()).await?;
    let halts: Vec<_> = answer.halts.iter().map(json::halt).collect();
    context.output.show(&json!({ "halts": halts }), || {
        if answer.halts.is_empty() {
            return "nothing is halted".to_owned();
        }
        let rows: Vec<Vec<String>> = answer
            .halts
            .iter()
            .map(|info| {
                vec![
                    info.target.clone(),
                    json::halt_level(info.level()).to_owned(),
                    Timestamp::from_millis(info.at_ms).to_string(),
                    info.by.clone(),
                    info.reason.clone(),
                ]
            })
            .collect();
        table(&["TARGET", "LEVEL", "SINCE", "BY", "REASON"], &rows)
    })
}

/// What else there is to say of a target.
fn concern(target: &HaltTarget) -> &'static str {
    match target {
        HaltTarget::Symbol { .. } => {
            "; it concerns what touches that symbol by a name that is known, or every symbol, and no read"
        }
        HaltTarget::All
        | HaltTarget::Client(_)
        | HaltTarget::Credential(_)
        | HaltTarget::Venue(_) => "",
    }
}

/// What signatures released before can still do, for people.
pub fn outstanding(outstanding: Option<&Outstanding>) -> String {
    let Some(outstanding) = outstanding else {
        return String::new();
    };
    let mut text = match outstanding.usable_for_ms {
        0 => "no signature released before has time left at its venue\n".to_owned(),
        millis => format!("signatures released before are good for at most {millis} ms more\n"),
    };
    if outstanding.without_expiry {
        text += "some have no expiry: they are good until the venue sees a larger nonce\n";
    }
    text
}

/// The reason by which the vault says that there is nothing to change.
const ALREADY_SO: &str = "ALREADY_SO";
