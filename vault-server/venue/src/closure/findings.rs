//! What the operations of one closure find alike in the parameters that are stated: each thing is
//! found out once. Nothing of it outlives the closure.

use std::sync::Arc;

use vault_model::{Class, Intent, MarginMode, Product};

use crate::catalog::{Catalog, Operation, Param, Role, Shape};
use crate::content::Content;
use crate::json::Value;
use crate::member;
use crate::shape::{self, Strictness};
use crate::value;

/// How many different opinions on one value are kept.
const OPINIONS_MAX: usize = 4;
/// How many different intents are kept.
const INTENTS_MAX: usize = 16;

/// For whether an operation could accept a value.
const ACCEPTING: Strictness =
    Strictness { cuttable: false, optional: false, stated: false, unknown: false };
/// For whether what it accepts can be read.
const READING: Strictness = Strictness { optional: true, ..ACCEPTING };

/// See the module.
pub(super) struct Findings<'s> {
    catalog: &'s Catalog,
    content: &'s Content<'s>,
    /// Of every field, one object's after the other's.
    opinions: Vec<Opinions>,
    /// What operations of a sense would do; absent: it cannot be read.
    intents: Vec<(Sense, Option<Arc<Intent>>)>,
    /// A name stands for several values. No operation may take that for one.
    repeats: bool,
    /// For every field, what it means to the operation that is asked at the moment.
    meanings: Vec<Meaning>,
}

impl<'s> Findings<'s> {
    pub(super) fn new(catalog: &'s Catalog, content: &'s Content<'s>) -> Self {
        let fields = content.objects.iter().map(Vec::len).sum();
        Self {
            catalog,
            content,
            opinions: vec![Opinions::default(); fields],
            intents: Vec::with_capacity(4),
            repeats: content.has_repeated(),
            meanings: Vec::with_capacity(fields),
        }
    }

    /// Whether what is found out here says something about these parameters: they are the stated ones,
    /// not a reading of their own.
    pub(super) fn are_of(&self, content: &Content<'_>) -> bool {
        std::ptr::eq(
            std::ptr::from_ref(content).cast::<()>(),
            std::ptr::from_ref(self.content).cast(),
        )
    }

    /// Notes what the stated operation does.
    pub(super) fn know(&mut self, operation: &Operation, shape: &Shape, intent: &Arc<Intent>) {
        self.meanings.clear();
        for field in self.content.objects.iter().flatten() {
            let param = shape.param(field);
            self.meanings.push(param.map_or(STRANGE, |param| meaning(param, &field.value)));
        }
        self.keep(operation, shape, Some(intent.clone()));
    }

    /// What an operation of this shape that accepts the parameters would do; `None` if it does not
    /// accept them. `takes_all`: it accepts anything. `unknown`: it refuses what it does not know.
    pub(super) fn intent(
        &mut self,
        operation: &Operation,
        shape: &Shape,
        takes_all: bool,
        unknown: bool,
    ) -> Option<Arc<Intent>> {
        let (mut accepts, mut readable) = (true, true);
        let mut opinions = self.opinions.iter_mut();
        self.meanings.clear();
        for fields in &self.content.objects {
            let mut required = 0;
            for (field, opinions) in fields.iter().zip(&mut opinions) {
                let Some(param) = shape.param(field) else {
                    accepts &= !unknown;
                    self.meanings.push(STRANGE);
                    continue;
                };
                let opinion = opinions.on(self.catalog, param, &field.value);
                accepts &= opinion.accepted;
                // An optional parameter that we cannot read, or that no rule can judge, could be one
                // that matters.
                readable &= opinion.readable
                    && !(shape.may_refuse && shape::refuses(self.catalog, param, &field.value));
                required += usize::from(param.required);
                self.meanings.push(meaning(param, &field.value));
            }
            let complete = shape::missing(shape, fields, required, ACCEPTING).is_none();
            (accepts, readable) = (accepts && complete, readable && complete);
            if !accepts && !takes_all {
                return None;
            }
        }
        if !readable || (self.repeats && self.content.repeats_beyond(Some(shape))) {
            return Some(operation.unread.clone());
        }
        let known = self
            .intents
            .iter()
            .find(|(sense, _)| sense.is_of(operation, shape) && sense.meanings == self.meanings);
        let intent = if let Some((_, intent)) = known {
            intent.clone()
        } else {
            let intent = member::intent(self.catalog, operation, shape, self.content);
            let intent = intent.ok().map(Arc::new);
            if self.intents.len() < INTENTS_MAX {
                self.keep(operation, shape, intent.clone());
            }
            intent
        };
        Some(intent.unwrap_or_else(|| operation.unread.clone()))
    }

    fn keep(&mut self, operation: &Operation, shape: &Shape, intent: Option<Arc<Intent>>) {
        let sense = Sense {
            class: operation.class,
            amends: operation.amends,
            says_post_only: says_post_only(operation, shape),
            margin_mode: operation.margin_mode,
            product: operation.product,
            meanings: self.meanings.clone(),
        };
        self.intents.push((sense, intent));
    }
}

/// What decides what a value means: [`Param::meaning`] and, unless it is a text, the kind, which
/// parameters with the same [`Param::values`] share. [`STRANGE`] where nobody knows it.
type Meaning = (usize, usize);

const STRANGE: Meaning = (0, 0);

fn meaning(param: &Param, value: &Value<'_>) -> Meaning {
    let is_text = matches!(value, Value::Text(_));
    (param.meaning, if is_text { 0 } else { param.values })
}

/// What is known of one value: which parameters take it.
#[derive(Clone, Default)]
struct Opinions {
    known: [Opinion; OPINIONS_MAX],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Opinion {
    /// [`Param::values`], and whether the parameter is required.
    of: (usize, bool),
    /// Whether it could be accepted; always where it is not required.
    accepted: bool,
    /// Whether it is legal as we read it.
    readable: bool,
}

impl Opinions {
    fn on(&mut self, catalog: &Catalog, param: &Param, value: &Value<'_>) -> Opinion {
        let of = (param.values, param.required);
        if let Some(known) = self.known.iter().take(self.count).find(|known| known.of == of) {
            return *known;
        }
        let opinion = Opinion {
            of,
            accepted: !param.required || value::is_legal(catalog, param, value, ACCEPTING),
            readable: value::is_legal(catalog, param, value, READING),
        };
        if let Some(free) = self.known.get_mut(self.count) {
            *free = opinion;
            self.count += 1;
        }
        opinion
    }
}

/// All that decides what an operation would do with the stated parameters.
struct Sense {
    class: Class,
    amends: bool,
    /// An amendment that could state whether it takes.
    says_post_only: bool,
    margin_mode: Option<MarginMode>,
    product: Option<Product>,
    /// Of every field.
    meanings: Vec<Meaning>,
}

impl Sense {
    fn is_of(&self, operation: &Operation, shape: &Shape) -> bool {
        self.product == operation.product
            && self.margin_mode == operation.margin_mode
            && self.class == operation.class
            && self.amends == operation.amends
            && self.says_post_only == says_post_only(operation, shape)
    }
}

fn says_post_only(operation: &Operation, shape: &Shape) -> bool {
    operation.amends && shape.says(Role::PostOnly)
}
