//! Credentials and what venues said of them, and the scopes that grant them.

use vault_client::v1::{CredentialCheck, CredentialInfo};
use vault_policy::Warning;

use super::finding::{Code, DAY_MS, Finding, listed, span};

/// Judges what the venues said last of each key. `now_ms` is the vault's time.
pub fn credentials(credentials: &[CredentialInfo], now_ms: i64) -> Vec<Finding> {
    let enabled: Vec<&CredentialInfo> =
        credentials.iter().filter(|credential| credential.state == "enabled").collect();
    let mut findings = Vec::new();
    for credential in &enabled {
        findings.extend(credential_findings(credential, now_ms));
    }
    if enabled.is_empty() {
        findings.push(
            Finding::note(Code::CredentialNeverChecked, "there is no credential that is enabled")
                .remedy("vaultctl credential import NAME --venue VENUE"),
        );
    } else if findings.iter().all(|finding| finding.code == Code::AssumptionInForce) {
        let words = format!("{} credential(s), and their venues find nothing wrong", enabled.len());
        findings.insert(0, Finding::ok(Code::CredentialsGood, words));
    }
    findings
}

fn credential_findings(credential: &CredentialInfo, now_ms: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(metadata) = &credential.metadata else {
        return findings;
    };
    let name = &metadata.name;
    let again = || format!("vaultctl credential check {name}");
    match &credential.check {
        None => {
            let words = format!("{}, the key at {}, was never checked", name, metadata.venue);
            findings.push(
                Finding::warning(Code::CredentialNeverChecked, words).remedy(again()).remedy(
                    "look at the exchange: no withdrawals, and bound to the vault's address",
                ),
            );
        }
        Some(check) => {
            findings.extend(said(name, check));
            let since_ms = now_ms.saturating_sub(check.checked_at_us / 1_000);
            if is_answered(check) && since_ms > OVERDUE_MS {
                let ago = span(since_ms.unsigned_abs());
                let words =
                    format!("{name} was checked {ago} ago: the vault asks once a day by itself");
                findings.push(
                    Finding::warning(Code::CredentialCheckOverdue, words).remedy(again()).remedy(
                        "[credential_check] every_h in the vault's config.toml must not be 0",
                    ),
                );
            }
        }
    }
    if !metadata.assume.is_empty() {
        let words = format!("{name} is used on trust: {}", metadata.assume.join(", "));
        findings.push(Finding::note(Code::AssumptionInForce, words).remedy(
            "docs/reference/catalog.md says what it leaves out; mode execute needs no assumption",
        ));
    }
    findings
}

/// What a check says, the worst of it first.
fn said(name: &str, check: &CredentialCheck) -> Vec<Finding> {
    let mut findings = Vec::new();
    if check.drifted {
        let words = format!("Sign is halted for {name}: its key has rights that are not stated");
        findings.push(
            Finding::problem(Code::CredentialDrifted, words)
                .remedy(
                    "take the rights from the key at the exchange, or import it with them stated",
                )
                .remedy(format!("then: vaultctl credential check {name}")),
        );
    }
    for (severity, code) in [("alarm", Code::CredentialAlarm), ("warning", Code::CredentialWarning)]
    {
        for told in check.findings.iter().filter(|told| told.severity == severity) {
            let words = format!("{name}: {} ({})", told.message, told.code);
            let finding = match severity {
                "alarm" => Finding::problem(code, words),
                _ => Finding::warning(code, words),
            };
            let finding = match told.hint.as_str() {
                "" => finding,
                hint => finding.remedy(hint),
            };
            findings.push(finding.remedy(format!("then: vaultctl credential check {name}")));
        }
    }
    if !is_answered(check) {
        let words =
            format!("the venue was asked about {name}, and gave no answer: {}", check.problem);
        let finding = Finding::warning(Code::CredentialCheckFailed, words);
        findings.push(finding.remedy(format!("vaultctl credential check {name}")));
    }
    findings
}

/// Whether the venue answered, or has nothing to be asked.
fn is_answered(check: &CredentialCheck) -> bool {
    matches!(check.problem.as_str(), "" | NOT_POSSIBLE)
}

/// A stored scope, with what lint says of it.
#[derive(Clone, Debug)]
pub struct Linted {
    pub name: String,
    pub client_count: usize,
    pub warnings: Vec<Warning>,
}

/// Judges scopes.
pub fn scopes(scopes: &[Linted]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Linted { name, client_count, warnings } in scopes {
        if *client_count == 0 {
            let words = format!("no client holds scope {name}");
            findings.push(
                Finding::note(Code::ScopeUnused, words)
                    .remedy(format!("vaultctl scope delete {name}, if it is not to be used")),
            );
        }
        if !warnings.is_empty() {
            let mut codes: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
            codes.sort_unstable();
            codes.dedup();
            let words = format!(
                "a careful reviewer would ask about scope {name}: {}: {}",
                listed(&codes),
                warnings[0].words
            );
            // What nobody holds harms nobody yet.
            let finding = Finding::note_or_warning(*client_count > 0, Code::ScopeWarnings, words);
            findings.push(finding.remedy(format!("vaultctl scope lint {name}")));
        }
    }
    if !scopes.is_empty() && findings.iter().all(|finding| finding.code == Code::ScopeUnused) {
        let words = format!("lint has nothing to warn of in {} scope(s)", scopes.len());
        findings.insert(0, Finding::ok(Code::ScopesLinted, words));
    }
    findings
}

