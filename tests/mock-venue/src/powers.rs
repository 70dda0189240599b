//! What an API key may do and from where, as its venue tells. Tests set it; nothing is enforced.

use serde_json::{Map, Value, json};

use crate::account::Venue;

/// What a venue says of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPowers {
    /// Its rights, in the words of the venue's answer: `enableFutures`, `SpotTrade`, `can_trade`,
    /// `modify-trades`, `trade`.
    pub rights: Vec<String>,
    /// The addresses that it is bound to; empty: it works from everywhere. Coinbase does not tell.
    pub addresses: Vec<String>,
    /// When it ends, ms since the Unix epoch, where the venue tells: Bybit, Kraken, and of Binance
    /// when its right to trade ends.
    pub ends_ms: Option<i64>,
    /// Whether it can only read, whatever its rights; Bybit alone tells.
    pub is_read_only: bool,
    /// Kraken's nonce window.
    pub nonce_window: u64,
}

impl KeyPowers {
    /// A key as it should be: it reads and trades, moves nothing, is bound to an address and has no
    /// end.
    pub fn trading(venue: Venue) -> Self {
        let rights: &[&str] = match venue {
            Venue::Binance => &["enableReading", "enableSpotAndMarginTrading", "enableFutures"],
            Venue::Bybit => &["Order", "Position", "SpotTrade", "OptionsTrade", "DerivativesTrade"],
            Venue::Coinbase => &["can_view", "can_trade"],
            Venue::Kraken => &[
                "query-funds",
                "query-open-trades",
                "query-closed-trades",
                "modify-trades",
                "close-trades",
                "create-ws-token",
            ],
            Venue::Okx => &["read_only", "trade"],
        };
        Self {
            rights: rights.iter().map(|&right| right.to_owned()).collect(),
            addresses: vec!["203.0.113.7".to_owned()],
            ends_ms: None,
            is_read_only: false,
            nonce_window: 0,
        }
    }

    /// The same with one right more.
    #[must_use]
    pub fn with(mut self, right: &str) -> Self {
        self.rights.push(right.to_owned());
        self
    }

    fn has(&self, right: &str) -> bool {
        self.rights.iter().any(|known| known == right)
    }

    /// `GET /sapi/v1/account/apiRestrictions`. Source for the fields:
    /// <https://developers.binance.com/docs/wallet/account/api-key-permission>, stored copy;
    /// `tradingAuthorityExpirationTime`: `spot_api.yaml` of
    /// <https://github.com/binance/binance-api-swagger> at 64b327c0addadd191ca0dca8e6b4cebd8a97c05c.
    pub(crate) fn binance(&self, now_ms: i64) -> Value {
        let flags = BINANCE.iter().map(|right| ((*right).to_owned(), self.has(right).into()));
        let mut answer: Map<String, Value> = flags.collect();
        answer.insert("ipRestrict".to_owned(), (!self.addresses.is_empty()).into());
        answer.insert("createTime".to_owned(), now_ms.into());
        if let Some(ends_ms) = self.ends_ms {
            answer.insert("tradingAuthorityExpirationTime".to_owned(), ends_ms.into());
        }
        Value::Object(answer)
    }

    /// Fills in `GET /v5/user/query-api`. Source: `docs/v5/user/apikey-info.mdx` of
    /// <https://github.com/bybit-exchange/docs> at 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996; `*` for
    /// no address: `list-sub-apikeys.mdx`.
    pub(crate) fn bybit(&self, mut answer: Value) -> Value {
        let groups = BYBIT.iter().map(|(group, rights)| {
            let held: Vec<&str> = rights.iter().copied().filter(|right| self.has(right)).collect();
            ((*group).to_owned(), json!(held))
        });
        answer["permissions"] = Value::Object(groups.collect());
        answer["readOnly"] = u8::from(self.is_read_only).into();
        answer["ips"] =
            if self.addresses.is_empty() { json!(["*"]) } else { json!(self.addresses) };
        answer["expiredAt"] = iso(self.ends_ms.unwrap_or_default()).into();
        answer
    }

    /// `GET /api/v3/brokerage/key_permissions`. Source: `coinbase/rest/types/data_api_types.py` of
    /// <https://github.com/coinbase/coinbase-advanced-py> at
    /// 54fb8ed3cd32b49760cbe88d116aad9a13068ef2.
    pub(crate) fn coinbase(&self) -> Value {
        json!({
            "can_view": self.has("can_view"),
            "can_trade": self.has("can_trade"),
            "can_transfer": self.has("can_transfer"),
            "portfolio_uuid": "00000000-0000-4000-8000-000000000001",
            "portfolio_type": "DEFAULT",
        })
    }

    /// `POST /0/private/GetApiKeyInfo`. Source:
    /// <https://docs.kraken.com/api-reference/account-data/get-api-key-info>, stored copy.
    pub(crate) fn kraken(&self) -> Value {
        let ends_s = self.ends_ms.unwrap_or_default().div_euclid(1000);
        json!({
            "apiKeyName": "mock",
            "nonceWindow": self.nonce_window,
            "permissions": self.rights,
            "validUntil": ends_s.to_string(),
            "queryFrom": "0",
            "queryTo": "0",
            "createdTime": "1772542900",
            "modifiedTime": "1772543095",
            "ipAllowlist": self.addresses,
            "lastUsed": null,
        })
    }

    /// Fills in an entry of `GET /api/v5/account/config`. Source:
    /// <https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration>, stored
    /// copy.
    pub(crate) fn okx(&self, mut entry: Value) -> Value {
        entry["perm"] = self.rights.join(",").into();
        entry["ip"] = self.addresses.join(",").into();
        entry
    }
}

const BINANCE: &[&str] = &[
    "enableReading",
    "enableSpotAndMarginTrading",
    "enableMargin",
    "enableFutures",
    "enableVanillaOptions",
    "enablePortfolioMarginTrading",
    "enableInternalTransfer",
    "permitsUniversalTransfer",
    "enableWithdrawals",
    "enableFixApiTrade",
    "enableFixReadOnly",
];

const BYBIT: &[(&str, &[&str])] = &[
    ("ContractTrade", &["Order", "Position"]),
    ("Spot", &["SpotTrade"]),
    ("Wallet", &["AccountTransfer", "SubMemberTransfer", "SubMemberTransferList", "Withdraw"]),
    ("Options", &["OptionsTrade"]),
    ("Derivatives", &["DerivativesTrade"]),
    ("CopyTrading", &[]),
    ("BlockTrade", &["BlockTrade"]),
    ("Exchange", &["ExchangeHistory"]),
    ("NFT", &[]),
    ("Affiliate", &["Affiliate"]),
    ("Earn", &["Earn"]),
    ("FiatP2P", &["FiatP2POrder", "Advertising"]),
    ("FiatBitPay", &["FaitPayOrder"]),
    ("FiatConvertBroker", &["FiatConvertBrokerOrder"]),
    ("BitCard", &["BitCard"]),
    ("ByXPost", &["ByXPost"]),
];

/// `YYYY-MM-DDThh:mm:ssZ`.
fn iso(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: leap days come last in every span.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::iso;

    #[test]
    fn writes_times() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(1_712_432_078_038), "2024-04-06T19:34:38Z");
        assert_eq!(iso(951_868_799_999), "2000-02-29T23:59:59Z");
        assert_eq!(iso(1_796_092_566_000), "2026-12-01T02:36:06Z");
    }
}
