//! `vaultctl scope replay`: what a candidate would make of recorded requests.

use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use vault_client::v1::{
    GetReplayCommand, GetReplayResponse, ReplayChange, StartReplayCommand, StartReplayResponse,
};
use vault_client::{ClientError, Operator};
use vault_model::Name;
use vault_wire::scope_to_wire;

use super::diff::Source;
use crate::context::{Context, millis};
use crate::fault::{Exit, Fault};
use crate::output::table;

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The candidate: a TOML file, - for stdin, or a stored scope's name
    #[arg(value_name = "CANDIDATE")]
    candidate: String,
    /// How far back, such as 30d, 12h or 90m
    #[arg(long, value_name = "SPAN")]
    since: Since,
    /// Only this client's requests; repeat for more. Without it, those of every client that holds
    /// the stored scope of the candidate's name
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<Name>,
}

const HELP: &str = "\
BECOMES says what the candidate would make of requests that were answered otherwise: denied, allowed, \
or unknown where the log does not hold what the candidate asks about. FIRST is the first of each \
kind, with its index in the log.

Examples:
  vaultctl scope replay mm.toml --since 30d
  vaultctl scope replay mm-next --since 12h --client mm-1 --client mm-2";

/// How far back to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Since(Duration);

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write 30d, 12h, 90m or 45s; at most 9999 of them";
        let number = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let fits = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let seconds = match text.get(number.len()..) {
            Some("s") => 1,
            Some("m") => 60,
            Some("h") => 3_600,
            Some("d") => 86_400,
            _ => return Err(FORM),
        };
        let number: u64 = number.parse().ok().filter(|_| fits).ok_or(FORM)?;
        Ok(Self(Duration::from_secs(number * seconds)))
    }
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let source = Source::of(&arguments.candidate);
    // A mistake in a file shows without asking anybody.
    let file = match source {
        Source::File(_) => Some(source.read(None).await?),
        Source::Stored(_) => None,
    };
    let operator = context.operator().await?;
    let candidate = match file {
        Some(document) => document,
        None => source.read(Some(&operator)).await?,
    };
    let since = SystemTime::now().checked_sub(arguments.since.0).unwrap_or(SystemTime::UNIX_EPOCH);
    let command = StartReplayCommand {
        scope: Some(scope_to_wire(&candidate)),
        since_ms: millis(since),
        clients: arguments.clients.iter().map(ToString::to_string).collect(),
    };
    let replay = operator.start_replay(command).await.map_err(not_begun)?;
    let found = wait(context, &operator, replay).await?;
    if !found.error.is_empty() {
        return Err(Fault::other(format!("the replay has ended early: {}", found.error)));
    }
    context.output.show(&value(&found), || words(&found))?;
    Ok(Exit::Ok)
}

fn not_begun(error: ClientError) -> Fault {
    let fault = Fault::from(error);
    let reason = fault.refusal.as_ref().map_or("", |refusal| refusal.reason.as_str());
    match reason {
        "BAD_FIELD" => fault.with_hint(
            "whose requests are to be judged: --client NAME; or give the candidate the name of the \
             scope that it is to replace",
        ),
        "NOT_FOUND" => fault.with_hint("vaultctl client list"),
        _ => fault,
    }
}

