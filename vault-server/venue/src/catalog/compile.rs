//! From a catalogue as written to lookup tables; whatever the files say twice or refer to in
//! vain is an error here, so that nothing is left to find out while judging.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use vault_model::{Class, Intent};

use super::alike;
use super::binding::{self, Binding};
use super::head::{self, Head, binds};
use super::raw::{self, BodyForm, OneOrMany, ParamsIn};
use super::shapes::{ITEMS_MAX, Shapes};
use super::table::{Names, Table};
use super::{
    Binds, BodyForms, Catalog, Intake, Items, Kind, Location, Operation, Own, Role, Shape,
    SocketRule, When,
};
use crate::member;
use crate::plain;

/// The domain of an operation that names none.
const DOMAIN: &str = "rest";

pub(super) fn cited(sources: &BTreeMap<String, String>, source: &str) -> Result<(), String> {
    if sources.contains_key(source) {
        Ok(())
    } else {
        Err(format!("source {source} is not in [sources]"))
    }
}

/// What a venue's WebSockets are, apart from the operations.
#[derive(Default)]
pub(super) struct Sockets {
    pub channels: Vec<Operation>,
    pub sockets: Vec<SocketRule>,
}

impl Sockets {
    /// Takes one up. No address may be of two: which of them is meant could not be told.
    pub(super) fn add(&mut self, raw: &raw::Socket) -> Result<(), String> {
        let rule = SocketRule::new(raw)?;
        if self.sockets.iter().any(|known| known.meets(&rule)) {
            return Err("another one has this address".to_owned());
        }
        self.sockets.push(rule);
        Ok(())
    }

    /// Takes up what can be subscribed to.
    pub(super) fn add_channel(&mut self, channel: Operation) -> Result<(), String> {
        if channel.method != "SUBSCRIBE" || channel.class != Class::Read || channel.shape.is_none()
        {
            return Err("a channel is a SUBSCRIBE of class read with a shape".to_owned());
        }
        if self.channels.iter().any(|known| known.name == channel.name) {
            return Err("stated twice".to_owned());
        }
        self.channels.push(channel);
        Ok(())
    }
}

/// Puts everything together.
pub(super) fn catalog(
    name: &str,
    hash: [u8; 32],
    sources: BTreeMap<String, String>,
    head: Head,
    shapes: Shapes,
    mut operations: Vec<Operation>,
    sockets: Sockets,
) -> Result<Catalog, String> {
    let Sockets { mut channels, sockets } = sockets;
    channels.sort_by(|one, other| one.name.cmp(&other.name));
    operations.sort_by(|one, other| one.name.cmp(&other.name));
    let mut shapes = shapes.done;
    let mut names = Names::default();
    names.enter(&mut shapes);
    alike::number(&mut shapes);
    share_unread(&mut operations);

    check_conditions(head.products.iter().map(|rule| &rule.when), "product", &shapes)?;
    check_conditions(head.sizes.iter().map(|rule| &rule.when), "size", &shapes)?;
    let of_params = head.margin_modes.values().flatten().filter_map(|word| word.param.as_ref());
    check_names(of_params, "margin_mode", &shapes)?;

    let signature = &head.signature;
    let rules: HashSet<Binds> = [signature.facts.binds]
        .into_iter()
        .chain(signature.variants.iter().map(|(_, facts)| facts.binds))
        .chain(operations.iter().filter_map(|operation| operation.binds))
        .collect();
    let domains: HashSet<&String> = operations.iter().map(|operation| &operation.domain).collect();
    let bindings = domains
        .into_iter()
        .flat_map(|domain| rules.iter().map(|&binds| Binding { domain: domain.clone(), binds }))
        .collect();
    let table = Table::new(&operations, &shapes, bindings, names);
    Ok(Catalog {
        venue: name.to_owned(),
        title: head.title,
        hash,
        sources,
        signature: head.signature,
        response: head.response,
        rights: head.rights,
        operations,
        channels,
        sockets,
        own: Own::default(),
        shapes,
        products: head.products,
        sizes: head.sizes,
        margin_modes: head.margin_modes,
        order_types: head.order_types,
        tifs: head.tifs,
        environments: head.environments,
        table,
    })
}

