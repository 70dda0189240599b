//! The RFC 6962 tree over the log's lines.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc6962#section-2.1>. A leaf is SHA-256(0x00 || line),
//! a node SHA-256(0x01 || left || right), the empty tree SHA-256 of nothing.

use sha2::{Digest, Sha256};

/// A SHA-256 value: a leaf hash, a node or a root.
pub type Hash = [u8; 32];

/// The leaf hash of a line (without its line feed).
pub fn leaf_hash(line: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(line).finalize().into()
}

/// The node above two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a growing tree in at most 64 hashes: one per full subtree, widest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CompactRange {
    size: u64,
    peaks: Vec<Hash>,
}

impl CompactRange {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one leaf at the end.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each low one bit of the size is a full subtree as wide as what is carried.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Adds leaves at the end, in order.
    pub fn extend<'a>(&mut self, leaves: impl IntoIterator<Item = &'a Hash>) {
        for leaf in leaves {
            self.append(*leaf);
        }
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its full subtrees, widest first: one for each one bit of the size.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// From its size and [`CompactRange::peaks`]; `None` if their number does not fit.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// The root at this size.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Sha256::digest(b"").into(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// The root over these leaf hashes.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut range = CompactRange::new();
    range.extend(leaves);
    range.root()
}

/// The proof that the leaf at `index` is in the tree over `leaves`: lowest neighbour first.
/// `None` if there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    (index < leaves.len()).then(|| path(leaves, index))
}

/// Whether `proof` shows that `leaf` is at `index` in the tree of `size` leaves with this `root`.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    // RFC 9162 section 2.1.3.2.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for neighbour in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(neighbour, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, neighbour);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The proof that the tree over the first `old_size` leaves is a prefix of the tree over all.
/// Empty for the same size; `None` for size zero or more leaves than there are.
pub fn consistency_proof(leaves: &[Hash], old_size: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len()).contains(&old_size).then(|| subproof(leaves, old_size, true))
}

/// Whether `proof` shows that the tree `(old_size, old_root)` is a prefix of `(size, root)`.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> bool {
    if old_size == 0 || old_size > size {
        return false;
    }
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    // RFC 9162 section 2.1.4.2: a full old tree is itself the first node of the path.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        match proof.split_first() {
            Some(split) => split,
            None => return false,
        }
    };
    let (mut node, mut last) = (old_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (*first, *first);
    for neighbour in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(neighbour, &old_hash);
            hash = node_hash(neighbour, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, neighbour);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

/// PATH(index, leaves) of RFC 6962 section 2.1.1.
fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, neighbour) = if index < left.len() {
        (path(left, index), root_of(right))
    } else {
        (path(right, index - left.len()), root_of(left))
    };
    proof.push(neighbour);
    proof
}

/// SUBPROOF(old_size, leaves, known) of RFC 6962 section 2.1.2.
fn subproof(leaves: &[Hash], old_size: usize, known: bool) -> Vec<Hash> {
    if old_size == leaves.len() {
        return if known { Vec::new() } else { vec![root_of(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, neighbour) = if old_size <= left.len() {
        (subproof(left, old_size, known), root_of(right))
    } else {
        (subproof(right, old_size - left.len(), false), root_of(left))
    };
    proof.push(neighbour);
    proof
}

/// The largest power of two below `size` (at least 2).
fn split(size: usize) -> usize {
    size.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, node_hash, root_of,
        verify_consistency, verify_inclusion,
    };

    /// MTH of RFC 6962 section 2.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new()).into(),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    #[test]
    fn agrees_with_the_published_empty_and_one_leaf_roots() {
        assert_eq!(
            hex::encode(CompactRange::new().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(root_of(&[leaf_hash(b"")])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn proofs_hold_for_every_pair_of_small_sizes() {
        for size in 1..=40usize {
            let all = leaves(size);
            let root = naive(&all);
            assert_eq!(root_of(&all), root, "size {size}");
            for index in 0..size {
                let proof = inclusion_proof(&all, index).expect("proof");
                let (i, n) = (index as u64, size as u64);
                assert!(verify_inclusion(&all[index], i, n, &proof, &root), "{index} of {size}");
                assert!(!verify_inclusion(&leaf_hash(b"no"), i, n, &proof, &root));
                let mut longer = proof.clone();
                longer.push(root);
                assert!(!verify_inclusion(&all[index], i, n, &longer, &root));
            }
            for old in 1..=size {
                let proof = consistency_proof(&all, old).expect("proof");
                let old_root = naive(&all[..old]);
                let (o, n) = (old as u64, size as u64);
                assert!(verify_consistency(o, &old_root, n, &root, &proof), "{old} to {size}");
                assert!(!verify_consistency(o, &leaf_hash(b"no"), n, &root, &proof));
                assert!(!verify_consistency(o, &old_root, n, &leaf_hash(b"no"), &proof));
            }
            assert_eq!(inclusion_proof(&all, size), None);
            assert_eq!(consistency_proof(&all, size + 1), None);
        }
    }

    proptest! {
        #[test]
        fn grows_like_the_naive_tree(count in 0usize..700, cut in 0usize..700) {
            let all = leaves(count);
            let cut = cut.min(count);
            let mut range = CompactRange::new();
            range.extend(&all[..cut]);
            prop_assert_eq!(range.root(), naive(&all[..cut]));
            range.extend(&all[cut..]);
            prop_assert_eq!(range.root(), naive(&all));
            prop_assert_eq!(range.size(), count as u64);
        }

        #[test]
        fn proofs_break_when_one_bit_flips(
            size in 2usize..300, index in 0usize..300, at in 0usize..4096
        ) {
            let all = leaves(size);
            let index = index % size;
            let root = root_of(&all);
            let mut proof = inclusion_proof(&all, index).expect("proof");
            let bit = at % (proof.len() * 256);
            proof[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_inclusion(&all[index], index as u64, size as u64, &proof, &root));
        }
    }
}
