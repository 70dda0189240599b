//! Who a caller is to the vault, and from where its call came: for whoever sets a client up.

use vault_ipc::WhoamiCall;
use vault_ipc::proto::v1;
use vault_model::Timestamp;

use crate::caller::{Caller, Origin, Use, identify};
use crate::journal::Channel;
use crate::vault::Vault;

impl Vault {
    /// Answers what the caller could know of itself but does not see: nothing is logged but a refusal,
    /// and that as for every call of somebody unknown. An address that the rules refuse is answered
    /// too, since this is how its owner learns of it.
    pub(crate) fn whoami(&mut self, call: &WhoamiCall, id: u64, now: Timestamp) {
        match identify(self.tables(), &call.caller, Use::Call, now) {
            Ok(caller) => {
                let answer = self.seen(&caller, now);
                self.journal.answer(Channel::Front, id, &answer);
            }
            Err(error) => {
                if let Ok(origin) = Origin::new(&call.caller.address, &call.caller.via) {
                    self.count_auth_failure(&origin, &error, now);
                }
                self.journal.refuse(Channel::Front, id, &error, None);
            }
        }
    }

    fn seen(&self, caller: &Caller, now: Timestamp) -> v1::WhoamiResponse {
        let tables = self.tables();
        let sealed = self.open.is_none();
        let is_judged = !sealed && !caller.role.is_operator();
        let client = tables.clients.get(&caller.name).filter(|_| is_judged);
        let scope = client.and_then(|client| client.scope.as_ref());
        let not_after = tables.certificates.get(&caller.serial).map(|row| row.not_after);
        v1::WhoamiResponse {
            role: caller.role.as_str().to_owned(),
            name: caller.name.to_string(),
            address: caller.origin.address.map(|address| address.to_string()).unwrap_or_default(),
            via: caller.origin.proxy().unwrap_or_default().to_owned(),
            certificate_not_after_ms: not_after.unwrap_or_default().millis(),
            time_ms: now.millis(),
            scope: scope.map(ToString::to_string).unwrap_or_default(),
            address_allowed: is_judged && self.check_networks(caller).is_ok(),
            sealed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
