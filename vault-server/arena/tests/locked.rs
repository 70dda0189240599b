//! A process that has an arena.

#![cfg(target_os = "linux")]

use vault_arena::{Block, Kind, init, lock_memory, status};

#[test]
fn the_first_call_decides_and_blocks_lie_in_it() {
    let kind = init(1 << 20);
    assert_eq!(kind, Kind::MemfdSecret, "this test needs Linux 5.14 and a megabyte to lock");
    assert_eq!((status().kind, status().bytes), (kind, 1 << 20));
    assert_eq!(init(1), kind, "later calls only say what there is");
    assert_eq!(status().bytes, 1 << 20);

    let block = Block::copy_of(b"canary");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a map");
    let at = block.as_slice().as_ptr() as usize;
    let line = maps.lines().find(|line| {
        let (start, end) = line.split_once(' ').expect("words").0.split_once('-').expect("a range");
        let number = |text| usize::from_str_radix(text, 16).expect("a number");
        (number(start)..number(end)).contains(&at)
    });
    assert!(line.expect("mapped").contains("secretmem"), "{line:?}");

    let large = Block::copy_of(&[9; 100_000]);
    assert_eq!(large.as_slice(), [9; 100_000]);
    assert_eq!((status().overflows, status().unlocked), (1, 0));
}

#[test]
fn what_is_mapped_is_locked_where_the_system_lets_it() {
    // Whether it may is the machine's; that it says what is so is ours.
    let has_locked = lock_memory();
    let maps = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = maps.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line");
    let kilobytes = line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number");
    assert!(!has_locked || kilobytes > 1_024, "{kilobytes} kB are not all of it");
}
