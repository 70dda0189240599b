//! Where texts of one length differ, and where they do not: then only what differs need be written, and
//! nothing about where it is.

use super::letters::Letters;

/// What may differ from a model, learnt from texts that were as long.
#[derive(Debug, Eq, PartialEq)]
pub struct Form {
    length: usize,
    runs: Vec<Run>,
}

/// Bytes that may differ, in a row.
#[derive(Debug, Eq, PartialEq)]
struct Run {
    from: usize,
    end: usize,
    /// They have these letters.
    letters: Option<Letters>,
}

impl Form {
    /// What may differ, by whether it did; `text` is one for which this must hold.
    pub fn new(differs: &[bool], text: &[u8]) -> Self {
        let (mut runs, mut from) = (Vec::new(), 0);
        for same in differs.chunk_by(|one, other| one == other) {
            let end = from + same.len();
            if same.first() == Some(&true) {
                let letters = Letters::worth(text.get(from..end).unwrap_or_default());
                runs.push(Run { from, end, letters });
            }
            from = end;
        }
        Self { length: differs.len(), runs }
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
        for Run { from, end, letters } in &self.runs {
            let is_of_letters = letters.is_none_or(|letters| letters.has(&text[*from..*end]));
            if !is_of_letters || text[shared..*from] != model[shared..*from] {
                return false;
            }
            shared = *end;
        }
        if text[shared..] != model[shared..] {
            return false;
        }
        for Run { from, end, letters } in &self.runs {
            let own = &text[*from..*end];
            match letters {
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
            text.extend_from_slice(model.get(shared..run.from)?);
            let own = packed.split_off(..run.packed())?;
            match run.letters {
                None => text.extend_from_slice(own),
                Some(letters) => letters.unpack(own, run.end - run.from, &mut text),
            }
            shared = run.end;
        }
        text.extend_from_slice(model.get(shared..)?);
        packed.is_empty().then_some(text)
    }
}

impl Run {
    fn packed(&self) -> usize {
        let length = self.end - self.from;
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
        let form = Form::new(&differs, text);
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

    proptest! {
        #[test]
        fn what_fits_comes_back(texts in vec((0u8..3, 0u8..3, any::<bool>()), 0..80)) {
            let model: Vec<u8> = texts.iter().map(|(one, _, _)| b'a' + one).collect();
            let text: Vec<u8> = texts.iter().map(|(_, other, _)| b'a' + other).collect();
            let differs: Vec<bool> = texts.iter().map(|(one, other, may)| one != other || *may).collect();
            let form = Form::new(&differs, &text);
            let mut packed = Vec::new();
            prop_assert!(form.pack(&model, &text, &mut packed));
            prop_assert_eq!(packed.len(), form.packed());
            prop_assert_eq!(form.unpack(&model, &packed), Some(text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            differs in vec(any::<bool>(), 0..60),
            packed in vec(any::<u8>(), 0..60),
        ) {
            let model = vec![b'a'; differs.len()];
            let form = Form::new(&differs, &model);
            let is_read = form.unpack(&model, &packed).is_some();
            prop_assert_eq!(is_read, packed.len() == form.packed());
        }
    }
}
