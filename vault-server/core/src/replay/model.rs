//! The models that answers are compared with: one for each credential, and those before it as long as
//! answers need them.
//!
//! A model is an answer. Once it is known where others differ from it, the next of them is the model, with
//! this knowledge: what was written with the one before needs it as it was. One that no answer needs waits
//! for the next of its credential, as long as there is room.

use vault_model::ClockTime;

use super::ANSWER_KEPT;
use super::form::Form;
use super::likeness::Model;

/// Bounded: as many as there are places, and those that answers need.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Models {
    /// By the credential's hash: the number of the model for its answers, and 1; 0: none.
    present: Vec<u32>,
    all: Vec<Option<Used>>,
    /// Numbers without a model.
    free: Vec<u32>,
    bytes: usize,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Written {
    /// The number of the model.
    pub model: u32,
    /// It has the model's form.
    pub is_formed: bool,
}

impl Models {
    /// Writes what a model does not have; or nothing if it is too long to be compared.
    /// Until the [first use](Self::is_first_use) in a block is noted nothing else may be packed.
    pub fn pack(
        &mut self,
        credential: &[u8],
        reply: &[u8],
        packed: &mut Vec<u8>,
    ) -> Option<Written> {
        let place = place(credential, PLACES);
        let present = self.present.get(place).and_then(|number| number.checked_sub(1));
        let learnt = match present.and_then(|number| Some((number, self.used(number)?))) {
            None => Learnt::of(reply),
            Some((model, used)) => match used.pack(reply, packed) {
                Ok(is_formed) => return Some(Written { model, is_formed }),
                Err(learnt) => learnt,
            },
        };
        let used = Used::new(learnt, reply)?;
        let is_formed = used.model.pack_formed(reply, packed);
        if !is_formed {
            used.model.pack(reply, packed);
        }
        self.bytes += used.size();
        let number = self.free.pop().unwrap_or(self.all.len() as u32);
        self.all.resize_with(self.all.len().max(number as usize + 1), || None);
        self.all[number as usize] = Some(used);
        self.present.resize(PLACES, 0);
        self.present[place] = number + 1;
        if let Some(before) = present {
            if let Some(used) = self.used(before) {
                used.is_present = false;
            }
            self.drop_unused(before);
        }
        Some(Written { model: number, is_formed })
    }

    /// Reads what was written with a model.
    pub fn unpack(&self, how: Written, packed: &[u8]) -> Option<Vec<u8>> {
        let model = &self.all.get(how.model as usize)?.as_ref()?.model;
        if how.is_formed { model.unpack_formed(packed) } else { model.unpack(packed) }
    }

    /// Whether this block has not needed this model yet; it does now, until it [lets it go](Self::let_go).
    pub fn is_first_use(&mut self, number: u32, block: u64) -> bool {
        let Some(used) = self.used(number) else {
            return false;
        };
        let is_first = used.last_block != Some(block);
        used.last_block = Some(block);
        used.blocks += u32::from(is_first);
        is_first
    }

    /// Bytes that who needs this model has to answer for: all of them, once in a minute.
    pub fn charge(&mut self, number: u32, now: ClockTime) -> usize {
        let Some(used) = self.used(number) else {
            return 0;
        };
        // A clock that went back is a minute, too.
        if used.charged_at.is_some_and(|at| (at..at.plus(ANSWER_KEPT)).contains(&now)) {
            return 0;
        }
        used.charged_at = Some(now);
        used.size()
    }

    /// A block is forgotten that needed it.
    pub fn let_go(&mut self, number: u32) {
        if let Some(used) = self.used(number) {
            used.blocks = used.blocks.saturating_sub(1);
            self.drop_unused(number);
        }
    }

    /// Forgets the models that no answer needs; the next one to such a credential is one again. Whether there
    /// were any.
    pub fn forget_idle(&mut self) -> bool {
        let before = self.bytes;
        for present in &mut self.present {
            if let Some(number) = present.checked_sub(1)
                && let Some(place) = self.all.get_mut(number as usize)
                && let Some(gone) = place.take_if(|used| used.blocks == 0)
            {
                self.bytes -= gone.size();
                self.free.push(number);
                *present = 0;
            }
        }
        self.bytes < before
    }

    /// Bytes that all take.
    pub fn size(&self) -> usize {
        self.bytes
    }

    fn used(&mut self, number: u32) -> Option<&mut Used> {
        self.all.get_mut(number as usize)?.as_mut()
    }

