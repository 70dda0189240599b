//! A process that may lock hardly anything. One test: limit and arena are the whole process's.

#![cfg(target_os = "linux")]

use vault_arena::{Block, Kind, init, lock_memory, status};

#[test]
fn with_little_to_lock_there_is_less_of_it_and_nothing_fails() {
    let limit = libc::rlimit { rlim_cur: 300 << 10, rlim_max: 300 << 10 };
    // SAFETY: sets two limits from a value that lives, and gives up root's right to pass them.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
        assert!(libc::geteuid() != 0 || libc::seteuid(65_534) == 0);
    }
    assert_ne!(init(1 << 20), Kind::Unlocked);
    assert!((128 << 10..=300 << 10).contains(&status().bytes), "{:?}", status());
    assert!(!lock_memory(), "more than 300 KiB are mapped");

    // All slots, then what is left of the limit, then heap: always the bytes that were given.
    let blocks: Vec<Block> = (0..60_u8).map(|number| Block::copy_of(&[number; 16_000])).collect();
    for (number, block) in (0..60_u8).zip(&blocks) {
        assert_eq!(block.as_slice(), [number; 16_000]);
    }
    assert!(status().overflows > 30, "{:?}", status());
    assert!((1..=status().overflows).contains(&status().unlocked), "{:?}", status());
}
