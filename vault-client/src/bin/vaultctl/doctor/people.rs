//! Operators, clients and halts, as an admin sees them.

use vault_client::v1::{CertificateInfo, ClientInfo, HaltInfo, HaltLevel, OperatorInfo, Role};
use vault_model::Timestamp;

use super::finding::{Code, DAY_MS, Finding, span};

/// When the newest certificate that may still be used ends.
fn end(certificates: &[CertificateInfo]) -> Option<i64> {
    let active = certificates.iter().filter(|certificate| certificate.state == "active");
    active.map(|certificate| certificate.not_after_ms).max()
}

/// Judges who there is to administer, to read the log and to halt. `now_ms` is the vault's time.
pub fn operators(operators: &[OperatorInfo], now_ms: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let usable = |operator: &&OperatorInfo| {
        operator.state == "active" && end(&operator.certificates).is_some_and(|end| end > now_ms)
    };
    let count = |role: Role| {
        operators.iter().filter(usable).filter(|operator| operator.role() == role).count()
    };
    let (admins, auditors, guards) = (count(Role::Admin), count(Role::Auditor), count(Role::Guard));
    if admins < 2 {
        let words = "there is one admin: nobody can approve what needs two, and nobody lets that one in \
            again";
        findings.push(
            Finding::warning(Code::OneAdmin, words)
                .remedy("vaultctl operator invite NAME --role admin, for somebody else"),
        );
    }
    if auditors == 0 {
        let words = "there is no auditor: nobody reads or exports the log";
        findings.push(
            Finding::warning(Code::NoAuditor, words)
                .remedy("vaultctl operator invite NAME --role auditor"),
        );
    }
    if guards == 0 {
        let words = "there is no guard: nobody but admins can halt";
        findings
            .push(Finding::note(Code::NoGuard, words).remedy(
                "vaultctl operator invite NAME --role guard, for whoever watches at night",
            ));
    }
    for operator in operators {
        findings.extend(operator_finding(operator, now_ms));
    }
    if findings.is_empty() {
        let words = format!(
            "{admins} admins, {auditors} auditor(s), {guards} guard(s), none of them near an end"
        );
        findings.push(Finding::ok(Code::OperatorsGood, words));
    }
    findings
}

fn operator_finding(operator: &OperatorInfo, now_ms: i64) -> Option<Finding> {
    let name = &operator.name;
    match (operator.state.as_str(), end(&operator.certificates)) {
        ("revoked", _) => None,
        ("active", Some(end)) if end <= now_ms => {
            let ago = span((now_ms - end).unsigned_abs());
            let words = format!("the certificate of {name} ended {ago} ago");
            let finding = Finding::warning(Code::OperatorCertificateEnded, words);
            Some(finding.remedy(format!(
                "vaultctl operator invite {name} for a new one, or vaultctl operator revoke {name}"
            )))
        }
        ("active", Some(end)) if end - now_ms < OPERATOR_LEFT_MS => {
            let left = span((end - now_ms).unsigned_abs());
            let words = format!("the certificate of {name} ends in {left}");
            let finding = Finding::warning(Code::OperatorCertificateEnds, words);
            Some(finding.remedy(format!("{name}: vaultctl renew")))
        }
        ("active", Some(_)) if operator.invited_by.is_empty() => None,
        _ => {
            let words = invited(name, &operator.invited_by, operator.invite_ends_ms, now_ms);
            let finding = Finding::note(Code::OperatorInvited, words);
            Some(finding.remedy(format!("vaultctl operator revoke {name}, unless it is meant")))
        }
    }
}

/// That somebody can come in with a token, as far as the vault says more of it.
fn invited(name: &str, by: &str, ends_ms: i64, now_ms: i64) -> String {
    let by = if by.is_empty() { String::new() } else { format!(", by {by}") };
    match ends_ms - now_ms {
        left @ 1.. => {
            let left = span(left.unsigned_abs());
            format!("{name} is invited{by}: whoever has the token may enrol for {left} more")
        }
        _ => format!("{name} is invited{by} and has not enrolled"),
    }
}

/// Judges clients that nobody uses any more. `now_ms` is the vault's time.
pub fn clients(clients: &[ClientInfo], now_ms: i64) -> Vec<Finding> {
    let standing: Vec<&ClientInfo> =
        clients.iter().filter(|client| client.state != "revoked").collect();
    let mut findings: Vec<Finding> =
        standing.iter().filter_map(|client| client_finding(client, now_ms)).collect();
    if findings.is_empty() && !standing.is_empty() {
        let words = format!("{} client(s), each with a certificate that is good", standing.len());
        findings.push(Finding::ok(Code::ClientsGood, words));
    }
    findings
}