    fn drop_unused(&mut self, number: u32) {
        if let Some(place) = self.all.get_mut(number as usize)
            && let Some(gone) = place.take_if(|used| used.blocks == 0 && !used.is_present)
        {
            self.bytes -= gone.size();
            self.free.push(number);
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Used {
    model: Model,
    is_present: bool,
    /// Blocks with answers that need it.
    blocks: u32,
    /// The last of them.
    last_block: Option<u64>,
    /// When somebody had to answer for it last.
    charged_at: Option<ClockTime>,
    /// Answers that were compared with it, and those that had its form.
    ever: u32,
    formed: u32,
    learnt: Learnt,
}

impl Used {
    fn new(learnt: Learnt, reply: &[u8]) -> Option<Self> {
        let form = learnt.form(reply);
        let model = Model::new(reply, form)?;
        let (ever, blocks, formed) = (1, 0, 0);
        let (last_block, charged_at) = (None, None);
        Some(Self { model, is_present: true, blocks, last_block, charged_at, ever, formed, learnt })
    }

    fn size(&self) -> usize {
        size_of::<Option<Self>>() + self.model.size() + self.learnt.differs.len()
    }

    /// Writes what the model does not have, and says whether by its form; or nothing, and this answer should
    /// be a model, of which this is known.
    fn pack(&mut self, reply: &[u8], packed: &mut Vec<u8>) -> Result<bool, Learnt> {
        self.ever = self.ever.saturating_add(1);
        // By then one of now has more of a time, and of numbers that grow.
        let is_old = self.ever >= MODEL_LASTS;
        if !is_old && self.model.pack_formed(reply, packed) {
            self.formed = self.formed.saturating_add(1);
            return Ok(true);
        }
        if is_old {
            let due = self.learnt.due;
            self.learnt = Learnt { due, from: due, ..Learnt::of(self.model.text()) };
        }
        let is_learnt = self.learnt.note(self.model.text(), reply);
        let head = packed.len();
        self.model.pack(reply, packed);
        let size = packed.len() - head;
        // If answers differ from each other anyway, another model is no better.
        let is_unlike = size > reply.len() / 2 && self.ever >= MODEL_TRIED;
        let learnt = match is_learnt {
            true => self.learnt.next(reply, size, self.formed),
            false => None,
        };
        if learnt.is_none() && !is_old && !is_unlike {
            return Ok(false);
        }
        packed.truncate(head);
        Err(learnt.unwrap_or_else(|| Learnt::of(reply)))
    }
}

/// Where answers differ from a model that are as long.
#[derive(Debug, Eq, PartialEq)]
struct Learnt {
    differs: Vec<bool>,
    /// From so many that did not have its form.
    from: u32,
    /// So many should have one.
    due: u32,
}

impl Learnt {
    /// Nothing.
    fn of(reply: &[u8]) -> Self {
        Self { differs: vec![false; reply.len()], from: 0, due: DUE_MIN }
    }

    fn form(&self, reply: &[u8]) -> Option<Form> {
        self.differs.contains(&true).then(|| Form::new(&self.differs, reply)).flatten()
    }

    /// Notes where an answer differs; says whether that is enough to know.
    fn note(&mut self, model: &[u8], reply: &[u8]) -> bool {
        if model.len() != reply.len() {
            return false;
        }
        for (differs, (one, other)) in self.differs.iter_mut().zip(model.iter().zip(reply)) {
            *differs |= one != other;
        }
        self.from += 1;
        self.from >= self.due
    }

    /// What the next model begins with: nothing if this answer took less without a form. Who changes the
    /// form of what he asks for all the time has it learnt ever more seldom.
    fn next(&mut self, reply: &[u8], size: usize, formed: u32) -> Option<Self> {
        self.due = if formed < self.from {
            self.due.saturating_mul(2).min(DUE_MAX)
        } else {
            (self.due / 2).max(DUE_MIN)
        };
        self.from = 0;
        let is_shorter = self.form(reply).is_some_and(|form| form.packed() < size);
        is_shorter.then(|| Self { differs: self.differs.clone(), ..*self })
    }
}

/// The place of a credential or a client, of so many. Admins name them: a hash without a secret will do, and
/// two in one place cost room, no more.
pub fn place(name: &[u8], places: usize) -> usize {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, add);
    (hash ^ (hash >> 32)) as usize % places
}

/// Credentials that have a model of their own, if no two have the same place.
const PLACES: usize = 256;
/// Answers that a model is tried with at least.
const MODEL_TRIED: u32 = 16;
/// Answers after which there is another one.
const MODEL_LASTS: u32 = 16_384;
/// Answers that a form is learnt from.
const DUE_MIN: u32 = 8;
const DUE_MAX: u32 = 4_096;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{MODEL_LASTS, Models, Written};

    /// How it was written, as it was written, and what it was.
    type Kept = (Written, Vec<u8>, Vec<u8>);

    fn pack(models: &mut Models, credential: &str, reply: &[u8]) -> (Written, Vec<u8>) {
        let mut packed = Vec::new();
        let how = models.pack(credential.as_bytes(), reply, &mut packed).expect("short enough");
        (how, packed)
    }

    fn reply(number: u32) -> String {
        let sign = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "POST https://venue.test/order sign {sign:016x} at 2026-11-23T08:{:07.4}Z",
            f64::from(number) / 1e4
        )
    }

