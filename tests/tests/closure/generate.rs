//! Makes requests that an operation takes: by its shape, in every form, with values at their edges,
//! and with other operations' parameters mixed in wherever it allows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use vault_model::VenueRequest;

use crate::accepts::is_legal_scalar;
use crate::catalog::{Catalogue, Items, Kind, Operation, Param, Place, Shape};

/// A small generator of random numbers (xorshift64*), so that a seed repeats a run anywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("fits")).expect("fits")
    }

    /// Yes once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        &values[self.below(values.len())]
    }
}

/// How much of a shape to fill.
#[derive(Clone, Copy, Debug)]
pub enum Fill<'c> {
    /// What is required, and no more.
    Required,
    /// Every parameter that may be sent.
    Whole,
    /// What is required, and some of the rest.
    Some,
    /// What is required, and what this other operation requires, with values that suit both.
    For(&'c Operation),
}

/// Makes requests for the operations of one venue.
pub struct Generator<'c> {
    catalogue: &'c Catalogue,
    /// Values that some shape has for a name: what one operation takes as free text may be the very
    /// word that another one wants.
    words: BTreeMap<usize, Vec<String>>,
    symbols: Vec<String>,
    /// Names by their numbers.
    names: Vec<String>,
    /// Every parameter of every shape.
    params: Vec<&'c Param>,
}

const SYMBOLS: &[&str] = &[
    "BTCUSDT",
    "ETHUSDT",
    "BTCUSD_PERP",
    "ETHUSD_250627",
    "BTC-USDT",
    "ETH-USD",
    "BTC-USD-SWAP",
    "BTC-USDT-SWAP",
    "BTC-USD-251226",
    "BTC-USD-251226-60000-C",
    "XXBTZUSD",
    "XBT/USD",
    "BTC",
    "BTC-251226-60000-C",
    "BTC-PERP",
    "BTCUSD_PERP2",
    "a",
];
const DECIMALS: &[&str] = &[
    "1",
    "0.001",
    "60000",
    "10",
    "100000",
    "12.5",
    "0.000000000000000001",
    "999999999999999999",
    "999999999999999999.999999999999999999",
    "1000.0",
];
const INTEGERS: &[&str] = &["1", "10", "5000", "12345678", "999999999999999999"];
const TEXTS: &[&str] = &[
    "x",
    "abc-1",
    "a_b",
    "1",
    "true",
    "USDT",
    "TRX",
    "TXaddress9",
    "2024-01-01",
    "0",
    "BUY",
    "buy",
    "LIMIT",
    "MARKET",
    "BTCUSDT",
    "spot",
    "0.5",
    "1700000000000",
];

impl<'c> Generator<'c> {
    pub fn new(catalogue: &'c Catalogue) -> Self {
        let mut names = vec![String::new(); catalogue.names.len()];
        for (name, number) in &catalogue.names {
            names[*number].clone_from(name);
        }
        let mut words: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut symbols: Vec<String> = SYMBOLS.iter().map(|&symbol| symbol.to_owned()).collect();
        let params: Vec<&Param> = catalogue.shapes.iter().flat_map(|shape| &shape.params).collect();
        for param in &params {
            let known = words.entry(param.id).or_default();
            match &param.kind {
                Kind::Enum(values) => known.extend(values.iter().cloned()),
                Kind::Symbol(patterns) | Kind::Symbols(patterns) => {
                    let samples =
                        patterns.iter().map(|p| p.replace('*', "BTCUSD").replace('#', "2"));
                    known.extend(samples.clone());
                    symbols.extend(samples);
                }
                _ => {}
            }
            known.extend(param.constant.clone());
        }
        for list in words.values_mut() {
            list.sort();
            list.dedup();
        }
        symbols.sort();
        symbols.dedup();
        Self { catalogue, words, symbols, names, params }
    }

    /// A request for an operation, or nothing where it cannot be filled in this way.
    pub fn request(
        &self,
        dice: &mut Dice,
        operation: &Operation,
        fill: Fill<'_>,
    ) -> Option<VenueRequest> {
        let count = match operation.array_max {
            Some(max) => 1 + dice.below(max.min(3)),
            None => 1,
        };
        let objects = (0..count)
            .map(|_| match self.catalogue.shape(operation) {
                Some(shape) => self.fields(dice, shape, fill),
                None => self.foreign_fields(dice, operation, fill),
            })
            .collect::<Option<Vec<_>>>()?;
        let place = match operation.place {
            Place::Either if dice.once_in(2) => Place::Query,
            Place::Either => Place::Body,
            place => place,
        };
        let as_json = operation.takes_json && (!operation.takes_form || dice.once_in(2));
        let mut request = VenueRequest {
            method: operation.method.clone(),
            scheme: if operation.ws || operation.rpc { "wss" } else { "https" }.to_owned(),
            host: dice.pick(self.catalogue.hosts(operation)).clone(),
            path: self.path(dice, operation),
            ..VenueRequest::default()
        };
        match place {
            Place::Nowhere => {}
            Place::Query => request.query = self.form(dice, &objects[0])?,
            _ if as_json => request.body = self.json(dice, &objects, operation),
            _ => request.body = self.form(dice, &objects[0])?.into_bytes(),
        }
        Some(request)
    }

