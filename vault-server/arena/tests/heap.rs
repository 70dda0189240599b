//! A process that never asks for an arena: a client's.

use vault_arena::{Block, Kind, Status, status};

#[test]
fn blocks_are_heap() {
    let mut block = Block::copy_of(b"canary");
    block.truncate(3);

    assert_eq!(block.as_slice(), b"can");
    assert_eq!(Block::zeroed(40_000).as_slice(), vec![0; 40_000]);
    let none = Status { kind: Kind::Unlocked, bytes: 0, overflows: 0, unlocked: 0 };
    assert_eq!(status(), none);
}
