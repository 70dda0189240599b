//! From the texts of a catalogue's parts to one compiled catalogue.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use sha2::{Digest, Sha256};
use toml::Spanned;

use super::binding;
use super::compile;
use super::head::{self, Head, RawHead};
use super::own::{self, RawOwn};
use super::shapes::Shapes;
use super::{Catalog, CatalogError, raw, site};

/// A part of a catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    /// What errors call it: the name of its file.
    pub file: &'t str,
    /// Its text.
    pub text: &'t str,
}

impl Part<'_> {
    fn parse(&self) -> Result<raw::Part, CatalogError> {
        toml::from_str(self.text).map_err(|error| {
            let what = vault_model::without_input(error.message());
            self.at(error.span().unwrap_or_default(), what)
        })
    }

    /// An error at a place of this part.
    fn at(&self, span: Range<usize>, what: String) -> CatalogError {
        let before = self.text.get(..span.start.min(self.text.len())).unwrap_or_default();
        CatalogError::Syntax {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
            what,
        }
    }

    fn whole(&self, what: impl Into<String>) -> CatalogError {
        CatalogError::Inconsistent { file: self.file.to_owned(), what: what.into() }
    }
}

/// The venue that an addition belongs to. As hosts stand in the head alone, WebSockets stand in
/// bundled parts alone: whatever else an addition says, nothing is sent to another host.
pub(crate) fn venue_of(part: &Part<'_>) -> Result<String, CatalogError> {
    let raw = part.parse()?;
    match raw.socket.first() {
        None => Ok(raw.venue),
        Some(socket) => Err(part.at(socket.span(), "an addition has no [[socket]]".to_owned())),
    }
}

