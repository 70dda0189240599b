//! An instrument to and from a message.

use vault_model::{Instrument, Money, Product, SizeUnit};
use vault_policy::Symbol;
use vault_proto::v1;

/// An instrument that is none. The words name the field and its form, and nothing of what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InstrumentError(&'static str);

impl InstrumentError {
    /// Which field is not what it must be.
    pub fn words(self) -> &'static str {
        self.0
    }
}

/// Reads an instrument from a message.
///
/// What an order is worth is found with prices of two kinds: its own, in `quote`, and that of
/// `reference`. They are compared and the larger is taken, so both must be of the same pair; but an
/// option is worth what its underlying is, whatever its premium is paid in.
///
/// # Errors
///
/// [`InstrumentError`].
pub fn instrument_from_wire(wire: &v1::Instrument) -> Result<Instrument, InstrumentError> {
    let field = InstrumentError;
    let above_zero = |text: &str| text.parse().ok().filter(|size: &Money| *size > Money::ZERO);
    let step = |text: &str| match text {
        "" => Ok(None),
        text => above_zero(text)
            .map(Some)
            .ok_or(field("price_tick and quantity_step are decimals above 0, or empty")),
    };
    let asset =
        |text: &str| text.parse().map_err(|_| field("base and quote are assets, such as BTC"));
    let product: Product = wire
        .product
        .parse()
        .ok()
        .filter(|product| *product != Product::Margin)
        .ok_or(field("product is spot, linear, inverse, option or spread"))?;
    let size_unit = match wire.size_unit.as_str() {
        "base" => SizeUnit::Base,
        "quote" if product == Product::Inverse => SizeUnit::Quote,
        "quote" => return Err(field("only inverse contracts have their size in the quote asset")),
        _ => return Err(field("size_unit is base or quote")),
    };
    let instrument = Instrument {
        base: asset(&wire.base)?,
        contract_size: above_zero(&wire.contract_size)
            .ok_or(field("contract_size is a decimal above 0"))?,
        price_tick: step(&wire.price_tick)?,
        product,
        quantity_step: step(&wire.quantity_step)?,
        quote: asset(&wire.quote)?,
        reference: wire
            .reference
            .parse()
            .map_err(|_| field("reference is BASE/QUOTE, such as BTC/USD"))?,
        size_unit,
        symbol: wire
            .symbol
            .parse::<Symbol>()
            .map_err(|_| field("symbol is 1 to 40 of letters, digits, '-', '/', '_' and '.'"))?
            .to_string(),
        venue: wire.venue.parse().map_err(|_| field("venue is the name of one"))?,
    };
    let reference = &instrument.reference;
    if product != Product::Option
        && (reference.base != instrument.base || reference.quote != instrument.quote)
    {
        return Err(field("reference is base and quote of the instrument itself, but for options"));
    }
    Ok(instrument)
}

/// Writes an instrument as a message.
pub fn instrument_to_wire(instrument: &Instrument) -> v1::Instrument {
    let text = |step: Option<Money>| step.map(|step| step.to_string()).unwrap_or_default();
    v1::Instrument {
        venue: instrument.venue.to_string(),
        product: instrument.product.to_string(),
        symbol: instrument.symbol.clone(),
        base: instrument.base.to_string(),
        quote: instrument.quote.to_string(),
        contract_size: instrument.contract_size.to_string(),
        size_unit: match instrument.size_unit {
            SizeUnit::Base => "base",
            SizeUnit::Quote => "quote",
        }
        .to_owned(),
        reference: instrument.reference.to_string(),
        price_tick: text(instrument.price_tick),
        quantity_step: text(instrument.quantity_step),
    }
}

#[cfg(test)]
mod tests {
    use vault_model::{Product, SizeUnit};
    use vault_proto::v1;

    use super::{instrument_from_wire, instrument_to_wire};

    fn swap() -> v1::Instrument {
        v1::Instrument {
            venue: "okx".to_owned(),
            product: "linear".to_owned(),
            symbol: "BTC-USDT-SWAP".to_owned(),
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            contract_size: "0.01".to_owned(),
            size_unit: "base".to_owned(),
            reference: "BTC/USDT".to_owned(),
            price_tick: "0.1".to_owned(),
            quantity_step: String::new(),
        }
    }

    /// Its premium is paid in the base asset.
    fn option() -> v1::Instrument {
        v1::Instrument {
            product: "option".to_owned(),
            symbol: "BTC-USD-261225-60000-C".to_owned(),
            quote: "BTC".to_owned(),
            reference: "BTC/USD".to_owned(),
            ..swap()
        }
    }

    #[test]
    fn instruments_cross_the_wire_unchanged() {
        let inverse = v1::Instrument {
            product: "inverse".to_owned(),
            size_unit: "quote".to_owned(),
            contract_size: "100".to_owned(),
            ..swap()
        };
        for wire in [swap(), inverse, option()] {
            let instrument = instrument_from_wire(&wire).expect("an instrument");
            assert_eq!(instrument_to_wire(&instrument), wire);
        }
        let instrument = instrument_from_wire(&swap()).expect("an instrument");
        assert_eq!((instrument.product, instrument.size_unit), (Product::Linear, SizeUnit::Base));
    }

    #[test]
    fn what_is_no_instrument_is_refused() {
        type Spoil = fn(&mut v1::Instrument);
        let spoiled: &[(&str, Spoil)] = &[
            ("contract_size", |wire| wire.contract_size = "0".to_owned()),
            ("contract_size", |wire| wire.contract_size = "-1".to_owned()),
            ("contract_size", |wire| wire.contract_size = String::new()),
            ("contract_size", |wire| wire.contract_size = "1e3".to_owned()),
            ("only inverse", |wire| wire.size_unit = "quote".to_owned()),
            ("size_unit", |wire| wire.size_unit = String::new()),
            ("price_tick", |wire| wire.price_tick = "0".to_owned()),
            ("price_tick", |wire| wire.quantity_step = "x".to_owned()),
            ("product", |wire| wire.product = "margin".to_owned()),
            ("product", |wire| wire.product = String::new()),
            ("symbol", |wire| wire.symbol = "BTC USDT".to_owned()),
            ("symbol", |wire| wire.symbol = "B".repeat(41)),
            ("base and quote", |wire| wire.base = String::new()),
            ("base and quote", |wire| wire.quote = "a/b".to_owned()),
            ("reference", |wire| wire.reference = "BTC".to_owned()),
            ("venue", |wire| wire.venue = "O K X".to_owned()),
        ];
        for (words, spoil) in spoiled {
            let mut wire = swap();
            spoil(&mut wire);
            let error = instrument_from_wire(&wire).expect_err(words);
            assert!(error.words().starts_with(words), "{words}: {error}");
        }
    }

    /// A limit of 60,000 USDT beside a reference in another asset would be compared as if it were in
    /// that one.
    #[test]
    fn a_reference_is_the_instruments_own_pair_but_for_options() {
        for reference in ["BTC/USD", "ETH/USDT", "USDT/BTC", "BTC/USDC"] {
            for product in ["spot", "linear", "inverse", "spread"] {
                let reference = reference.to_owned();
                let wire = v1::Instrument { product: product.to_owned(), reference, ..swap() };
                let error = instrument_from_wire(&wire).expect_err("another pair");
                assert!(error.words().contains("but for options"), "{error}");
            }
            let wire = v1::Instrument { reference: reference.to_owned(), ..option() };
            assert!(instrument_from_wire(&wire).is_ok(), "{reference}");
        }
    }
}
