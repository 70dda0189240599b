//! Who waits for a connection: cancels go first, then clients in turns, what one client asks for in
//! the order in which it came.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::asker::{Asker, Errand};

/// Those that wait.
#[derive(Debug)]
pub(crate) struct Line<T> {
    cancels: Turns<T>,
    others: Turns<T>,
}

/// Clients with what they wait for, the one whose turn it is first.
type Turns<T> = VecDeque<(Rc<str>, VecDeque<(Errand, T)>)>;

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { cancels: Turns::new(), others: Turns::new() }
    }
}

impl<T> Line<T> {
    /// One more waits.
    pub(crate) fn push(&mut self, asker: &Asker, place: T) {
        let turns = match asker.errand {
            Errand::Cancel => &mut self.cancels,
            _ => &mut self.others,
        };
        let waiting = (asker.errand, place);
        match turns.iter_mut().find(|(client, _)| *client == asker.client) {
            Some((_, places)) => places.push_back(waiting),
            None => turns.push_back((Rc::clone(&asker.client), VecDeque::from([waiting]))),
        }
    }

    /// Takes out whose turn it is, of those that may go.
    pub(crate) fn pop(&mut self, may: impl Fn(Errand) -> bool) -> Option<T> {
        [&mut self.cancels, &mut self.others].into_iter().find_map(|turns| take(turns, &may))
    }

    /// Takes out the first that a client has asked for of a kind.
    pub(crate) fn pop_of(&mut self, asker: &Asker) -> Option<T> {
        let turns = match asker.errand {
            Errand::Cancel => &mut self.cancels,
            _ => &mut self.others,
        };
        let (_, places) = turns.iter_mut().find(|(client, _)| *client == asker.client)?;
        let first = places.iter().position(|(errand, _)| *errand == asker.errand)?;
        let place = places.remove(first);
        turns.retain(|(_, places)| !places.is_empty());
        place.map(|(_, place)| place)
    }

    /// Takes out those that do not wait any more.
    pub(crate) fn retain(&mut self, waits: impl Fn(&T) -> bool) {
        for turns in [&mut self.cancels, &mut self.others] {
            for (_, places) in turns.iter_mut() {
                places.retain(|(_, place)| waits(place));
            }
            turns.retain(|(_, places)| !places.is_empty());
        }
    }

    /// Whoever waits, with what each client asks for together.
    pub(crate) fn askers(&self) -> impl Iterator<Item = (&Rc<str>, Errand)> {
        let all = self.cancels.iter().chain(&self.others);
        all.flat_map(|(client, places)| places.iter().map(move |(errand, _)| (client, *errand)))
    }
}

fn take<T>(turns: &mut Turns<T>, may: impl Fn(Errand) -> bool) -> Option<T> {
    let may_go = |(errand, _): &(Errand, T)| may(*errand);
    let (at, first) = turns
        .iter()
        .enumerate()
        .find_map(|(at, (_, places))| Some((at, places.iter().position(may_go)?)))?;
    let (client, mut places) = turns.remove(at)?;
    let taken = places.remove(first);
    if !places.is_empty() {
        turns.push_back((client, places));
    }
    taken.map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::asker::{Asker, Errand};

    fn line(waiting: &[(&str, &str, u32)]) -> Line<u32> {
        let mut line = Line::default();
        for (client, class, number) in waiting {
            line.push(&Asker::new(client, class), *number);
        }
        line
    }

    fn drain(line: &mut Line<u32>, may: impl Fn(Errand) -> bool) -> Vec<u32> {
        std::iter::from_fn(|| line.pop(&may)).collect()
    }

    #[test]
    fn cancels_go_first_and_clients_take_turns() {
        let mut line = line(&[
            ("a", "read", 1),
            ("a", "trade", 2),
            ("a", "read", 3),
            ("b", "read", 10),
            ("a", "cancel", 4),
            ("b", "cancel", 11),
            ("a", "cancel", 5),
            ("b", "public", 12),
            ("", "read", 20),
        ]);
        assert_eq!(line.askers().count(), 9);
        assert_eq!(drain(&mut line, |_| true), [4, 11, 5, 1, 10, 20, 2, 12, 3]);
        assert_eq!(line.askers().count(), 0);
    }

    #[test]
    fn who_may_not_go_yet_is_passed_by_and_keeps_its_turn() {
        let mut line = line(&[
            ("a", "read", 1),
            ("a", "trade", 2),
            ("b", "read", 10),
            ("c", "withdraw", 20),
            ("b", "trade", 11),
        ]);
        assert!(drain(&mut line, |errand| errand == Errand::Cancel).is_empty());
        assert_eq!(drain(&mut line, |errand| errand != Errand::Read), [2, 11, 20]);
        assert_eq!(drain(&mut line, |_| true), [1, 10]);
    }

    #[test]
    fn a_certain_one_is_found() {
        let mut line =
            line(&[("a", "read", 1), ("a", "trade", 2), ("b", "read", 3), ("b", "cancel", 4)]);
        assert_eq!(line.pop_of(&Asker::new("c", "read")), None);
        assert_eq!(line.pop_of(&Asker::new("a", "cancel")), None);
        assert_eq!(line.pop_of(&Asker::new("a", "trade")), Some(2));
        assert_eq!(line.pop_of(&Asker::new("a", "public")), Some(1));
        assert_eq!(line.pop_of(&Asker::new("b", "cancel")), Some(4));
        assert_eq!(drain(&mut line, |_| true), [3]);
    }

    #[test]
    fn who_does_not_wait_any_more_is_forgotten() {
        let mut line = line(&[("a", "read", 1), ("b", "cancel", 2), ("a", "read", 3)]);
        line.retain(|number| *number == 3);
        assert_eq!(drain(&mut line, |_| true), [3]);
    }
}