    #[test]
    fn where_answers_differ_is_learnt_and_only_that_is_written() {
        let mut models = Models::default();
        let mut sizes = Vec::new();
        for number in 0..3 * MODEL_LASTS {
            let (how, packed) = pack(&mut models, "main", reply(number).as_bytes());
            assert_eq!(models.unpack(how, &packed), Some(reply(number).into_bytes()));
            assert!(models.is_first_use(how.model, number.into()));
            models.let_go(how.model);
            sizes.push(packed.len() * usize::from(how.is_formed));
        }
        // Eight bytes of a signature in hex, and up to six digits.
        let formed = sizes.iter().filter(|size| (8..=14).contains(*size)).count();
        assert!(formed > sizes.len() * 99 / 100, "{formed}");
        assert_eq!(models.all.iter().flatten().count(), 1);
        assert_eq!(models.bytes, models.all.iter().flatten().map(super::Used::size).sum::<usize>());
    }

    #[test]
    fn who_asks_in_another_form_each_time_does_not_make_a_model_each_time() {
        let mut models = Models::default();
        let mut last = None;
        let mut made = 0;
        for number in 0..20_000u32 {
            let parts = [["buy", "limit ", "12.5"], ["sell", "stop", "1.25 "]];
            let [one, two, three] = [0, 1, 2].map(|at| parts[(number >> at & 1) as usize][at]);
            let reply = format!("{} {one} {} {two} {three} {number:05}", reply(1), reply(2));
            let (how, packed) = pack(&mut models, "main", reply.as_bytes());
            assert_eq!(models.unpack(how, &packed), Some(reply.into_bytes()));
            models.is_first_use(how.model, number.into());
            made += u32::from(last.replace(how.model) != Some(how.model));
        }
        assert!(made < 200, "{made}");
    }

    #[test]
    fn models_that_no_answer_needs_are_forgotten_and_come_again() {
        let mut models = Models::default();
        let one = pack(&mut models, "one", reply(1).as_bytes());
        let other = pack(&mut models, "other", reply(2).as_bytes());
        for (how, _) in [&one, &other] {
            assert!(models.is_first_use(how.model, 1));
        }
        let size = models.size();
        assert!(!models.forget_idle());
        models.let_go(one.0.model);
        assert!(models.forget_idle());
        assert_eq!(models.size() * 2, size);
        assert_eq!(models.unpack(other.0, &other.1), Some(reply(2).into_bytes()));

        let again = pack(&mut models, "one", reply(3).as_bytes());
        assert_eq!(again.0.model, one.0.model, "its number was free");
        assert_eq!(models.unpack(again.0, &again.1), Some(reply(3).into_bytes()));
        assert_eq!(models.size(), size);
    }

    proptest! {
        /// As long as an answer's block is there, so is its model; and no longer.
        #[test]
        fn a_model_is_there_as_long_as_it_is_needed(
            steps in vec((0..3u8, 0..8u8, 0..40u32, 0..4usize, 0..3usize, any::<bool>()), 1..60),
        ) {
            let mut models = Models::default();
            let mut blocks: VecDeque<(Vec<u32>, Vec<Kept>)> = VecDeque::new();
            let mut next = 0;
            for (block, (credential, form, count, letters, forgotten, is_full)) in (0u64..).zip(steps) {
                blocks.push_back(Default::default());
                let (needed, answers) = blocks.back_mut().expect("one was pushed");
                for _ in 0..count {
                    next += 1;
                    let body = "x".repeat(letters * 30 + usize::from(form % 2));
                    let reply = match form {
                        7 => next.to_string().repeat(30),
                        _ => format!("{form} {} {body}", reply(next)),
                    }
                    .into_bytes();
                    let (how, packed) = pack(&mut models, &format!("key-{credential}"), &reply);
                    if models.is_first_use(how.model, block) {
                        needed.push(how.model);
                    }
                    answers.push((how, packed, reply));
                }
                for _ in 0..forgotten {
                    if let Some((needed, _)) = blocks.pop_front() {
                        for model in needed {
                            models.let_go(model);
                        }
                    }
                }
                if is_full {
                    models.forget_idle();
                }
                for (_, answers) in &blocks {
                    for (how, packed, reply) in answers {
                        let found = models.unpack(*how, packed);
                        prop_assert_eq!(found.as_ref(), Some(reply));
                    }
                }
                let sizes = models.all.iter().flatten().map(super::Used::size);
                prop_assert_eq!(models.size(), sizes.sum::<usize>());
            }
            while let Some((needed, _)) = blocks.pop_front() {
                for model in needed {
                    models.let_go(model);
                }
            }
            prop_assert!(models.all.iter().flatten().count() <= 3);
            prop_assert!(models.all.iter().flatten().all(|used| used.is_present && used.blocks == 0));
        }
    }
}
