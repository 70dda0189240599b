//! What the vault makes of the caller: who, from where, at what time, by which version.

use std::net::IpAddr;
use std::time::Duration;

use vault_client::v1::WhoamiResponse;
use vault_client::{ClientError, Refusal};

use super::finding::{Code, Finding};
use crate::fault::Fault;

/// One answer to Whoami, and when it was asked.
#[derive(Clone, Debug)]
pub struct Seen {
    pub answer: WhoamiResponse,
    /// This host's clock when the question went out, milliseconds since the epoch.
    pub asked_at_ms: i64,
    /// From question to answer.
    pub round_trip: Duration,
    /// Our own end of a connection, if one came through.
    pub from: Option<IpAddr>,
}

impl Seen {
    /// How far this host's clock is ahead of the vault's, in milliseconds, and what that may be wrong by:
    /// nobody knows when in the round trip the vault looked.
    fn ahead_ms(&self) -> (i64, i64) {
        let half = i64::try_from(self.round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        (self.asked_at_ms.saturating_add(half).saturating_sub(self.answer.time_ms), half)
    }
}

/// Judges an answer.
pub fn seen(seen: &Seen) -> Vec<Finding> {
    let answer = &seen.answer;
    let scope = match answer.scope.as_str() {
        "" => String::new(),
        scope => format!(", with scope {scope}"),
    };
    let words = format!("the vault knows this as {} {}{scope}", answer.role, answer.name);
    let mut findings = vec![Finding::ok(Code::Accepted, words), clock(seen)];
    findings.push(address(answer));
    findings.extend(between(seen));
    findings.push(latency(seen.round_trip));
    findings.extend(version(&answer.version, OWN_VERSION));
    findings
}

fn clock(seen: &Seen) -> Finding {
    let (ahead, wrong_by) = seen.ahead_ms();
    let away = ahead.saturating_abs().saturating_sub(wrong_by);
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let seconds = ahead.unsigned_abs() as f64 / 1e3;
    let words = format!("this host's clock is {seconds:.1} s {direction} the vault's");
    // A command is good for 55 s of ours, and the vault takes none that is good for more than 60.
    let is_refused = away >= if ahead > 0 { AHEAD_MAX_MS } else { BEHIND_MAX_MS };
    let finding = if is_refused {
        Finding::problem(Code::ClockOff, format!("{words}: it refuses commands and renewals"))
    } else if away >= OFF_MS {
        Finding::warning(Code::ClockOff, words)
    } else {
        let words =
            format!("this host's clock and the vault's agree, within {} ms", wrong_by.max(1));
        return Finding::ok(Code::ClockAgrees, words);
    };
    finding
        .remedy("synchronise both clocks: timedatectl, or chronyc tracking, here and there")
        .remedy("an operator: vaultctl doctor says whether the vault's is")
}

fn address(answer: &WhoamiResponse) -> Finding {
    let address = &answer.address;
    let is_client = matches!(answer.role.as_str(), "bot" | "pricer");
    let words = format!("the vault sees this host at {address}");
    if !is_client {
        return Finding::ok(Code::AddressSeen, words);
    }
    if answer.sealed {
        let words = format!("{words}; while it is sealed nobody says whether that is allowed");
        return Finding::note(Code::AddressNotJudged, words)
            .remedy("look again once it is unsealed");
    }
    if answer.address_allowed {
        return Finding::ok(Code::AddressAllowed, format!("{words}, which is allowed"));
    }
    let by = match answer.scope.as_str() {
        "" => "its networks do not allow that".to_owned(),
        scope => format!("scope {scope}, or the client's own networks, leave it out"),
    };
    let words = format!("{words}, and refuses it everything: {by}");
    let finding = Finding::problem(Code::AddressNotAllowed, words);
    let finding = match answer.scope.as_str() {
        "" => finding,
        scope => finding.remedy(format!(
            "an admin: vaultctl scope get {scope}, and add {address} to [network] allow if it is right"
        )),
    };
    finding
        .remedy(format!(
            "an admin: vaultctl client describe {} shows its own networks",
            answer.name
        ))
        .remedy("or call from an address that is allowed")
}

/// What stands between this host and the vault.
fn between(seen: &Seen) -> Option<Finding> {
    let answer = &seen.answer;
    if !answer.via.is_empty() {
        let words =
            format!("calls come by the balancer {}, which vouches for the address", answer.via);
        return Some(Finding::note(Code::ViaBalancer, words));
    }
    let from = seen.from?.to_canonical();
    let is_same =
        answer.address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == from);
    (!is_same).then(|| {
        let words = format!(
            "this host calls from {from}, and the vault sees {}: whoever else is behind that address \
             looks the same to it",
            answer.address
        );
        Finding::note(Code::AddressTranslated, words).remedy(
            "if it is a balancer of yours, let it send PROXY v2 to a listener of its own: [listen] \
             bot_proxied and proxied_from in the vault's config.toml",
        )
    })
}

