//! The dimensions of scopes, and what denies along each.

use crate::document::{CumulativeDocument, DuplicatesDocument, OrdersDocument, ScopeDocument};

macro_rules! dimensions {
    ($($(#[$doc:meta])* $variant:ident = $key:literal,)+) => {
        /// A dimension of scopes: one for each key of a scope's document that grants or restricts.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Dimension {
            $($(#[$doc])* $variant,)+
        }

        impl Dimension {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The key in a scope document.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)+
                }
            }
        }
    };
}

dimensions! {
    /// The classes granted.
    Classes = "classes",
    /// The credentials granted.
    Credentials = "credentials",
    /// Notional in a window.
    CumulativeNotional = "cumulative.notional_usd",
    /// Orders that may rest.
    CumulativeOpenOrders = "cumulative.open_orders",
    /// Orders in a window.
    CumulativeOrders = "cumulative.orders",
    /// How long a client order id may not come again.
    DuplicatesClientOrderId = "duplicates.client_order_id",
    /// How long the same order may not come again.
    DuplicatesOrder = "duplicates.order",
    /// The weekly windows.
    Hours = "hours",
    /// The modes granted.
    Modes = "modes",
    /// The addresses let in.
    Network = "network",
    /// The countries let in.
    NetworkCountries = "network.countries",
    /// The operations granted by name.
    Operations = "operations",
    /// The margin modes that may be said.
    OrdersMarginModes = "orders.margin_modes",
    /// The largest leverage.
    OrdersMaxLeverage = "orders.max_leverage",
    /// The largest notional of a request.
    OrdersMaxNotional = "orders.max_notional_usd",
    /// The largest order of a symbol.
    OrdersMaxQuantity = "orders.max_quantity",
    /// Whether orders must be post-only.
    OrdersPostOnly = "orders.post_only",
    /// How far prices may be from the reference.
    OrdersPriceBand = "orders.price_band",
    /// Whether orders must be reduce-only.
    OrdersReduceOnly = "orders.reduce_only",
    /// The times in force.
    OrdersTimeInForce = "orders.time_in_force",
    /// The order types.
    OrdersTypes = "orders.types",
    /// How far beyond the reference orders are taken to fill.
    PricingSlippage = "pricing.slippage",
    /// What counts as one USD.
    PricingUsdPar = "pricing.usd_par",
    /// The products granted.
    Products = "products",
    /// The symbols granted.
    Symbols = "symbols",
    /// Where value may go.
    WithdrawalAddresses = "withdrawal.addresses",
    /// How much may go there in a day.
    WithdrawalPerDay = "withdrawal.per_day",
}

impl std::fmt::Display for Dimension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Dimension {
    /// Whether a denial of this code can come from this dimension.
    pub fn denies_with(self, code: &str) -> bool {
        Self::of_code(code).contains(&self)
    }

