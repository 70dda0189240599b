//! The local socket, spoken to frame by frame.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use vault_client::v1;
use vault_ipc::{Failure, Kind, LocalCall, LocalOperation, Reply};
use vault_proto::sealed;

/// A connection to the local socket.
#[derive(Debug)]
pub struct Local(UnixStream);

impl Local {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody listens.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the local socket");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        Self(stream)
    }

    /// Makes one call.
    ///
    /// # Errors
    ///
    /// The vault's refusal.
    ///
    /// # Panics
    ///
    /// If the connection breaks.
    pub fn call<R: Message + Default>(
        &mut self,
        operation: LocalOperation,
        body: Vec<u8>,
    ) -> Result<R, Box<Failure>> {
        let call = LocalCall { operation: operation.into(), body, uid: 0 };
        let mut bytes = Vec::new();
        vault_ipc::encode(Kind::Local, 1, &call, &mut bytes).expect("short");
        self.0.write_all(&bytes).expect("written");
        let frame = vault_ipc::read(&mut self.0).expect("a frame").expect("an answer");
        let reply: Reply = frame.message().expect("a reply");
        match reply.failure {
            Some(failure) => Err(Box::new(failure)),
            None => Ok(R::decode(reply.response.as_slice()).expect("the response")),
        }
    }

    /// The state of the vault.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub fn status(&mut self) -> v1::StatusResponse {
        self.call(LocalOperation::Status, Vec::new()).expect("the status")
    }

    /// Tries a passphrase.
    ///
    /// # Errors
    ///
    /// The vault's refusal.
    pub fn unseal(&mut self, passphrase: &str) -> Result<v1::UnsealResponse, Box<Failure>> {
        // A vault that gives no ticket (it is open, or refuses) must refuse this one too.
        let ticket = self.status().unseal_ticket;
        let command = match ticket {
            Some(ticket) => v1::UnsealCommand {
                sealed: sealed::seal(&ticket, &[], passphrase.as_bytes()).expect("a true ticket"),
                ticket_id: ticket.id,
            },
            None => v1::UnsealCommand { ticket_id: vec![0; 16], sealed: vec![0; 64] },
        };
        self.call(LocalOperation::Unseal, command.encode_to_vec())
    }
}
