use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::thread;

use proptest::prelude::*;

use super::{BYTES_MIN, CLASSES, Pool};
use crate::Kind;
use crate::block::Block;
use crate::system::plain::Plain;

/// A pool over memory that exists `times` times, of one kind, `bytes_max` at a time.
fn pool(kind: Kind, bytes_max: usize, times: usize) -> &'static Pool {
    let times = AtomicUsize::new(times);
    let system: &'static Plain = Box::leak(Box::new(Plain { kind, bytes_max, times }));
    Box::leak(Box::new(Pool::new(system, BYTES_MIN)))
}

fn largest() -> usize {
    CLASSES.iter().map(|(bytes, _)| *bytes).max().expect("classes")
}

fn range(block: &Block) -> std::ops::Range<usize> {
    let start = block.as_slice().as_ptr() as usize;
    start..start + block.as_slice().len()
}

/// What lies at an address of the arena now.
fn peek(start: NonNull<u8>, len: usize) -> Vec<u8> {
    // SAFETY: the tests ask only for slots of a pool that is never dropped, and that nobody writes.
    (0..len).map(|at| unsafe { start.add(at).read_volatile() }).collect()
}

fn start_of(block: &mut Block) -> NonNull<u8> {
    NonNull::new(block.as_mut_slice().as_mut_ptr()).expect("an address")
}

