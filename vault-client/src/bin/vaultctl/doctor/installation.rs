//! Gets what an operator may know of the vault itself.

use std::time::Duration;

use vault_audit::{Checkpoint, LogVerifier};
use vault_client::v1::{
    CheckCredentialCommand, ExportCommand, GetCheckpointCommand, HaltStatusCommand,
    ListClientsCommand, ListCredentialsCommand, ListOperatorsCommand, ListScopesCommand, Role,
    SealState, StatusCommand, StatusResponse,
};
use vault_client::{ClientError, Operator};
use vault_policy::lint;
use vault_venue::Registry;

use super::caller::call_refused;
use super::credential::Linted;
use super::finding::Finding;
use super::log::Kept;
use super::report::{Area, Report};
use super::{Arguments, credential, log, people, status};
use crate::context::Context;
use crate::scope;

/// Looks at everything that the operator's role may look at.
pub async fn look(
    context: &Context,
    arguments: &Arguments,
    operator: &Operator,
    status: &StatusResponse,
    report: &mut Report,
) {
    let host = status.host.as_ref();
    let mut vault = status::vault(status);
    vault.extend(host.iter().flat_map(|host| status::host(host, status::core_is_locked(status))));
    report.add(Area::Vault, vault);
    report.add(Area::Hardening, status::hardening(&status.hardening, host));
    report.add(Area::Venues, status::venues(&status.venues));
    if status.state() != SealState::Unsealed {
        // Everything below is behind the seal, and that was told.
        return;
    }
    let mut look = Look { context, operator, now_ms: status.time_ms, report };
    match operator.identity().role() {
        Role::Admin => {
            look.people().await;
            look.halts().await;
            look.credentials(arguments.check_credentials).await;
            look.scopes().await;
        }
        Role::Guard => look.halts().await,
        Role::Auditor => look.log(arguments).await,
        Role::Bot | Role::Pricer | Role::Unspecified => {}
    }
}

struct Look<'a> {
    context: &'a Context,
    operator: &'a Operator,
    /// The vault's time.
    now_ms: i64,
    report: &'a mut Report,
}

