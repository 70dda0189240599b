//! Which operations one signature could be for, as far as method and path go.

use std::collections::HashMap;

use super::{Binds, Operation};

/// What the signature of a stated operation covers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Binding {
    pub domain: String,
    pub binds: Binds,
}

type Key = (String, Option<String>, Option<String>);

/// Every operation under what a signature binds of its method and path.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    exact: HashMap<Key, Vec<usize>>,
    /// Operations whose path is a template, where the path is bound.
    templates: Vec<usize>,
}

impl Candidates {
    pub(super) fn new(operations: &[Operation], binding: &Binding) -> Self {
        let mut found = Self::default();
        for (index, operation) in operations.iter().enumerate() {
            if operation.domain != binding.domain {
                continue;
            }
            if binding.binds.path && is_template(&operation.path) {
                found.templates.push(index);
            } else {
                let key = key(binding, &operation.method, &operation.path);
                found.exact.entry(key).or_default().push(index);
            }
        }
        found
    }

    /// Indices in the order of the operations.
    pub(super) fn of(
        &self,
        operations: &[Operation],
        binding: &Binding,
        method: &str,
        path: &str,
    ) -> Vec<usize> {
        let mut found = self.exact.get(&key(binding, method, path)).cloned().unwrap_or_default();
        found.extend(self.templates.iter().copied().filter(|&index| {
            operations.get(index).is_some_and(|operation| {
                (!binding.binds.method || operation.method == method)
                    && fits_template(&operation.path, path)
            })
        }));
        found.sort_unstable();
        found
    }
}

fn key(binding: &Binding, method: &str, path: &str) -> Key {
    (
        binding.domain.clone(),
        binding.binds.method.then(|| method.to_owned()),
        binding.binds.path.then(|| path.to_owned()),
    )
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
