//! `vaultctl doctor`: is a set-up as it should be, and what is to be done where it is not.
//!
//! Every area is a module: it turns facts into findings, and asks nobody. This one gets the facts, in
//! an order in which what is broken first is told first. Nothing is changed, and nothing is asked that
//! the profile's role may not ask.

mod caller;
mod collector;
mod credential;
mod data;
mod finding;
mod identity;
mod installation;
mod log;
mod people;
mod reach;
mod report;
mod status;

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use vault_client::v1::{Role, StatusCommand};
use vault_client::{Caller, Identity, IdentityError, Operator};

use self::caller::Seen;
use self::finding::{Code, Finding};
use self::identity::{Files, Life, Variable};
use self::reach::{Attempt, Way};
use self::report::{Area, Report};
use crate::config;
use crate::context::{Context, millis};
use crate::fault::{Exit, Fault};

#[derive(clap::Args)]
pub struct Arguments {
    /// Ask every venue now what the keys may do (admins); else what was last said counts
    #[arg(long)]
    check_credentials: bool,
    /// The vault's data directory: on the vault's own host, as its user or as root
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A checkpoint, a receipt or an export that was kept elsewhere, from which the log must have grown
    /// (auditors; reads the whole log, which the log records); repeat for more
    #[arg(long, value_name = "FILE|DIR")]
    kept: Vec<PathBuf>,
    /// The log's verifier key, as it was noted when the log began
    #[arg(long, value_name = "KEY", requires = "kept")]
    vkey: Option<String>,
    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,
}

pub const HELP: &str = "\
Looks at the profile's identity and at the way to the vault; with an operator's identity also at the \
vault itself, as far as the role may. Run it with each role's profile, and once on the vault's host with \
--data. It changes nothing; docs/doctor.md has every code.

Exit codes: 0 nothing is wrong, or there are notes and warnings only; 1 warnings, with --strict; 3 a \
problem; 6, 7, 8 no connection to the vault, as for every command. What was found is printed in any \
case.

Examples:
  vaultctl doctor
  vaultctl --profile auditor doctor --kept checkpoint-kept --strict
  vaultctl doctor --data /var/lib/countersign --json";

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let mut report = Report::default();
    if let Some(path) = &arguments.data {
        let found = match data::Data::read(path) {
            Ok(found) => data::data(&found),
            Err(error) => vec![data::unreadable(path, &error)],
        };
        report.add(Area::Data, found);
    }
    match place(context) {
        Ok((folder, address)) => {
            look(context, &arguments, &folder, address, &mut report).await?;
        }
        Err(fault) if arguments.data.is_some() => {
            let words =
                format!("vaultctl: {}: the data directory alone was looked at", fault.message);
            context.output.talk(&words);
        }
        Err(fault) => return Err(fault),
    }
    report.show(context.output)?;
    Ok(report.exit(arguments.strict))
}

/// Where the identity lies, and another address for it.
fn place(context: &Context) -> Result<(PathBuf, Option<String>), Fault> {
    let (folder, address) = match &context.global.identity {
        Some(folder) => (folder.clone(), None),
        None => config::identity(context)?,
    };
    Ok((folder, context.global.address.clone().or(address)))
}

async fn look(
    context: &Context,
    arguments: &Arguments,
    folder: &Path,
    address: Option<String>,
    report: &mut Report,
) -> Result<(), Fault> {
    let Some(identity) = own(folder, report) else {
        return Ok(());
    };
    let identity = match address {
        Some(address) => identity.with_address(address),
        None => identity,
    };
    report.of(&identity);
    let is_operator = matches!(identity.role(), Role::Admin | Role::Auditor | Role::Guard);
    check_options(&identity, arguments)?;

    let way = way(&identity).await;
    let from = way.reached().map(|reached| reached.from.ip());
    let (found, unreached) = reach::way(way);
    report.add(Area::Way, found);
    if let Some(exit) = unreached {
        report.ends_with(exit);
        return Ok(());
    }
    let found = match ask(&identity).await {
        Ok((seen, sealed)) => {
            let mut found = caller::seen(&Seen { from, ..seen });
            // Operators are told with the rest of the vault's state.
            found.extend((sealed && !is_operator).then(status::sealed));
            found
        }
        Err(error) => {
            if caller::is_unknown(&error) {
                report.ends_with(Exit::Unauthenticated);
            }
            vec![caller::refused(error)]
        }
    };
    report.add(Area::Caller, found);
    if !is_operator || report.has_ended() {
        return Ok(());
    }
    match Operator::connect(identity).await {
        Ok(operator) => match operator.status(StatusCommand {}).await {
            Ok(status) => installation::look(context, arguments, &operator, &status, report).await,
            Err(error) => report.add(Area::Vault, vec![caller::call_refused("status", error)]),
        },
        Err(error) => report.add(Area::Vault, vec![caller::call_refused("status", error)]),
    }
    Ok(())
}

