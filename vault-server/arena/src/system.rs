//! The system calls: everything that maps memory, behind one trait.

use std::fmt;
use std::ptr::NonNull;

use crate::Kind;

/// Where memory comes from: the kernel, or a test.
pub(crate) trait Memory: Sync {
    /// Maps regions of at least these sizes, all zero, with untouchable pages before, between and
    /// behind them; returns where each begins. `None` if there is no memory of this kind.
    fn map(&'static self, kind: Kind, sizes: &[usize]) -> Option<(Mapping, Vec<NonNull<u8>>)>;

    /// Gives a mapping back.
    ///
    /// # Safety
    ///
    /// `base` and `bytes` are those of a [`Mapping`] that `map` made; nothing in it is used again.
    unsafe fn unmap(&self, base: NonNull<u8>, bytes: usize);
}

/// Some mapped regions with their guards. Unmapped on drop.
pub(crate) struct Mapping {
    system: &'static dyn Memory,
    base: NonNull<u8>,
    bytes: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by this system's `map`; whoever owns a mapping drops it last.
        unsafe { self.system.unmap(self.base, self.bytes) }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) use linux::{KERNEL, lock_all};
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) use nothing::{KERNEL, lock_all};

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    use std::ffi::c_void;
    use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
    use std::ptr::{NonNull, null_mut};

    use rustix::io::Errno;
    use rustix::mm::{Advice, MapFlags, MlockAllFlags, ProtFlags};

    use super::{Mapping, Memory};
    use crate::Kind;

    pub(crate) const KERNEL: &dyn Memory = &Kernel;

    struct Kernel;

    impl Memory for Kernel {
        fn map(&'static self, kind: Kind, sizes: &[usize]) -> Option<(Mapping, Vec<NonNull<u8>>)> {
            let page = rustix::param::page_size();
            let sizes: Vec<usize> = sizes
                .iter()
                .map(|bytes| bytes.max(&1).checked_next_multiple_of(page))
                .collect::<Option<_>>()?;
            let secret = sizes.iter().try_fold(0_usize, |sum, bytes| sum.checked_add(*bytes))?;
            let guards = (sizes.len() + 1).checked_mul(page)?;
            let mapping = reserve(secret.checked_add(guards)?).ok()?;
            let file = match kind {
                Kind::MemfdSecret => Some(secret_file(secret).ok()?),
                Kind::Locked => None,
                Kind::Unlocked => return None,
            };

            let (mut starts, mut at, mut offset) = (Vec::with_capacity(sizes.len()), page, 0);
            for bytes in sizes {
                // SAFETY: the reservation has a guard, then `bytes`, then a guard from there on.
                let start = unsafe { mapping.base.add(at) };
                // SAFETY: `start` and `bytes` are whole pages within the reservation that is this
                // function's own, and nothing points there yet.
                unsafe { fill(start, bytes, file.as_ref(), offset) }.ok()?;
                starts.push(start);
                at += bytes + page;
                offset += bytes;
            }
            // With this a child has no copy at all, so `MADV_WIPEONFORK` would wipe nothing.
            // SAFETY: advice on the mapping just made; it changes no byte.
            unsafe {
                rustix::mm::madvise(
                    mapping.base.as_ptr().cast(),
                    mapping.bytes,
                    Advice::LinuxDontFork,
                )
            }
            .ok()?;
            Some((mapping, starts))
        }

        unsafe fn unmap(&self, base: NonNull<u8>, bytes: usize) {
            // SAFETY: the caller's promise. It can only fail for arguments that are no mapping.
            let _ = unsafe { rustix::mm::munmap(base.as_ptr().cast(), bytes) };
        }
    }

    pub(crate) fn lock_all() -> bool {
        rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT).is_ok()
    }

    /// Addresses that nobody may touch.
    fn reserve(bytes: usize) -> Result<Mapping, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping where the kernel likes it.
        let base =
            unsafe { rustix::mm::mmap_anonymous(null_mut(), bytes, ProtFlags::empty(), flags) }?;
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Mapping { system: KERNEL, base, bytes })
    }

    /// A file in memory that the kernel itself cannot read.
    fn secret_file(bytes: usize) -> Result<OwnedFd, Errno> {
        // SAFETY: takes a number and returns a descriptor or -1.
        let number = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let number = i32::try_from(number).ok().filter(|number| *number >= 0);
        let number = number.ok_or(Errno::NOSYS)?;
        // SAFETY: fresh from the kernel, and nobody else's.
        let file = unsafe { OwnedFd::from_raw_fd(number) };
        rustix::fs::ftruncate(&file, bytes as u64)?;
        Ok(file)
    }

    /// Puts locked, zero pages into a reservation: of the file, or anonymous ones.
    ///
    /// # Safety
    ///
    /// `start` and `bytes` are whole pages of a reservation of the caller's that nothing points to.
    unsafe fn fill(
        start: NonNull<u8>,
        bytes: usize,
        file: Option<&OwnedFd>,
        offset: usize,
    ) -> Result<(), Errno> {
        let at: *mut c_void = start.as_ptr().cast();
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        match file {
            Some(file) => {
                let flags = MapFlags::SHARED | MapFlags::FIXED;
                // SAFETY: replaces pages that the caller vouches for. Fails with `EAGAIN` where the
                // process may not lock so much.
                unsafe { rustix::mm::mmap(at, bytes, rights, flags, file.as_fd(), offset as u64) }?;
                for page in (0..bytes).step_by(rustix::param::page_size()) {
                    // A page that cannot be had ends the process here, at the start, and not within
                    // a signature.
                    // SAFETY: within what was just mapped for writing.
                    unsafe { start.add(page).write_volatile(0) };
                }
            }
            None => {
                let flags = MapFlags::PRIVATE | MapFlags::FIXED;
                // SAFETY: as above.
                unsafe { rustix::mm::mmap_anonymous(at, bytes, rights, flags) }?;
                // SAFETY: locks and advises on what was just mapped; both change no byte.
                unsafe { rustix::mm::mlock(at, bytes) }?;
                // SAFETY: as above.
                unsafe { rustix::mm::madvise(at, bytes, Advice::LinuxDontDump) }?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests;
}

/// Systems where nothing is known to lock memory, and miri.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod nothing {
    use std::ptr::NonNull;

    use super::{Mapping, Memory};
    use crate::Kind;

    pub(crate) const KERNEL: &dyn Memory = &Nothing;

    struct Nothing;

    impl Memory for Nothing {
        fn map(&'static self, _: Kind, _: &[usize]) -> Option<(Mapping, Vec<NonNull<u8>>)> {
            None
        }

        unsafe fn unmap(&self, _: NonNull<u8>, _: usize) {}
    }

    pub(crate) fn lock_all() -> bool {
        false
    }
}

/// Memory for tests, in which miri sees every step too.
#[cfg(test)]
pub(crate) mod plain {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Mapping, Memory};
    use crate::Kind;

    /// Has memory of one kind, so many times, and no more than some bytes at once.
    pub(crate) struct Plain {
        pub(crate) kind: Kind,
        pub(crate) bytes_max: usize,
        pub(crate) times: AtomicUsize,
    }

    impl Memory for Plain {
        fn map(&'static self, kind: Kind, sizes: &[usize]) -> Option<(Mapping, Vec<NonNull<u8>>)> {
            let bytes: usize = sizes.iter().map(|bytes| bytes.next_multiple_of(16)).sum();
            let times = &self.times;
            let left = |times: usize| times.checked_sub(1);
            if kind != self.kind
                || bytes > self.bytes_max
                || times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err()
            {
                return None;
            }
            // SAFETY: the size is not zero.
            let base = NonNull::new(unsafe { alloc_zeroed(layout(bytes)) })?;
            let mut at = 0;
            let starts = sizes.iter().map(|bytes| {
                // SAFETY: all sizes together are those of the allocation.
                let start = unsafe { base.add(at) };
                at += bytes.next_multiple_of(16);
                start
            });
            let starts = starts.collect();
            Some((Mapping { system: self, base, bytes }, starts))
        }

        unsafe fn unmap(&self, base: NonNull<u8>, bytes: usize) {
            self.times.fetch_add(1, Ordering::Relaxed);
            // SAFETY: allocated in `map` with the same layout.
            unsafe { dealloc(base.as_ptr(), layout(bytes)) }
        }
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes.max(16), 16).expect("a layout")
    }
}
