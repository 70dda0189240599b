//! Who calls: a certificate's serial becomes a client or an operator, or nobody.

use std::net::IpAddr;

use vault_ipc::{Listener, proto};
use vault_model::{Name, Role, Serial, Timestamp};

use crate::certificate::lifetime;
use crate::error::{CertificateProblem, VaultError};
use crate::storage::{CertificateRow, CertificateState, Holder, HolderState, Tables};

/// Where a call comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Canonical address of the peer; absent on the local socket.
    pub address: Option<IpAddr>,
    /// `direct`, `local`, or `proxy:<address>`.
    pub via: String,
}

impl Origin {
    /// Reads the front's bytes: 4 or 16 of them.
    pub fn new(address: &[u8], via: &str) -> Result<Self, VaultError> {
        let address = match address.len() {
            4 => <[u8; 4]>::try_from(address).map(IpAddr::from).ok(),
            16 => <[u8; 16]>::try_from(address).map(IpAddr::from).ok(),
            _ => None,
        }
        .ok_or(VaultError::Field("the peer's address is not one"))?;
        let via = match via.parse::<IpAddr>() {
            Ok(proxy) => format!("proxy:{proxy}"),
            Err(_) => "direct".to_owned(),
        };
        Ok(Self { address: Some(address.to_canonical()), via })
    }

    /// The balancer that vouched for the peer, if there was one.
    pub fn proxy(&self) -> Option<&str> {
        self.via.strip_prefix("proxy:")
    }

    /// The local socket.
    pub fn local() -> Self {
        Self { address: None, via: "local".to_owned() }
    }
}

/// A caller, identified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Client or operator.
    pub name: Name,
    /// Role.
    pub role: Role,
    /// The certificate's serial.
    pub serial: Serial,
    /// Where from.
    pub origin: Origin,
    /// Where it came in.
    pub listener: Listener,
}

/// For what a certificate is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Any call.
    Call,
    /// Its own renewal, which is possible for some time after its end.
    Renewal,
}

/// Looks the certificate of a call up in the allow-list.
///
/// # Errors
///
/// [`VaultError::Certificate`].
pub fn identify(
    tables: &Tables,
    facts: &vault_ipc::Caller,
    purpose: Use,
    now: Timestamp,
) -> Result<Caller, VaultError> {
    let origin = Origin::new(&facts.address, &facts.via)?;
    let unknown = VaultError::Certificate(CertificateProblem::Unknown);
    let Ok(serial) = <[u8; 16]>::try_from(facts.serial.as_slice()).map(Serial) else {
        return Err(unknown);
    };
    let Some(certificate) = tables.certificates.get(&serial) else {
        return Err(unknown);
    };
    if certificate.fingerprint.0.as_slice() != facts.fingerprint {
        return Err(unknown);
    }
    let (name, role) = holder(tables, certificate)?;
    check_life(tables, certificate, role, purpose, now)?;
    let listener = facts.listener();
    let expected = if role.is_operator() { Listener::Operator } else { Listener::Bot };
    if listener != expected {
        return Err(VaultError::Certificate(CertificateProblem::WrongListener));
    }
    Ok(Caller { name, role, serial, origin, listener })
}

/// The certificate of a call, for the key that commands are verified with.
pub fn certificate<'t>(
    tables: &'t Tables,
    serial: &Serial,
) -> Result<&'t CertificateRow, VaultError> {
    tables.certificates.get(serial).ok_or(VaultError::Certificate(CertificateProblem::Unknown))
}

/// Whether an operator's certificate is still good, for streams that are long open.
pub fn still_allowed(tables: &Tables, serial: &Serial, now: Timestamp) -> bool {
    tables.certificates.get(serial).is_some_and(|certificate| {
        holder(tables, certificate)
            .and_then(|(_, role)| check_life(tables, certificate, role, Use::Call, now))
            .is_ok()
    })
}

fn holder(tables: &Tables, certificate: &CertificateRow) -> Result<(Name, Role), VaultError> {
    let (name, role, state) = match &certificate.holder {
        Holder::Client(name) => {
            let row = tables.clients.get(name);
            (name, row.map(|row| row.role), row.map(|row| row.state))
        }
        Holder::Operator(name) => {
            let row = tables.operators.get(name);
            (name, row.map(|row| row.role), row.map(|row| row.state))
        }
    };
    match (role, state) {
        (Some(role), Some(HolderState::Active)) => Ok((name.clone(), role)),
        _ => Err(VaultError::Certificate(CertificateProblem::Revoked)),
    }
}

fn check_life(
    tables: &Tables,
    certificate: &CertificateRow,
    role: Role,
    purpose: Use,
    now: Timestamp,
) -> Result<(), VaultError> {
    let problem = |problem| Err(VaultError::Certificate(problem));
    if certificate.state == CertificateState::Revoked {
        return problem(CertificateProblem::Revoked);
    }
    match purpose {
        Use::Call if now >= certificate.not_after => problem(CertificateProblem::Expired),
        Use::Call => Ok(()),
        Use::Renewal => {
            let grace =
                if role.is_operator() { std::time::Duration::ZERO } else { lifetime::CLIENT_GRACE };
            // A certificate that was renewed may ask again for a while: its answer may be lost.
            let renewed_long_ago = certificate.state == CertificateState::Superseded
                && tables
                    .renewals_of(certificate.serial)
                    .any(|child| child.issued_at.plus(RENEWAL_RETRY) < now);
            if now >= certificate.not_after.plus(grace) {
                problem(CertificateProblem::Expired)
            } else if renewed_long_ago {
                problem(CertificateProblem::NotRenewable)
            } else {
                Ok(())
            }
        }
    }
}

/// The role as the wire has it.
pub fn wire_role(role: Role) -> proto::v1::Role {
    match role {
        Role::Admin => proto::v1::Role::Admin,
        Role::Auditor => proto::v1::Role::Auditor,
        Role::Bot => proto::v1::Role::Bot,
        Role::Guard => proto::v1::Role::Guard,
        Role::Pricer => proto::v1::Role::Pricer,
    }
}

/// The role of a wire value.
///
/// # Errors
///
/// [`VaultError::Field`] for none.
pub fn model_role(role: i32) -> Result<Role, VaultError> {
    match proto::v1::Role::try_from(role) {
        Ok(proto::v1::Role::Admin) => Ok(Role::Admin),
        Ok(proto::v1::Role::Auditor) => Ok(Role::Auditor),
        Ok(proto::v1::Role::Bot) => Ok(Role::Bot),
        Ok(proto::v1::Role::Guard) => Ok(Role::Guard),
        Ok(proto::v1::Role::Pricer) => Ok(Role::Pricer),
        Ok(proto::v1::Role::Unspecified) | Err(_) => Err(VaultError::Field("role is not set")),
    }
}

const RENEWAL_RETRY: std::time::Duration = std::time::Duration::from_secs(15 * 60);
