//! Dumps, tracers, privileges.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The system refuses what every Linux grants.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct ConfineError {
    /// What was tried.
    pub what: &'static str,
    /// Why not.
    pub source: std::io::Error,
}

/// Gives up dumps, new privileges and every capability, for this process and what it starts.
///
/// A process that it starts has to call this too: exec makes a process dumpable again. Root is still
/// root to files that belong to root, and to nothing else. What may be locked into memory is raised to
/// what the system grants, for the right to do so goes with the capabilities.
///
/// # Errors
///
/// [`ConfineError`]. What was given up until then stays given up.
pub fn confine() -> Result<(), ConfineError> {
    let fail = |what| move |error: Errno| ConfineError { what, source: error.into() };
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(fail("forbid core dumps"))?;
    lock_freely();
    rustix::thread::set_no_new_privs(true).map_err(fail("give up new privileges"))?;
    drop_bounding().map_err(fail("give up capabilities"))?;
    match rustix::thread::clear_ambient_capability_set() {
        // A kernel without ambient capabilities.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(fail("give up ambient capabilities")(error)),
    }
    let empty = CapabilitySet::empty();
    let sets = CapabilitySets { effective: empty, permitted: empty, inheritable: empty };
    rustix::thread::set_capabilities(None, sets).map_err(fail("give up capabilities"))?;
    // After the capabilities: a change of those may make a process dumpable again.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(fail("forbid dumps and tracers"))
}

/// Whether the process can be neither dumped nor traced by its own user.
pub(crate) fn dumps_are_off() -> bool {
    let core = rustix::process::getrlimit(Resource::Core);
    let behavior = rustix::process::dumpable_behavior();
    core.maximum == Some(0) && behavior == Ok(DumpableBehavior::NotDumpable)
}

/// What an exec could give at most. A user without `CAP_SETPCAP` cannot shrink it, and has nothing
/// that would come back.
fn drop_bounding() -> Result<(), Errno> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => {}
            Ok(false) => continue,
            // The kernel knows no more of them.
            Err(_) => break,
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::PERM) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock_freely() {
    let all = Rlimit { current: None, maximum: None };
    if rustix::process::setrlimit(Resource::Memlock, all).is_err() {
        let granted = rustix::process::getrlimit(Resource::Memlock).maximum;
        // Whether enough could be locked is seen, and said, where it is locked.
        let _ = rustix::process::setrlimit(
            Resource::Memlock,
            Rlimit { current: granted, maximum: granted },
        );
    }
}
