//! What the allocator takes from the system, and when it gives it back.

/// From now on memory is taken in pages of the usual size, by this process and those that it starts.
///
/// Huge pages of 2 MiB make a process as large as it touches places, several times what it needs; and
/// the core locks them as a whole. A kernel that does not know of them refuses this, and need not hear it.
pub fn take_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives freed memory back to the system: what a start took, and nothing needs again.
pub fn give_back() {
    // SAFETY: the allocator's own function, which may be called from any thread at any time; it touches
    // nothing that is allocated.
    unsafe { mi_collect(true) }
}

unsafe extern "C" {
    /// Of mimalloc, which is the allocator of this program (`main.rs`).
    fn mi_collect(force: bool);
}
