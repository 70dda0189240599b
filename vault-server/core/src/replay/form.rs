//! Where texts of one length differ, and where they do not: then only what differs need be written, and
//! nothing about where it is.

use std::ops::Range;

use super::letters::Letters;

/// What may differ from a model, learnt from texts that were as long.
#[derive(Debug, Eq, PartialEq)]
pub struct Form {
    length: usize,
    runs: Vec<Run>,
}

/// Bytes that may differ, in a row. Small, as a text may have many.
#[derive(Debug, Eq, PartialEq)]
struct Run {
    from: u16,
    end: u16,
    /// They have these letters.
    letters: Option<Letters>,
}

impl Form {
    /// What may differ, by whether it did; `text` is one for which this must hold. `None` if it would be
    /// larger than the text, or is longer than 64 KiB.
    pub fn new(differs: &[bool], text: &[u8]) -> Option<Self> {
        let (mut runs, mut from) = (Vec::new(), 0);
        for same in differs.chunk_by(|one, other| one == other) {
            let end = from + same.len();
            if same.first() == Some(&true) {
                let letters = Letters::worth(text.get(from..end).unwrap_or_default());
                let [from, end] = [u16::try_from(from).ok()?, u16::try_from(end).ok()?];
                runs.push(Run { from, end, letters });
            }
            from = end;
        }
        runs.shrink_to_fit();
        let form = Self { length: differs.len(), runs };
        (form.size() <= form.length).then_some(form)
    }

    /// Bytes that a text takes.
    pub fn packed(&self) -> usize {
        self.runs.iter().map(Run::packed).sum()
    }

    /// Bytes that the form itself takes.
    pub fn size(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }

    /// Writes to `packed` what is not in the model, and says so; or the text does not fit, and nothing is
    /// written.
    pub fn pack(&self, model: &[u8], text: &[u8], packed: &mut Vec<u8>) -> bool {
        if text.len() != self.length || model.len() != self.length {
            return false;
        }
        let mut shared = 0;
        for run in &self.runs {
            let is_of_letters = run.letters.is_none_or(|letters| letters.has(&text[run.range()]));
            let before = shared..run.range().start;
            if !is_of_letters || text[before.clone()] != model[before] {
                return false;
            }
            shared = run.range().end;
        }
        if text[shared..] != model[shared..] {
            return false;
        }
        for run in &self.runs {
            let own = &text[run.range()];
            match run.letters {
                None => packed.extend_from_slice(own),
                Some(letters) => letters.pack(own, packed),
            }
        }
        true
    }

    /// Reads what [`Form::pack`] wrote; `None` for anything else.
    pub fn unpack(&self, model: &[u8], mut packed: &[u8]) -> Option<Vec<u8>> {
        let (mut text, mut shared) = (Vec::with_capacity(self.length), 0);
        for run in &self.runs {
            text.extend_from_slice(model.get(shared..run.range().start)?);
            let own = packed.split_off(..run.packed())?;
            match run.letters {
                None => text.extend_from_slice(own),
                Some(letters) => letters.unpack(own, run.range().len(), &mut text),
            }
            shared = run.range().end;
        }
        text.extend_from_slice(model.get(shared..)?);
        packed.is_empty().then_some(text)
    }
}

impl Run {
    fn range(&self) -> Range<usize> {
        self.from.into()..self.end.into()
    }

    fn packed(&self) -> usize {
        let length = self.range().len();
        self.letters.map_or(length, |letters| letters.size(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Form;

    #[test]
    fn what_differs_where_it_may_is_all_that_is_written() {
        let model = b"sign=0123456789abcdef at=17:01 px=1";
        let text = b"sign=fedcba9876543210 at=17:09 px=2";
        let differs: Vec<bool> = model.iter().zip(text).map(|(one, other)| one != other).collect();
        let form = Form::new(&differs, text).expect("three runs of six bytes are less");
        let mut packed = Vec::new();
        assert!(form.pack(model, text, &mut packed));
        assert_eq!((packed.len(), form.packed()), (8 + 1 + 1, 10));
        assert_eq!(form.unpack(model, &packed).as_deref(), Some(text.as_slice()));

        for other in [
            "sign=fedcba9876543210 at=18:09 px=2".as_bytes(),
            b"sign=fedcba9876543210 at=17:09 px=2 ",
            b"sign=FEDCBA9876543210 at=17:09 px=2",
            b"",
        ] {
            assert!(!form.pack(model, other, &mut packed));
        }
        assert_eq!(packed.len(), 10);
        packed.push(0);
        assert_eq!(form.unpack(model, &packed), None);
        assert_eq!(form.unpack(model, &packed[..9]), None);
    }

    #[test]
    fn no_form_is_larger_than_its_text() {
        let every = |nth: usize| (0..1_200).map(|at| at % nth == 0).collect::<Vec<_>>();
        let text = [b' '; 1_200];
        assert_eq!(Form::new(&every(2), &text), None);
        assert_eq!(Form::new(&every(5), &text), None);
        assert_eq!(Form::new(&every(6), &text).map(|form| form.size()), Some(1_200));
        let all = Form::new(&[true; 1_200], &text).expect("one run");
        assert_eq!((all.size(), all.packed()), (6, 1_200));
        assert_eq!(Form::new(&vec![true; 1 << 16], &[]), None);
    }

    proptest! {
        #[test]
        fn what_fits_comes_back(
            texts in vec((0u8..3, 0u8..3, any::<bool>()), 0..80),
            shared in vec(0u8..3, 240),
        ) {
            let shared = shared.iter().map(|letter| b'a' + letter);
            let text = |letters: Vec<u8>| letters.into_iter().chain(shared.clone()).collect::<Vec<_>>();
            let model = text(texts.iter().map(|(one, _, _)| b'a' + one).collect());
            let mut differs: Vec<bool> = texts.iter().map(|(one, other, may)| one != other || *may).collect();
            let text = text(texts.iter().map(|(_, other, _)| b'a' + other).collect());
            differs.resize(text.len(), false);
            // At most 40 runs, of six bytes each.
            let form = Form::new(&differs, &text).expect("no larger than the text");
            let mut packed = Vec::new();
            prop_assert!(form.pack(&model, &text, &mut packed));
            prop_assert_eq!(packed.len(), form.packed());
            prop_assert_eq!(form.unpack(&model, &packed), Some(text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            mut differs in vec(any::<bool>(), 0..60),
            packed in vec(any::<u8>(), 0..60),
        ) {
            differs.resize(240, false);
            let model = vec![b'a'; differs.len()];
            let form = Form::new(&differs, &model).expect("no larger than the text");
            let is_read = form.unpack(&model, &packed).is_some();
            prop_assert_eq!(is_read, packed.len() == form.packed());
        }
    }
}
