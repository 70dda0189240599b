//! The fuzz targets for libFuzzer. What they do is in [`target`]; `fuzz.rs` of `tests/tests/` gives
//! the same functions a bounded number of inputs on stable Rust.

pub mod target;

use target::Target;
use target::mutate::{self, Random};

/// One of libFuzzer's own mutations or, as often, one of ours, which know the target's words.
/// Returns the new size.
pub fn mutate(
    target: &Target,
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    own: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut random = Random(u64::from(seed));
    if random.below(2) == 0 {
        return own(data, size, max_size);
    }
    let mut input = data[..size].to_vec();
    let other = input.clone();
    mutate::mutate(&mut input, &other, (target.words)(), &mut random, max_size);
    data[..input.len()].copy_from_slice(&input);
    input.len()
}

/// The two functions that libFuzzer calls.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        fn target() -> &'static $crate::target::Target {
            static TARGET: std::sync::OnceLock<&$crate::target::Target> =
                std::sync::OnceLock::new();
            TARGET.get_or_init(|| $crate::target::named($name))
        }

        libfuzzer_sys::fuzz_target!(|data: &[u8]| (target().run)(data));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            let own = libfuzzer_sys::fuzzer_mutate;
            $crate::mutate(target(), data, size, max_size, seed, own)
        });
    };
}
