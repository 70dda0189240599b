//! Listen keys and tokens that venues hand out: kept here, and known outside by a handle.
//!
//! Whoever has such a text reads an account, or trades on it, until it ends. It leaves this process
//! towards its venue alone: what is passed on says the handle instead, and where a request, a URL or
//! a message says the handle, the venue gets the text. Nothing of it is ever on a disk.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use memchr::memmem;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// How long a text is kept. Binance's live an hour after they were last asked for, Kraken's until
/// the connection ends that was opened with them: unverified.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Texts of all credentials; the one that came longest ago goes first.
const TEXTS_MAX: usize = 4_096;
/// Texts of one owner and credential.
const OWNER_TEXTS_MAX: usize = 64;
/// Lengths of a text that may authorise, in bytes.
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// Lengths of a handle, in bytes.
const HANDLE_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

/// A text that authorises, and what stands for it.
pub(crate) struct Held {
    pub(crate) handle: String,
    pub(crate) text: Zeroizing<String>,
    venue: String,
    owner: String,
    since: Instant,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(redacted)")
    }
}

/// All that is held.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    /// By credential, the newest last.
    held: HashMap<String, VecDeque<Rc<Held>>>,
    count: usize,
}

impl Holder {
    /// Keeps a text; whether it is one that may be kept.
    pub(crate) fn hold(
        &mut self,
        (venue, credential): (&str, &str),
        (owner, handle): (&str, &str),
        text: &str,
        now: Instant,
    ) -> Option<Rc<Held>> {
        let is_handle = HANDLE_BYTES.contains(&handle.len())
            && handle.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_handle || !is_plausible(text) || text.contains(handle) || handle.contains(text) {
            return None;
        }
        self.sweep(now);
        if self.count >= TEXTS_MAX {
            self.drop_oldest();
        }
        let held = Rc::new(Held {
            handle: handle.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            venue: venue.to_owned(),
            owner: owner.to_owned(),
            since: now,
        });
        let of_credential = self.held.entry(credential.to_owned()).or_default();
        of_credential.push_back(Rc::clone(&held));
        self.count += 1;
        let is_own = |held: &&Rc<Held>| held.owner == owner;
        if of_credential.iter().filter(is_own).count() > OWNER_TEXTS_MAX
            && let Some(oldest) = of_credential.iter().position(|held| held.owner == owner)
        {
            of_credential.remove(oldest);
            self.count -= 1;
        }
        Some(held)
    }

    /// What a handle stands for, at the venue that handed it out.
    pub(crate) fn find(&self, venue: &str, handle: &str, now: Instant) -> Option<Rc<Held>> {
        let mut all = self.held.values().flatten();
        let found = all.find(|held| held.handle == handle && held.venue == venue)?;
        (now.duration_since(found.since) < KEPT).then(|| Rc::clone(found))
    }

    /// What is held for a credential, the newest first.
    pub(crate) fn of(&self, credential: &str) -> Vec<Rc<Held>> {
        let all = self.held.get(credential).into_iter().flatten().rev();
        all.map(Rc::clone).collect()
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.held.retain(|_, all| {
            all.retain(|held| now.duration_since(held.since) < KEPT);
            !all.is_empty()
        });
        self.count = self.held.values().map(VecDeque::len).sum();
    }

    fn drop_oldest(&mut self) {
        let first = |all: &VecDeque<Rc<Held>>| all.front().map(|held| held.since);
        let oldest = self.held.iter().min_by_key(|(_, all)| first(all));
        let Some(credential) = oldest.map(|(credential, _)| credential.clone()) else { return };
        if let Some(all) = self.held.get_mut(&credential) {
            self.count -= usize::from(all.pop_front().is_some());
        }
    }