fn client_finding(client: &ClientInfo, now_ms: i64) -> Option<Finding> {
    let name = &client.name;
    match end(&client.certificates) {
        Some(end) if end <= now_ms => {
            let ago = span((now_ms - end).unsigned_abs());
            let words =
                format!("the certificate of {name} ended {ago} ago: its bot is not running");
            let is_over = now_ms - end > GRACE_MS;
            let finding = Finding::note_or_warning(is_over, Code::ClientCertificateEnded, words);
            Some(finding.remedy(format!(
                "vaultctl client revoke {name}, if it is not needed; else start its bot, or invite it anew"
            )))
        }
        Some(_) if client.invited_by.is_empty() => None,
        Some(_) => {
            let words = invited(name, &client.invited_by, client.invite_ends_ms, now_ms);
            let finding = Finding::note(Code::ClientInvited, format!("{words}, beside its bot"));
            Some(
                finding.remedy(format!(
                    "vaultctl client describe {name}; revoke it unless it is meant"
                )),
            )
        }
        None => {
            let is_late = now_ms - client.created_at_ms > DAY_MS && client.invite_ends_ms <= now_ms;
            let words = invited(name, &client.invited_by, client.invite_ends_ms, now_ms);
            let finding = Finding::note_or_warning(is_late, Code::ClientNeverEnrolled, words);
            Some(finding.remedy(format!(
                "vaultctl client revoke {name}, unless it is to come: no token is good for longer than a day"
            )))
        }
    }
}

/// Judges the halts that stand.
pub fn halts(halts: &[HaltInfo]) -> Vec<Finding> {
    if halts.is_empty() {
        return vec![Finding::ok(Code::NoHalt, "no halt stands")];
    }
    halts
        .iter()
        .map(|halt| {
            let level = match halt.level() {
                HaltLevel::NoNewRisk => "no new risk",
                HaltLevel::Nothing | HaltLevel::Unspecified => "nothing",
            };
            let words = format!(
                "{} is halted ({level}) since {}, by {}",
                halt.target,
                Timestamp::from_millis(halt.at_ms),
                halt.by
            );
            Finding::warning(Code::HaltStands, words)
                .remedy(format!("an admin, if it has served: vaultctl resume {}", halt.target))
        })
        .collect()
}

/// The names in a row of findings about one thing each would be too many: the rest is counted.
pub fn bounded(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut left_out: Vec<(Code, usize)> = Vec::new();
    for finding in findings {
        if kept.iter().filter(|other| other.code == finding.code).count() < ALIKE_MAX {
            kept.push(finding);
            continue;
        }
        match left_out.iter_mut().find(|(code, _)| *code == finding.code) {
            Some((_, count)) => *count += 1,
            None => left_out.push((finding.code, 1)),
        }
    }
    for (code, count) in left_out {
        if let Some(last) = kept.iter_mut().rev().find(|finding| finding.code == code) {
            last.words += &format!(" (and {count} more like it)");
        }
    }
    kept
}