impl Look<'_> {
    async fn people(&mut self) {
        let mut found = match self.operator.list_operators(ListOperatorsCommand::default()).await {
            Ok(answer) => people::operators(&answer.operators, self.now_ms),
            Err(error) => vec![call_refused("operator list", error)],
        };
        found.extend(match self.operator.list_clients(ListClientsCommand::default()).await {
            Ok(answer) => people::clients(&answer.clients, self.now_ms),
            Err(error) => vec![call_refused("client list", error)],
        });
        self.report.add(Area::People, found);
    }

    async fn halts(&mut self) {
        let found = match self.operator.halt_status(HaltStatusCommand::default()).await {
            Ok(answer) => people::halts(&answer.halts),
            Err(error) => vec![call_refused("halt status", error)],
        };
        self.report.add(Area::People, found);
    }

    async fn credentials(&mut self, check: bool) {
        let mut found = Vec::new();
        if check {
            found.extend(self.check_credentials().await);
        }
        found.extend(
            match self.operator.list_credentials(ListCredentialsCommand::default()).await {
                Ok(answer) => credential::credentials(&answer.credentials, self.now_ms),
                Err(error) => vec![call_refused("credential list", error)],
            },
        );
        self.report.add(Area::Credentials, found);
    }

    /// Has each enabled credential checked; what comes of it is in the list afterwards.
    async fn check_credentials(&self) -> Vec<Finding> {
        let listed = match self.operator.list_credentials(ListCredentialsCommand::default()).await {
            Ok(listed) => listed.credentials,
            // Told by whoever lists them next.
            Err(_) => return Vec::new(),
        };
        let enabled = listed.into_iter().filter(|credential| credential.state == "enabled");
        let names: Vec<String> =
            enabled.filter_map(|credential| Some(credential.metadata?.name)).collect();
        let mut found = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let words = format!("vaultctl: asking about {name} ({} of {})", index + 1, names.len());
            self.context.output.talk(&words);
            let command = CheckCredentialCommand { name: name.clone() };
            if let Err(error) = self.operator.check_credential(command).await {
                found.push(call_refused(&format!("credential check {name}"), error));
            }
        }
        found
    }

    async fn scopes(&mut self) {
        let found = match self.linted().await {
            Ok(linted) => credential::scopes(&linted),
            Err(error) => vec![call_refused("scope list", error)],
        };
        self.report.add(Area::Scopes, found);
    }

    async fn linted(&self) -> Result<Vec<Linted>, ClientError> {
        let stored = self.operator.list_scopes(ListScopesCommand::default()).await?.scopes;
        let registry = Registry::bundled()
            .map_err(|_| ClientError::Protocol("this build's catalogues do not read"))?;
        let facts = scope::lint::stored(self.operator, &registry).await?;
        let mut linted = Vec::with_capacity(stored.len());
        for info in stored {
            let document = scope::document_of(&info).map_err(|_| {
                ClientError::Protocol("a scope that this version does not understand")
            })?;
            linted.push(Linted {
                name: document.name.to_string(),
                client_count: info.clients.len().max(info.client_count as usize),
                warnings: lint(&document, &facts),
            });
        }
        Ok(linted)
    }

    async fn log(&mut self, arguments: &Arguments) {
        let found = match self.checkpoint(arguments).await {
            Ok(found) => found,
            Err(error) => vec![call_refused("audit", error)],
        };
        self.report.add(Area::Log, found);
    }

    async fn checkpoint(&self, arguments: &Arguments) -> Result<Vec<Finding>, ClientError> {
        let operator = self.operator;
        let entries = operator.status(StatusCommand {}).await?.log_size;
        let mut newest = newest(operator, arguments.vkey.as_deref()).await?;
        if newest.as_ref().is_some_and(|(checkpoint, _)| checkpoint.size < entries) {
            tokio::time::sleep(CHECKPOINT_WAIT).await;
            newest = self::newest(operator, arguments.vkey.as_deref()).await?;
        }
        let Some((checkpoint, verifier)) = newest else {
            return Ok(vec![log::checkpoint_invalid()]);
        };
        let mut found = vec![log::checkpoint(checkpoint.size, entries)];
        if arguments.kept.is_empty() {
            found.push(log::nothing_kept());
            return Ok(found);
        }
        let mut kept = Vec::new();
        for path in &arguments.kept {
            match Kept::read(path, &verifier) {
                Ok(one) => kept.push(one),
                Err(finding) => found.push(finding),
            }
        }
        found.extend(self.walk(checkpoint, kept).await?);
        Ok(found)
    }

    async fn walk(&self, newest: Checkpoint, kept: Vec<Kept>) -> Result<Vec<Finding>, ClientError> {
        let end = newest.size;
        let mut walk = log::Walk::new(newest, kept);
        // To an export 0 means the end.
        if end > 0 {
            let command = ExportCommand { from_index: 0, to_index: end };
            let mut stream = self.operator.export(command).await?;
            while let Some(message) = stream.next().await? {
                if !message.entries.is_empty() && message.first_index != walk.size() {
                    return Err(ClientError::Protocol("entries are missing"));
                }
                for line in &message.entries {
                    walk.append(line);
                    if walk.size().is_multiple_of(PROGRESS_ENTRIES) {
                        let words = format!("vaultctl: {} of {end} entries", walk.size());
                        self.context.output.talk(&words);
                    }
                }
            }
        }
        Ok(walk.findings(self.now_ms))
    }
}

/// The newest checkpoint and the key that it is opened with: the one that was noted, or else the one that
/// the vault names. `None` if it does not open.
async fn newest(
    operator: &Operator,
    vkey: Option<&str>,
) -> Result<Option<(Checkpoint, LogVerifier)>, ClientError> {
    let answer = operator.checkpoint(GetCheckpointCommand {}).await?.checkpoint.unwrap_or_default();
    let vkey = vkey.unwrap_or(&answer.log_vkey);
    let opened = LogVerifier::from_vkey(vkey.trim_end()).and_then(|verifier| {
        let checkpoint = Checkpoint::open(answer.note.as_bytes(), &verifier)?;
        Ok((checkpoint, verifier))
    });
    Ok(opened.ok())
}

/// Longer than the vault takes to sign a new checkpoint.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(2_500);
const PROGRESS_ENTRIES: u64 = 100_000;
