//! `vaultctl credential check`.

use serde_json::{Value, json};
use vault_client::v1::{
    CheckCredentialCommand, CredentialCheck, CredentialFinding, ListCredentialsCommand,
};
use vault_model::{Name, Timestamp};

use crate::context::Context;
use crate::fault::{Exit, Fault};

#[derive(clap::Args)]
pub struct Arguments {
    /// Which
    #[arg(required_unless_present = "all")]
    name: Option<Name>,
    /// Every credential that is enabled
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let operator = context.operator().await?;
    let names = match arguments.name {
        Some(name) => vec![name.to_string()],
        None => {
            let answer = operator.list_credentials(ListCredentialsCommand::default()).await?;
            let enabled = answer.credentials.into_iter().filter(|info| info.state == "enabled");
            enabled.filter_map(|info| info.metadata).map(|metadata| metadata.name).collect()
        }
    };
    let mut checks = Vec::with_capacity(names.len());
    for name in names {
        let answer =
            operator.check_credential(CheckCredentialCommand { name: name.clone() }).await?;
        checks.push((name, answer.check.unwrap_or_default()));
    }
    let values: Vec<Value> =
        checks.iter().map(|(name, check)| json!({ "name": name, "check": json(check) })).collect();
    context.output.show(&json!({ "credentials": values }), || {
        checks.iter().map(|(name, check)| format!("{name}: {}", people(check))).collect()
    })?;
    Ok(exit(checks.iter().map(|(_, check)| check)))
}

/// The worst of all.
fn exit<'a>(checks: impl Iterator<Item = &'a CredentialCheck> + Clone) -> Exit {
    let is_alarm = |check: &CredentialCheck| {
        check.drifted || check.findings.iter().any(|finding| finding.severity == ALARM)
    };
    // Where nobody can ever be asked, nothing has failed.
    let failed = |check: &CredentialCheck| !matches!(&*check.problem, "" | NOT_POSSIBLE);
    if checks.clone().any(is_alarm) {
        Exit::Denied
    } else if checks.clone().any(failed) {
        Exit::Other
    } else {
        Exit::Ok
    }
}

/// In one word, for a table.
pub fn word(check: &CredentialCheck) -> &'static str {
    let worst = |severity: &str| check.findings.iter().any(|finding| finding.severity == severity);
    if check.drifted {
        "DRIFTED"
    } else if worst(ALARM) {
        "alarm"
    } else if !check.problem.is_empty() {
        "not possible"
    } else if worst("warning") {
        "warning"
    } else {
        "ok"
    }
}

/// When it was, for people.
pub fn at(check: &CredentialCheck) -> String {
    Timestamp(check.checked_at_us).to_string()
}

/// A check, for people: ends with a line feed.
pub fn people(check: &CredentialCheck) -> String {
    let mut text = if check.findings.is_empty() {
        "checked: nothing to do\n".to_owned()
    } else {
        format!("checked: {}\n", word(check))
    };
    if !check.rights.is_empty() {
        text += &format!("  rights: {}\n", check.rights.join(", "));
    }
    for CredentialFinding { code, severity, message, hint } in &check.findings {
        text += &format!("  {severity}: {message} ({code})\n    {hint}\n");
    }
    if check.drifted {
        text += "  Sign is halted for this credential; Execute is not\n";
    }
    text
}

pub fn json(check: &CredentialCheck) -> Value {
    let findings: Vec<Value> = check
        .findings
        .iter()
        .map(|CredentialFinding { code, severity, message, hint }| {
            json!({ "code": code, "severity": severity, "message": message, "hint": hint })
        })
        .collect();
    json!({
        "checked_at_us": check.checked_at_us,
        "drifted": check.drifted,
        "findings": findings,
        "problem": check.problem,
        "rights": check.rights,
    })
}

const ALARM: &str = "alarm";
/// There is no way to ask about such a key.
const NOT_POSSIBLE: &str = "CHECK_NOT_POSSIBLE";

#[cfg(test)]
mod tests {
    use vault_client::v1::{CredentialCheck, CredentialFinding};

    use super::{exit, people, word};
    use crate::fault::Exit;

    fn check(severity: &str, problem: &str, drifted: bool) -> CredentialCheck {
        let finding = CredentialFinding { severity: severity.to_owned(), ..Default::default() };
        let findings = if severity.is_empty() { Vec::new() } else { vec![finding] };
        let problem = problem.to_owned();
        CredentialCheck { findings, problem, drifted, ..Default::default() }
    }

    #[test]
    fn an_alarm_is_an_exit_code_of_its_own() {
        let ok = check("", "", false);
        assert_eq!((exit([&ok].into_iter()), word(&ok)), (Exit::Ok, "ok"));
        let noted = check("note", "CHECK_NOT_POSSIBLE", false);
        assert_eq!((exit([&noted].into_iter()), word(&noted)), (Exit::Ok, "not possible"));
        let unanswered = check("warning", "TIMEOUT", false);
        assert_eq!(exit([&ok, &unanswered].into_iter()), Exit::Other);
        let alarm = check("alarm", "", false);
        assert_eq!(exit([&unanswered, &alarm].into_iter()), Exit::Denied);
        // What was found before holds although nobody answers today.
        let drifted = check("warning", "TIMEOUT", true);
        assert_eq!((exit([&drifted].into_iter()), word(&drifted)), (Exit::Denied, "DRIFTED"));
        assert!(people(&drifted).contains("Sign is halted"));
    }
}
