//! The near side of the local socket: one call, one answer.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message;
use vault_core::DataDir;
use vault_core::seal::CoreIdentity;
use vault_ipc::proto::v1::StatusResponse;
use vault_ipc::{Kind, LocalCall, LocalOperation, Reply};

use crate::fault::{Exit, Fault};
use crate::supervisor::listener::connect_local;

/// How long an answer is waited for: longer than the supervisor waits for the core.
const ANSWER: Duration = Duration::from_secs(150);
const CORRELATION: u64 = 1;

/// A connection to the vault that runs on a data directory.
pub struct Vault {
    data: PathBuf,
    stream: UnixStream,
}

impl Vault {
    /// Connects.
    pub fn connect(data: &Path) -> Result<Self, Fault> {
        let socket = DataDir::new(data).socket();
        let unreachable = |error: std::io::Error| {
            let fault = Fault::new(Exit::Unreachable, format!("{}: {error}", socket.display()));
            match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    fault.with_hint("only root and the data directory's owner may speak to it")
                }
                _ => fault.with_hint("is the vault running? vault-server run --data DIR"),
            }
        };
        let stream = connect_local(&socket).map_err(unreachable)?;
        stream
            .set_read_timeout(Some(ANSWER))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER)))
            .map_err(|error| Fault::other(format!("local socket: {error}")))?;
        Ok(Self { data: data.to_owned(), stream })
    }

    /// Makes a call without a body.
    pub fn ask<R: Message + Default>(&mut self, operation: LocalOperation) -> Result<R, Fault> {
        self.call(operation, Vec::new())
    }

    /// Makes a call.
    pub fn call<R: Message + Default>(
        &mut self,
        operation: LocalOperation,
        body: Vec<u8>,
    ) -> Result<R, Fault> {
        // The supervisor fills in who we are.
        let call = LocalCall { operation: operation.into(), body, uid: 0 };
        let broken = |_| {
            Fault::new(Exit::Unreachable, "the vault hung up before it answered")
                .with_hint("see its log; only root and the data directory's owner are heard")
        };
        vault_ipc::write(&mut self.stream, Kind::Local, CORRELATION, &call).map_err(broken)?;
        let frame = vault_ipc::read(&mut self.stream).map_err(broken)?;
        let frame = frame.ok_or(vault_ipc::FrameError::Body).map_err(broken)?;
        if frame.kind != Kind::Reply || frame.correlation != CORRELATION {
            return Err(not_acceptable());
        }
        let reply: Reply = frame.message().map_err(|_| not_acceptable())?;
        match reply.failure {
            Some(failure) => Err(failure.into()),
            None => R::decode(reply.response.as_slice()).map_err(|_| not_acceptable()),
        }
    }

    /// How the vault is.
    pub fn status(&mut self) -> Result<StatusResponse, Fault> {
        self.ask(LocalOperation::Status)
    }

    /// Fingerprint of the core identity, from the data directory itself: whoever answers on the
    /// socket cannot choose it.
    pub fn core_fingerprint(&self) -> Result<[u8; 32], Fault> {
        let identity = CoreIdentity::load(&self.data)
            .map_err(|error| Fault::other(crate::child::chain(&error)))?;
        Ok(identity.fingerprint())
    }
}

fn not_acceptable() -> Fault {
    Fault::new(Exit::NotVerified, "the answer on the local socket is not a vault's")
}
