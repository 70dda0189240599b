//! The tree over all policy rows, kept between two acts: a row that is changed costs the hashes on its
//! way to the root. One that comes or goes moves all that are sorted behind it, and their hashes are
//! computed anew: that is what the state root is.

use sha2::{Digest, Sha256};

use super::hex::Hex;
use super::table::Table;

/// Where a row stands among all: by table, then key.
pub(super) type LeafKey = (Table, Box<str>);

/// What is kept of a row.
pub(super) type LeafHash = [u8; 32];

/// Rows that are put, or deleted.
pub(super) type LeafChange = (LeafKey, Option<LeafHash>);

/// The RFC 6962 tree over the rows.
///
/// Level by level, each node over two of the level below, and the last alone where there is no other:
/// that is the same tree as the one that RFC 6962 splits from above.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    keys: Vec<LeafKey>,
    /// The leaves first, the root last; at least the leaves' level is there.
    levels: Vec<Vec<LeafHash>>,
}

impl Default for Tree {
    /// Over no rows.
    fn default() -> Self {
        Self { keys: Vec::new(), levels: vec![Vec::new()] }
    }
}

impl Tree {
    /// The tree over rows that come sorted by their keys; `None` if they do not, or one comes twice.
    pub(super) fn new(keys: Vec<LeafKey>, leaves: Vec<LeafHash>) -> Option<Self> {
        if keys.len() != leaves.len() || !keys.is_sorted_by(|one, next| one < next) {
            return None;
        }
        let mut tree = Self { keys, levels: vec![leaves] };
        tree.hash_from(0, Vec::new());
        Some(tree)
    }

    /// The root; SHA-256 of nothing if there are no rows.
    pub(super) fn root(&self) -> Hex<32> {
        let root = self.levels.last().and_then(|level| level.first()).copied();
        Hex(root.unwrap_or_else(|| Sha256::digest([]).into()))
    }

    /// Whether there is a row.
    pub(super) fn has(&self, key: &LeafKey) -> bool {
        self.keys.binary_search(key).is_ok()
    }

    /// How many hashes [`Tree::change`] computes for these, about.
    pub(super) fn cost(&self, changes: &[LeafChange]) -> usize {
        let (mut replaced, mut moved_from, mut added) = (0, self.keys.len(), 0);
        for (key, hash) in changes {
            match (self.keys.binary_search(key), hash) {
                (Ok(_), Some(_)) => replaced += 1,
                (Ok(place), None) => moved_from = moved_from.min(place),
                (Err(place), Some(_)) => {
                    moved_from = moved_from.min(place);
                    added += 1;
                }
                (Err(_), None) => {}
            }
        }
        replaced * self.levels.len() + (self.keys.len() - moved_from) + added + self.levels.len()
    }

    /// Carries changes out: sorted by their keys, each key once. Returns those that undo them.
    pub(super) fn change(&mut self, changes: Vec<LeafChange>) -> Vec<LeafChange> {
        let mut undo = Vec::with_capacity(changes.len());
        let mut replaced = Vec::new();
        let mut moved = Vec::new();
        let leaves = &mut self.levels[0];
        let mut moved_from = leaves.len();
        for (key, hash) in changes {
            match (self.keys.binary_search(&key), hash) {
                (Ok(place), Some(hash)) => {
                    let before = std::mem::replace(&mut leaves[place], hash);
                    undo.push((key, Some(before)));
                    replaced.push(place);
                }
                (Ok(place), None) => {
                    undo.push((key.clone(), Some(leaves[place])));
                    moved_from = moved_from.min(place);
                    moved.push((key, None));
                }
                (Err(place), Some(hash)) => {
                    undo.push((key.clone(), None));
                    moved_from = moved_from.min(place);
                    moved.push((key, Some(hash)));
                }
                (Err(_), None) => {}
            }
        }
        self.merge(moved_from, moved);
        replaced.retain(|place| *place < moved_from);
        self.hash_from(moved_from, replaced);
        undo
    }

    /// Puts rows that come between those from a place on, and takes out those that go.
    fn merge(&mut self, from: usize, moved: Vec<LeafChange>) {
        if moved.is_empty() {
            return;
        }
        let leaves = &mut self.levels[0];
        let later_leaves = leaves.split_off(from);
        let mut later = self.keys.split_off(from).into_iter().zip(later_leaves).peekable();
        let mut put = |key, hash| {
            self.keys.push(key);
            leaves.push(hash);
        };
        for (key, hash) in moved {
            while let Some((before, its_hash)) = later.next_if(|(later, _)| *later < key) {
                put(before, its_hash);
            }
            // Its own place, if it goes.
            later.next_if(|(later, _)| *later == key);
            if let Some(hash) = hash {
                put(key, hash);
            }
        }
        later.for_each(|(key, hash)| put(key, hash));
    }