fn latency(round_trip: Duration) -> Finding {
    let words = format!("a call takes {:.1} ms", round_trip.as_secs_f64() * 1e3);
    if round_trip < SLOW {
        return Finding::ok(Code::Latency, words);
    }
    let words = format!("{words}: orders are late by that");
    Finding::note(Code::LatencyHigh, words).remedy("put vault and bots near each other")
}

fn version(vault: &str, own: &str) -> Option<Finding> {
    (vault != own).then(|| {
        let words = format!("the vault is of version {vault}, this vaultctl of {own}");
        Finding::note(Code::VersionDiffers, words).remedy("install the same version on both sides")
    })
}

/// A vault that did not answer.
pub fn refused(error: ClientError) -> Finding {
    let is_old = |refusal: &Refusal| refusal.code == tonic::Code::Unimplemented;
    if error.refusal().is_some_and(is_old) {
        let words = "the vault is older than this question: clock and address were not compared";
        return Finding::note(Code::WhoamiNotServed, words).remedy("bring the vault up to date");
    }
    if is_unknown(&error) {
        let words = Fault::from(error).message;
        return Finding::problem(Code::CertificateRefused, words)
            .remedy("ask an admin for a new invite token, and enrol anew: vaultctl enroll -");
    }
    call_refused("whoami", error)
}

/// Whether the vault does not take the identity for anybody's.
pub fn is_unknown(error: &ClientError) -> bool {
    match error {
        ClientError::CertificateRefused(_) => true,
        ClientError::Refused(refusal) => refusal.code == tonic::Code::Unauthenticated,
        _ => false,
    }
}

/// A call that was to find something out, and was refused.
pub fn call_refused(call: &str, error: ClientError) -> Finding {
    let fault = Fault::from(error);
    let remedy = match fault.hint.as_str() {
        "" => "docs/reference/errors.md has every reason".to_owned(),
        hint => hint.to_owned(),
    };
    let words = format!("{call} was refused: {}", fault.message);
    Finding::problem(Code::CallRefused, words).remedy(remedy)
}

