//! Lookup tables that make a closure cheap: parameter names as numbers, sets of names as bits.
//!
//! Their keys are those of a catalogue. What a caller sends is looked up and never put in, so he
//! cannot fill them, and a hash that is merely fast will do.

use rustc_hash::FxHashMap;

use super::binding::{Binding, Candidates, Template};
use super::index::Index;
use super::{Binds, Operation, Set, Shape};

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    /// Path to method and operation, templates left out.
    by_path: FxHashMap<String, Vec<(String, usize)>>,
    templates: Vec<Template>,
    /// Per kind of signature, what it could be for. There are few kinds.
    by_binding: Vec<(Binding, Candidates)>,
    /// Parameter names to numbers.
    names: FxHashMap<String, usize>,
    pub index: Index,
}

impl Table {
    pub(super) fn new(
        operations: &[Operation],
        shapes: &[Shape],
        bindings: Vec<Binding>,
        names: Names,
    ) -> Self {
        let mut by_path: FxHashMap<String, Vec<_>> = FxHashMap::default();
        let mut templates = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            match Template::of(number, operation) {
                Some(template) => templates.push(template),
                None => by_path
                    .entry(operation.path.clone())
                    .or_default()
                    .push((operation.method.clone(), number)),
            }
        }
        let by_binding = bindings
            .into_iter()
            .map(|binding| {
                let candidates = Candidates::new(operations, &binding);
                (binding, candidates)
            })
            .collect();
        let index = Index::new(operations, shapes, names.0.len());
        Self { by_path, templates, by_binding, names: names.0, index }
    }

    /// The operation of a method and a path; one that is spelled out goes before a template.
    pub(super) fn named(
        &self,
        operations: &[Operation],
        method: &str,
        path: &str,
    ) -> Option<usize> {
        let exact = self.by_path.get(path).and_then(|methods| {
            methods.iter().find(|(known, _)| known == method).map(|(_, number)| *number)
        });
        exact.or_else(|| {
            let fits = |template: &&Template| template.fits(operations, Some(method), path);
            self.templates.iter().find(fits).map(|template| template.number)
        })
    }

    /// Every operation for which the signature of a method and path could be.
    pub(crate) fn candidates(
        &self,
        operations: &[Operation],
        domain: &str,
        binds: Binds,
        method: &str,
        path: &str,
    ) -> Set {
        let of = |(binding, _): &&(Binding, _)| binding.binds == binds && binding.domain == domain;
        match self.by_binding.iter().find(of) {
            Some((_, candidates)) => candidates.of(operations, binds, method, path),
            // Every binding that an operation can have is there. Were one not, nothing would be
            // known of it, so it could be for anything.
            None => (0..operations.len()).collect(),
        }
    }

    /// The number of a name; absent when no operation knows it.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The set of all names that are the end of one of these.
    pub(crate) fn ends<'n>(&self, names: impl Iterator<Item = &'n str>) -> Set {
        let mut set = Set::default();
        for name in names {
            for start in name.char_indices().map(|(start, _)| start) {
                if let Some(number) = self.number(&name[start..]) {
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
            for (place, param) in (1..).zip(&shape.params) {
                let number = self.number(&param.name);
                if shape.by_number.len() <= number {
                    shape.by_number.resize(number + 1, 0);
                }
                shape.by_number[number] = place;
                shape.known_set.insert(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use vault_model::Environment;

    use crate::registry::Registry;

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
                    let path = one.path.replace(['{', '}'], "");
                    let found: HashSet<usize> = catalog
                        .table
                        .candidates(operations, &one.domain, binds, &one.method, &path)
                        .numbers()
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