    /// Puts the texts in where handles stand.
    ///
    /// # Errors
    ///
    /// [`Problem::HandleUnknown`] if a handle is not known, or does not stand in any of the places;
    /// [`Problem::RequestMalformed`] if the text would have to be written otherwise there.
    pub(crate) fn reveal(
        &self,
        venue: &str,
        handles: &[String],
        places: &mut [&mut Vec<u8>],
        now: Instant,
    ) -> Result<Vec<Rc<Held>>, Problem> {
        let mut all = Vec::new();
        for handle in handles {
            let held = self.find(venue, handle, now).ok_or(Problem::HandleUnknown)?;
            let mut is_there = false;
            for place in &mut *places {
                if let Some(replaced) = replace(place, handle.as_bytes(), held.text.as_bytes()) {
                    // In JSON each of its letters stands for itself; in a URL or a form not.
                    if !place.starts_with(b"{") && !is_bare(&held.text) {
                        return Err(Problem::RequestMalformed);
                    }
                    **place = replaced;
                    is_there = true;
                }
            }
            if !is_there {
                return Err(Problem::HandleUnknown);
            }
            all.push(held);
        }
        Ok(all)
    }
}

/// Puts handles in where their texts stand, as they are and with slashes escaped as in JSON.
pub(crate) fn conceal(bytes: &mut Vec<u8>, all: &[Rc<Held>]) {
    for held in all {
        let forms = [Zeroizing::new(held.text.replace('/', "\\/")), held.text.clone()];
        for form in &forms {
            if let Some(replaced) = replace(bytes, form.as_bytes(), held.handle.as_bytes()) {
                *bytes = replaced;
            }
        }
    }
}

/// Whether a text may be one that authorises.
fn is_plausible(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    TEXT_BYTES.contains(&text.len()) && text.bytes().all(fits)
}

