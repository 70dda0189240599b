use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;

use super::{KERNEL, Mapping};
use crate::Kind;

const SIZES: [usize; 3] = [100, 4_096, 70_000];

fn mapped(kind: Kind) -> (Mapping, Vec<NonNull<u8>>) {
    KERNEL.map(kind, &SIZES).expect("memory of this kind; `memfd_secret` needs Linux 5.14")
}

fn write(at: NonNull<u8>, bytes: &[u8]) {
    for (offset, byte) in bytes.iter().enumerate() {
        // SAFETY: the tests write within what they mapped.
        unsafe { at.add(offset).write_volatile(*byte) };
    }
}

/// Whether the kernel can copy a byte from there for this process: it says `EFAULT` instead of
/// ending the process as a read would.
fn is_touchable(at: usize) -> bool {
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    // SAFETY: the kernel checks the address.
    let written = unsafe { libc::write(writer.as_raw_fd(), at as *const libc::c_void, 1) };
    written == 1
}

/// What `/proc/self/smaps` says of the mapping at an address: rights and flags.
fn flags(at: NonNull<u8>) -> (String, Vec<String>) {
    let (at, mut rights) = (at.as_ptr() as usize, None);
    for line in fs::read_to_string("/proc/self/smaps").expect("a map").lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let number = |text| usize::from_str_radix(text, 16).ok();
        if let Some((Some(start), Some(end))) =
            first.split_once('-').map(|(start, end)| (number(start), number(end)))
        {
            rights = (start..end).contains(&at).then(|| words.next().unwrap_or("").to_owned());
        } else if first == "VmFlags:"
            && let Some(rights) = rights
        {
            return (rights, words.map(str::to_owned).collect());
        }
    }
    panic!("{at:#x} is not mapped");
}

#[test]
fn there_are_guards_before_between_and_behind() {
    let page = rustix::param::page_size();
    for kind in [Kind::MemfdSecret, Kind::Locked] {
        let (mapping, starts) = mapped(kind);
        let base = mapping.base.as_ptr() as usize;
        let mut guards = vec![base, base + mapping.bytes - page];
        for (start, size) in starts.iter().zip(SIZES) {
            let (start, end) =
                (start.as_ptr() as usize, start.as_ptr() as usize + size.next_multiple_of(page));
            assert!(is_touchable(start) && is_touchable(end - 1));
            guards.extend([start - 1, end]);
        }
        for guard in guards {
            assert!(!is_touchable(guard), "{kind:?}: {guard:#x}");
        }
        for start in starts {
            // SAFETY: fresh memory of at least 100 bytes.
            let fresh = (0..100).all(|at| unsafe { start.add(at).read_volatile() } == 0);
            assert!(fresh);
        }
    }
}

#[test]
fn both_kinds_are_locked_and_stay_out_of_children() {
    for kind in [Kind::MemfdSecret, Kind::Locked] {
        let (_mapping, starts) = mapped(kind);
        for start in starts {
            let (rights, flags) = flags(start);
            let has = |flag: &str| flags.iter().any(|other| other == flag);
            assert!(rights.starts_with("rw-"), "{kind:?}: {rights}");
            assert!(has("lo") && has("dc"), "{kind:?}: {flags:?}");
            assert!(has("dd"), "{kind:?} is in dumps: {flags:?}");
        }
    }
}

#[test]
fn nobody_reads_a_memfd_secret_through_the_kernel() {
    let memory = File::open("/proc/self/mem").expect("own memory");
    for (kind, is_readable) in [(Kind::MemfdSecret, false), (Kind::Locked, true)] {
        let (_mapping, starts) = mapped(kind);
        write(starts[1], b"canary");
        let mut seen = [0; 6];
        let read = memory.read_at(&mut seen, starts[1].as_ptr() as u64);
        assert_eq!(read.is_ok_and(|bytes| bytes == 6), is_readable, "{kind:?}");
        assert_eq!(&seen == b"canary", is_readable, "{kind:?}");
    }
}

#[test]
fn what_is_given_back_is_gone() {
    let (mapping, starts) = mapped(Kind::Locked);
    let start = starts[0].as_ptr() as usize;
    assert!(is_touchable(start));
    drop(mapping);

    let maps = fs::read_to_string("/proc/self/maps").expect("a map");
    assert!(!maps.lines().any(|line| line.starts_with(&format!("{start:x}-"))));
}

#[test]
fn absurd_sizes_are_refused() {
    for sizes in [&[usize::MAX][..], &[usize::MAX / 2, usize::MAX / 2], &[1 << 60]] {
        assert!(KERNEL.map(Kind::Locked, sizes).is_none());
        assert!(KERNEL.map(Kind::MemfdSecret, sizes).is_none());
    }
    assert!(KERNEL.map(Kind::Unlocked, &[1]).is_none());
}
