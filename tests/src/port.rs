//! Ports that belong to one vault for its whole life, through restarts.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};

/// Below the ports that the kernel gives out by itself, so that no outgoing connection can take one
/// while its vault is down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1 that no other test takes while the value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("countersign-test-ports");
        fs::create_dir_all(&folder).expect("a folder for the locks");
        let start = seed() % COUNT;
        for offset in 0..COUNT {
            let number = FIRST + (start + offset) % COUNT;
            let Ok(lock) = File::create(folder.join(number.to_string())) else { continue };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port is free");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn seed() -> u16 {
    let mut bytes = [0; 2];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    u16::from_le_bytes(bytes)
}