/// Asks until it is through, and shows people how far it is.
async fn wait(
    context: &Context,
    operator: &Operator,
    StartReplayResponse { replay, entries }: StartReplayResponse,
) -> Result<GetReplayResponse, Fault> {
    let bar = if context.output.is_json() || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(entries).with_style(style())
    };
    loop {
        let found = operator.replay(GetReplayCommand { replay }).await.map_err(|error| {
            bar.finish_and_clear();
            let fault = Fault::from(error);
            match fault.exit {
                Exit::NotFound => fault.with_hint("somebody has begun another replay meanwhile"),
                _ => fault,
            }
        })?;
        bar.set_length(found.entries);
        bar.set_position(found.read);
        if found.finished {
            bar.finish_and_clear();
            return Ok(found);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} entries, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn value(found: &GetReplayResponse) -> Value {
    let changes: Vec<_> = found
        .changes
        .iter()
        .map(|change| {
            json!({
                "becomes": change.becomes,
                "reason": change.reason,
                "operation": change.operation,
                "count": change.count,
                "first_index": change.first_index,
                "first_client": change.first_client,
                "first_words": change.first_words,
                "first_at_ms": change.first_at_ms,
            })
        })
        .collect();
    json!({
        "entries": found.entries,
        "judged": found.judged,
        "same": found.same,
        "now_denied": found.now_denied,
        "now_allowed": found.now_allowed,
        "unknown": found.unknown,
        "changes": changes,
        "changes_left_out": left_out(found),
    })
}

fn words(found: &GetReplayResponse) -> String {
    let mut text = format!(
        "{} entries, {} requests judged: {} as before, {} now denied, {} now allowed, {} unknown\n",
        found.entries, found.judged, found.same, found.now_denied, found.now_allowed, found.unknown
    );
    if !found.changes.is_empty() {
        let rows: Vec<Vec<String>> = found.changes.iter().map(row).collect();
        text += "\n";
        text += &table(&["BECOMES", "COUNT", "REASON", "OPERATION", "FIRST"], &rows);
    }
    let left_out = left_out(found);
    if left_out > 0 {
        text += &format!("and {left_out} more, of kinds that are not listed\n");
    }
    text
}

fn row(change: &ReplayChange) -> Vec<String> {
    vec![
        change.becomes.clone(),
        change.count.to_string(),
        change.reason.clone(),
        change.operation.clone(),
        format!("#{} {}: {}", change.first_index, change.first_client, change.first_words),
    ]
}

/// Requests that change, in groups that the answer has no room for.
fn left_out(found: &GetReplayResponse) -> u64 {
    let all = found.now_denied + found.now_allowed + found.unknown;
    all.saturating_sub(found.changes.iter().map(|change| change.count).sum())
}

const ASK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_client::v1::{GetReplayResponse, ReplayChange};

    use super::{Since, style, value, words};

    #[test]
    fn spans_are_numbers_with_a_unit() {
        for (text, seconds) in [("45s", 45), ("90m", 5_400), ("12h", 43_200), ("400d", 34_560_000)]
        {
            assert_eq!(text.parse(), Ok(Since(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "d", "30", "30 d", "-1d", "1.5h", "30D", "1w", "12345s", "3d2h", "３d"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_bar_has_a_form() {
        let built = indicatif::ProgressStyle::with_template(
            "{bar:40} {human_pos}/{human_len} entries, {eta} left",
        );
        assert!(built.is_ok());
        drop(style());
    }

    #[test]
    fn changes_are_shown_with_their_first_and_the_rest_is_counted() {
        let found = GetReplayResponse {
            read: 9,
            entries: 9,
            finished: true,
            judged: 8,
            same: 2,
            now_denied: 4,
            unknown: 2,
            changes: vec![ReplayChange {
                becomes: "denied".to_owned(),
                reason: "SYMBOL_NOT_GRANTED".to_owned(),
                operation: "POST /api/v5/trade/order".to_owned(),
                count: 4,
                first_index: 17,
                first_client: "mm".to_owned(),
                first_words: "buy 0.5 BTC-USDT limit 60000, okx-main".to_owned(),
                first_at_ms: 5,
            }],
            ..Default::default()
        };
        let text = words(&found);
        assert!(text.starts_with("9 entries, 8 requests judged: 2 as before, 4 now denied"));
        assert!(text.contains("#17 mm: buy 0.5 BTC-USDT limit 60000, okx-main"), "{text}");
        assert!(text.ends_with("and 2 more, of kinds that are not listed\n"), "{text}");
        let value = value(&found);
        assert_eq!(value["changes"][0]["count"], 4);
        assert_eq!(value["changes_left_out"], 2);

        let nothing = GetReplayResponse { finished: true, ..Default::default() };
        assert_eq!(words(&nothing).lines().count(), 1);
    }
}
