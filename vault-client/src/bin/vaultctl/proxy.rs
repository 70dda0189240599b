//! `vaultctl proxy`: a bot's own way to venues, on its own machine, through the vault.
//!
//! It holds the bot's identity, so that the bot needs none. What it passes on is judged, signed and
//! sent by the vault; it decides nothing itself.

mod authority;
mod listener;
mod relay;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vault_client::Proxied;
use vault_client::v1::Role;
use vault_model::Environment;
use vault_venue::{ReadError, Registry};

use self::authority::Authority;
use self::listener::{Listen, Listener};
use self::relay::Sidecar;
use crate::context::{Context, wrong_role};
use crate::fault::{Fault, file};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Where bots connect: HOST:PORT on loopback, or unix:PATH. Port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    listen: Listen,
    /// What to do with hosts that are no venue's
    #[arg(long, value_enum, default_value_t = Others::Refuse)]
    others: Others,
    /// Listen on an address that other machines can reach: whoever reaches it trades as this bot,
    /// without showing who he is
    #[arg(long)]
    expose_to_network: bool,
    /// Where the local CA lies, instead of the folder proxy in the identity's
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// A program to run with its environment set; the proxy ends with it, and exits as it does
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

/// What becomes of hosts outside the catalogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Others {
    /// They cannot be reached through the proxy
    Refuse,
    /// They are passed through untouched
    Tunnel,
}

