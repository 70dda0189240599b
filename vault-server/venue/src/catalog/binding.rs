//! Which operations one signature could be for, as far as method and path go.

use rustc_hash::FxHashMap;

use super::{Binds, Operation, Set};

/// What the signature of a stated operation covers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Binding {
    pub domain: String,
    pub binds: Binds,
}

/// An operation whose path is a template.
#[derive(Debug)]
pub(super) struct Template {
    /// What stands before its first place.
    head: String,
    pub number: usize,
}

impl Template {
    /// Nothing for a path that is spelled out.
    pub(super) fn of(number: usize, operation: &Operation) -> Option<Self> {
        let (head, _) = operation.path.split_once('{')?;
        Some(Self { head: head.to_owned(), number })
    }

    /// Whether a path is an instance of it, of this method where one counts.
    pub(super) fn fits(&self, operations: &[Operation], method: Option<&str>, path: &str) -> bool {
        path.starts_with(&self.head)
            && operations.get(self.number).is_some_and(|operation| {
                method.is_none_or(|method| operation.method == method)
                    && fits_template(&operation.path, path)
            })
    }
}

/// Every operation under what a signature binds of its method and path.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// By path, then by method; what is not bound is [`UNBOUND`] here.
    exact: FxHashMap<String, Vec<(String, Set)>>,
    /// Operations whose path is a template, where the path is bound.
    templates: Vec<Template>,
}

impl Candidates {
    pub(super) fn new(operations: &[Operation], binding: &Binding) -> Self {
        let mut found = Self::default();
        for (number, operation) in operations.iter().enumerate() {
            if operation.domain != binding.domain {
                continue;
            }
            let template = Template::of(number, operation).filter(|_| binding.binds.path);
            if let Some(template) = template {
                found.templates.push(template);
                continue;
            }
            let (method, path) = bound(binding.binds, &operation.method, &operation.path);
            let methods = found.exact.entry(path.to_owned()).or_default();
            match methods.iter_mut().find(|(known, _)| known == method) {
                Some((_, numbers)) => numbers.insert(number),
                None => methods.push((method.to_owned(), Set::from_iter([number]))),
            }
        }
        found
    }

    /// The numbers of the operations that a signature of this method and path could be for.
    pub(super) fn of(
        &self,
        operations: &[Operation],
        binds: Binds,
        method: &str,
        path: &str,
    ) -> Set {
        let (bound_method, bound_path) = bound(binds, method, path);
        let exact = self.exact.get(bound_path).and_then(|methods| {
            methods.iter().find(|(known, _)| known == bound_method).map(|(_, numbers)| numbers)
        });
        let mut found = exact.cloned().unwrap_or_default();
        let method = binds.method.then_some(method);
        for template in &self.templates {
            if template.fits(operations, method, path) {
                found.insert(template.number);
            }
        }
        found
    }
}

/// Stands for a method or path that is not bound: none is so called. It is not empty, since to compare
/// with an empty `String` is slow: where that points, there is no memory, and a vectorised `memcmp`
/// looks there even so.
const UNBOUND: &str = "*";

/// Method and path as far as they are bound.
fn bound<'t>(binds: Binds, method: &'t str, path: &'t str) -> (&'t str, &'t str) {
    (if binds.method { method } else { UNBOUND }, if binds.path { path } else { UNBOUND })
}

pub(super) fn is_template(path: &str) -> bool {
    path.contains('{')
}

/// Whether a path is an instance of a template: `{x}` is one segment of `[A-Za-z0-9_-]{1,64}`.
pub(super) fn fits_template(template: &str, path: &str) -> bool {
    let is_id = |segment: &str| {
        (1..=64).contains(&segment.len())
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    template.split('/').count() == path.split('/').count()
        && template.split('/').zip(path.split('/')).all(|(wanted, segment)| {
            if wanted.starts_with('{') { is_id(segment) } else { wanted == segment }
        })
}

/// Two operations that take the same path, and which of them is one too many. No path may be an
/// instance of two templates: which of them is meant could not be told. A path that is spelled out
/// goes before a template, but only where both stand in one part: nobody may put another operation
/// in the place of one that is there.
pub(super) fn clash(
    operations: &[Operation],
    part_of: impl Fn(usize) -> Option<usize>,
) -> Option<(usize, String)> {
    let templates: Vec<_> =
        operations.iter().enumerate().filter(|(_, one)| is_template(&one.path)).collect();
    for (at, one) in operations.iter().enumerate() {
        let twin = templates.iter().find(|(of, template)| {
            let both_templates = is_template(&one.path);
            *of != at
                && one.method == template.method
                && if both_templates {
                    overlap(&one.path, &template.path)
                } else {
                    fits_template(&template.path, &one.path) && part_of(*of) != part_of(at)
                }
        });
        if let Some((of, twin)) = twin {
            return Some((
                at.max(*of),
                format!("{} and {} take the same path", one.name, twin.name),
            ));
        }
    }
    None
}

/// Whether two templates have an instance in common.
fn overlap(one: &str, other: &str) -> bool {
    one.split('/').count() == other.split('/').count()
        && one
            .split('/')
            .zip(other.split('/'))
            .all(|(one, other)| one == other || is_template(one) || is_template(other))
}

#[cfg(test)]
mod tests {
    use super::fits_template;

    #[test]
    fn a_template_takes_one_plain_segment() {
        let template = "/v2/accounts/{account_id}/transactions";
        assert!(fits_template(template, "/v2/accounts/A-1_b/transactions"));
        for path in [
            "/v2/accounts//transactions",
            "/v2/accounts/a/b/transactions",
            "/v2/accounts/a.b/transactions",
            "/v2/accounts/a",
            "/v2/accounts/a/transaction",
        ] {
            assert!(!fits_template(template, path), "{path}");
        }
        assert!(!fits_template("/v2/{x}", &format!("/v2/{}", "a".repeat(65))));
    }
}