    /// Hashes again what is over the leaves from a place on, and over some before it, in order.
    fn hash_from(&mut self, mut from: usize, mut places: Vec<usize>) {
        let mut level = 0;
        while self.levels[level].len() > 1 {
            if self.levels.len() == level + 1 {
                self.levels.push(Vec::new());
            }
            let (below, above) = self.levels.split_at_mut(level + 1);
            let (Some(below), Some(above)) = (below.last(), above.first_mut()) else {
                return;
            };
            from /= 2;
            places.iter_mut().for_each(|place| *place /= 2);
            places.dedup();
            places.retain(|place| *place < from);
            above.truncate(from);
            for &place in &places {
                above[place] = over(below, place);
            }
            above.extend((from..below.len().div_ceil(2)).map(|place| over(below, place)));
            level += 1;
        }
        self.levels.truncate(level + 1);
    }
}

/// The leaf of a row: `SHA-256(00 || table || 00 || key || 00 || mac)`.
pub(super) fn leaf(table: Table, key: &str, mac: &[u8]) -> LeafHash {
    Sha256::new()
        .chain_update([LEAF])
        .chain_update(table.as_str())
        .chain_update([0])
        .chain_update(key)
        .chain_update([0])
        .chain_update(mac)
        .finalize()
        .into()
}

fn over(below: &[LeafHash], place: usize) -> LeafHash {
    match (below[2 * place], below.get(2 * place + 1)) {
        (left, Some(right)) => Sha256::new()
            .chain_update([NODE])
            .chain_update(left)
            .chain_update(right)
            .finalize()
            .into(),
        (alone, None) => alone,
    }
}

const LEAF: u8 = 0;
const NODE: u8 = 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::{LeafChange, LeafHash, LeafKey, NODE, Tree, leaf};
    use crate::storage::Table;

    /// As RFC 6962 has it: split below the largest power of two.
    fn split_root(leaves: &[LeafHash]) -> LeafHash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                let (left, right) = many.split_at(split);
                Sha256::new()
                    .chain_update([NODE])
                    .chain_update(split_root(left))
                    .chain_update(split_root(right))
                    .finalize()
                    .into()
            }
        }
    }

    fn key(number: u8) -> LeafKey {
        (Table::ALL[usize::from(number) % 3], format!("row-{number:03}").into())
    }

    fn changes(wanted: Vec<(u8, Option<u8>)>) -> Vec<LeafChange> {
        let hash = |(number, content): (u8, Option<u8>)| {
            let key = key(number);
            let hash = content.map(|content| leaf(key.0, &key.1, &[content]));
            (key, hash)
        };
        wanted.into_iter().map(hash).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    fn acts() -> impl Strategy<Value = Vec<Vec<(u8, Option<u8>)>>> {
        let change = (0..60u8, proptest::option::weighted(0.7, any::<u8>()));
        prop::collection::vec(prop::collection::vec(change, 0..12), 1..20)
    }

    proptest! {
        #[test]
        fn after_each_act_it_is_the_tree_over_the_rows_that_are_there(acts in acts()) {
            let (mut tree, mut rows) = (Tree::default(), BTreeMap::new());
            for act in acts {
                let changes = changes(act);
                for (key, hash) in &changes {
                    match hash {
                        Some(hash) => drop(rows.insert(key.clone(), *hash)),
                        None => drop(rows.remove(key)),
                    }
                }
                tree.change(changes);
                let leaves: Vec<LeafHash> = rows.values().copied().collect();
                prop_assert_eq!(tree.root().0, split_root(&leaves));
                let anew = Tree::new(rows.keys().cloned().collect(), leaves).expect("sorted");
                prop_assert_eq!(&tree.keys, &anew.keys);
                prop_assert_eq!(&tree.levels, &anew.levels);
            }
        }

        #[test]
        fn what_is_undone_has_never_been(acts in acts()) {
            let mut tree = Tree::default();
            for (nth, act) in acts.into_iter().enumerate() {
                let before = tree.clone();
                let undo = tree.change(changes(act));
                if nth % 2 == 1 {
                    tree.change(undo);
                    prop_assert_eq!(&tree.keys, &before.keys);
                    prop_assert_eq!(&tree.levels, &before.levels);
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_changed_costs_its_way_to_the_root_and_one_that_comes_all_behind_it() {
        let many = |count: u8| (0..count).map(|number| (number, Some(1))).collect::<Vec<_>>();
        let mut tree = Tree::default();
        tree.change(changes(many(240)));
        let last = tree.keys.last().cloned().expect("rows");
        let changed = vec![(last.clone(), Some([9; 32]))];
        let gone = vec![(last, None)];
        let first_gone = vec![(tree.keys[0].clone(), None)];

        assert!(tree.cost(&changed) <= 2 * tree.levels.len());
        assert!(tree.cost(&gone) <= 2 * tree.levels.len());
        assert!(tree.cost(&first_gone) >= 240);
    }

    #[test]
    fn rows_out_of_order_or_twice_make_no_tree() {
        let (one, two) = (key(0), key(3));
        let make = |keys: &[&LeafKey]| {
            Tree::new(keys.iter().map(|key| (*key).clone()).collect(), vec![[1; 32]; keys.len()])
        };
        assert!(make(&[&one, &two]).is_some());
        assert!(make(&[&two, &one]).is_none());
        assert!(make(&[&one, &one]).is_none());
    }
}