    fn path(&self, dice: &mut Dice, operation: &Operation) -> String {
        let segments = operation.path.split('/').enumerate().map(|(at, segment)| {
            if !segment.starts_with('{') {
                return segment.to_owned();
            }
            // A word that stands in this place in another operation's path, too.
            let others = &dice.pick(&self.catalogue.operations).path;
            let word =
                others.split('/').nth(at).filter(|w| !w.is_empty() && !w.contains(['{', '.']));
            let word = word.filter(|_| dice.once_in(2));
            word.unwrap_or_else(|| *dice.pick(&["a", "8", "x_y-z"])).to_owned()
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Fills a shape.
    fn fields(
        &self,
        dice: &mut Dice,
        shape: &Shape,
        fill: Fill<'_>,
    ) -> Option<Vec<(String, Value)>> {
        let other = match fill {
            Fill::For(other) => self.catalogue.shape(other),
            _ => None,
        };
        let wanted = other.map(|other| self.wanted(dice, other)).unwrap_or_default();
        let mut chosen: Vec<&Param> = Vec::new();
        for param in shape.params.iter().filter(|param| !param.refused) {
            let is_wanted = match fill {
                Fill::Required => param.required,
                Fill::Whole => true,
                Fill::Some => param.required || dice.once_in(3),
                Fill::For(_) => param.required || wanted.contains(&param.id),
            };
            if is_wanted {
                chosen.push(param);
            }
        }
        if wanted.iter().any(|id| !chosen.iter().any(|param| param.id == *id)) {
            return None;
        }
        for ids in &shape.one_of {
            if !chosen.iter().any(|param| ids.contains(&param.id)) {
                let known: Vec<&Param> =
                    shape.params.iter().filter(|p| ids.contains(&p.id) && !p.refused).collect();
                if known.is_empty() {
                    return None;
                }
                chosen.push(*dice.pick(&known));
            }
        }
        for ids in &shape.only_one {
            let mut left: Vec<usize> =
                ids.iter().copied().filter(|id| chosen.iter().any(|p| p.id == *id)).collect();
            while left.len() > 1 {
                let spared = dice.below(left.len());
                let id = left.remove(spared);
                chosen.retain(|param| param.id != id || param.required || wanted.contains(&id));
            }
        }
        let mut fields = Vec::new();
        for param in chosen {
            let theirs = other.and_then(|other| other.params.iter().find(|p| p.id == param.id));
            let value = self.value_for_both(dice, param, theirs)?;
            fields.push((param.name.clone(), value));
        }
        Some(fields)
    }

    /// What an operation requires, one of each list of alternatives included.
    fn wanted(&self, dice: &mut Dice, shape: &Shape) -> Vec<usize> {
        let mut wanted: Vec<usize> = shape.required().map(|param| param.id).collect();
        for ids in &shape.one_of {
            if !ids.iter().any(|id| wanted.contains(id)) {
                wanted.push(*dice.pick(ids));
            }
        }
        wanted
    }

    /// Parameters for an operation without a shape: anything, so mostly what others want.
    fn foreign_fields(
        &self,
        dice: &mut Dice,
        operation: &Operation,
        fill: Fill<'_>,
    ) -> Option<Vec<(String, Value)>> {
        let other = match fill {
            Fill::For(other) => Some(other),
            Fill::Required => None,
            _ => Some(dice.pick(&self.catalogue.operations)),
        };
        let mut fields = Vec::new();
        if let Some(shape) = other.and_then(|other| self.catalogue.shape(other)) {
            let wanted = self.wanted(dice, shape);
            for param in &shape.params {
                if wanted.contains(&param.id) || (matches!(fill, Fill::Some) && dice.once_in(4)) {
                    fields.push((param.name.clone(), self.value_for_both(dice, param, None)?));
                }
            }
        }
        while !matches!(fill, Fill::Required | Fill::For(_)) && dice.once_in(2) {
            let name = match (dice.below(3), self.params.is_empty()) {
                (0, false) => dice.pick(&self.params).name.clone(),
                (1, false) => format!("{}{}", dice.pick(&["0", "12", "x"]), dice.pick(&self.names)),
                _ => (*dice.pick(&["x", "limit", "foo.bar", "0a", "5category"])).to_owned(),
            };
            if !fields.iter().any(|(known, _)| *known == name) {
                fields.push((name, Value::String((*dice.pick(TEXTS)).to_owned())));
            }
        }
        // The end of a name is a name where a text can be cut.
        if !fields.is_empty() && dice.once_in(6) {
            let at = dice.below(fields.len());
            fields[at].0.insert(0, 'x');
        }
        // Numbers in spellings that the vault itself would not take where it knows the parameter.
        if dice.once_in(4) {
            for (_, value) in &mut fields {
                let text = value.as_str().filter(|text| text.parse::<f64>().is_ok());
                if let Some(text) = text.filter(|_| dice.once_in(2)) {
                    let respelled = [format!("0{text}"), format!("{text}e0"), "1".repeat(20)];
                    *value = Value::String(dice.pick(&respelled).clone());
                }
            }
        }
        // Digits at the very front of what is signed have a meaning of their own at some venues.
        if operation.place == Place::Query && fields.len() > 1 && dice.once_in(8) {
            let at = dice.below(fields.len());
            fields.swap(0, at);
        }
        fields.retain(|(name, _)| !self.catalogue.reserved.contains(name));
        Some(fields)
    }

    /// A value that one parameter takes and, where there is another, that one as well, if any of a
    /// few is.
    fn value_for_both(
        &self,
        dice: &mut Dice,
        own: &Param,
        theirs: Option<&Param>,
    ) -> Option<Value> {
        let mut last = None;
        for turn in 0..12 {
            let from = if turn % 2 == 0 { own } else { theirs.unwrap_or(own) };
            let value = self.value(dice, from)?;
            if !self.is_for(own, &value) {
                continue;
            }
            if theirs.is_none_or(|theirs| self.is_for(theirs, &value)) {
                return Some(value);
            }
            last = Some(value);
        }
        last
    }

    fn is_for(&self, param: &Param, value: &Value) -> bool {
        let constant = param.constant.as_ref().is_none_or(|c| value.as_str() == Some(c));
        constant
            && match &param.kind {
                Kind::List { .. } => value.is_array(),
                Kind::Object(_) => value.is_object(),
                kind => is_legal_scalar(kind, value),
            }
    }

    fn value(&self, dice: &mut Dice, param: &Param) -> Option<Value> {
        if let Some(constant) = &param.constant {
            return Some(Value::String(constant.clone()));
        }
        // The words of other operations for this name, half the time.
        let words = self.words.get(&param.id).filter(|words| !words.is_empty());
        if let Some(words) = words.filter(|_| dice.once_in(2)) {
            let value = Value::String(dice.pick(words).clone());
            if self.is_for(param, &value) && self.has_meaning(param, value.as_str()?) {
                return Some(value);
            }
        }
        Some(match &param.kind {
            Kind::List { of: Items::Objects(shape), max } => {
                let count = 1 + dice.below((*max).min(3));
                let fill = if dice.once_in(2) { Fill::Required } else { Fill::Some };
                let objects = (0..count).map(|_| self.object(dice, *shape, fill));
                Value::Array(objects.collect::<Option<_>>()?)
            }
            Kind::List { of: Items::Scalars(kind), max } => {
                let count = 1 + dice.below((*max).min(3));
                Value::Array(
                    (0..count).map(|_| Value::String(self.text(dice, param, kind))).collect(),
                )
            }
            Kind::Object(shape) => self.object(dice, *shape, Fill::Some)?,
            kind => Value::String(self.text(dice, param, kind)),
        })
    }

    fn object(&self, dice: &mut Dice, shape: usize, fill: Fill<'_>) -> Option<Value> {
        let fields = self.fields(dice, &self.catalogue.shapes[shape], fill)?;
        Some(Value::Object(fields.into_iter().collect::<Map<_, _>>()))
    }

    /// Whether the vault understands a word in this role: others it refuses, rightly.
    fn has_meaning(&self, param: &Param, word: &str) -> bool {
        match param.role.as_str() {
            "type" => self.catalogue.order_types.contains(word),
            "tif" => self.catalogue.tifs.contains(word),
            _ => true,
        }
    }

    fn text(&self, dice: &mut Dice, param: &Param, kind: &Kind) -> String {
        let list = |dice: &mut Dice, from: &[String]| {
            let count = 1 + dice.below(3);
            (0..count).map(|_| dice.pick(from).clone()).collect::<Vec<_>>().join(",")
        };
        match kind {
            Kind::Bool => (*dice.pick(&["true", "false"])).to_owned(),
            Kind::Decimal { signed } => {
                let number = *dice.pick(DECIMALS);
                let sign = if *signed && dice.once_in(4) { "-" } else { "" };
                let is_size = matches!(param.role.as_str(), "quantity" | "quote_quantity");
                if !is_size && dice.once_in(9) { "0".to_owned() } else { format!("{sign}{number}") }
            }
            Kind::Digits => {
                (*dice.pick(&["1700000000000", "0", "17000000000000000000"])).to_owned()
            }
            Kind::Enum(words) => {
                let known: Vec<&String> =
                    words.iter().filter(|word| self.has_meaning(param, word)).collect();
                if known.is_empty() { words[0].clone() } else { (*dice.pick(&known)).clone() }
            }
            Kind::Id { max } => {
                let long = "Ab-9".repeat(16);
                let texts = ["1", "x", "a-b_c", "USDT", "123456789", &long];
                dice.pick(&texts).chars().take(*max).collect()
            }
            Kind::Ids => list(dice, &["1".to_owned(), "abc".to_owned()]),
            Kind::Integer => (*dice.pick(INTEGERS)).to_owned(),
            Kind::List { .. } | Kind::Object(_) => String::new(),
            Kind::String { max } | Kind::Text { max } => {
                let long = "z.9~".repeat(64);
                let odd = "a b/c:d,e@f";
                let at = dice.below(TEXTS.len() + 2);
                let text = match at.checked_sub(TEXTS.len()) {
                    None => TEXTS[at],
                    Some(0) => &long,
                    Some(_) => odd,
                };
                text.chars().take(*max).collect()
            }
            Kind::Symbol(patterns) if patterns.is_empty() => dice.pick(&self.symbols).clone(),
            Kind::Symbol(patterns) => sample(dice, patterns),
            Kind::Symbols(patterns) if patterns.is_empty() => list(dice, &self.symbols),
            Kind::Symbols(patterns) => sample(dice, patterns),
        }
    }

    /// Writes a form, percent-encoded; nothing where a value has no text.
    fn form(&self, dice: &mut Dice, fields: &[(String, Value)]) -> Option<String> {
        let spared = if dice.once_in(2) { "-._~" } else { "-._~,:/@*()!" };
        let encoded = |text: &str| -> String {
            let byte = |b: u8| match char::from(b) {
                c if c.is_ascii_alphanumeric() || spared.contains(c) => c.to_string(),
                _ => format!("%{b:02X}"),
            };
            text.bytes().map(byte).collect()
        };
        let mut pairs = Vec::new();
        for (name, value) in fields {
            let repeats = self.params.iter().any(|p| p.name == *name && p.repeats);
            match value {
                Value::Array(items) if repeats => {
                    for item in items {
                        pairs.push(format!("{name}={}", encoded(item.as_str()?)));
                    }
                }
                Value::Array(_) | Value::Object(_) => {
                    pairs.push(format!("{name}={}", encoded(&value.to_string())));
                }
                value => pairs.push(format!("{name}={}", encoded(value.as_str()?))),
            }
        }
        if let Some(window) = self.catalogue.window.as_ref().filter(|_| dice.once_in(10)) {
            pairs.push(format!("{window}={}", dice.pick(&["1000", "5000"])));
        }
        Some(pairs.join("&"))
    }

    /// Writes JSON, numbers and flags sometimes as such.
    fn json(
        &self,
        dice: &mut Dice,
        objects: &[Vec<(String, Value)>],
        operation: &Operation,
    ) -> Vec<u8> {
        let bare = dice.once_in(3);
        let params = self.catalogue.shape(operation).map_or(&[][..], |shape| &shape.params);
        let bared = |name: &str, value: &Value| -> Option<Value> {
            let kind = &params.iter().find(|param| param.name == name)?.kind;
            let text = value.as_str().filter(|text| bare && text.len() < 15)?;
            let is_bare = matches!(kind, Kind::Bool | Kind::Decimal { .. } | Kind::Integer);
            let read = serde_json::from_str::<Value>(text).ok().filter(|_| is_bare)?;
            let again = read.to_string();
            (again == text).then_some(read)
        };
        let object = |fields: &Vec<(String, Value)>| {
            let field = |(name, value): &(String, Value)| {
                (name.clone(), bared(name, value).unwrap_or_else(|| value.clone()))
            };
            Value::Object(fields.iter().map(field).collect())
        };
        if operation.array_max.is_some() {
            return Value::Array(objects.iter().map(object).collect()).to_string().into_bytes();
        }
        if objects[0].is_empty() && bare {
            return Vec::new();
        }
        object(&objects[0]).to_string().into_bytes()
    }
}

fn sample(dice: &mut Dice, patterns: &[String]) -> String {
    let letters = *dice.pick(&["BTC", "ETH", "A"]);
    dice.pick(patterns).replace('*', letters).replace('#', "2")
}
