//! An echo in a process of its own, so that its time and memory are not the load generator's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clap::ValueEnum;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::{Error, Role, echo, echo_own, tls};

/// Which echo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Echo {
    /// Countersign's runtime and HTTP settings.
    Own,
    /// tonic's server on its multi-threaded runtime, never touched to win.
    Pinned,
}

impl Echo {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "echo, own",
            Self::Pinned => "echo, pinned",
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Own => Role::EchoOwn,
            Self::Pinned => Role::EchoPinned,
        }
    }
}

/// One that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct EchoProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// What it says when it is up. The key is made for this run and opens nothing else.
#[derive(Deserialize, Serialize)]
struct Ready {
    address: SocketAddr,
    certificate: String,
    key: String,
}

impl EchoProcess {
    pub(crate) fn start(echo: Echo) -> Result<Self, Error> {
        let role = echo.role().to_possible_value().ok_or("no such role")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--be", role.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output of the echo")?).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line)?;
        let certificate = CertificateDer::from(hex::decode(ready.certificate)?);
        let key = PrivateKeyDer::Pkcs8(hex::decode(ready.key)?.into());
        let pair = (vec![certificate.clone()], key);
        let tls = tls::client(certificate, Some(pair), b"h2")?;
        Ok(Self { child, address: ready.address, tls })
    }

    pub(crate) fn process(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is an echo, until the input ends.
pub(crate) fn serve(echo: Echo) -> Result<(), Error> {
    let address = match echo {
        Echo::Own => echo_own::start()?,
        Echo::Pinned => echo::start()?,
    };
    let (certificate, key) = echo::identity();
    let ready = Ready { address, certificate: hex::encode(certificate), key: hex::encode(key) };
    println!("{}", serde_json::to_string(&ready)?);
    std::io::stdout().flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
