//! Whether the caps of a scope are such that the vault can keep them.

use vault_model::{Class, Mode, Name};

use crate::document::ScopeDocument;

/// A scope promises a cap that nobody could keep. Says why, and what would help.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotEnforceable {
    /// A cap on open orders, where the bot sends.
    #[error(
        "open_orders does not hold in mode sign: the vault is not told what becomes of orders that \
         it does not send; grant mode execute alone, or leave the cap out"
    )]
    OpenOrders,
    /// A cap on withdrawals, where the bot sends.
    #[error(
        "withdrawal.per_day does not hold in mode sign: a signature of a withdrawal can be kept and \
         sent on another day; grant mode execute alone, or leave the class withdraw out"
    )]
    Withdrawals,
    /// A cap that counts, where a signature may be good twice.
    #[error(
        "{cap} does not hold in mode sign with credential {credential}: its venue may take one \
         signature twice; grant mode execute alone, or leave the cap or the credential out"
    )]
    SignatureTwice {
        /// The key of the cap.
        cap: &'static str,
        /// The credential.
        credential: Name,
    },
}

/// Checks that every cap of a scope that counts can be kept. `venues_once` says of a credential
/// whether its venue takes a signature once at most; `None` for one that is not there yet, which is
/// not judged: its requests will be.
///
/// # Errors
///
/// [`NotEnforceable`], for the first cap and the first credential by name.
pub fn enforceable(
    document: &ScopeDocument,
    venues_once: impl Fn(&Name) -> Option<bool>,
) -> Result<(), NotEnforceable> {
    if !document.modes.contains(&Mode::Sign) {
        return Ok(());
    }
    let grants = |class| document.classes.contains(&class);
    let caps = &document.cumulative;
    if grants(Class::Trade) && caps.open_orders.is_some() {
        return Err(NotEnforceable::OpenOrders);
    }
    if grants(Class::Withdraw) && document.withdrawal.is_some() {
        return Err(NotEnforceable::Withdrawals);
    }
    if !grants(Class::Trade) {
        return Ok(());
    }
    let counted = [
        ("cumulative.notional_usd", !caps.notional_usd.is_empty()),
        ("cumulative.orders", !caps.orders.is_empty()),
    ];
    for (cap, _) in counted.into_iter().filter(|(_, is_there)| *is_there) {
        let twice = |credential: &&Name| venues_once(credential) == Some(false);
        if let Some(credential) = document.credentials.iter().find(twice) {
            return Err(NotEnforceable::SignatureTwice { cap, credential: credential.clone() });
        }
    }
    Ok(())
}
