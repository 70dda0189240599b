//! `vault-server demo`.

use clap::Args;

use crate::demo::{self, Options, Outcome, Reader};
use crate::fault::Fault;
use crate::output::Output;

#[derive(Args)]
pub struct Arguments {
    /// Keep the vault running, and print where everything is
    #[arg(long)]
    serve: bool,
    /// Keep the directory when it is over
    #[arg(long)]
    keep: bool,
}

pub fn run(output: Output, arguments: &Arguments) -> Result<(), Fault> {
    let reader = match (output.is_json(), arguments.serve) {
        (true, _) => Reader::Machine,
        (false, true) => Reader::PersonBesideData,
        (false, false) => Reader::Person,
    };
    let options = Options { reader, keep: arguments.keep, serve: arguments.serve };
    match demo::run(options) {
        Ok(Outcome::Held) => Ok(()),
        Ok(Outcome::Interrupted) => Err(Fault::other("interrupted")),
        // It has said what did not hold.
        Ok(Outcome::NotHeld) => Err(Fault::other("")),
        Err(error) => Err(Fault::other(format!("the demonstration cannot be run: {error}"))),
    }
}
