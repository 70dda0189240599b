//! Tickets: keys to which one secret may be sealed, once, within ten minutes.

use std::collections::HashMap;
use std::time::Duration;

use ring::rand::SecureRandom;
use vault_ipc::proto::sealed::{TicketKey, UNSEAL, ticket_signing_bytes};
use vault_ipc::proto::v1::SealTicket;
use vault_model::{Name, SecretBytes, Timestamp};

use crate::error::VaultError;
use crate::vault::Vault;

/// Tickets that were given out and not used.
#[derive(Default)]
pub struct Tickets(HashMap<Vec<u8>, Issued>);

struct Issued {
    key: TicketKey,
    ticket: SealTicket,
    /// The operator who asked, where it matters.
    holder: Option<Name>,
    expires_at: Timestamp,
}

impl Vault {
    /// Makes a ticket, signed by the core identity.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] without random numbers.
    pub(crate) fn issue_ticket(
        &mut self,
        purpose: &str,
        holder: Option<&Name>,
        now: Timestamp,
    ) -> Result<SealTicket, VaultError> {
        // One unseal ticket serves all who ask while nobody has used it: a monitor that asks for the
        // status must not push out the one that a person is typing a passphrase for.
        let shared = self.tickets.0.values().find(|issued| {
            purpose == UNSEAL
                && issued.ticket.purpose == UNSEAL
                && issued.expires_at > now.plus(LIFETIME / 2)
        });
        if let Some(issued) = shared {
            return Ok(issued.ticket.clone());
        }
        let mut id = vec![0; 16];
        self.rng.fill(&mut id).map_err(|_| VaultError::Internal("no random numbers"))?;
        let key = TicketKey::generate();
        let expires_at = now.plus(LIFETIME);
        let mut ticket = SealTicket {
            id: id.clone(),
            purpose: purpose.to_owned(),
            public_key: key.public_key().to_vec(),
            expires_at_ms: expires_at.millis(),
            signature: Vec::new(),
            core_public_key: self.identity.public_key().to_vec(),
            instance_id: self.instance.instance_id.0.to_vec(),
        };
        ticket.signature = self.identity.sign(&ticket_signing_bytes(&ticket)).to_vec();

        let tickets = &mut self.tickets.0;
        tickets.retain(|_, issued| issued.expires_at > now);
        if tickets.len() >= TICKETS_MAX
            && let Some(oldest) =
                tickets.iter().min_by_key(|(_, issued)| issued.expires_at).map(|(id, _)| id.clone())
        {
            tickets.remove(&oldest);
        }
        let issued = Issued { key, ticket: ticket.clone(), holder: holder.cloned(), expires_at };
        tickets.insert(id, issued);
        Ok(ticket)
    }

    /// Opens what was sealed to a ticket; the ticket is used up, whatever comes of it.
    ///
    /// # Errors
    ///
    /// [`VaultError::SealedSecret`].
    pub(crate) fn open_sealed(
        &mut self,
        ticket_id: &[u8],
        purpose: &str,
        holder: Option<&Name>,
        metadata: &[u8],
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<SecretBytes, VaultError> {
        let issued = self.tickets.0.remove(ticket_id).ok_or(VaultError::SealedSecret)?;
        if issued.expires_at <= now
            || issued.ticket.purpose != purpose
            || issued.holder.as_ref() != holder
        {
            return Err(VaultError::SealedSecret);
        }
        let mut opened = issued
            .key
            .open(&issued.ticket, metadata, sealed)
            .map_err(|_| VaultError::SealedSecret)?;
        Ok(SecretBytes::new(std::mem::take(&mut *opened)))
    }
}

const LIFETIME: Duration = Duration::from_secs(600);
const TICKETS_MAX: usize = 64;
