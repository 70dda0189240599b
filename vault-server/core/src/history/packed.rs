//! Histories as bytes, for a snapshot.

use vault_model::{Name, NotPacked, Pack, Unpack};
use vault_policy::{History, Span};

use super::Histories;
use crate::snapshot;

impl Histories {
    /// Writes all of it.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { clients, scopes, empty: _, keys, whole_since, added, tidied_at, sweep: _ } =
            self;
        pack.number(u64::from(keys.as_seconds()));
        pack.clock(*whole_since);
        pack.number(u64::from(*added));
        pack.clock(*tidied_at);
        let name = |pack: &mut Pack<'_>, name: &Name| pack.text(name.as_str());
        snapshot::pack_parts(clients, pack, name, |pack, history| history.pack(pack));
        snapshot::pack_map(scopes, pack, name, |pack, history| history.pack(pack));
    }

    /// Reads what [`Histories::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let seconds = u32::try_from(unpack.number()?).map_err(|_| NotPacked)?;
        Ok(Self {
            keys: Span::seconds(seconds).ok_or(NotPacked)?,
            whole_since: unpack.clock()?,
            added: u32::try_from(unpack.number()?).map_err(|_| NotPacked)?,
            tidied_at: unpack.clock()?,
            clients: snapshot::unpack_parts(unpack, Unpack::name, History::unpack)?,
            scopes: snapshot::unpack_map(unpack, Unpack::name, History::unpack)?,
            empty: History::default(),
            sweep: None,
        })
    }

    /// From now on orders and client order ids are remembered for this long. What was forgotten
    /// stays so.
    pub fn set_keys(&mut self, keys: Span) {
        self.keys = keys;
    }
}