/// Operators have 90 days, and are asked to renew after 60.
const OPERATOR_LEFT_MS: i64 = 14 * DAY_MS;
/// How long after its end a client's certificate can be renewed.
const GRACE_MS: i64 = 7 * DAY_MS;
/// So many findings of one code are shown.
const ALIKE_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use vault_client::v1::{CertificateInfo, ClientInfo, HaltInfo, HaltLevel, OperatorInfo, Role};

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{Code, DAY_MS, Finding, Level};
    use super::{bounded, clients, halts, operators};

    const NOW: i64 = 1_000 * DAY_MS;

    fn certificate(not_after_ms: i64) -> CertificateInfo {
        CertificateInfo { state: "active".to_owned(), not_after_ms, ..CertificateInfo::default() }
    }

    fn operator(name: &str, role: Role, not_after_ms: i64) -> OperatorInfo {
        OperatorInfo {
            name: name.to_owned(),
            role: role.into(),
            state: "active".to_owned(),
            certificates: vec![certificate(not_after_ms)],
            ..OperatorInfo::default()
        }
    }

    fn everybody() -> Vec<OperatorInfo> {
        let end = NOW + 60 * DAY_MS;
        vec![
            operator("ann", Role::Admin, end),
            operator("bob", Role::Admin, end),
            operator("cat", Role::Auditor, end),
            operator("dan", Role::Guard, end),
        ]
    }

    #[test]
    fn wants_two_admins_an_auditor_and_a_guard() {
        assert_eq!(codes(&operators(&everybody(), NOW)), [("OPERATORS_GOOD", Level::Ok)]);
        let found = operators(&everybody()[..1], NOW);
        assert_eq!(
            codes(&found),
            [
                ("ONE_ADMIN", Level::Warning),
                ("NO_AUDITOR", Level::Warning),
                ("NO_GUARD", Level::Note),
            ]
        );
        assert!(is_helpful(&found));
    }

    #[test]
    fn one_whose_certificate_has_ended_is_none() {
        let mut all = everybody();
        all[1].certificates[0].not_after_ms = NOW;
        assert_eq!(
            codes(&operators(&all, NOW)),
            [("ONE_ADMIN", Level::Warning), ("OPERATOR_CERTIFICATE_ENDED", Level::Warning)]
        );
        // A newer one counts, a revoked one does not.
        all[1].certificates.push(certificate(NOW + 60 * DAY_MS));
        assert_eq!(codes(&operators(&all, NOW)), [("OPERATORS_GOOD", Level::Ok)]);
        all[1].certificates[1].state = "revoked".to_owned();
        assert_eq!(operators(&all, NOW).len(), 2);
        all[1].state = "revoked".to_owned();
        assert_eq!(codes(&operators(&all, NOW)), [("ONE_ADMIN", Level::Warning)]);
    }

    #[test]
    fn tells_of_certificates_near_their_end_and_of_tokens() {
        let mut all = everybody();
        all[2].certificates[0].not_after_ms = NOW + 13 * DAY_MS;
        all.push(OperatorInfo {
            state: "invited".to_owned(),
            certificates: Vec::new(),
            ..operator("eve", Role::Admin, 0)
        });
        let found = operators(&all, NOW);
        assert_eq!(
            codes(&found),
            [("OPERATOR_CERTIFICATE_ENDS", Level::Warning), ("OPERATOR_INVITED", Level::Note)]
        );
    }

    fn client(name: &str, certificates: Vec<CertificateInfo>) -> ClientInfo {
        ClientInfo {
            name: name.to_owned(),
            state: "active".to_owned(),
            created_at_ms: NOW - 2 * DAY_MS,
            certificates,
            ..ClientInfo::default()
        }
    }

    #[test]
    fn tells_of_clients_that_nobody_uses() {
        let good = client("mm-1", vec![certificate(NOW + 1)]);
        assert_eq!(
            codes(&clients(std::slice::from_ref(&good), NOW)),
            [("CLIENTS_GOOD", Level::Ok)]
        );
        assert_eq!(clients(&[], NOW), []);

        let new = ClientInfo { created_at_ms: NOW - DAY_MS, ..client("new", Vec::new()) };
        let revoked = ClientInfo { state: "revoked".to_owned(), ..client("gone", Vec::new()) };
        let mut twice = client("twice", vec![certificate(NOW + DAY_MS)]);
        twice.invited_by = "ann".to_owned();
        twice.invite_ends_ms = NOW + DAY_MS / 24;
        let mut late = ClientInfo { state: "invited".to_owned(), ..client("late", Vec::new()) };
        late.invite_ends_ms = NOW + 1;
        let found = clients(
            &[
                good,
                client("never", Vec::new()),
                new,
                client("off", vec![certificate(NOW - 7 * DAY_MS)]),
                client("dead", vec![certificate(NOW - 7 * DAY_MS - 1)]),
                revoked,
                twice,
                late,
            ],
            NOW,
        );
        assert_eq!(
            codes(&found),
            [
                ("CLIENT_NEVER_ENROLLED", Level::Warning),
                ("CLIENT_NEVER_ENROLLED", Level::Note),
                ("CLIENT_CERTIFICATE_ENDED", Level::Note),
                ("CLIENT_CERTIFICATE_ENDED", Level::Warning),
                ("CLIENT_INVITED", Level::Note),
                ("CLIENT_NEVER_ENROLLED", Level::Note),
            ]
        );
        assert!(is_helpful(&found));
        assert!(
            found[4].words.contains("by ann") && found[4].words.contains("1 h more"),
            "{found:?}"
        );
    }

    #[test]
    fn every_halt_is_told() {
        assert_eq!(codes(&halts(&[])), [("NO_HALT", Level::Ok)]);
        let halt = HaltInfo {
            target: "venue:okx".to_owned(),
            level: HaltLevel::Nothing.into(),
            by: "ann".to_owned(),
            ..HaltInfo::default()
        };
        let found = halts(&[halt.clone(), halt]);
        assert_eq!(codes(&found), [("HALT_STANDS", Level::Warning); 2]);
        assert_eq!(found[0].remedies, ["an admin, if it has served: vaultctl resume venue:okx"]);
    }

    #[test]
    fn many_alike_are_counted() {
        let many = (0..25).map(|_| Finding::note(Code::ScopeUnused, "unused")).collect();
        let kept = bounded(many);
        assert_eq!(kept.len(), 10);
        assert_eq!(kept[9].words, "unused (and 15 more like it)");
    }
}