/// Options that this role could not follow are a mistake, not something to pass over.
fn check_options(identity: &Identity, arguments: &Arguments) -> Result<(), Fault> {
    let hint = "choose another identity with --profile; vaultctl config lists them";
    if !arguments.kept.is_empty() && identity.role() != Role::Auditor {
        return Err(
            Fault::usage("--kept reads the log, which needs an auditor's identity").with_hint(hint)
        );
    }
    if arguments.check_credentials && identity.role() != Role::Admin {
        return Err(Fault::usage("--check-credentials needs an admin's identity").with_hint(hint));
    }
    Ok(())
}

/// The identity itself, on this host.
fn own(folder: &Path, report: &mut Report) -> Option<Identity> {
    let mut found = match Files::read(folder) {
        Ok(files) => identity::files(&files),
        Err(error) => {
            let words = format!("{}: {error}", folder.display());
            let finding = Finding::problem(Code::IdentityUnusable, words)
                .remedy("vaultctl config shows where each profile's identity should lie");
            report.add(Area::Host, vec![finding]);
            return None;
        }
    };
    let loaded = match Identity::load(folder) {
        Ok(identity) => {
            found.insert(0, identity::good(&identity));
            found.extend(identity::certificate(&Life::of(&identity, millis(SystemTime::now()))));
            Some(identity)
        }
        // Told already, with every key that is concerned.
        Err(IdentityError::KeyMode(_)) => None,
        Err(error) => {
            let words = error.to_string();
            found.push(Finding::problem(Code::IdentityUnusable, words).remedy(
                "put the folder back from a copy of the same day, or enrol anew: vaultctl enroll -",
            ));
            None
        }
    };
    found.extend(identity::environment(&Variable::all()));
    report.add(Area::Host, found);
    loaded
}

async fn way(identity: &Identity) -> Way {
    let attempts = match identity.resolve().await {
        Ok(places) => {
            let mut attempts = Vec::new();
            for to in places.into_iter().take(PLACES_MAX) {
                attempts.push(Attempt { to, outcome: identity.reach(to).await });
            }
            Ok(attempts)
        }
        Err(error) => Err(error),
    };
    Way { address: identity.address().to_owned(), attempts, now_ms: millis(SystemTime::now()) }
}

/// Asks who we are, a few times: the first call pays for what is made anew, the quickest says most of
/// the clocks.
async fn ask(identity: &Identity) -> Result<(Seen, bool), vault_client::ClientError> {
    let caller = Caller::connect(identity).await?;
    let mut best: Option<Seen> = None;
    for _ in 0..ASKED {
        let (asked_at_ms, began) = (millis(SystemTime::now()), Instant::now());
        let answer = caller.whoami().await?;
        let seen = Seen { answer, asked_at_ms, round_trip: began.elapsed(), from: None };
        best = match best {
            Some(best) if best.round_trip <= seen.round_trip => Some(best),
            _ => Some(seen),
        };
    }
    let seen = best.ok_or(vault_client::ClientError::Timeout)?;
    let sealed = seen.answer.sealed;
    Ok((seen, sealed))
}

/// Addresses of one name that are tried.
const PLACES_MAX: usize = 8;
const ASKED: usize = 3;
