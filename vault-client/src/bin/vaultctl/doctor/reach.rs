//! The way to the vault: name, TCP, TLS, its certificate.

use std::net::SocketAddr;

use vault_client::{ClientError, Reached};
use vault_model::Timestamp;

use super::finding::{Code, DAY_MS, Finding, span};
use crate::context::millis;
use crate::fault::{Exit, Fault};

/// What came of one address.
#[derive(Debug)]
pub struct Attempt {
    pub to: SocketAddr,
    pub outcome: Result<Reached, ClientError>,
}

/// The way to the vault.
#[derive(Debug)]
pub struct Way {
    /// `host:port`.
    pub address: String,
    /// Where the host's name leads, or why nowhere.
    pub attempts: Result<Vec<Attempt>, ClientError>,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

impl Way {
    /// The first connection that came through.
    pub fn reached(&self) -> Option<&Reached> {
        let attempts = self.attempts.as_ref().ok()?;
        attempts.iter().find_map(|attempt| attempt.outcome.as_ref().ok())
    }
}

/// Judges the way. If nothing came through, with how the command ends for that.
pub fn way(way: Way) -> (Vec<Finding>, Option<Exit>) {
    let mut findings = Vec::new();
    let reached = way.reached().cloned();
    let now_ms = way.now_ms;
    let attempts = match way.attempts {
        Ok(attempts) => attempts,
        Err(error) => {
            let words = format!("{} leads nowhere: {}", way.address, Fault::from(error).message);
            let finding = Finding::problem(Code::NameUnknown, words)
                .remedy("look the name up on this host: getent hosts NAME")
                .remedy("name another address with --address HOST:PORT, or in the profile");
            return (vec![finding], Some(Exit::Unreachable));
        }
    };
    let places: Vec<String> = attempts.iter().map(|attempt| attempt.to.ip().to_string()).collect();
    let is_name = way.address.parse::<SocketAddr>().is_err();
    if is_name && !places.is_empty() {
        let words = format!("{} stands for {}", way.address, places.join(", "));
        findings.push(Finding::ok(Code::NameResolves, words));
    }
    let mut exit = Some(Exit::Unreachable);
    for Attempt { to, outcome } in attempts {
        match outcome {
            Ok(reached) => {
                let words = format!(
                    "{to} answers, and is the vault that was pinned (TCP {:.1} ms, TLS {:.1} ms)",
                    reached.tcp.as_secs_f64() * 1e3,
                    reached.tls.as_secs_f64() * 1e3
                );
                findings.push(Finding::ok(Code::Reached, words));
            }
            Err(error) => {
                let (finding, ends_with) = unreached(to, error, reached.is_some());
                findings.push(finding);
                exit = Some(ends_with);
            }
        }
    }
    if let Some(end) = reached.as_ref().and_then(|reached| reached.server_not_after) {
        findings.extend(server_certificate(millis(end), now_ms));
    }
    (findings, if reached.is_some() { None } else { exit })
}

fn unreached(to: SocketAddr, error: ClientError, others_answer: bool) -> (Finding, Exit) {
    let is_trust = matches!(error, ClientError::ServerNotTrusted(_));
    let is_ours = matches!(error, ClientError::CertificateRefused(_));
    let fault = Fault::from(error);
    let words = format!("{to}: {}", fault.message);
    let finding = if is_trust {
        Finding::problem(Code::ServerNotTrusted, words)
            .remedy("check the address, and on the vault's host its names: [public] names")
            .remedy("if both are right, somebody stands between this host and the vault")
    } else if is_ours {
        Finding::problem(Code::CertificateRefused, words)
            .remedy("it may be revoked or have ended: ask an admin for a new invite token")
    } else if others_answer {
        Finding::warning(Code::AddressUnreached, words)
            .remedy("take the address out of the name, or make the vault listen there")
    } else {
        Finding::problem(Code::NotReached, words)
            .remedy("on the vault's host: vault-server status, and the listeners in config.toml")
            .remedy("look at firewalls in between: TCP to this port must be open")
    };
    (finding, fault.exit)
}

/// Judges the vault's own certificate, which it renews ten days before its end while it is open.
fn server_certificate(not_after_ms: i64, now_ms: i64) -> Option<Finding> {
    let left = not_after_ms - now_ms;
    let at = Timestamp::from_millis(not_after_ms);
    if left <= 0 {
        let words = format!("the vault's own certificate ended at {at}");
        let finding = Finding::problem(Code::ServerCertificateEnded, words);
        return Some(
            finding.remedy("unseal the vault on its host, which renews it: vault-server unseal"),
        );
    }
    (left < SERVER_LEFT_MS).then(|| {
        let words = format!(
            "the vault's own certificate ends in {}, at {at}: it should have been renewed",
            span(left.unsigned_abs())
        );
        Finding::warning(Code::ServerCertificateEnds, words)
            .remedy("vaultctl status: a vault that stays sealed does not renew it")
            .remedy("look in its log for \"the server certificate cannot be stored\"")
    })
}

/// It is renewed when ten days are left.
const SERVER_LEFT_MS: i64 = 8 * DAY_MS;

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    use vault_client::{ClientError, Reached};

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{DAY_MS, Level};
    use super::{Attempt, Way, server_certificate, way};
    use crate::context::millis;
    use crate::fault::Exit;

