//! The venue, in a process of its own, so that what it takes is not the load generator's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};

use crate::Error;

/// A key made for this program; no venue knows it.
pub(crate) const API_KEY: &str = "bench-binance-0001";
pub(crate) const SECRET: &str = "bench-secret-4d1c9a7e5b2f8036";

/// A venue that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Mock {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) ready: Ready,
}

/// What it says when it is up.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
    /// Of its certificate.
    pub(crate) ca_pem: String,
}

/// What came since it was last asked, which it forgets.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Came {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
}

impl Mock {
    pub(crate) fn start() -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--be", "venue"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().ok_or("no output of the venue")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(Self { child, input, output, ready: serde_json::from_str(&line)? })
    }

    pub(crate) fn process(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    pub(crate) fn came(&mut self) -> Result<Came, Error> {
        let input = self.input.as_mut().ok_or("no input of the venue")?;
        input.write_all(b"came\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Is the venue.
pub(crate) fn serve() -> Result<(), Error> {
    let account = Account {
        venue: Venue::Binance,
        api_key: API_KEY.to_owned(),
        secret: SECRET.to_owned(),
        passphrase: None,
        demo: false,
    };
    let config =
        MockConfig { tls: Some(Tls::made()), ..MockConfig::new(vec![account], Arc::new(now_ms)) };
    let venues = MockVenues::start(config)?;
    let ready = Ready {
        address: venues.tls_address().ok_or("no TLS")?,
        ca_pem: venues.ca_pem().ok_or("no authority")?.to_owned(),
    };
    println!("{}", serde_json::to_string(&ready)?);
    for line in std::io::stdin().lock().lines() {
        line?;
        let came = Came { accepted: venues.accepted().len(), refused: venues.refused().len() };
        venues.forget();
        println!("{}", serde_json::to_string(&came)?);
    }
    Ok(())
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
