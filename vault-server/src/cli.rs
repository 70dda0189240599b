//! The command line: one file per command.

mod audit;
mod catalog;
#[cfg(feature = "demo")]
mod demo;
mod init;
mod operator;
mod run;
mod seal;
mod status;
mod unseal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use rustix::fs::Mode;

use crate::child::{self, ChildError, chain};
use crate::fault::{Exit, Fault};
use crate::output::Output;

/// Countersign: keeps exchange API credentials and countersigns what trading bots want to send.
#[derive(Parser)]
#[command(name = "vault-server", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Export and verify the log; works without a running vault
    #[command(subcommand)]
    Audit(audit::Command),
    /// Check your own additions to the catalogues of the venues
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Watch a vault at work, in a temporary directory and with mock venues
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// Make a new vault in an empty directory
    Init(init::Arguments),
    /// Help people who are locked out
    #[command(subcommand)]
    Operator(operator::Command),
    /// Run the vault
    Run(run::Arguments),
    /// Wipe the keys from memory; a person must unseal afterwards
    Seal(Data),
    /// Show whether the vault is sealed
    Status(Data),
    /// Open the vault with a passphrase
    Unseal(unseal::Arguments),
    /// The supervisor's own
    #[command(name = "__awake", hide = true)]
    Awake { spec: String },
    /// The supervisor's own
    #[command(name = "__core", hide = true)]
    Core {
        #[command(flatten)]
        data: Data,
        spec: String,
    },
    /// The supervisor's own
    #[command(name = "__egress", hide = true)]
    Egress { spec: String },
    /// The supervisor's own
    #[command(name = "__exporter", hide = true)]
    Exporter { spec: String },
    /// The supervisor's own
    #[command(name = "__front", hide = true)]
    Front { spec: String },
}

/// Which vault.
#[derive(Args)]
struct Data {
    /// The data directory
    #[arg(long = "data", value_name = "DIR", env = "COUNTERSIGN_DATA")]
    path: PathBuf,
}

impl AsRef<Path> for Data {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0   ok
  1   any other failure
  2   wrong usage
  3   denied
  4   not found
  5   the vault is sealed
  6   the vault cannot be reached
  8   verification failed: an answer or a log is not what it should be
  70  a process of the vault died or was silent, and all were stopped
  78  config.toml is taken away until a person has looked

Secrets are read from a prompt or from stdin, never from arguments or the environment.";

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&without_stray_word(error)),
    };
    // What the vault writes is its owner's alone, whatever a command writes it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let output = Output::new(cli.json);
    let outcome = match cli.command {
        Command::Audit(command) => audit::run(output, command),
        Command::Catalog(command) => catalog::run(output, command),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vault-server", &mut script);
            output.bytes(&script)
        }
        Command::Core { data, spec } => return ended("core", &child::core(data.as_ref(), &spec)),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(output, &arguments),
        Command::Egress { spec } => return ended("egress", &child::egress(&spec)),
        Command::Awake { spec } => return ended("awake", &child::awake(&spec)),
        Command::Exporter { spec } => return ended("exporter", &child::exporter(&spec)),
        Command::Front { spec } => return ended("front", &child::front(&spec)),
        Command::Init(arguments) => init::run(output, arguments),
        Command::Operator(command) => operator::run(output, command),
        Command::Run(arguments) => run::run(&arguments),
        Command::Seal(data) => seal::run(output, data.as_ref()),
        Command::Status(data) => status::run(output, data.as_ref()),
        Command::Unseal(arguments) => unseal::run(output, &arguments),
    };
    match outcome {
        Ok(()) => Exit::Ok.into(),
        Err(fault) => {
            output.fault(&fault);
            fault.exit.into()
        }
    }
}

/// How a child ends: what went wrong is on stderr before the supervisor's last line.
fn ended(name: &str, outcome: &Result<(), ChildError>) -> ExitCode {
    match outcome {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            Output::new(false).talk(&format!("vault-server {name}: error: {}", chain(error)));
            Exit::Other.into()
        }
    }
}

/// Help and version are data; everything else is an error in our form.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let output = Output::new(json);
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match output.bytes(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => fault.exit.into(),
        };
    }
    let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    output.fault(&Fault::usage(message));
    Exit::Usage.into()
}

/// What is wrong with a command line. A word too many may be a secret in the wrong place, as in
/// `unseal PASSPHRASE`: it is not repeated. An option is.
fn without_stray_word(mut error: clap::Error) -> clap::Error {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return error,
    };
    if let Some(ContextValue::String(word)) = error.get(kind)
        && !word.starts_with('-')
    {
        error.insert(kind, ContextValue::String("...".to_owned()));
    }
    error
}