/// Whether a text can stand in a URL or a form as it is.
fn is_bare(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let finder = memmem::Finder::new(from);
    let mut places = finder.find_iter(bytes).peekable();
    places.peek()?;
    let mut out = Vec::with_capacity(bytes.len() + to.len());
    let mut at = 0;
    for place in places {
        out.extend_from_slice(&bytes[at..place]);
        out.extend_from_slice(to);
        at = place + from.len();
    }
    out.extend_from_slice(&bytes[at..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Holder, KEPT, OWNER_TEXTS_MAX, TEXTS_MAX, conceal};
    use crate::problem::Problem;

    fn handle(number: usize) -> String {
        format!("H{number:031}")
    }

    fn text(number: usize) -> String {
        format!("real_{number:012}-x")
    }

    fn hold(holder: &mut Holder, credential: &str, number: usize, now: Instant) {
        let held =
            holder.hold(("binance", credential), ("one", &handle(number)), &text(number), now);
        assert!(held.is_some());
    }

    #[test]
    fn a_handle_becomes_its_text_and_the_text_its_handle() {
        let now = Instant::now();
        let mut holder = Holder::default();
        hold(&mut holder, "alpha", 1, now);
        let mut url = format!("/ws/{}?a={}", handle(1), handle(1)).into_bytes();
        let mut body = Vec::new();

        let all = holder.reveal("binance", &[handle(1)], &mut [&mut url, &mut body], now);

        assert_eq!(url, format!("/ws/{}?a={}", text(1), text(1)).into_bytes());
        let mut all = all.expect("known");
        let token = "with/slashes/and+more==";
        all.extend(holder.hold(("binance", "alpha"), ("one", &handle(2)), token, now));
        let escaped = token.replace('/', "\\/");
        let mut bytes = format!(r#"["{}","{token}","{escaped}"]"#, text(1)).into_bytes();
        conceal(&mut bytes, &all);
        let expected = format!(r#"["{}","{}","{}"]"#, handle(1), handle(2), handle(2));
        assert_eq!(String::from_utf8_lossy(&bytes), expected);

        // It can stand in JSON, and nowhere else.
        let mut json = format!(r#"{{"token":"{}"}}"#, handle(2)).into_bytes();
        assert!(holder.reveal("binance", &[handle(2)], &mut [&mut json], now).is_ok());
        assert_eq!(json, format!(r#"{{"token":"{token}"}}"#).into_bytes());
        let mut form = format!("token={}", handle(2)).into_bytes();
        let refused = holder.reveal("binance", &[handle(2)], &mut [&mut form], now);
        assert_eq!(refused.err(), Some(Problem::RequestMalformed));
    }

    #[test]
    fn what_is_unknown_foreign_or_not_there_reveals_nothing() {
        let now = Instant::now();
        let mut holder = Holder::default();
        hold(&mut holder, "alpha", 1, now);
        let reveal = |venue: &str, handle: String, place: &str, now| {
            let mut place = place.as_bytes().to_vec();
            holder.reveal(venue, &[handle], &mut [&mut place], now).err()
        };
        let unknown = Some(Problem::HandleUnknown);
        assert_eq!(reveal("binance", handle(1), &handle(1), now), None);
        assert_eq!(reveal("binance", handle(2), &handle(2), now), unknown);
        assert_eq!(reveal("kraken", handle(1), &handle(1), now), unknown);
        assert_eq!(reveal("binance", handle(1), "", now), unknown);
        assert_eq!(reveal("binance", handle(1), &handle(1), now + KEPT), unknown);
    }

    #[test]
    fn only_what_may_authorise_is_held() {
        let now = Instant::now();
        let mut holder = Holder::default();
        let mut hold = |handle: &str, text: &str| {
            holder.hold(("binance", "alpha"), ("one", handle), text, now).is_some()
        };
        let long = "x".repeat(256);
        assert!(hold(&handle(1), &text(1)) && hold(&handle(1), &long));
        for (handle, text) in [
            (handle(1), "fifteen-letters".to_owned()),
            (handle(1), format!("{long}x")),
            (handle(1), format!("{}\"", text(1))),
            (handle(1), format!("{} ", text(1))),
            (handle(1), format!("{}%", text(1))),
            (handle(1), handle(1)),
            ("short".to_owned(), text(1)),
            (format!("{}-", handle(1)), text(1)),
        ] {
            assert!(!hold(&handle, &text), "{handle} {text}");
        }
    }

    #[test]
    fn there_are_bounds() {
        let now = Instant::now();
        let mut holder = Holder::default();
        // Another's, which came first, stays.
        let other = holder.hold(("binance", "alpha"), ("other", &handle(900)), &text(900), now);
        assert!(other.is_some());
        for number in 0..=OWNER_TEXTS_MAX {
            hold(&mut holder, "alpha", number, now);
        }
        assert_eq!(holder.of("alpha").len(), OWNER_TEXTS_MAX + 1);
        assert!(holder.find("binance", &handle(900), now).is_some());
        assert!(holder.find("binance", &handle(0), now).is_none());
        assert!(holder.find("binance", &handle(1), now).is_some());

        let at = |number: usize| now + Duration::from_millis(number as u64);
        let mut holder = Holder::default();
        for number in 0..=TEXTS_MAX {
            hold(&mut holder, &format!("c{number}"), number, at(number));
        }
        assert_eq!(holder.count, TEXTS_MAX);
        assert!(holder.find("binance", &handle(0), at(TEXTS_MAX)).is_none());
        assert!(holder.find("binance", &handle(TEXTS_MAX), at(TEXTS_MAX)).is_some());
        holder.sweep(now + KEPT);
        assert_eq!(holder.count, TEXTS_MAX);
        holder.sweep(at(TEXTS_MAX) + KEPT);
        assert_eq!((holder.count, holder.held.len()), (0, 0));
    }

    #[test]
    fn nothing_shows_a_text() {
        let mut holder = Holder::default();
        hold(&mut holder, "alpha", 1, Instant::now());
        assert!(!format!("{holder:?}").contains("real"));
    }
}
