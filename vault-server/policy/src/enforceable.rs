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
    let counted = [
        ("cumulative.notional_usd", Class::Trade, !caps.notional_usd.is_empty()),
        ("cumulative.orders", Class::Trade, !caps.orders.is_empty()),
        ("withdrawal.per_day", Class::Withdraw, document.withdrawal.is_some()),
    ];
    for (cap, class, is_there) in counted {
        if !is_there || !grants(class) {
            continue;
        }
        let twice = |credential: &&Name| venues_once(credential) == Some(false);
        if let Some(credential) = document.credentials.iter().find(twice) {
            return Err(NotEnforceable::SignatureTwice { cap, credential: credential.clone() });
        }
    }
    Ok(())
}
