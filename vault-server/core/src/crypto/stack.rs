//! What is left on the stack by code that handled secrets.
//!
//! Ciphers keep their key schedules in locals, and most libraries leave them there. Nobody reads a
//! stack but whoever reads the whole process; still a key that was used once should not lie there
//! until something else happens to be written over it.

/// Does some work, and wipes the stack that it used: as far down as [`STACK_BYTES`], which is more
/// than any signature or key derivation here takes. Registers are not wiped.
pub fn wiping_stack<T>(work: impl FnOnce() -> T) -> T {
    // A frame of its own: below this one, where the zeros go.
    #[inline(never)]
    fn apart<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    let done = apart(work);
    zeroize::zeroize_stack::<STACK_BYTES>();
    done
}

/// How much is wiped.
pub const STACK_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::ptr;

    use super::wiping_stack;

    /// Leaves a pattern on the stack, and says where.
    #[inline(never)]
    fn leave(depth: usize) -> usize {
        let pattern = black_box([0xa5_u8; 256]);
        match depth {
            0 => black_box(&pattern).as_ptr() as usize,
            _ => black_box(leave(depth - 1)).max(black_box(&pattern)[0].into()),
        }
    }

    /// What lies there now.
    #[inline(never)]
    fn left(at: usize) -> usize {
        let start = ptr::with_exposed_provenance::<u8>(at);
        // SAFETY: part of this thread's own stack that was in use a moment ago, so it is mapped; the
        // bytes are plain.
        (0..256).filter(|at| unsafe { start.add(*at).read_volatile() } == 0xa5).count()
    }

    #[test]
    fn what_was_left_is_gone() {
        for depth in [1, 16, 64] {
            assert!(left(leave(depth)) > 128, "without the wipe it stays there");
            assert_eq!(left(wiping_stack(|| leave(depth))), 0, "{depth}");
        }
    }

    #[test]
    fn passes_on_what_the_work_made() {
        let made = wiping_stack(|| vec![1, 2, 3]);

        assert_eq!(made, [1, 2, 3]);
    }
}
