//! Locked memory for secrets: never swapped, in no dump, in no child, wiped before it is used again.
//!
//! A process that holds secrets calls [`init`] before anything else; from then on every [`Block`] lies
//! in one region, with pages around each size class that nobody may touch:
//!
//! ```text
//! guard | 64 B slots | guard | 256 B | guard | 1 KiB | guard | 4 KiB | guard | 16 KiB | guard
//! ```
//!
//! The region is a `memfd_secret(2)` mapping where the kernel has it: its pages are not in the kernel's
//! own map of memory, so that neither `/proc/PID/mem` nor a debugger reads them, not even as root. Else
//! it is locked memory that dumps and children do not get. What finds no slot (longer than 16 KiB, or
//! all slots taken) gets locked memory of its own, and where that is refused heap: both are counted in
//! [`status`] and logged, neither fails. In a process that never calls [`init`] (a client's), blocks are
//! heap, wiped on drop.
//!
//! Metadata lies outside the region, so a slot's neighbour can be no link of a list. No lock here can
//! be poisoned into a panic: nothing panics while one is held, and one that was poisoned still opens.
//!
//! After [`init`] and [`lock_memory`] the only system calls are those of memory of its own: `mmap`,
//! `mlock`, `madvise`, `munmap`.

mod block;
mod pool;
mod system;

use std::sync::OnceLock;

pub use block::Block;
use pool::Pool;

/// What secrets lie in. In order of strength.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `memfd_secret`: locked, in no dump, unreadable through the kernel, root included.
    MemfdSecret,
    /// `mlock` with `MADV_DONTDUMP` and `MADV_DONTFORK`: root can read it.
    Locked,
    /// Plain heap: it can be swapped and dumped. Also before [`init`].
    Unlocked,
}

impl Kind {
    /// Its word in the vault's status: `memfd_secret`, `locked` or `unlocked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MemfdSecret => "memfd_secret",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
        }
    }
}

/// What became of the arena.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// What the slots lie in.
    pub kind: Kind,
    /// Size of all slots together.
    pub bytes: usize,
    /// Blocks that found no slot since the start, and got memory of their own.
    pub overflows: u64,
    /// Those among them that could not be locked.
    pub unlocked: u64,
}

/// Maps the arena: about `bytes` of slots, half of it and so on down to 64 KiB where the system locks
/// no more. Does so once per process; later calls only say what there is.
///
/// To be called before the process is confined, and before it holds its first secret.
pub fn init(bytes: usize) -> Kind {
    let mut is_new = false;
    let pool = ARENA.get_or_init(|| {
        is_new = true;
        Pool::new(system::KERNEL, bytes)
    });
    let status = pool.status();
    if is_new && (status.kind == Kind::Unlocked || status.bytes <= bytes / 2) {
        tracing::warn!(kind = ?status.kind, bytes = status.bytes, "less locked memory for secrets");
    }
    status.kind
}

/// Locks what the process has mapped now (`mlockall(MCL_CURRENT | MCL_ONFAULT)`); says whether it did.
///
/// Not what is mapped later (`MCL_FUTURE`): Argon2 takes 512 MiB for a moment. A process without
/// privileges needs a `RLIMIT_MEMLOCK` above all that it has mapped, or gets `false`.
pub fn lock_memory() -> bool {
    system::lock_all()
}

/// What the arena is now. Before [`init`]: [`Kind::Unlocked`], and nothing counted.
pub fn status() -> Status {
    let none = Status { kind: Kind::Unlocked, bytes: 0, overflows: 0, unlocked: 0 };
    ARENA.get().map_or(none, Pool::status)
}

static ARENA: OnceLock<Pool> = OnceLock::new();