const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commands of a clock that is further ahead are refused.
const AHEAD_MAX_MS: i64 = 5_000;
/// Commands of a clock that is further behind are refused.
const BEHIND_MAX_MS: i64 = 50_000;
/// Clocks that are kept agree better than this.
const OFF_MS: i64 = 1_000;
const SLOW: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;
    use vault_client::v1::WhoamiResponse;
    use vault_client::{ClientError, Refusal};

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{Code as Found, Finding, Level};
    use super::{Seen, refused, seen};

    fn bot() -> Seen {
        let answer = WhoamiResponse {
            role: "bot".to_owned(),
            name: "mm-1".to_owned(),
            address: "192.0.2.7".to_owned(),
            scope: "mm".to_owned(),
            address_allowed: true,
            time_ms: 1_000_000,
            version: super::OWN_VERSION.to_owned(),
            ..WhoamiResponse::default()
        };
        Seen {
            answer,
            asked_at_ms: 1_000_000,
            round_trip: Duration::from_micros(600),
            from: Some([192, 0, 2, 7].into()),
        }
    }

    fn level_of(findings: &[Finding], code: Found) -> Option<Level> {
        findings.iter().find(|finding| finding.code == code).map(|finding| finding.level)
    }

    #[test]
    fn a_good_set_up_has_nothing_to_note() {
        let found = seen(&bot());
        assert_eq!(
            codes(&found),
            [
                ("ACCEPTED", Level::Ok),
                ("CLOCK_AGREES", Level::Ok),
                ("ADDRESS_ALLOWED", Level::Ok),
                ("LATENCY", Level::Ok),
            ]
        );
    }

    #[test]
    fn a_clock_is_off_by_more_than_the_way_can_explain() {
        let with = |asked_at_ms: i64, round_trip_ms: u64| {
            let found = seen(&Seen {
                asked_at_ms,
                round_trip: Duration::from_millis(round_trip_ms),
                ..bot()
            });
            assert!(is_helpful(&found));
            level_of(&found, Found::ClockOff)
        };
        assert_eq!(with(1_000_900, 1), None);
        assert_eq!(with(999_100, 1), None);
        assert_eq!(with(1_001_001, 1), Some(Level::Warning));
        assert_eq!(with(998_999, 1), Some(Level::Warning));
        assert_eq!(with(1_005_000, 1), Some(Level::Problem));
        // Behind, commands are good for longer.
        assert_eq!(with(995_000, 1), Some(Level::Warning));
        assert_eq!(with(950_000, 1), Some(Level::Problem));
        // The question may have lain on the way for three seconds.
        assert_eq!(with(998_000, 3_000), None);
    }

    #[test]
    fn an_address_that_is_refused_is_a_problem_of_clients_alone() {
        let mut refused = bot();
        refused.answer.address_allowed = false;
        let found = seen(&refused);
        assert_eq!(level_of(&found, Found::AddressNotAllowed), Some(Level::Problem));
        assert!(is_helpful(&found));

        refused.answer.sealed = true;
        assert_eq!(level_of(&seen(&refused), Found::AddressNotJudged), Some(Level::Note));
        refused.answer.role = "admin".to_owned();
        assert_eq!(level_of(&seen(&refused), Found::AddressSeen), Some(Level::Ok));
    }

    #[test]
    fn what_stands_in_between_is_told() {
        let mut behind = bot();
        behind.from = Some([10, 0, 0, 3].into());
        assert_eq!(level_of(&seen(&behind), Found::AddressTranslated), Some(Level::Note));
        behind.answer.via = "192.0.2.1".to_owned();
        let found = seen(&behind);
        assert_eq!(level_of(&found, Found::AddressTranslated), None);
        assert_eq!(level_of(&found, Found::ViaBalancer), Some(Level::Note));
    }

    #[test]
    fn slow_ways_and_other_versions_are_noted() {
        let mut slow = bot();
        slow.round_trip = Duration::from_millis(200);
        slow.answer.version = "0.0.1".to_owned();
        let found = seen(&slow);
        assert_eq!(level_of(&found, Found::LatencyHigh), Some(Level::Note));
        assert_eq!(level_of(&found, Found::VersionDiffers), Some(Level::Note));
    }

    #[test]
    fn a_vault_that_does_not_answer_says_why() {
        let refusal = |code, reason: &str| {
            let (message, hint) = ("refused".to_owned(), String::new());
            ClientError::Refused(Box::new(Refusal {
                code,
                reason: reason.to_owned(),
                message,
                operation: String::new(),
                class: String::new(),
                remedies: Vec::new(),
                hint,
                entry_index: None,
                retry_after: None,
            }))
        };
        for (error, code, level) in [
            (ClientError::Timeout, "CALL_REFUSED", Level::Problem),
            (refusal(Code::Unimplemented, ""), "WHOAMI_NOT_SERVED", Level::Note),
            (
                refusal(Code::Unauthenticated, "CERTIFICATE_REVOKED"),
                "CERTIFICATE_REFUSED",
                Level::Problem,
            ),
            (refusal(Code::ResourceExhausted, "OVERLOADED"), "CALL_REFUSED", Level::Problem),
        ] {
            let found = [refused(error)];
            assert_eq!(codes(&found), [(code, level)]);
            assert!(is_helpful(&found));
        }
    }
}
