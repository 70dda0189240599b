//! A map in parts that can be read one without the other, so that several threads read the histories of
//! many clients.

use std::collections::HashMap;
use std::hash::Hash;

use vault_model::{NotPacked, Pack, Unpack};

use crate::spread::spread;

/// Writes a map: its length, then its parts, each the number of its entries and a blob of them, in the
/// order of the keys. A part ends with the entry that makes it as long as [`PART_BYTES`].
pub fn pack_parts<K: Ord, V>(
    map: &HashMap<K, V>,
    pack: &mut Pack<'_>,
    key: impl Fn(&mut Pack<'_>, &K),
    value: impl Fn(&mut Pack<'_>, &V),
) {
    pack_long(map, pack, PART_BYTES, key, value);
}

fn pack_long<K: Ord, V>(
    map: &HashMap<K, V>,
    pack: &mut Pack<'_>,
    part_bytes: usize,
    key: impl Fn(&mut Pack<'_>, &K),
    value: impl Fn(&mut Pack<'_>, &V),
) {
    let mut sorted: Vec<_> = map.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    pack.len(sorted.len());
    let mut entries = sorted.into_iter().peekable();
    while entries.peek().is_some() {
        let (mut bytes, mut count) = (Vec::new(), 0);
        let mut part = Pack::new(&mut bytes);
        while part.size() < part_bytes
            && let Some((its_key, its_value)) = entries.next()
        {
            key(&mut part, its_key);
            value(&mut part, its_value);
            count += 1;
        }
        part.finish().expect("memory takes it");
        pack.len(count);
        pack.blob(&bytes);
    }
}

/// Reads what [`pack_parts`] wrote, by several threads.
///
/// # Errors
///
/// [`NotPacked`].
pub fn unpack_parts<'b, K: Clone + Hash + Ord + Send, V: Send>(
    unpack: &mut Unpack<'b>,
    key: impl Fn(&mut Unpack<'b>) -> Result<K, NotPacked> + Sync,
    value: impl Fn(&mut Unpack<'b>) -> Result<V, NotPacked> + Sync,
) -> Result<HashMap<K, V>, NotPacked> {
    unpack_long(unpack, PART_BYTES, key, value)
}

fn unpack_long<'b, K: Clone + Hash + Ord + Send, V: Send>(
    unpack: &mut Unpack<'b>,
    part_bytes: usize,
    key: impl Fn(&mut Unpack<'b>) -> Result<K, NotPacked> + Sync,
    value: impl Fn(&mut Unpack<'b>) -> Result<V, NotPacked> + Sync,
) -> Result<HashMap<K, V>, NotPacked> {
    let length = unpack.len(2)?;
    let (mut parts, mut left) = (Vec::new(), length);
    while left > 0 {
        let (count, bytes) = (unpack.len(2)?, unpack.blob()?);
        left = left.checked_sub(count).filter(|_| count > 0).ok_or(NotPacked)?;
        // There is one way to cut it.
        if left > 0 && bytes.len() < part_bytes {
            return Err(NotPacked);
        }
        parts.push((count, bytes));
    }
    let read = spread(&parts, "snapshot-part", |&(count, bytes)| {
        let mut unpack = Unpack::new(bytes);
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            if bytes.len() - unpack.left() >= part_bytes {
                return Err(NotPacked);
            }
            entries.push((key(&mut unpack)?, value(&mut unpack)?));
        }
        if unpack.left() == 0 { Ok(entries) } else { Err(NotPacked) }
    });
    let mut map = HashMap::with_capacity(length);
    let mut last: Option<K> = None;
    for entries in read {
        for (its_key, its_value) in entries? {
            if last.as_ref() >= Some(&its_key) {
                return Err(NotPacked);
            }
            last = Some(its_key.clone());
            map.insert(its_key, its_value);
        }
    }
    Ok(map)
}

const PART_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use vault_model::{NotPacked, Pack, Unpack};

    use super::{pack_long, unpack_long};

    fn packed(map: &HashMap<u64, String>, part_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pack = Pack::new(&mut bytes);
        let text = |pack: &mut Pack<'_>, text: &String| pack.text(text);
        pack_long(map, &mut pack, part_bytes, |pack, key| pack.number(*key), text);
        pack.finish().expect("memory takes it");
        bytes
    }

    fn unpacked(bytes: &[u8], part_bytes: usize) -> Result<HashMap<u64, String>, NotPacked> {
        let mut unpack = Unpack::new(bytes);
        let text = |unpack: &mut Unpack<'_>| unpack.text().map(str::to_owned);
        let map = unpack_long(&mut unpack, part_bytes, Unpack::number, text)?;
        if unpack.left() == 0 { Ok(map) } else { Err(NotPacked) }
    }

    proptest! {
        #[test]
        fn a_map_comes_back_however_long_its_parts_are(
            map in proptest::collection::hash_map(any::<u64>(), ".{0,9}", 0..40),
            part_bytes in 1usize..60,
        ) {
            let bytes = packed(&map, part_bytes);
            prop_assert_eq!(unpacked(&bytes, part_bytes), Ok(map));
        }

        #[test]
        fn what_is_read_is_written_the_same_again(
            map in proptest::collection::hash_map(0u64..200, ".{0,3}", 0..12),
            part_bytes in 1usize..12,
            place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = packed(&map, part_bytes);
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(map) = unpacked(&bytes, part_bytes) {
                prop_assert_eq!(packed(&map, part_bytes), bytes);
            }
        }
    }

    #[test]
    fn parts_have_one_order_and_one_length() {
        let entry = |key: u8| [key, 1, b'x'];
        let parts = |parts: &[&[u8]]| {
            let count = parts.iter().map(|keys| keys.len()).sum::<usize>();
            let mut bytes = vec![u8::try_from(count).expect("few")];
            for keys in parts {
                let entries: Vec<u8> = keys.iter().copied().flat_map(entry).collect();
                bytes
                    .extend([keys.len(), entries.len()].map(|len| u8::try_from(len).expect("few")));
                bytes.extend(entries);
            }
            bytes
        };
        let keys = |read: Result<HashMap<u64, String>, NotPacked>| read.map(|map| map.len());
        assert_eq!(keys(unpacked(&parts(&[&[1, 2], &[3, 4], &[5]]), 6)), Ok(5));
        for bad in [
            // Too short, too long, out of order, twice, none.
            parts(&[&[1], &[2, 3]]),
            parts(&[&[1, 2, 3], &[4]]),
            parts(&[&[3, 4], &[1, 2]]),
            parts(&[&[1, 2], &[2, 3]]),
            parts(&[&[1, 2], &[]]),
        ] {
            assert_eq!(unpacked(&bad, 6), Err(NotPacked), "{bad:?}");
        }
    }
}