    /// The dimensions from which a denial of this code can come; none for halts, for a client's own
    /// networks and for schemas, which no scope decides.
    pub fn of_code(code: &str) -> &'static [Self] {
        match code {
            "ADDRESS_NOT_ALLOWED" => &[Self::WithdrawalAddresses],
            "AMOUNT_CAP_REACHED" => &[Self::WithdrawalPerDay],
            "CAP_NOT_ENFORCEABLE" => ENFORCED,
            // Withdrawals are granted by their class and a table.
            "CLASS_NOT_GRANTABLE" => {
                &[Self::Classes, Self::WithdrawalAddresses, Self::WithdrawalPerDay]
            }
            "CLASS_NOT_GRANTED" => &[Self::Classes],
            "COUNTRY_NOT_ALLOWED" | "COUNTRY_UNKNOWN" => &[Self::NetworkCountries],
            "CREDENTIAL_NOT_GRANTED" => &[Self::Credentials],
            "DUPLICATE_CLIENT_ORDER_ID" => &[Self::DuplicatesClientOrderId],
            "DUPLICATE_ORDER" => &[Self::DuplicatesOrder],
            "EVERY_PRODUCT_NOT_GRANTED" | "PRODUCT_NOT_GRANTED" => &[Self::Products],
            "EVERY_SYMBOL_NOT_GRANTED" | "SYMBOL_NOT_GRANTED" => &[Self::Symbols],
            "HOURS_CLOSED" => &[Self::Hours],
            "INSTRUMENT_UNKNOWN" | "NOTIONAL_UNKNOWN" | "PRICE_STALE" => PRICED,
            "LEVERAGE_TOO_HIGH" => &[Self::OrdersMaxLeverage],
            "LOGON_BYPASSES_CAPS" => LOGONS,
            "MARGIN_MODE_NOT_ALLOWED" => &[Self::OrdersMarginModes],
            "MODE_NOT_GRANTED" => &[Self::Modes],
            "NETWORK_DENIED" | "NETWORK_NOT_ALLOWED" => &[Self::Network],
            "NOTIONAL_CAP_REACHED" => {
                &[Self::CumulativeNotional, Self::PricingSlippage, Self::PricingUsdPar]
            }
            "NOTIONAL_TOO_LARGE" => {
                &[Self::OrdersMaxNotional, Self::PricingSlippage, Self::PricingUsdPar]
            }
            "OPEN_ORDERS_REACHED" => &[Self::CumulativeOpenOrders],
            "OPERATION_NOT_GRANTED" => &[Self::Operations],
            "ORDER_UNKNOWN" => ORDERS,
            "ORDER_RATE_REACHED" => &[Self::CumulativeOrders],
            "ORDER_TYPE_NOT_ALLOWED" => &[Self::OrdersTypes],
            "POST_ONLY_REQUIRED" => &[Self::OrdersPostOnly],
            "PRICE_BAND_UNBOUNDED" | "PRICE_OUTSIDE_BAND" => &[Self::OrdersPriceBand],
            "QUANTITY_TOO_LARGE" | "QUANTITY_UNKNOWN" => &[Self::OrdersMaxQuantity],
            "REDUCE_ONLY_REQUIRED" => &[Self::OrdersReduceOnly],
            "TIME_IN_FORCE_NOT_ALLOWED" => &[Self::OrdersTimeInForce],
            "WITHDRAWAL_UNKNOWN" => &[Self::WithdrawalAddresses, Self::WithdrawalPerDay],
            _ => &[],
        }
    }

    /// Whether only orders can show a difference in it.
    pub(crate) fn is_about_orders(self) -> bool {
        ORDERS.contains(&self) || matches!(self, Self::PricingSlippage | Self::PricingUsdPar)
    }

    /// Whether the document restricts what the dimension is about; those that grant always do.
    pub fn restricts(self, scope: &ScopeDocument) -> bool {
        let orders = &scope.orders;
        match self {
            Self::Classes
            | Self::Credentials
            | Self::Modes
            | Self::Network
            | Self::Operations
            | Self::Products
            | Self::Symbols
            | Self::WithdrawalAddresses
            | Self::WithdrawalPerDay => true,
            Self::CumulativeNotional => !scope.cumulative.notional_usd.is_empty(),
            Self::CumulativeOpenOrders => scope.cumulative.open_orders.is_some(),
            Self::CumulativeOrders => !scope.cumulative.orders.is_empty(),
            Self::DuplicatesClientOrderId => scope.duplicates.client_order_id.is_some(),
            Self::DuplicatesOrder => scope.duplicates.order.is_some(),
            Self::Hours => scope.hours.is_some(),
            Self::NetworkCountries => scope.network.countries.is_some(),
            Self::OrdersMarginModes => orders.margin_modes.is_some(),
            Self::OrdersMaxLeverage => orders.max_leverage.is_some(),
            Self::OrdersMaxNotional => orders.max_notional_usd.is_some(),
            Self::OrdersMaxQuantity => orders.max_quantity.is_some(),
            Self::OrdersPostOnly => orders.post_only,
            Self::OrdersPriceBand => orders.price_band.is_some(),
            Self::OrdersReduceOnly => orders.reduce_only,
            Self::OrdersTimeInForce => orders.time_in_force.is_some(),
            Self::OrdersTypes => orders.types.is_some(),
            Self::PricingSlippage | Self::PricingUsdPar => caps_notional(scope),
        }
    }
}

