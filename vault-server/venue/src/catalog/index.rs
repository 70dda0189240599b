//! Which operations a set of parameter names could be for, without a look at each of them.

use super::{Intake, Operation, Set, Shape};

/// All operations, under what they require and what they know. Sets of operations are of their
/// numbers, sets of names of theirs.
#[derive(Debug)]
pub(crate) struct Index {
    /// The operations of each intake.
    pub by_intake: Vec<(Intake, Set)>,
    /// What requires no name, or is not asked for names before it is read.
    anyway: Set,
    /// By the number of a name: the operations that require it. An operation is under one name only,
    /// the one that the fewest require.
    requiring: Vec<Set>,
    /// By the number of a name: the operations that know it.
    knowing: Vec<Set>,
}

impl Index {
    /// `names` is how many names there are.
    pub(super) fn new(operations: &[Operation], shapes: &[Shape], names: usize) -> Self {
        let shape_of = |operation: &Operation| operation.shape.and_then(|at| shapes.get(at));
        let required_of = |operation: &Operation| {
            let asked = operation.intake.array_max.is_none();
            shape_of(operation).filter(|_| asked).map(|shape| &shape.required_set)
        };
        let mut requiring_any = vec![0_usize; names];
        for name in operations.iter().filter_map(required_of).flat_map(Set::numbers) {
            requiring_any[name] += 1;
        }
        let mut index = Self {
            by_intake: Vec::new(),
            anyway: Set::default(),
            requiring: vec![Set::default(); names],
            knowing: vec![Set::default(); names],
        };
        for (number, operation) in operations.iter().enumerate() {
            index.of_intake(operation.intake).insert(number);
            let required = required_of(operation).into_iter().flat_map(Set::numbers);
            match required.min_by_key(|&name| requiring_any[name]) {
                Some(rarest) => index.requiring[rarest].insert(number),
                None => index.anyway.insert(number),
            }
            for name in shape_of(operation).iter().flat_map(|shape| shape.known_set.numbers()) {
                index.knowing[name].insert(number);
            }
        }
        index
    }

    fn of_intake(&mut self, intake: Intake) -> &mut Set {
        let at = self.by_intake.iter().position(|(known, _)| *known == intake);
        let at = at.unwrap_or_else(|| {
            self.by_intake.push((intake, Set::default()));
            self.by_intake.len() - 1
        });
        &mut self.by_intake[at].1
    }

    /// Every operation that could have what it requires among these names; others may be there too.
    pub(crate) fn satisfied_by(&self, present: &Set) -> Set {
        let mut satisfied = self.anyway.clone();
        for requiring in present.numbers().filter_map(|name| self.requiring.get(name)) {
            satisfied.add(requiring);
        }
        satisfied
    }

    /// Keeps the operations that know all of these names.
    pub(crate) fn keep_knowing(&self, operations: &mut Set, names: &Set) {
        for knowing in names.numbers().filter_map(|name| self.knowing.get(name)) {
            operations.keep(knowing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Set;
    use crate::registry::Registry;

    #[test]
    fn an_operation_is_found_by_what_it_requires_and_by_what_it_knows() {
        let registry = Registry::bundled().expect("sound");
        for catalog in registry.names().filter_map(|name| registry.venue(name)).map(|v| &v.catalog)
        {
            let index = &catalog.table.index;
            let all: Set = (0..catalog.operations.len()).collect();
            for (number, operation) in catalog.operations.iter().enumerate() {
                let Some(shape) = operation.shape.and_then(|at| catalog.shapes.get(at)) else {
                    assert!(
                        index.satisfied_by(&Set::default()).remove(number),
                        "{}",
                        operation.name
                    );
                    continue;
                };
                let is_found = |present: &Set| index.satisfied_by(present).remove(number);
                assert!(is_found(&shape.required_set), "{}", operation.name);
                let asked = operation.intake.array_max.is_none();
                let required = asked && !shape.required_set.is_empty();
                assert_eq!(is_found(&Set::default()), !required, "{}", operation.name);

                let mut knowing = all.clone();
                index.keep_knowing(&mut knowing, &shape.known_set);
                assert!(knowing.remove(number), "{}", operation.name);
            }
        }
    }
}
