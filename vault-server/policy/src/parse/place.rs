//! Finds the place of what is wrong in a document that was read well.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::value::Node;
use crate::document::Step;

/// Where it stands: the last of the way's steps that is there.
pub(super) fn find(root: &DeTable<'_>, dimension: &str, at: &[Step]) -> Range<usize> {
    let keys = dimension.split('.').map(|key| Step::Key(key.to_owned()));
    let (mut span, mut table, mut node) = (0..0, Some(root), None::<&Node<'_>>);
    for step in keys.chain(at.iter().cloned()) {
        let items: &[Node<'_>] = match node.map(Node::get_ref) {
            Some(DeValue::Array(items)) => items,
            _ => &[],
        };
        let next = match &step {
            Step::Key(key) => table.and_then(|table| table.get(key.as_str())),
            Step::Item(place) => items.get(*place),
            Step::Word(word) => items.iter().find(
                |item| matches!(item.get_ref(), DeValue::String(text) if text.as_ref() == word),
            ),
        };
        let Some(next) = next else { break };
        span = next.span();
        table = next.get_ref().as_table();
        node = Some(next);
    }
    span
}