#[derive(Clone, Debug)]
enum Step {
    Drop(prop::sample::Index),
    Shorten(prop::sample::Index, usize),
    Take(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![0..80_usize, 0..1100_usize, 0..20_000_usize];
    let step = prop_oneof![
        3 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => (any::<prop::sample::Index>(), 0..64_usize).prop_map(|(at, len)| Step::Shorten(at, len)),
        4 => len.prop_map(Step::Take),
    ];
    prop::collection::vec(step, 1..if cfg!(miri) { 20 } else { 400 })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 64 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn blocks_are_fresh_their_own_and_apart(steps in steps()) {
        let pool = pool(Kind::Locked, 1 << 20, 40);
        let mut held: Vec<(Block, u8)> = Vec::new();
        for (number, step) in (1_u8..=u8::MAX).cycle().zip(steps) {
            match step {
                Step::Take(len) => {
                    let mut block = pool.block(len);
                    prop_assert_eq!(block.as_slice().len(), len);
                    prop_assert!(block.as_slice().iter().all(|byte| *byte == 0), "not wiped");
                    let mine = range(&block);
                    for (other, _) in &held {
                        let other = range(other);
                        prop_assert!(mine.end <= other.start || other.end <= mine.start);
                    }
                    block.as_mut_slice().fill(number);
                    held.push((block, number));
                }
                Step::Drop(at) if !held.is_empty() => drop(held.swap_remove(at.index(held.len()))),
                Step::Shorten(at, len) if !held.is_empty() => {
                    let at = at.index(held.len());
                    held[at].0.truncate(len);
                }
                Step::Drop(_) | Step::Shorten(..) => {}
            }
            for (block, number) in &held {
                prop_assert!(block.as_slice().iter().all(|byte| byte == number), "overwritten");
            }
        }
    }
}

#[test]
fn a_slot_is_wiped_before_anybody_else_can_have_it() {
    let pool = pool(Kind::MemfdSecret, 1 << 20, 1);
    for len in [1, 64, 65, 256, 1_024, 4_096, largest()] {
        let mut block = pool.block(len);
        block.as_mut_slice().fill(0xa5);
        let start = start_of(&mut block);
        block.truncate(len / 2);
        assert_eq!(peek(start, len / 2), vec![0xa5; len / 2]);
        drop(block);

        assert_eq!(peek(start, len), vec![0; len]);
        assert_eq!(start_of(&mut pool.block(len)), start, "the warm slot goes first");
    }
    assert_eq!(pool.status().overflows, 0);
}

#[test]
fn threads_never_share_a_slot() {
    let pool = pool(Kind::Locked, 1 << 20, 1_000);
    let rounds: usize = if cfg!(miri) { 10 } else { 3_000 };
    thread::scope(|scope| {
        for thread in 1..=4_u8 {
            scope.spawn(move || {
                let mut held: Vec<Block> = Vec::new();
                for round in 0..rounds {
                    let mut block = pool.block((round * 37 + usize::from(thread)) % 1_500);
                    assert!(block.as_slice().iter().all(|byte| *byte == 0));
                    block.as_mut_slice().fill(thread);
                    held.push(block);
                    if round % 3 == 2 {
                        // Out of order, and those that this thread did not take last.
                        for at in [held.len() / 2, 0] {
                            let block = held.swap_remove(at);
                            assert!(block.as_slice().iter().all(|byte| *byte == thread));
                        }
                    }
                }
            });
        }
    });
    // Everything came back: each class gives all its slots again, each once.
    for class in &pool.classes {
        let mut free = class.lock().clone();
        free.sort_unstable();
        assert!(free.iter().copied().eq(0..class.slots), "{} bytes", class.slot_bytes);
    }
}

#[test]
fn what_finds_no_slot_gets_locked_memory_and_is_counted() {
    // The arena itself, and two of its own.
    let pool = pool(Kind::Locked, 1 << 20, 3);
    let large = pool.block(largest() + 1);
    assert_eq!((pool.status().overflows, pool.status().unlocked), (1, 0));

    let mut taken = Vec::new();
    while pool.status().overflows < 2 {
        taken.push(pool.block(largest()));
    }
    assert_eq!((pool.status().overflows, pool.status().unlocked), (2, 0));
    // No more memory: heap, which is counted too, and works.
    let mut heap = pool.block(largest());
    heap.as_mut_slice().fill(7);
    assert_eq!(heap.as_slice(), vec![7; largest()]);
    assert_eq!((pool.status().overflows, pool.status().unlocked), (3, 1));
    // What is given back can be had again.
    drop(large);
    drop(pool.block(largest() + 1));
    assert_eq!((pool.status().overflows, pool.status().unlocked), (4, 1));
    drop(taken);
    drop(pool.block(largest()));
    assert_eq!(pool.status().overflows, 4);
}

#[test]
fn a_small_block_takes_a_larger_slot_before_it_overflows() {
    let pool = pool(Kind::Locked, 1 << 20, 1);
    let smallest = &pool.classes[0];
    let (slots, bytes) = (smallest.slots, smallest.slot_bytes);
    let held: Vec<Block> = (0..=slots).map(|_| pool.block(bytes)).collect();

    assert!(smallest.lock().is_empty());
    assert_eq!(held.len(), slots as usize + 1);
    assert_eq!(pool.status().overflows, 0);
}

#[test]
fn takes_the_strongest_memory_and_as_much_as_there_is() {
    for (kind, bytes_max, times, expected) in [
        (Kind::MemfdSecret, 1 << 20, 1, Kind::MemfdSecret),
        (Kind::Locked, 1 << 20, 1, Kind::Locked),
        (Kind::Locked, 1 << 20, 0, Kind::Unlocked),
        (Kind::Locked, BYTES_MIN / 2, 1, Kind::Unlocked),
    ] {
        let status = pool(kind, bytes_max, times).status();
        assert_eq!(status.kind, expected, "{kind:?} {bytes_max} {times}");
        assert_eq!(status.bytes > 0, expected != Kind::Unlocked);
    }
    let times = AtomicUsize::new(1);
    let system = Plain { kind: Kind::MemfdSecret, bytes_max: 300 << 10, times };
    let halved = Pool::new(Box::leak(Box::new(system)), 1 << 20).status();
    assert_eq!((halved.kind, halved.bytes), (Kind::MemfdSecret, 256 << 10));
}

#[test]
fn without_locked_memory_a_block_is_heap_and_no_overflow() {
    let pool = pool(Kind::Locked, 1 << 20, 0);
    let mut block = pool.block(100);
    block.as_mut_slice().fill(3);

    assert_eq!(block.as_slice(), [3; 100]);
    assert_eq!(pool.status().overflows, 0);
}

#[test]
fn a_poisoned_lock_still_opens() {
    let pool = pool(Kind::Locked, 1 << 20, 1);
    let class = &pool.classes[0];
    let poisoning = thread::spawn(|| {
        let _held = pool.classes[0].lock();
        panic!("while the lock is held");
    });
    assert!(poisoning.join().is_err() && class.free.is_poisoned());

    let mut block = pool.block(10);
    let start = start_of(&mut block);
    drop(block);
    assert_eq!(start_of(&mut pool.block(10)), start);
    assert_eq!(pool.status().overflows, 0);
}
