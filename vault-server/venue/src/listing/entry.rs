//! One entry of a listing, and what an instrument is made of.

use serde_json::Value;
use vault_model::{Asset, Instrument, Money, Name, Pair, Product, SizeUnit};

use super::ListingError;
use crate::value::is_symbol;

/// Why an entry yields no instrument.
pub(super) enum Not {
    /// It is not to be listed, for this reason.
    Listed(&'static str),
    /// It should be, and cannot be read.
    Readable(ListingError),
}

impl From<ListingError> for Not {
    fn from(error: ListingError) -> Self {
        Self::Readable(error)
    }
}

/// An entry as the venue wrote it.
pub(super) struct Entry<'v> {
    /// From 1.
    number: usize,
    symbol: Option<&'v str>,
    value: &'v Value,
}

impl<'v> Entry<'v> {
    pub(super) fn new(at: usize, symbol: Option<&'v str>, value: &'v Value) -> Self {
        Self { number: at + 1, symbol: symbol.filter(|symbol| is_symbol(symbol)), value }
    }

    /// The symbol, or the number where it is none that could stand in a message.
    pub(super) fn name(&self) -> String {
        self.symbol.map_or_else(|| format!("entry {}", self.number), str::to_owned)
    }

    /// The symbol, by which no request could name it if it is not plain.
    pub(super) fn symbol(&self) -> Result<&'v str, Not> {
        self.symbol.ok_or(Not::Listed("its symbol is missing or not plain"))
    }

    pub(super) fn value(&self) -> &'v Value {
        self.value
    }

    /// An object inside it, with the name of the whole.
    pub(super) fn inside(&self, field: &'static str) -> Result<Self, ListingError> {
        let value = self.value.get(field).filter(|value| value.is_object());
        value.map(|value| self.at(value)).ok_or_else(|| self.without(field))
    }

    /// A part of it, with the name of the whole.
    pub(super) fn at(&self, value: &'v Value) -> Self {
        Self { number: self.number, symbol: self.symbol, value }
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'v str, ListingError> {
        self.value.get(field).and_then(Value::as_str).ok_or_else(|| self.without(field))
    }

    /// A text that may be missing: then it is empty.
    pub(super) fn text_if_any(&self, field: &'static str) -> Result<&'v str, ListingError> {
        match self.value.get(field) {
            None | Some(Value::Null) => Ok(""),
            Some(value) => value.as_str().ok_or_else(|| self.without(field)),
        }
    }

    /// A flag that is off where it is missing.
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, ListingError> {
        match self.value.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.without(field)),
        }
    }

    /// A decimal in a text, or a whole number: other numbers of JSON are not exact.
    pub(super) fn decimal(&self, field: &'static str) -> Result<Money, ListingError> {
        let not_exact = || ListingError::Decimal { entry: self.name(), field };
        let number: Money = match self.value.get(field) {
            Some(Value::String(text)) => text.parse().map_err(|_| not_exact())?,
            Some(Value::Number(number)) => Money::whole(number.as_u64().ok_or_else(not_exact)?),
            _ => return Err(self.without(field)),
        };
        if number.is_negative() { Err(not_exact()) } else { Ok(number) }
    }

    /// A step, if the venue says one: 0 and an empty text say none.
    pub(super) fn step(&self, field: &'static str) -> Result<Option<Money>, ListingError> {
        match self.value.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(_) => Ok(Some(self.decimal(field)?).filter(|step| !step.is_zero())),
        }
    }

    /// The size of a contract: above 0.
    pub(super) fn size(&self, field: &'static str) -> Result<Money, ListingError> {
        let size = self.decimal(field)?;
        if size.is_zero() {
            Err(ListingError::ContractSize { entry: self.name(), field })
        } else {
            Ok(size)
        }
    }

    pub(super) fn without(&self, field: &'static str) -> ListingError {
        ListingError::Field { entry: self.name(), field }
    }

    pub(super) fn not_exact(&self, field: &'static str) -> ListingError {
        ListingError::Decimal { entry: self.name(), field }
    }
}

/// What an instrument is, but for its venue and symbol.
pub(super) struct Terms {
    pub product: Product,
    pub base: Asset,
    /// In what its price is.
    pub quote: Asset,
    /// Whose price says what it is worth.
    pub reference: Pair,
    pub contract_size: Money,
    pub size_unit: SizeUnit,
    pub price_tick: Option<Money>,
    pub quantity_step: Option<Money>,
}

impl Terms {
    /// What is traded in units of its base, and priced itself.
    pub(super) fn of_base(product: Product, pair: Pair) -> Self {
        Self {
            product,
            base: pair.base.clone(),
            quote: pair.quote.clone(),
            reference: pair,
            contract_size: Money::ONE,
            size_unit: SizeUnit::Base,
            price_tick: None,
            quantity_step: None,
        }
    }

    pub(super) fn named(&self, venue: &'static str, symbol: &str) -> Instrument {
        Instrument {
            base: self.base.clone(),
            contract_size: self.contract_size,
            price_tick: self.price_tick,
            product: self.product,
            quantity_step: self.quantity_step,
            quote: self.quote.clone(),
            reference: self.reference.clone(),
            size_unit: self.size_unit,
            symbol: symbol.to_owned(),
            venue: venue.parse::<Name>().expect("the names of venues are names"),
        }
    }
}

/// An asset, if its name is plain.
pub(super) fn asset(text: &str) -> Result<Asset, Not> {
    text.parse().map_err(|_| Not::Listed("the name of an asset is missing or not plain"))
}

/// A pair of two different assets.
pub(super) fn pair(base: &str, quote: &str) -> Result<Pair, Not> {
    let pair = Pair::new(asset(base)?, asset(quote)?);
    if pair.base == pair.quote {
        Err(Not::Listed("base and quote are one asset"))
    } else {
        Ok(pair)
    }
}
