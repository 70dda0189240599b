//! The threads that sign. They have a text and a parsed key, and know of nothing else.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use vault_model::{Name, Timestamp};
use vault_venue::{PrivateKey, SignedText};

use super::{Done, Ready};
use crate::crypto::stack::wiping_stack;
use crate::inbox::InputSender;
use crate::run::Input;

/// A text to sign, and what must be known of it later.
pub(super) struct Job {
    pub id: u64,
    pub key: Arc<PrivateKey>,
    pub text: Vec<u8>,
    pub credential: Name,
    pub version: u32,
    pub at: Timestamp,
    pub unique: [u8; 16],
}

impl Job {
    /// Signs, and lets the key go.
    pub fn sign(self) -> Done {
        let Self { id: job, key, text, credential, version, at, unique } = self;
        let began = Instant::now();
        let signature = key.sign(&text).ok().map(|signature| {
            let signed = SignedText { text, signature };
            Box::new(Ready { signed, credential, version, at, unique, took: began.elapsed() })
        });
        Done { job, signature }
    }
}

/// Starts the workers. They end with the sender, or when nobody takes what they have signed.
///
/// # Errors
///
/// The operating system's.
pub(super) fn spawn(core: &InputSender) -> io::Result<Sender<Job>> {
    let (sender, jobs) = channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..count(thread::available_parallelism().map_or(1, NonZeroUsize::get)) {
        let (jobs, core) = (Arc::clone(&jobs), core.clone());
        thread::Builder::new().name("signer".to_owned()).spawn(move || work(&jobs, &core))?;
    }
    Ok(sender)
}

fn work(jobs: &Mutex<Receiver<Job>>, core: &InputSender) {
    stand_back();
    loop {
        // Who waits for a job holds the lock; the others wait for it.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else {
            return;
        };
        if core.send(Input::Signed(wiping_stack(|| job.sign()))).is_err() {
            return;
        }
    }
}

/// How many workers a machine gets: the decision thread and the writer have a processor each.
fn count(processors: usize) -> usize {
    processors.saturating_sub(2).clamp(1, WORKERS_MAX)
}

/// Lets the decision thread go first where there are fewer processors than threads.
fn stand_back() {
    // On Linux "no process" is the calling thread alone. Where it is refused, it is no worse.
    let _ = rustix::process::setpriority_process(None, NICE);
}

const NICE: i32 = 5;
const WORKERS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey};
    use vault_model::{SecretBytes, Timestamp};
    use vault_venue::{Key, KeyType, Registry};

    use super::{Job, count, spawn};
    use crate::inbox::{Socket, inbox};
    use crate::run::Input;

    #[test]
    fn what_is_handed_out_comes_back_signed_and_the_key_is_let_go() {
        let registry = Registry::bundled().expect("catalogues");
        let pair = Ed25519KeyPair::generate().expect("a key");
        let pem = crate::server::pem("PRIVATE KEY", pair.to_pkcs8v1().expect("PKCS#8").as_ref());
        let secret = SecretBytes::copy_of(pem.as_bytes());
        let key = Key {
            api_key: "key",
            secret: &secret,
            passphrase: None,
            key_type: KeyType::Ed25519,
            private_key: None,
        };
        let parsed = registry.venue("binance").expect("a venue").private_key(&key);
        let parsed = Arc::new(parsed.expect("parsed").expect("a private key"));

        let (core, inbox) = inbox().expect("an inbox");
        let (egress, _egress) = UnixStream::pair().expect("a pair");
        let egress = Socket::new(egress);
        let jobs = spawn(&core).expect("workers");
        for id in 0..8_u8 {
            let job = Job {
                id: id.into(),
                key: Arc::clone(&parsed),
                text: vec![id],
                credential: "main".parse().expect("a name"),
                version: 1,
                at: Timestamp(0),
                unique: [0; 16],
            };
            jobs.send(job).expect("workers take it");
        }
        let mut back = Vec::new();
        while back.len() < 8 {
            let late = Instant::now() + Duration::from_secs(60);
            inbox.wait(&egress, None, late).expect("woken");
            back.extend(std::iter::from_fn(|| inbox.next()));
        }
        assert_eq!(Arc::strong_count(&parsed), 1, "no worker has the key any more");
        for input in back {
            let Input::Signed(done) = input else { panic!("what a worker has signed") };
            let ready = done.signature.expect("signed");
            assert_eq!(ready.signed.text.first().copied().map(u64::from), Some(done.job));
            UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, pair.public_key().as_ref())
                .verify(&ready.signed.text, &ready.signed.signature)
                .expect("a signature of it");
        }
    }

    #[test]
    fn workers_leave_room_and_there_is_always_one() {
        assert_eq!([1, 2, 3, 4, 6, 64].map(count), [1, 1, 1, 2, 4, 4]);
    }
}