/// Whether a scope has a rule that asks what an order costs in USD.
pub(crate) fn caps_notional(scope: &ScopeDocument) -> bool {
    scope.orders.max_notional_usd.is_some() || !scope.cumulative.notional_usd.is_empty()
}

/// Whether a scope has rules that a log-on would go past.
pub(crate) fn forbids_logons(scope: &ScopeDocument) -> bool {
    scope.orders != OrdersDocument::default()
        || scope.cumulative != CumulativeDocument::default()
        || scope.withdrawal.is_some()
        || scope.hours.is_some()
        || scope.duplicates != DuplicatesDocument::default()
}

/// What is about orders and nothing else.
const ORDERS: &[Dimension] = &[
    Dimension::CumulativeNotional,
    Dimension::CumulativeOpenOrders,
    Dimension::CumulativeOrders,
    Dimension::DuplicatesClientOrderId,
    Dimension::DuplicatesOrder,
    Dimension::OrdersMarginModes,
    Dimension::OrdersMaxLeverage,
    Dimension::OrdersMaxNotional,
    Dimension::OrdersMaxQuantity,
    Dimension::OrdersPostOnly,
    Dimension::OrdersPriceBand,
    Dimension::OrdersReduceOnly,
    Dimension::OrdersTimeInForce,
    Dimension::OrdersTypes,
];

/// What no log-on may stand beside.
const LOGONS: &[Dimension] = &[
    Dimension::CumulativeNotional,
    Dimension::CumulativeOpenOrders,
    Dimension::CumulativeOrders,
    Dimension::DuplicatesClientOrderId,
    Dimension::DuplicatesOrder,
    Dimension::Hours,
    Dimension::OrdersMarginModes,
    Dimension::OrdersMaxLeverage,
    Dimension::OrdersMaxNotional,
    Dimension::OrdersMaxQuantity,
    Dimension::OrdersPostOnly,
    Dimension::OrdersPriceBand,
    Dimension::OrdersReduceOnly,
    Dimension::OrdersTimeInForce,
    Dimension::OrdersTypes,
    Dimension::WithdrawalAddresses,
];

/// What holds in `sign` mode at few venues.
const ENFORCED: &[Dimension] = &[
    Dimension::CumulativeNotional,
    Dimension::CumulativeOpenOrders,
    Dimension::CumulativeOrders,
    Dimension::WithdrawalPerDay,
];

/// What asks for instruments and reference prices.
const PRICED: &[Dimension] = &[
    Dimension::CumulativeNotional,
    Dimension::OrdersMaxNotional,
    Dimension::OrdersMaxQuantity,
    Dimension::OrdersPriceBand,
    Dimension::PricingSlippage,
    Dimension::PricingUsdPar,
];

#[cfg(test)]
mod tests {
    use super::{Dimension, LOGONS};
    use crate::document::ScopeDocument;

    #[test]
    fn dimensions_are_in_order_and_have_keys_of_their_own() {
        let keys: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect();
        assert!(keys.is_sorted());
        let mut once = keys.clone();
        once.dedup();
        assert_eq!(once, keys);
    }

    /// What no rule is about, no denial comes from.
    #[test]
    fn an_empty_scope_restricts_nothing_but_by_granting_nothing() {
        let scope = ScopeDocument::new("a".parse().expect("a name"));
        assert!(!super::forbids_logons(&scope) && !super::caps_notional(&scope));
        assert!(Dimension::Classes.restricts(&scope) && !Dimension::Hours.restricts(&scope));
        assert_eq!(Dimension::of_code("HALT_NOTHING"), []);
    }