/// There is no way to ask about such a key.
const NOT_POSSIBLE: &str = "CHECK_NOT_POSSIBLE";
/// Twice as long as the vault waits unless configured.
const OVERDUE_MS: i64 = 2 * DAY_MS;

#[cfg(test)]
mod tests {
    use vault_client::v1::{
        CredentialCheck, CredentialFinding, CredentialInfo, CredentialMetadata,
    };
    use vault_policy::{Dimension, Warning};

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{DAY_MS, Level};
    use super::{Linted, credentials, scopes};

    const NOW: i64 = 1_000 * DAY_MS;

    fn credential(check: Option<CredentialCheck>) -> CredentialInfo {
        let metadata = CredentialMetadata {
            name: "okx-main".to_owned(),
            venue: "okx".to_owned(),
            ..CredentialMetadata::default()
        };
        CredentialInfo {
            metadata: Some(metadata),
            state: "enabled".to_owned(),
            check,
            ..CredentialInfo::default()
        }
    }

    fn check(severity: &str) -> CredentialCheck {
        let finding = CredentialFinding {
            code: "NO_IP_BINDING".to_owned(),
            severity: severity.to_owned(),
            message: "it is bound to no address".to_owned(),
            hint: "bind it".to_owned(),
        };
        let findings = if severity.is_empty() { Vec::new() } else { vec![finding] };
        CredentialCheck { checked_at_us: (NOW - DAY_MS) * 1_000, findings, ..Default::default() }
    }

    fn of(check: CredentialCheck) -> Vec<(&'static str, Level)> {
        let found = credentials(&[credential(Some(check))], NOW);
        assert!(is_helpful(&found));
        codes(&found)
    }

    #[test]
    fn a_check_is_told_by_its_severity() {
        assert_eq!(of(check("")), [("CREDENTIALS_GOOD", Level::Ok)]);
        assert_eq!(of(check("note")), [("CREDENTIALS_GOOD", Level::Ok)]);
        assert_eq!(of(check("warning")), [("CREDENTIAL_WARNING", Level::Warning)]);
        assert_eq!(of(check("alarm")), [("CREDENTIAL_ALARM", Level::Problem)]);
        let drifted = CredentialCheck { drifted: true, ..check("") };
        assert_eq!(of(drifted), [("CREDENTIAL_DRIFTED", Level::Problem)]);
        let silent = CredentialCheck { problem: "TIMEOUT".to_owned(), ..check("") };
        assert_eq!(of(silent), [("CREDENTIAL_CHECK_FAILED", Level::Warning)]);
        let impossible = CredentialCheck { problem: super::NOT_POSSIBLE.to_owned(), ..check("") };
        assert_eq!(of(impossible), [("CREDENTIALS_GOOD", Level::Ok)]);
    }

    #[test]
    fn an_old_check_or_none_is_a_warning() {
        let old = CredentialCheck { checked_at_us: (NOW - 2 * DAY_MS - 1) * 1_000, ..check("") };
        assert_eq!(of(old), [("CREDENTIAL_CHECK_OVERDUE", Level::Warning)]);
        let found = credentials(&[credential(None)], NOW);
        assert_eq!(codes(&found), [("CREDENTIAL_NEVER_CHECKED", Level::Warning)]);

        let disabled = CredentialInfo { state: "disabled".to_owned(), ..credential(None) };
        assert_eq!(
            codes(&credentials(&[disabled], NOW)),
            [("CREDENTIAL_NEVER_CHECKED", Level::Note)]
        );
    }

    #[test]
    fn what_is_taken_for_granted_is_told() {
        let mut trusting = credential(Some(check("")));
        trusting.metadata.as_mut().expect("there").assume = vec!["venue_checks".to_owned()];
        assert_eq!(
            codes(&credentials(&[trusting], NOW)),
            [("CREDENTIALS_GOOD", Level::Ok), ("ASSUMPTION_IN_FORCE", Level::Note)]
        );
    }

    #[test]
    fn scopes_are_told_with_what_lint_says() {
        let warning = Warning {
            code: "NO_CAP",
            dimension: Dimension::CumulativeNotional,
            words: "nothing bounds a day".to_owned(),
            remedy: String::new(),
        };
        let linted =
            |client_count, warnings| Linted { name: "mm".to_owned(), client_count, warnings };
        assert_eq!(scopes(&[]), []);
        assert_eq!(codes(&scopes(&[linted(1, Vec::new())])), [("SCOPES_LINTED", Level::Ok)]);
        assert_eq!(
            codes(&scopes(&[linted(0, Vec::new())])),
            [("SCOPES_LINTED", Level::Ok), ("SCOPE_UNUSED", Level::Note)]
        );
        let found = scopes(&[linted(1, vec![warning.clone()])]);
        assert_eq!(codes(&found), [("SCOPE_WARNINGS", Level::Warning)]);
        assert_eq!(found[0].remedies, ["vaultctl scope lint mm"]);
        let found = scopes(&[linted(0, vec![warning])]);
        assert_eq!(codes(&found)[1], ("SCOPE_WARNINGS", Level::Note));
    }
}
