//! Lookup tables that make a closure cheap: parameter names as numbers, sets of names as bits.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::binding::{self, Binding, Candidates};
use super::{Operation, Shape};

/// A set of parameter names of one catalogue.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct NameSet(Vec<u64>);

impl NameSet {
    pub(crate) fn insert(&mut self, name: usize) {
        let (word, bit) = (name / 64, name % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    /// Whether every name of this set is in the other one.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .enumerate()
            .all(|(word, bits)| bits & !other.0.get(word).copied().unwrap_or(0) == 0)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    /// Method and path to operation, templates left out.
    by_name: HashMap<(String, String), usize>,
    templates: Vec<usize>,
    /// Per kind of signature, what it could be for.
    by_binding: HashMap<Binding, Candidates>,
    /// Parameter names to numbers.
    names: FxHashMap<String, usize>,
}

impl Table {
    pub(super) fn new(operations: &[Operation], bindings: Vec<Binding>, names: Names) -> Self {
        let mut by_name = HashMap::new();
        let mut templates = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            if binding::is_template(&operation.path) {
                templates.push(index);
            } else {
                by_name.insert((operation.method.clone(), operation.path.clone()), index);
            }
        }
        let by_binding = bindings
            .into_iter()
            .map(|binding| {
                let candidates = Candidates::new(operations, &binding);
                (binding, candidates)
            })
            .collect();
        Self { by_name, templates, by_binding, names: names.0 }
    }

    /// The operation of a method and a path; one that is spelled out goes before a template.
    pub(super) fn named(
        &self,
        operations: &[Operation],
        method: &str,
        path: &str,
    ) -> Option<usize> {
        let exact = self.by_name.get(&(method.to_owned(), path.to_owned())).copied();
        exact.or_else(|| {
            self.templates.iter().copied().find(|&index| {
                operations.get(index).is_some_and(|operation| {
                    operation.method == method && binding::fits_template(&operation.path, path)
                })
            })
        })
    }

    /// Every operation for which the signature of a method and path could be, in the order of
    /// names.
    pub(crate) fn candidates(
        &self,
        operations: &[Operation],
        binding: &Binding,
        method: &str,
        path: &str,
    ) -> Vec<usize> {
        match self.by_binding.get(binding) {
            Some(candidates) => candidates.of(operations, binding, method, path),
            // Every binding that an operation can have is there. Were one not, nothing would be
            // known of it, so it could be for anything.
            None => (0..operations.len()).collect(),
        }
    }

    /// The set of some names. A name that no operation knows is in no set; the flag says that there
    /// was one.
    pub(crate) fn set<'n>(&self, names: impl Iterator<Item = &'n str>) -> (NameSet, bool) {
        let mut set = NameSet::default();
        let mut strangers = false;
        for name in names {
            match self.names.get(name) {
                Some(&number) => set.insert(number),
                None => strangers = true,
            }
        }
        (set, strangers)
    }

    /// The set of all names that are the end of one of these.
    pub(crate) fn ends<'n>(&self, names: impl Iterator<Item = &'n str>) -> NameSet {
        let mut set = NameSet::default();
        for name in names {
            for start in name.char_indices().map(|(start, _)| start) {
                if let Some(&number) = self.names.get(&name[start..]) {
                    set.insert(number);
                }
            }
        }
        set
    }
}

/// Numbers of parameter names, while a catalogue is compiled.
#[derive(Debug, Default)]
pub(super) struct Names(FxHashMap<String, usize>);

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        let number = self.0.len();
        self.0.insert(name.to_owned(), number);
        number
    }

    /// Gives shapes their sets. The names that something requires come first: they are few, and
    /// the sets of them are what every operation is asked for.
    pub(super) fn enter(&mut self, shapes: &mut [Shape]) {
        for shape in &mut *shapes {
            for name in &shape.required {
                let number = self.number(name);
                shape.required_set.insert(number);
            }
        }
        for shape in shapes {
            let mut known: Vec<_> = shape.params.keys().collect();
            known.sort();
            for name in known {
                let number = self.number(name);
                shape.known_set.insert(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use vault_model::Environment;

    use super::{Binding, NameSet};
    use crate::registry::Registry;

    #[test]
    fn sets_of_names_are_sets() {
        let set = |names: &[usize]| {
            let mut set = NameSet::default();
            names.iter().for_each(|&name| set.insert(name));
            set
        };
        let some = set(&[0, 63, 64, 127]);
        assert!(some.is_within(&some) && set(&[]).is_within(&set(&[])));
        for name in [0, 63, 64, 127] {
            assert!(set(&[name]).is_within(&some), "{name}");
            assert!(!some.is_within(&set(&[name])), "{name}");
        }
        for name in [1, 62, 65, 126, 128, 191] {
            assert!(!set(&[name]).is_within(&some), "{name}");
        }
        assert!(set(&[]).is_within(&some) && !some.is_within(&set(&[])));
    }

    /// ccxt judges [`crate::Catalog::bound_alike`]; closures ask the table. They say the same.
    #[test]
    fn what_is_bound_alike_is_what_closures_are_made_of() {
        let registry = Registry::bundled().expect("sound");
        let mut pairs = 0_u32;
        for name in registry.names() {
            let catalog = &registry.venue(name).expect("listed").catalog;
            let hosts = catalog.hosts(Environment::Live).expect("live");
            let operations = &catalog.operations;
            for &key_type in &catalog.signature.key_types {
                for one in operations {
                    let binds = catalog.binds(one, key_type);
                    let binding = Binding { domain: one.domain.clone(), binds };
                    let path = one.path.replace(['{', '}'], "");
                    let found: HashSet<usize> = catalog
                        .table
                        .candidates(operations, &binding, &one.method, &path)
                        .into_iter()
                        .collect();
                    for (index, other) in operations.iter().enumerate() {
                        let comparable = other.rpc == one.rpc
                            && catalog.binds(other, key_type) == binds
                            && other.path.contains('{') == one.path.contains('{');
                        if !comparable {
                            continue;
                        }
                        let on_host = !binds.host
                            || hosts.of(one).iter().any(|host| hosts.of(other).contains(host));
                        let alike = catalog.bound_alike(one, other, key_type);
                        assert_eq!(
                            alike,
                            on_host && found.contains(&index),
                            "{} and {}",
                            one.name,
                            other.name
                        );
                        pairs += 1;
                    }
                }
            }
        }
        assert!(pairs > 1_000_000, "{pairs}");
    }
}
