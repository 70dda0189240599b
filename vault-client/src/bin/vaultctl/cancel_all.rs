//! `vaultctl halt --cancel-all`.

use serde_json::{Value, json};
use vault_client::Operator;
use vault_client::v1::{CancelAllCommand, CancelAllStep};

use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::output::table;

/// Cancels the open orders of what is halted, and shows each request. `halt` goes before that in
/// what machines get.
pub async fn run(
    context: &Context,
    operator: &Operator,
    target: &str,
    halt: &Value,
) -> Result<Exit, Fault> {
    context.output.talk("cancelling open orders; this may take up to a minute ...");
    let answer = operator.cancel_all(CancelAllCommand { target: target.to_owned() }).await?;
    let mut value = halt.clone();
    value["cancel_all"] = answer.steps.iter().map(json).collect();
    context.output.show(&value, || people(&answer.steps))?;
    let failed = answer.steps.iter().any(|step| !step.problem.is_empty());
    Ok(if failed { Exit::Other } else { Exit::Ok })
}

fn people(steps: &[CancelAllStep]) -> String {
    if steps.is_empty() {
        return "there is no credential that this concerns".to_owned();
    }
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let status = if step.status == 0 { String::new() } else { step.status.to_string() };
            let outcome = if step.problem.is_empty() { "ok" } else { step.problem.as_str() };
            vec![
                step.credential.clone(),
                step.operation.clone(),
                step.symbol.clone(),
                step.order_count.to_string(),
                status,
                outcome.to_owned(),
                step.entry.map(|entry| entry.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["CREDENTIAL", "OPERATION", "SYMBOL", "ORDERS", "STATUS", "OUTCOME", "ENTRY"];
    let failed = steps.iter().filter(|step| !step.problem.is_empty()).count();
    let verdict = match failed {
        0 => "done: no open order was left where the vault has looked\n".to_owned(),
        failed => format!(
            "{failed} of {} did not do what they were for: look at the venues; the same command tries again\n",
            steps.len()
        ),
    };
    table(&head, &rows) + &verdict
}

fn json(step: &CancelAllStep) -> Value {
    json!({
        "credential": step.credential,
        "venue": step.venue,
        "operation": step.operation,
        "symbol": step.symbol,
        "order_count": step.order_count,
        "status": step.status,
        "problem": step.problem,
        "entry_index": step.entry,
    })
}