pub(super) fn load(name: &str, parts: &[Part<'_>]) -> Result<Catalog, CatalogError> {
    let broken = |what: String| CatalogError::Inconsistent { file: name.to_owned(), what };
    let mut read = Vec::with_capacity(parts.len());
    for part in parts {
        let raw = part.parse()?;
        if raw.format != 1 {
            return Err(part.whole(format!("format {} is not known", raw.format)));
        }
        if raw.venue != name {
            return Err(part.whole(format!("is of {}, not of {name}", raw.venue)));
        }
        read.push((part, raw));
    }

    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for (part, raw) in &read {
        for (key, text) in &raw.sources {
            if sources.get(key).is_some_and(|known| known != text) {
                return Err(part.whole(format!("source {key} is another one elsewhere")));
            }
            sources.insert(key.clone(), text.clone());
        }
    }
    let raw_own = take_own(&mut read)?;
    let head = take_head(&mut read)?.ok_or_else(|| broken("no part has a signature".to_owned()))?;
    let head = head::head(head, &sources).map_err(broken)?;

    let mut shapes = Shapes::default();
    for (part, raw) in &read {
        for (name, shape) in &raw.shape {
            let at = |what| part.at(shape.span(), what);
            compile::cited(&sources, &shape.get_ref().source)
                .and_then(|()| shapes.add(name, shape.get_ref()))
                .map_err(|what| at(format!("shape {name}: {what}")))?;
        }
    }
    shapes.resolve().map_err(|(name, what)| {
        let place = read.iter().find_map(|(part, raw)| raw.shape.get(&name).map(|s| (part, s)));
        let what = format!("shape {name}: {what}");
        place.map_or_else(|| broken(what.clone()), |(part, s)| part.at(s.span(), what.clone()))
    })?;

    let mut operations = Vec::new();
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    for (index, (part, raw)) in read.iter().enumerate() {
        for stated in &raw.operation {
            let operation = operation(part, stated, &head, &sources, &shapes)?;
            if !seen.insert(operation.name.to_string()) {
                let what = format!("{}: stated twice", operation.name);
                return Err(part.at(stated.span(), what));
            }
            operations.push(operation);
            places.push((index, stated.span()));
        }
    }
    let part_of = |at: usize| places.get(at).map(|(index, _)| *index);
    if let Some((at, what)) = binding::clash(&operations, part_of) {
        let place = places.get(at).and_then(|(index, span)| Some((read.get(*index)?.0, span)));
        return Err(place.map_or_else(
            || broken(what.clone()),
            |(part, span)| part.at(span.clone(), what.clone()),
        ));
    }
    let mut sockets = compile::Sockets::default();
    for (part, raw) in &read {
        for stated in &raw.channel {
            operation(part, stated, &head, &sources, &shapes).and_then(|channel| {
                let what =
                    |what| part.at(stated.span(), format!("{}: {what}", stated.get_ref().path));
                sockets.add_channel(channel).map_err(what)
            })?;
        }
        for stated in &raw.socket {
            let socket = stated.get_ref();
            compile::cited(&sources, &socket.source)
                .and_then(|()| sockets.add(socket))
                .map_err(|what| part.at(stated.span(), format!("socket: {what}")))?;
        }
    }
    let mut catalog =
        compile::catalog(name, hash(parts), sources, head, shapes, operations, sockets)
            .map_err(broken)?;
    site::check(&catalog).map_err(broken)?;
    catalog.own = own::own(raw_own, &catalog).map_err(broken)?;
    Ok(catalog)
}

fn operation(
    part: &Part<'_>,
    stated: &Spanned<raw::Operation>,
    head: &Head,
    sources: &BTreeMap<String, String>,
    shapes: &Shapes,
) -> Result<super::Operation, CatalogError> {
    let raw = stated.get_ref();
    compile::cited(sources, &raw.source)
        .and_then(|()| compile::operation(raw, head, shapes))
        .map_err(|what| part.at(stated.span(), format!("{} {}: {what}", raw.method, raw.path)))
}

/// Takes out what the vault asks of its own accord. Only the part with the signature may say it: an
/// addition could make the vault send what nobody asked for.
fn take_own(parts: &mut [(&Part<'_>, raw::Part)]) -> Result<RawOwn, CatalogError> {
    let mut found = RawOwn::default();
    for (part, raw) in parts {
        let says_any = raw.answer.is_some() || raw.check.is_some() || !raw.cancel_all.is_empty();
        if raw.signature.is_some() {
            found = RawOwn {
                answer: raw.answer.take(),
                check: raw.check.take(),
                cancel_all: std::mem::take(&mut raw.cancel_all),
            };
        } else if says_any {
            let what = "only the part with [signature] may have answer, check and cancel_all";
            return Err(part.whole(what));
        }
    }
    Ok(found)
}

/// Takes out what concerns the venue as a whole; exactly one part may say it.
fn take_head(parts: &mut [(&Part<'_>, raw::Part)]) -> Result<Option<RawHead>, CatalogError> {
    let mut found: Option<RawHead> = None;
    for (part, raw) in parts {
        let says_more = raw.title.is_some()
            || !raw.environments.is_empty()
            || raw.response.is_some()
            || raw.rights.is_some()
            || raw.defaults.is_some()
            || !raw.order_type.is_empty()
            || !raw.tif.is_empty()
            || !raw.product.is_empty()
            || !raw.size.is_empty()
            || !raw.margin_mode.is_empty();
        let Some(signature) = raw.signature.take() else {
            if says_more {
                let what = "only the part with [signature] may have title, environments, response, \
                            rights, defaults, order_type, tif, product, size and margin_mode";
                return Err(part.whole(what));
            }
            continue;
        };
        if found.is_some() {
            return Err(part.whole("another part has a signature already"));
        }
        found = Some(RawHead {
            title: raw.title.take().ok_or_else(|| part.whole("title is missing"))?,
            environments: std::mem::take(&mut raw.environments),
            signature,
            response: raw.response.take(),
            rights: raw.rights.take(),
            defaults: raw.defaults.take(),
            order_types: std::mem::take(&mut raw.order_type),
            tifs: std::mem::take(&mut raw.tif),
            products: std::mem::take(&mut raw.product),
            sizes: std::mem::take(&mut raw.size),
            margin_modes: std::mem::take(&mut raw.margin_mode),
        });
    }
    Ok(found)
}

/// Of one part its SHA-256; of several SHA-256 over those, in their order.
fn hash(parts: &[Part<'_>]) -> [u8; 32] {
    let one = |part: &Part<'_>| -> [u8; 32] { Sha256::digest(part.text.as_bytes()).into() };
    match parts {
        [only] => one(only),
        several => {
            let mut hasher = Sha256::new();
            for part in several {
                hasher.update(one(part));
            }
            hasher.finalize().into()
        }
    }
}