impl Arguments {
    /// Refuses to be open to more than was said.
    fn reach(&self) -> Result<(), Fault> {
        if !self.listen.is_private() && !self.expose_to_network {
            return Err(Fault::usage("the address to listen on is not on loopback").with_hint(
                "whoever reaches it could trade as this bot; --expose-to-network if that is meant",
            ));
        }
        if self.others == Others::Tunnel && self.expose_to_network {
            let message = "--others tunnel does not go with --expose-to-network";
            return Err(Fault::usage(message).with_hint(
                "it would be an open proxy into every network that this machine reaches",
            ));
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  vaultctl --profile bot proxy -- python bot.py
  vaultctl --profile bot proxy --listen unix:/run/bot/proxy.sock
  curl 'http://127.0.0.1:7080/https://api.binance.com/api/v3/account' -H 'X-MBX-APIKEY: countersign:main'
  HTTPS_PROXY=http://127.0.0.1:7080 SSL_CERT_FILE=~/bot/proxy/bundle.pem python bot.py

Where the bot's library wants an API key it is given countersign:NAME, the name of a credential; any
text will do as its secret.";

pub async fn run(context: &Context, arguments: Arguments) -> Result<(), Fault> {
    let identity = context.identity()?;
    if identity.role() != Role::Bot {
        return Err(wrong_role(&identity, "only a bot may trade"));
    }
    arguments.reach()?;
    let registry = Registry::bundled().map_err(|error| Fault::other(error.to_string()))?;
    let hosts = catalog_hosts(&registry);
    let folder = arguments.ca_dir.unwrap_or_else(|| identity.folder().join("proxy"));
    let authority = Authority::open(&folder, &hosts)?;
    // Before anything is said: a bot finds out at once that its identity is of no use.
    let vault = Proxied::connect(identity).await?;
    let listener = Listener::bind(&arguments.listen).map_err(|error| {
        Fault::other(format!("cannot listen on {}: {error}", arguments.listen))
            .with_hint("choose another address with --listen")
    })?;
    let address = listener.address();
    let files = authority.files();
    let sidecar = Arc::new(Sidecar {
        authority,
        hosts,
        is_exposed: arguments.expose_to_network || matches!(arguments.listen, Listen::Unix(_)),
        others: arguments.others,
        registry,
        vault,
    });
    tokio::spawn(listener.serve(sidecar));

    let environment = match address {
        Listen::Tcp(address) => environment(address, &files.bundle),
        // No library takes a proxy on a Unix socket from its environment.
        Listen::Unix(_) => Vec::new(),
    };
    if let Some((program, rest)) = arguments.command.split_first() {
        if environment.is_empty() {
            return Err(Fault::usage("a command needs a proxy with an address of its own")
                .with_hint("leave --listen unix:… away"));
        }
        // First: a signal that ended this process alone would leave the program without its proxy.
        let signals = Signals::new()?;
        let child = Command::new(program)
            .args(rest)
            .envs(environment)
            .kill_on_drop(true)
            .spawn()
            .map_err(file(program.as_ref()))?;
        let status = wait(child, signals).await?;
        // What the program says of itself is what whoever runs it wants to know.
        std::process::exit(code(status));
    }
    let mut signals = Signals::new()?;
    announce(context, &address, &files, &environment)?;
    tokio::select! {
        _ = signals.term.recv() => {}
        _ = signals.interrupt.recv() => {}
    }
    Ok(())
}

fn announce(
    context: &Context,
    address: &Listen,
    files: &authority::Files,
    environment: &[(&str, String)],
) -> Result<(), Fault> {
    let value = json!({
        "event": "listening",
        "address": address.to_string(),
        "ca": files.certificate,
        "bundle": files.bundle,
        "environment": environment.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    });
    if context.output.is_json() {
        return context.output.bytes(format!("{value}\n").as_bytes());
    }
    context.output.talk(&format!("vaultctl: listening on {address}; for bots:"));
    let lines = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
    context.output.bytes(lines.collect::<String>().as_bytes())
}

/// The hosts that the vault answers for, of every venue and environment, without ports.
fn catalog_hosts(registry: &Registry) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for venue in registry.names().filter_map(|name| registry.venue(name)) {
        for environment in [Environment::Live, Environment::Demo] {
            let Some(of) = venue.catalog.hosts(environment) else { continue };
            hosts.extend(venue.catalog.operations.iter().flat_map(|o| of.of(o)).cloned());
        }
        let sockets = venue.catalog.socket_hosts();
        hosts.extend(sockets.map(|host| host.split(':').next().unwrap_or(host).to_owned()));
    }
    hosts
}

/// Whether the vault answers for a port of a host: that of https, and those of WebSockets.
fn is_served(registry: &Registry, host: &str, port: u16) -> bool {
    // Only whether the host is known is asked here.
    let known = || registry.socket(&format!("{host}:{port}"), "/", "");
    port == 443 || !matches!(known(), Err(ReadError::HostUnknown))
}

/// What makes common libraries use the proxy and trust its CA.
fn environment(address: SocketAddr, bundle: &std::path::Path) -> Vec<(&'static str, String)> {
    let mut reached = address;
    if address.ip().is_unspecified() {
        // What listens everywhere is reached here over loopback.
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        reached.set_ip(loopback);
    }
    let proxy = format!("http://{reached}");
    let bundle = bundle.display().to_string();
    let mut environment = vec![("NODE_USE_ENV_PROXY", "1".to_owned())];
    // aiohttp, and with it ccxt.pro, asks for that of `wss` by its own name.
    let names = ["HTTPS_PROXY", "https_proxy", "WSS_PROXY", "wss_proxy"];
    environment.extend(names.map(|name| (name, proxy.clone())));
    environment.extend(
        ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
            .map(|name| (name, bundle.clone())),
    );
    // What was left out of a proxy before would go past the vault.
    environment.extend(["NO_PROXY", "no_proxy"].map(|name| (name, "localhost,127.0.0.1".into())));
    environment
}

/// What would end this process, from the moment of its making on.
struct Signals {
    interrupt: Signal,
    term: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fault> {
        let caught = |kind| signal(kind).map_err(cannot_wait);
        Ok(Self {
            interrupt: caught(SignalKind::interrupt())?,
            term: caught(SignalKind::terminate())?,
        })
    }
}

fn cannot_wait(error: std::io::Error) -> Fault {
    Fault::other(format!("cannot wait: {error}"))
}

/// Waits for the program, and passes on what would end this process.
async fn wait(mut child: Child, mut signals: Signals) -> Result<ExitStatus, Fault> {
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(cannot_wait),
            // A Ctrl-C reaches the program by itself; this process has to live on until it has ended.
            _ = signals.interrupt.recv() => {}
            _ = signals.term.recv() => {
                if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok())
                    && let Some(pid) = rustix::process::Pid::from_raw(pid)
                {
                    // It may have ended this very moment.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    }
}

/// As a shell has it: 128 and the signal's number for a program that a signal ended.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use vault_venue::Registry;

    use super::{Arguments, Others, catalog_hosts, is_served};

    #[test]
    fn answers_for_the_hosts_and_ports_of_the_catalogues() {
        let registry = Registry::bundled().expect("ours");
        let hosts = catalog_hosts(&registry);
        for (host, port, is_ours) in [
            ("api.binance.com", 443, true),
            ("api.binance.com", 8443, false),
            ("ws.okx.com", 443, true),
            ("ws.okx.com", 8443, true),
            ("ws.okx.com", 22, false),
            ("stream.binance.com", 9443, true),
            ("ws-api.binance.com", 9443, true),
            ("stream.bybit.com", 443, true),
            ("ws-auth.kraken.com", 443, true),
        ] {
            assert!(hosts.contains(host), "{host}");
            assert_eq!(is_served(&registry, host, port), is_ours, "{host}:{port}");
        }
        assert!(hosts.iter().all(|host| !host.contains(':')));
    }

    #[test]
    fn is_open_to_no_more_than_was_said() {
        for (listen, others, expose_to_network, is_refused) in [
            ("127.0.0.1:0", Others::Tunnel, false, false),
            ("unix:/run/x.sock", Others::Tunnel, false, false),
            ("0.0.0.0:0", Others::Refuse, false, true),
            ("0.0.0.0:0", Others::Refuse, true, false),
            ("0.0.0.0:0", Others::Tunnel, true, true),
            ("127.0.0.1:0", Others::Tunnel, true, true),
        ] {
            let arguments = Arguments {
                listen: listen.parse().expect("an address"),
                others,
                expose_to_network,
                ca_dir: None,
                command: Vec::new(),
            };
            assert_eq!(arguments.reach().is_err(), is_refused, "{listen} {others:?}");
        }
    }
}
