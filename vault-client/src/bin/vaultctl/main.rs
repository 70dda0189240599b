//! The command line of the vault.
//!
//! One file per noun. Data goes to stdout, talk to stderr; secrets come from a prompt or stdin,
//! never from arguments or the environment.

mod arguments;
mod audit;
mod cancel_all;
mod catalog;
mod check;
mod client;
mod config;
mod confirm;
mod context;
mod credential;
mod doctor;
mod enroll;
mod execute;
mod explain;
mod fault;
mod halt;
mod instrument;
mod json;
mod operator;
mod output;
mod price;
mod proxy;
mod renew;
mod scope;
mod seal;
mod secret;
mod sign;
mod status;
mod whoami;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::context::{Context, Global};
use crate::fault::{Exit, Fault};
use crate::output::Output;

/// Talks to a Countersign vault: enrols, imports credentials, writes scopes, halts, audits.
#[derive(Parser)]
#[command(name = "vaultctl", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read, export and verify the log (auditors)
    #[command(subcommand)]
    Audit(audit::Command),
    /// What the venues' operations are, and what a signature would open; asks no vault
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Programs that sign or put prices
    #[command(subcommand)]
    Client(client::Command),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Show the config file and its profiles
    Config,
    /// Venue API keys; no command ever shows a secret
    #[command(subcommand)]
    Credential(credential::Command),
    /// Check a client's or operator's set-up and, with an operator's identity, the vault
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::Arguments),
    /// Exchange an invite token for an identity
    Enroll(enroll::Arguments),
    /// Have one request signed and sent by the vault (with a bot's identity)
    Execute(execute::Arguments),
    /// Judge one request as if a client had sent it; signs nothing
    Explain(explain::Arguments),
    /// Stop trading
    Halt(halt::HaltArguments),
    /// What an order's quantity is worth, approved from the venues' own listings
    #[command(subcommand)]
    Instrument(instrument::Command),
    /// People
    #[command(subcommand)]
    Operator(operator::Command),
    /// Reference prices, and who may put them
    #[command(subcommand)]
    Price(price::Command),
    /// Let bots on this machine trade through the vault unchanged (with a bot's identity)
    Proxy(proxy::Arguments),
    /// Get a new certificate, with a new key
    Renew,
    /// End a halt
    Resume(halt::ResumeArguments),
    /// What a client may do with which credentials
    #[command(subcommand)]
    Scope(scope::Command),
    /// Wipe the keys from memory; a person must unseal afterwards
    Seal,
    /// Have one request signed (with a bot's identity)
    Sign(sign::Arguments),
    /// Show the identity, and whether the vault is sealed
    Status,
    /// Open the vault with a passphrase, from a prompt or stdin
    Unseal,
    /// Who the vault takes you for, and from which address it sees you
    Whoami,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  ok
  1  any other failure
  2  wrong usage
  3  denied by policy or role; a check of a credential found an alarm; doctor found a problem
  4  not found
  5  the vault is sealed
  6  the vault cannot be reached
  7  the vault does not accept the identity
  8  verification failed: the server, its answer or a log is not what it should be

Secrets are read from a prompt or from stdin, never from arguments or the environment.";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&without_stray_word(error)),
    };
    let output = Output::new(cli.global.json);
    let context = Context::new(cli.global, output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&context, cli.command)),
        Err(error) => Err(Fault::other(format!("no runtime: {error}"))),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(fault) => {
            context.output.fault(&fault);
            fault.exit.into()
        }
    }
}

async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Audit(command) => audit::run(context, command).await?,
        Command::Catalog(command) => catalog::run(context.output, command)?,
        Command::Client(command) => client::run(context, command).await?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vaultctl", &mut script);
            context.output.bytes(&script)?;
        }
        Command::Config => config::show(context)?,
        Command::Credential(command) => return credential::run(context, command).await,
        Command::Doctor(arguments) => return doctor::run(context, arguments).await,
        Command::Enroll(arguments) => enroll::run(context, arguments).await?,
        Command::Execute(arguments) => execute::run(context, arguments).await?,
        Command::Explain(arguments) => return explain::run(context, arguments).await,
        Command::Halt(arguments) => return halt::halt(context, arguments).await,
        Command::Instrument(command) => instrument::run(context, command).await?,
        Command::Operator(command) => operator::run(context, command).await?,
        Command::Price(command) => return price::run(context, command).await,
        Command::Proxy(arguments) => proxy::run(context, arguments).await?,
        Command::Renew => renew::run(context).await?,
        Command::Resume(arguments) => halt::resume(context, arguments).await?,
        Command::Scope(command) => return scope::run(context, command).await,
        Command::Seal => seal::seal(context).await?,
        Command::Sign(arguments) => sign::run(context, arguments).await?,
        Command::Status => status::run(context).await?,
        Command::Unseal => seal::unseal(context).await?,
        Command::Whoami => whoami::run(context).await?,
    }
    Ok(Exit::Ok)
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
    output.fault(&Fault { exit: Exit::Usage, ..Fault::other(message) });
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
