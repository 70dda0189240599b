//! `vault-server demo`: a whole vault at work on this machine's loopback, with real processes, real
//! TLS and a real database in a temporary directory, and venues that are played.
//!
//! This process plays everybody but the vault: operators, bot, thief and venues. The vault is this
//! binary, started anew; nothing of it is faked, and every outcome is checked.

mod act;
mod binance;
mod execute;
mod handout;
mod http_client;
mod mismatch;
mod relay;
mod report;
mod rules;
mod story;
mod tally;
mod vault;
mod venue;

use std::io;
use std::path::Path;

use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::handout::handout;
use self::report::{Report, Stopped};
use self::story::Stage;
use self::vault::Place;
use self::venue::Venues;

pub use self::report::Reader;

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who reads along.
    pub reader: Reader,
    /// Leaves the directory there.
    pub keep: bool,
    /// Keeps the vault running until a signal comes, instead of winding it up.
    pub serve: bool,
}

/// How it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything was as it must be.
    Held,
    /// Something was not; it has been reported.
    NotHeld,
    /// A signal ended it before its end.
    Interrupted,
}

/// Shows it, from the first step to the last.
///
/// Must be called on the main thread: the vault's processes end with the thread that started them.
///
/// # Errors
///
/// The operating system's, if there is no temporary directory or no runtime.
pub fn run(options: Options) -> io::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("countersign-demo-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(show(&folder, options))?;
    if options.keep || options.serve {
        let path = folder.keep();
        Report::new(options.reader).talk(&format!("everything is kept in {}", path.display()));
    } else {
        folder.close()?;
    }
    Ok(outcome)
}

async fn show(folder: &TempDir, options: Options) -> io::Result<Outcome> {
    let mut signals = Signals::register()?;
    let mut report = Report::new(options.reader);
    let venues = match Venues::open() {
        Ok(venues) => venues,
        Err(mismatch) => return Err(io::Error::other(mismatch.found)),
    };
    let place = Place::new(folder.path());
    let keep = options.keep || options.serve;
    let mut stage = Stage { place, venues, vault: None, keep };

    let outcome = tokio::select! {
        outcome = play(&mut stage, &mut report, options.serve) => match outcome {
            Ok(()) => Outcome::Held,
            Err(Stopped) => Outcome::NotHeld,
        },
        () = signals.next() => Outcome::Interrupted,
    };
    if outcome == Outcome::NotHeld {
        report.end(false);
        show_log(&report, &stage.place.log());
    }
    let outcome = match (outcome, options.serve) {
        (Outcome::Held, true) => serve(&mut stage, &report, &mut signals).await,
        (Outcome::Held, false) => {
            report.end(true);
            outcome
        }
        _ => outcome,
    };
    // What still runs here was left by a step that did not hold, or by a signal.
    if let Some(vault) = stage.vault.take()
        && let Err(mismatch) = vault.stop().await
    {
        report.talk(&format!("{}: {}", mismatch.expected, mismatch.found));
        return Ok(Outcome::NotHeld);
    }
    Ok(outcome)
}

async fn play(stage: &mut Stage, report: &mut Report, serve: bool) -> Result<(), Stopped> {
    let cast = story::set_up(stage, report).await?;
    if serve { Ok(()) } else { story::wind_up(stage, cast, report).await }
}

/// Says where everything is, and waits for a signal or the vault's end.
async fn serve(stage: &mut Stage, report: &Report, signals: &mut Signals) -> Outcome {
    let Some(vault) = &mut stage.vault else { return Outcome::NotHeld };
    report.end(true);
    let handout = handout(&stage.place, vault, &stage.venues);
    report.data(&handout);
    report.talk("\nwith any HTTP client, through the vault:");
    for command in handout["proxy"]["curl"].as_object().into_iter().flat_map(|all| all.values()) {
        report.talk(&format!("  {}", command.as_str().unwrap_or_default()));
    }
    report.talk("\nthe vault runs until Ctrl-C");
    tokio::select! {
        () = signals.next() => Outcome::Held,
        _ = vault.ended() => {
            report.talk("the vault has ended");
            show_log(report, &stage.place.log());
            stage.vault = None;
            Outcome::NotHeld
        }
    }
}

/// The last lines that the vault's processes wrote: after a failure they may say why.
fn show_log(report: &Report, path: &Path) {
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    report.talk("\nthe vault's last lines:");
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        report.talk(&format!("  {line}"));
    }
}

/// What ends the demonstration early, or a vault that is kept running.
struct Signals([Signal; 3]);

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ]))
    }

    async fn next(&mut self) {
        let [hangup, interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

const LOG_LINES: usize = 12;