    fn scope(text: &str) -> ScopeDocument {
        ScopeDocument::from_toml(&format!("name = \"s\"\n{text}")).expect("a scope")
    }

    /// Each restriction alone: what it restricts beside what is granted, whether orders need prices
    /// for it, and whether a log-on would go past it.
    #[test]
    fn a_restriction_is_one_of_its_own_dimension() {
        let empty = scope("");
        let priced = [Dimension::PricingSlippage, Dimension::PricingUsdPar];
        for (dimension, text) in [
            (
                Dimension::CumulativeNotional,
                "[cumulative]\nnotional_usd = [{ per = \"1h\", at_most = \"1\" }]",
            ),
            (Dimension::CumulativeOpenOrders, "[cumulative]\nopen_orders = 1"),
            (Dimension::CumulativeOrders, "[cumulative]\norders = [{ per = \"1h\", at_most = 1 }]"),
            (Dimension::DuplicatesClientOrderId, "[duplicates]\nclient_order_id = \"1h\""),
            (Dimension::DuplicatesOrder, "[duplicates]\norder = \"1h\""),
            (Dimension::Hours, "[hours]\ntimezone = \"UTC\"\nwindows = []"),
            (Dimension::NetworkCountries, "[network]\ncountries = []"),
            (Dimension::OrdersMarginModes, "[orders]\nmargin_modes = []"),
            (Dimension::OrdersMaxLeverage, "[orders]\nmax_leverage = \"1\""),
            (Dimension::OrdersMaxNotional, "[orders]\nmax_notional_usd = \"1\""),
            (Dimension::OrdersMaxQuantity, "[orders.max_quantity]\nokx = { A = \"1\" }"),
            (Dimension::OrdersPostOnly, "[orders]\npost_only = true"),
            (Dimension::OrdersPriceBand, "[orders]\nprice_band = \"0.1\""),
            (Dimension::OrdersReduceOnly, "[orders]\nreduce_only = true"),
            (Dimension::OrdersTimeInForce, "[orders]\ntime_in_force = []"),
            (Dimension::OrdersTypes, "[orders]\ntypes = []"),
        ] {
            let scope = scope(text);
            let mut restricted: Vec<Dimension> = Dimension::ALL
                .iter()
                .copied()
                .filter(|dimension| dimension.restricts(&scope) && !dimension.restricts(&empty))
                .collect();
            let asks_cost =
                matches!(dimension, Dimension::CumulativeNotional | Dimension::OrdersMaxNotional);
            assert_eq!(super::caps_notional(&scope), asks_cost, "{dimension}");
            if asks_cost {
                assert_eq!(restricted.split_off(1), priced, "{dimension}");
            }
            assert_eq!(restricted, [dimension]);
            let stays_out = dimension != Dimension::NetworkCountries;
            assert_eq!(super::forbids_logons(&scope), stays_out, "{dimension}");
            assert_eq!(LOGONS.contains(&dimension), stays_out, "{dimension}");
        }
        let table = scope("[withdrawal]\naddresses = []\nper_day = []");
        assert!(super::forbids_logons(&table) && LOGONS.contains(&Dimension::WithdrawalAddresses));
    }