    fn reached() -> Reached {
        Reached {
            from: SocketAddr::from(([127, 0, 0, 1], 9)),
            tcp: Duration::from_micros(150),
            tls: Duration::from_millis(2),
            server_not_after: Some(SystemTime::now() + Duration::from_secs(25 * 86_400)),
        }
    }

    fn to(address: &str, outcomes: Vec<Result<Reached, ClientError>>) -> Way {
        let places = (1..).map(|last| SocketAddr::from(([192, 0, 2, last], 7443)));
        let attempts = places.zip(outcomes).map(|(to, outcome)| Attempt { to, outcome }).collect();
        Way {
            address: address.to_owned(),
            attempts: Ok(attempts),
            now_ms: millis(SystemTime::now()),
        }
    }

    fn refused() -> ClientError {
        ClientError::Transport(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)))
    }

    #[test]
    fn a_name_with_one_good_address_is_a_way() {
        let (found, exit) = way(to("vault.example:7443", vec![Err(refused()), Ok(reached())]));
        assert_eq!(exit, None);
        assert_eq!(
            codes(&found),
            [
                ("NAME_RESOLVES", Level::Ok),
                ("ADDRESS_UNREACHED", Level::Warning),
                ("REACHED", Level::Ok),
            ]
        );
        let (found, _) = way(to("192.0.2.1:7443", vec![Ok(reached())]));
        assert_eq!(codes(&found), [("REACHED", Level::Ok)]);
    }

    #[test]
    fn every_end_of_the_way_has_its_exit_code() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRevoked);
        let foreign = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        for (error, code, exit) in [
            (refused(), "NOT_REACHED", Exit::Unreachable),
            (ClientError::Timeout, "NOT_REACHED", Exit::Unreachable),
            (ClientError::CertificateRefused(alert), "CERTIFICATE_REFUSED", Exit::Unauthenticated),
            (ClientError::ServerNotTrusted(foreign), "SERVER_NOT_TRUSTED", Exit::NotVerified),
        ] {
            let (found, ended) = way(to("192.0.2.1:7443", vec![Err(error)]));
            assert_eq!(codes(&found), [(code, Level::Problem)]);
            assert_eq!(ended, Some(exit));
            assert!(is_helpful(&found));
        }
        let nowhere = Way { attempts: Err(refused()), ..to("vault.example:7443", Vec::new()) };
        let (found, exit) = way(nowhere);
        assert_eq!(
            (codes(&found), exit),
            (vec![("NAME_UNKNOWN", Level::Problem)], Some(Exit::Unreachable))
        );
    }

    #[test]
    fn a_server_certificate_that_is_not_renewed_is_seen_before_its_end() {
        let level = |left| server_certificate(left, 0).map(|finding| finding.level);
        assert_eq!(level(30 * DAY_MS), None);
        // The vault renews it at ten days: nothing is late yet.
        assert_eq!(level(9 * DAY_MS), None);
        assert_eq!(level(7 * DAY_MS), Some(Level::Warning));
        assert_eq!(level(0), Some(Level::Problem));
    }
}
