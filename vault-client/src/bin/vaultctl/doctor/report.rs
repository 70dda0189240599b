//! All findings, by area, for people and for machines.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vault_client::{Identity, role_word};

use super::finding::{Finding, Level};
use super::people::bounded;
use crate::fault::{Exit, Fault};
use crate::output::{Mark, Output};

/// What findings are about, in the order in which they are told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// The vault's data directory.
    Data,
    /// The identity, on the host where this runs.
    Host,
    /// From here to the vault.
    Way,
    /// What the vault makes of the caller.
    Caller,
    /// Whether it is open, and its machine.
    Vault,
    /// What its processes are kept from.
    Hardening,
    /// Operators, clients, halts.
    People,
    /// Venue API keys.
    Credentials,
    /// Scopes.
    Scopes,
    /// Exchanges.
    Venues,
    /// The log.
    Log,
}

impl Area {
    fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Host => "host",
            Self::Way => "way",
            Self::Caller => "caller",
            Self::Vault => "vault",
            Self::Hardening => "hardening",
            Self::People => "people",
            Self::Credentials => "credentials",
            Self::Scopes => "scopes",
            Self::Venues => "venues",
            Self::Log => "log",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Data => "The data directory",
            Self::Host => "The identity, on this host",
            Self::Way => "The way to the vault",
            Self::Caller => "What the vault makes of it",
            Self::Vault => "The vault and its machine",
            Self::Hardening => "What its processes are kept from",
            Self::People => "Operators, clients, halts",
            Self::Credentials => "Credentials",
            Self::Scopes => "Scopes",
            Self::Venues => "Venues",
            Self::Log => "The log",
        }
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Report {
    areas: BTreeMap<Area, Vec<Finding>>,
    /// How the command ends because the vault told nothing.
    unreached: Option<Exit>,
    identity: Value,
}

impl Report {
    pub fn of(&mut self, identity: &Identity) {
        self.identity = json!({
            "name": identity.name(),
            "role": role_word(identity.role()),
            "folder": identity.folder(),
            "address": identity.address(),
        });
    }

    pub fn add(&mut self, area: Area, findings: Vec<Finding>) {
        self.areas.entry(area).or_default().extend(bounded(findings));
    }

    /// There was no connection to the vault, or it does not take the identity.
    pub fn ends_with(&mut self, exit: Exit) {
        self.unreached = Some(exit);
    }

    pub fn has_ended(&self) -> bool {
        self.unreached.is_some()
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.areas.values().flatten()
    }

    fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }

    /// The exit code; warnings count only where they are to be strictly taken.
    pub fn exit(&self, strict: bool) -> Exit {
        match self.findings().map(|finding| finding.level).max() {
            _ if self.unreached.is_some() => self.unreached.unwrap_or(Exit::Unreachable),
            Some(Level::Problem) => Exit::Denied,
            Some(Level::Warning) if strict => Exit::Other,
            _ => Exit::Ok,
        }
    }

    pub fn show(&self, output: Output) -> Result<(), Fault> {
        if output.is_json() {
            return output.show(&self.json(), String::new);
        }
        let mut lines = Vec::new();
        for (area, findings) in &self.areas {
            if findings.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push((None, String::new()));
            }
            lines.push((None, area.title().to_owned()));
            for finding in findings {
                lines.push((Some(mark(finding.level)), line(finding)));
                let remedies = finding.remedies.iter();
                lines.extend(remedies.map(|remedy| (None, format!("    {remedy}"))));
            }
        }
        lines.push((None, String::new()));
        lines.push((None, self.summary()));
        output.marked(&lines)
    }

    fn summary(&self) -> String {
        let count = |level, one: &str| match self.count(level) {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let [problems, warnings, notes] = [
            count(Level::Problem, "problem"),
            count(Level::Warning, "warning"),
            count(Level::Note, "note"),
        ];
        let good = self.count(Level::Ok);
        let unreached =
            if self.unreached.is_some() { "; the vault told nothing of itself" } else { "" };
        format!("{problems}, {warnings}, {notes}; {good} as they should be{unreached}")
    }

    fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .areas
            .iter()
            .flat_map(|(area, findings)| findings.iter().map(|finding| (*area, finding)))
            .map(|(area, finding)| {
                json!({
                    "area": area.as_str(),
                    "code": finding.code.as_str(),
                    "level": finding.level.as_str(),
                    "words": finding.words,
                    "remedies": finding.remedies,
                })
            })
            .collect();
        json!({
            "identity": self.identity,
            "asked": !self.has_ended() && self.areas.contains_key(&Area::Caller),
            "problems": self.count(Level::Problem),
            "warnings": self.count(Level::Warning),
            "notes": self.count(Level::Note),
            "findings": findings,
        })
    }
}

fn line(finding: &Finding) -> String {
    match finding.level {
        Level::Ok => format!(" {}", finding.words),
        _ => format!(" {} ({})", finding.words, finding.code.as_str()),
    }
}

fn mark(level: Level) -> Mark {
    match level {
        Level::Ok => Mark::Good,
        Level::Note => Mark::Plain,
        Level::Warning => Mark::Warning,
        Level::Problem => Mark::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Code, Finding};
    use super::{Area, Report};
    use crate::fault::Exit;

    fn report(findings: Vec<Finding>) -> Report {
        let mut report = Report::default();
        report.add(Area::Caller, findings);
        report
    }

    #[test]
    fn the_worst_finding_is_the_exit_code() {
        let ok = Finding::ok(Code::Reached, "");
        let note = Finding::note(Code::OneSlot, "");
        let warning = Finding::warning(Code::ClockOff, "");
        let problem = Finding::problem(Code::VaultSealed, "");
        let exit = |findings: &[&Finding], strict| {
            report(findings.iter().map(|finding| (*finding).clone()).collect()).exit(strict)
        };
        assert_eq!(exit(&[], true), Exit::Ok);
        assert_eq!(exit(&[&ok, &note], true), Exit::Ok);
        assert_eq!(exit(&[&ok, &warning], false), Exit::Ok);
        assert_eq!(exit(&[&warning, &note], true), Exit::Other);
        assert_eq!(exit(&[&problem, &warning], false), Exit::Denied);

        let mut unreached = report(vec![problem]);
        unreached.ends_with(Exit::Unreachable);
        assert_eq!(unreached.exit(false), Exit::Unreachable);
    }

    #[test]
    fn machines_get_every_finding_with_its_area() {
        let finding = Finding::warning(Code::ClockOff, "off").remedy("set it");
        let value = report(vec![finding]).json();
        assert_eq!(value["warnings"], 1);
        assert_eq!(value["asked"], true);
        let finding = &value["findings"][0];
        assert_eq!((&finding["area"], &finding["code"]), (&"caller".into(), &"CLOCK_OFF".into()));
        assert_eq!(
            (&finding["level"], &finding["remedies"][0]),
            (&"warning".into(), &"set it".into())
        );
    }
}
