//! Work that is spread over a few threads, while nobody is served yet.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, scope};

/// Does something with each of the parts, on as many threads as there are processors, on [`THREADS_MAX`]
/// at most; what came of them is in their order. `name` is that of the threads. Where there is no other
/// thread to be had, the calling one does it.
pub fn spread<P: Sync, T: Send>(parts: &[P], name: &str, work: impl Fn(&P) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            match parts.get(place) {
                Some(part) => done.push((place, work(part))),
                None => return done,
            }
        }
    };
    let threads = available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let mut done = scope(|scope| {
        let others: Vec<_> = (1..threads.min(parts.len()))
            .filter_map(|_| Builder::new().name(name.to_owned()).spawn_scoped(scope, take).ok())
            .collect();
        let mut done = take();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, made)| made).collect()
}

const THREADS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn what_came_of_the_parts_is_in_their_order() {
        for count in [0, 1, 2, 3, 100] {
            let parts: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = parts.iter().map(|part| 2 * part).collect();
            assert_eq!(spread(&parts, "test", |part| 2 * part), doubled);
        }
    }
}