/// Lets operations share what they could do where their parameters are not known.
fn share_unread(operations: &mut [Operation]) {
    let mut known: Vec<Arc<Intent>> = Vec::new();
    for operation in operations {
        match known.iter().find(|intent| ***intent == *operation.unread) {
            Some(intent) => operation.unread = intent.clone(),
            None => known.push(operation.unread.clone()),
        }
    }
}

/// A rule about a parameter that no shape has would silently never match, or always.
fn check_conditions<'r>(
    mut rules: impl Iterator<Item = &'r When>,
    table: &str,
    shapes: &[Shape],
) -> Result<(), String> {
    rules.try_for_each(|when| {
        let values = when.values.iter().map(|(name, _)| name);
        check_names(values.chain(&when.present).chain(&when.absent), table, shapes)
    })
}

fn check_names<'n>(
    mut names: impl Iterator<Item = &'n String>,
    table: &str,
    shapes: &[Shape],
) -> Result<(), String> {
    let is_known = |name: &String| {
        shapes.iter().any(|shape| shape.params.iter().any(|param| param.name == *name))
    };
    match names.find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(format!("{table}: no shape has a parameter {name}")),
    }
}

pub(super) fn operation(
    raw: &raw::Operation,
    head: &Head,
    shapes: &Shapes,
) -> Result<Operation, String> {
    let is_path = plain::is_path(&raw.path)
        || (binding::is_template(&raw.path) && plain::is_path(&plain_instance(&raw.path)));
    if !plain::is_method(&raw.method) || !is_path {
        return Err("method or path is not plain".to_owned());
    }
    let rights = raw.right.clone().map(OneOrMany::into_vec).unwrap_or_default();
    if let Some(right) = rights.iter().find(|right| !head.rights.contains(right)) {
        return Err(format!("right {right} is not in [rights]"));
    }
    if raw.ws && raw.class != Class::Logon {
        return Err("ws is for log-ons".to_owned());
    }
    let signed = raw.signed.unwrap_or(raw.class != Class::Public);
    if signed && raw.class == Class::Public {
        return Err("public operations take no signature".to_owned());
    }
    let shape = match &raw.shape {
        None => None,
        Some(name) => Some(*shapes.index.get(name).ok_or_else(|| format!("no shape {name}"))?),
    };
    let (location, body) = places(raw, head.defaults)?;
    if raw.array && (!body.json || body.form || shape.is_none()) {
        return Err("array wants a JSON body and a shape".to_owned());
    }
    if location == Location::Nowhere {
        let takes =
            raw.shape.as_ref().and_then(|name| shapes.raw.get(name)).map_or(0, |s| s.params.len());
        if takes > 0 {
            return Err("has parameters, but reads them nowhere".to_owned());
        }
    }
    let opens = raw.class == Class::Logon;
    if (raw.held.is_some() || raw.kept || raw.handle.is_some()) && !opens {
        return Err("held, kept and handle are for log-ons".to_owned());
    }
    if raw.held.as_ref().is_some_and(|pointer| !head::is_pointer(pointer)) {
        return Err("held is no JSON pointer to a member".to_owned());
    }
    if let Some(name) = &raw.handle
        && !shape.is_some_and(|at| has_param(shapes, at, name))
    {
        return Err(format!("handle: no parameter {name}"));
    }
    let names_orders = shape.is_some_and(|at| has_role(shapes, at, Role::OrderId));
    if raw.amends.is_some() && raw.class != Class::Trade {
        return Err("amends is for class trade".to_owned());
    }
    Ok(Operation {
        name: format!("{} {}", raw.method, raw.path).into(),
        method: raw.method.clone(),
        path: raw.path.clone(),
        class: raw.class,
        source: raw.source.clone(),
        rights,
        product: raw.product,
        margin_mode: raw.margin_mode,
        amends: raw.class == Class::Trade && raw.amends.unwrap_or(names_orders),
        ws: raw.ws,
        held: raw.held.clone(),
        may_lack_held: raw.kept,
        kept: raw.ws || raw.kept || raw.held.is_some(),
        handle: raw.handle.clone(),
        rpc: raw.rpc,
        signed,
        tag: raw.tag.clone(),
        note: raw.note.clone(),
        sensitive: raw.sensitive.clone(),
        binds: raw.binds.as_deref().map(binds),
        domain: raw.domain.clone().unwrap_or_else(|| DOMAIN.to_owned()),
        intake: Intake {
            array_max: raw.array.then(|| raw.items_max.unwrap_or(ITEMS_MAX)),
            body,
            has_shape: shape.is_some(),
            location,
            rpc: raw.rpc,
        },
        shape,
        unread: Arc::new(member::unread_intent(
            raw.class,
            raw.product,
            shape.and_then(|at| shapes.done.get(at)),
        )),
    })
}

