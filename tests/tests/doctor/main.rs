//! `vaultctl doctor` and `vaultctl whoami` against the real vault: as it should be, and broken.

mod installation;
mod set_up;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vault_tests::TestVault;

/// What a run of the doctor came to.
struct Examined {
    exit: i32,
    json: Value,
    /// Level by code; of several alike the last.
    levels: BTreeMap<String, String>,
}

impl Examined {
    fn level(&self, code: &str) -> &str {
        self.levels.get(code).map_or("", String::as_str)
    }

    /// Codes of a level, sorted.
    fn of_level(&self, level: &str) -> Vec<&str> {
        let found = self.levels.iter().filter(|(_, found)| *found == level);
        found.map(|(code, _)| code.as_str()).collect()
    }

    fn words(&self, code: &str) -> &str {
        let findings = self.json["findings"].as_array().expect("findings");
        let found = findings.iter().find(|finding| finding["code"] == code);
        found.unwrap_or_else(|| panic!("no {code} in {:#}", self.json))["words"]
            .as_str()
            .expect("words")
    }
}

/// A command of ours with nothing of this environment that it might judge.
fn vaultctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(vault_tests::vaultctl());
    command.env_clear().arg("--json").args(arguments);
    command
}

fn examined(mut command: Command) -> Examined {
    let output = command.output().expect("run");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let mut levels = BTreeMap::new();
    for finding in json["findings"].as_array().expect("findings") {
        let text = |name: &str| finding[name].as_str().expect("a text").to_owned();
        let (level, remedies) = (text("level"), finding["remedies"].as_array().expect("a list"));
        let is_wrong = matches!(level.as_str(), "warning" | "problem");
        assert!(!is_wrong || !remedies.is_empty(), "nothing to do: {finding}");
        levels.insert(text("code"), level);
    }
    Examined { exit: output.status.code().expect("ended"), json, levels }
}

/// Runs the doctor with somebody's identity.
fn doctor(vault: &TestVault, who: &str, more: &[&str]) -> Examined {
    doctor_at(&vault.identity_folder(who), more)
}

fn doctor_at(identity: &Path, more: &[&str]) -> Examined {
    let identity = identity.to_str().expect("plain");
    examined(vaultctl(&[&["--identity", identity, "doctor"], more].concat()))
}
