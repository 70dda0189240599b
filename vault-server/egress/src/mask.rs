//! What is struck out of the messages of one WebSocket.

use std::collections::VecDeque;
use std::rc::Rc;

use zeroize::Zeroizing;

use crate::hold::{Held, conceal};
use crate::scrub::Scrubber;

/// Texts that are looked for as long as the WebSocket stands: those of log-ons come first.
const KEPT_MAX: usize = 32;
/// Texts after those: the last ones.
const LAST_MAX: usize = 64;
/// Texts with handles.
const HELD_MAX: usize = 64;

/// The texts that authorise what was sent on a WebSocket. Never printed.
#[derive(Default)]
pub(crate) struct Mask {
    kept: Vec<Secret>,
    last: VecDeque<Secret>,
    held: VecDeque<(Rc<Held>, Scrubber)>,
}

struct Secret {
    text: Zeroizing<String>,
    scrubber: Scrubber,
}

impl Mask {
    /// Looks for these texts too.
    pub(crate) fn add(&mut self, texts: &[String]) {
        for text in texts {
            if self.kept.iter().any(|known| *known.text == *text) {
                continue;
            }
            let known = self.last.iter().position(|known| *known.text == *text);
            let secret = match known.and_then(|at| self.last.remove(at)) {
                Some(secret) => secret,
                None => Secret {
                    text: Zeroizing::new(text.clone()),
                    scrubber: Scrubber::new([text.as_str()]),
                },
            };
            if self.kept.len() < KEPT_MAX {
                self.kept.push(secret);
            } else {
                self.last.push_back(secret);
                if self.last.len() > LAST_MAX {
                    self.last.pop_front();
                }
            }
        }
    }

    /// Says handles for these texts.
    pub(crate) fn add_held(&mut self, all: Vec<Rc<Held>>) {
        for held in all {
            if !self.held.iter().any(|(known, _)| known.handle == held.handle) {
                let scrubber = Scrubber::new([held.text.as_str()]);
                self.held.push_back((held, scrubber));
            }
            if self.held.len() > HELD_MAX {
                self.held.pop_front();
            }
        }
    }

    /// Strikes out of a whole message; `more` are texts of its credential with handles.
    pub(crate) fn cover(&self, bytes: &mut Vec<u8>, more: &[Rc<Held>]) {
        for (held, scrubber) in &self.held {
            conceal(bytes, std::slice::from_ref(held));
            scrubber.scrub(bytes);
        }
        conceal(bytes, more);
        for secret in self.kept.iter().chain(&self.last) {
            secret.scrubber.scrub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{KEPT_MAX, LAST_MAX, Mask};
    use crate::hold::Holder;

    fn covered(mask: &Mask, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        mask.cover(&mut bytes, &[]);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_first_texts_are_kept_and_the_last() {
        let mut mask = Mask::default();
        let text = |number: usize| format!("secret-{number:04}");
        mask.add(&[text(0)]);
        for number in 1..KEPT_MAX + LAST_MAX + 1 {
            // The first is sent with each.
            mask.add(&[text(number), text(0)]);
        }
        assert_eq!((mask.kept.len(), mask.last.len()), (KEPT_MAX, LAST_MAX));
        let is_covered = |number: usize| covered(&mask, &text(number)) == "*".repeat(11);
        assert!((0..KEPT_MAX).all(is_covered));
        assert!(!is_covered(KEPT_MAX));
        assert!((KEPT_MAX + 1..KEPT_MAX + LAST_MAX + 1).all(is_covered));
    }

    #[test]
    fn a_text_that_is_used_again_stays() {
        let mut mask = Mask::default();
        let texts: Vec<String> = (0..KEPT_MAX).map(|number| format!("first-{number}")).collect();
        mask.add(&texts);
        mask.add(&["passphrase".to_owned()]);
        for number in 0..2 * LAST_MAX {
            mask.add(&[format!("signature-{number}"), "passphrase".to_owned()]);
        }
        assert_eq!(covered(&mask, "a passphrase"), "a **********");
    }

    #[test]
    fn texts_with_handles_become_handles() {
        let mut holder = Holder::default();
        let (handle, text) = ("HANDLEHANDLEHANDLE", "a-text-that-authorises");
        let held = holder.hold(("binance", "alpha"), ("one", handle), text, Instant::now());
        let mut mask = Mask::default();
        mask.add_held(held.into_iter().collect());
        let hex = "612d746578742d746861742d617574686f7269736573";
        assert_eq!(covered(&mask, &format!("<{text}>{hex}")), format!("<{handle}>{hex}"));
        assert_eq!(covered(&mask, "nothing else"), "nothing else");
    }
}