fn has_param(shapes: &Shapes, at: usize, name: &str) -> bool {
    shapes.done.get(at).is_some_and(|shape| shape.params.iter().any(|param| param.name == name))
}

/// Whether a parameter of a shape has a role, or one of its legs and what is merged into it.
fn has_role(shapes: &Shapes, at: usize, role: Role) -> bool {
    // Shapes may refer to each other in a circle.
    let (mut open, mut seen) = (vec![at], HashSet::new());
    while let Some(at) = open.pop() {
        let Some(shape) = shapes.done.get(at).filter(|_| seen.insert(at)) else {
            continue;
        };
        for param in &shape.params {
            if param.role == Some(role) {
                return true;
            }
            match &param.kind {
                Kind::Array { items: Items::Shape(inner), .. } | Kind::Object(inner)
                    if param.legs || param.merge =>
                {
                    open.push(*inner);
                }
                _ => {}
            }
        }
    }
    false
}

/// A path template with a word in each of its places.
fn plain_instance(template: &str) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.unwrap_or(segment).to_owned()
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Where an operation reads its parameters, and in which form.
fn places(
    raw: &raw::Operation,
    defaults: Option<raw::Defaults>,
) -> Result<(Location, BodyForms), String> {
    const NO_BODY: BodyForms = BodyForms { form: false, json: false };
    if raw.rpc {
        if raw.params_in.is_some() || raw.body.is_some() || raw.array {
            return Err("an rpc has its parameters in a JSON object".to_owned());
        }
        return Ok((Location::Body, BodyForms { form: false, json: true }));
    }
    let defaults = defaults.filter(|_| raw.method != "GET");
    let location = match raw.params_in.or(defaults.and_then(|defaults| defaults.params_in)) {
        Some(ParamsIn::Body) => Location::Body,
        Some(ParamsIn::Either) => Location::Either,
        Some(ParamsIn::None) => Location::Nowhere,
        Some(ParamsIn::Query) => Location::Query,
        None if raw.method == "GET" => Location::Query,
        None => Location::Body,
    };
    let has_body = matches!(location, Location::Body | Location::Either);
    if raw.body.is_some() && !has_body {
        return Err("has a body form, but reads no parameters from the body".to_owned());
    }
    let body = match raw.body.or(defaults.and_then(|defaults| defaults.body)) {
        _ if !has_body => NO_BODY,
        Some(BodyForm::Form) => BodyForms { form: true, json: false },
        Some(BodyForm::Json) => BodyForms { form: false, json: true },
        Some(BodyForm::JsonOrForm) => BodyForms { form: true, json: true },
        None => return Err("body form is missing".to_owned()),
    };
    if location == Location::Either && body.json {
        return Err("query or body wants form text in both".to_owned());
    }
    Ok((location, body))
}