    /// A dimension from which no denial came could have no example.
    #[test]
    fn every_dimension_denies_with_a_code() {
        for (dimension, codes) in [
            (Dimension::Classes, ["CLASS_NOT_GRANTABLE", "CLASS_NOT_GRANTED"].as_slice()),
            (Dimension::Credentials, &["CREDENTIAL_NOT_GRANTED"]),
            (
                Dimension::CumulativeNotional,
                &[
                    "CAP_NOT_ENFORCEABLE",
                    "INSTRUMENT_UNKNOWN",
                    "NOTIONAL_CAP_REACHED",
                    "NOTIONAL_UNKNOWN",
                    "PRICE_STALE",
                ],
            ),
            (Dimension::CumulativeOpenOrders, &["CAP_NOT_ENFORCEABLE", "OPEN_ORDERS_REACHED"]),
            (Dimension::CumulativeOrders, &["CAP_NOT_ENFORCEABLE", "ORDER_RATE_REACHED"]),
            (Dimension::DuplicatesClientOrderId, &["DUPLICATE_CLIENT_ORDER_ID"]),
            (Dimension::DuplicatesOrder, &["DUPLICATE_ORDER"]),
            (Dimension::Hours, &["HOURS_CLOSED"]),
            (Dimension::Modes, &["MODE_NOT_GRANTED"]),
            (Dimension::Network, &["NETWORK_DENIED", "NETWORK_NOT_ALLOWED"]),
            (Dimension::NetworkCountries, &["COUNTRY_NOT_ALLOWED", "COUNTRY_UNKNOWN"]),
            (Dimension::Operations, &["OPERATION_NOT_GRANTED"]),
            (Dimension::OrdersMarginModes, &["MARGIN_MODE_NOT_ALLOWED"]),
            (Dimension::OrdersMaxLeverage, &["LEVERAGE_TOO_HIGH"]),
            (Dimension::OrdersMaxNotional, &["NOTIONAL_TOO_LARGE", "PRICE_STALE"]),
            (Dimension::OrdersMaxQuantity, &["QUANTITY_TOO_LARGE", "QUANTITY_UNKNOWN"]),
            (Dimension::OrdersPostOnly, &["POST_ONLY_REQUIRED"]),
            (Dimension::OrdersPriceBand, &["PRICE_BAND_UNBOUNDED", "PRICE_OUTSIDE_BAND"]),
            (Dimension::OrdersReduceOnly, &["REDUCE_ONLY_REQUIRED"]),
            (Dimension::OrdersTimeInForce, &["TIME_IN_FORCE_NOT_ALLOWED"]),
            (Dimension::OrdersTypes, &["ORDER_TYPE_NOT_ALLOWED", "ORDER_UNKNOWN"]),
            (Dimension::PricingSlippage, &["NOTIONAL_CAP_REACHED", "NOTIONAL_TOO_LARGE"]),
            (Dimension::PricingUsdPar, &["NOTIONAL_CAP_REACHED", "NOTIONAL_TOO_LARGE"]),
            (Dimension::Products, &["EVERY_PRODUCT_NOT_GRANTED", "PRODUCT_NOT_GRANTED"]),
            (Dimension::Symbols, &["EVERY_SYMBOL_NOT_GRANTED", "SYMBOL_NOT_GRANTED"]),
            (Dimension::WithdrawalAddresses, &["ADDRESS_NOT_ALLOWED", "WITHDRAWAL_UNKNOWN"]),
            (Dimension::WithdrawalPerDay, &["AMOUNT_CAP_REACHED", "WITHDRAWAL_UNKNOWN"]),
        ] {
            for code in codes {
                assert!(dimension.denies_with(code), "{dimension} {code}");
            }
        }
        // What a log-on would go past.
        for dimension in LOGONS {
            assert!(dimension.denies_with("LOGON_BYPASSES_CAPS"), "{dimension}");
        }
        assert!(!Dimension::Classes.denies_with("CREDENTIAL_NOT_GRANTED"));
        assert!(!Dimension::Network.denies_with("HALT_NOTHING"));
    }

    #[test]
    fn only_orders_show_what_is_about_orders() {
        assert!(Dimension::OrdersTypes.is_about_orders());
        assert!(Dimension::CumulativeOrders.is_about_orders());
        assert!(Dimension::PricingSlippage.is_about_orders());
        assert!(Dimension::PricingUsdPar.is_about_orders());
        assert!(!Dimension::Symbols.is_about_orders());
        assert_eq!(Dimension::OrdersTypes.to_string(), "orders.types");
    }
}
