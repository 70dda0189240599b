//! What venues say that a key may do, and what follows from it.

use proptest::prelude::*;
use vault_model::{Class, Environment, Timestamp};
use vault_venue::{Answer, Findings, KeyFacts, KeyType, OwnRequest, Reported, Severity, Venue};

use crate::cancel_all::answer;
use crate::{CAUTIOUS, registry};

const LIVE: Environment = Environment::Live;

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp(1_795_305_600_000_000);

/// Source: <https://developers.binance.com/docs/wallet/account/api-key-permission>, stored copy.
const BINANCE: &str = r#"{"ipRestrict":false,"createTime":1698645219000,
    "enableInternalTransfer":false,"enableFutures":false,"enablePortfolioMarginTrading":true,
    "enableVanillaOptions":false,"permitsUniversalTransfer":false,"enableReading":true,
    "enableSpotAndMarginTrading":false,"enableWithdrawals":false,"enableMargin":false}"#;

/// Source: bybit-exchange/docs docs/v5/user/apikey-info.mdx, shortened.
const BYBIT: &str = r#"{"retCode":0,"retMsg":"","result":{"id":"2208369","note":"testnet",
    "apiKey":"XXXXXXXX","readOnly":1,"secret":"","permissions":{
    "ContractTrade":["Order","Position"],"Spot":["SpotTrade"],
    "Wallet":["AccountTransfer","SubMemberTransfer"],"Options":[],
    "Derivatives":["DerivativesTrade"],"CopyTrading":[],"BlockTrade":[],
    "Exchange":["ExchangeHistory"],"NFT":[],"Affiliate":[],"Earn":["Earn"],
    "FiatP2P":["FiatP2POrder","Advertising"],"FiatConvertBroker":["FiatConvertBrokerOrder"],
    "FiatGlobalPay":[],"FiatBitPay":["FaitPayOrder"],"BitCard":["BitCard"],"ByXPost":["ByXPost"]},
    "ips":["18.181.170.164","13.212.45.47","13.212.45.48"],"type":1,"deadlineDay":-2,
    "expiredAt":"1970-01-01T00:00:00Z","createdAt":"2025-10-13T03:20:45Z","uta":1}}"#;

/// Source: <https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration>,
/// stored copy, shortened.
const OKX: &str = r#"{"code":"0","data":[{"acctLv":"2","autoLoan":false,"ip":"","type":"0",
    "kycLv":"3","label":"v5 test","perm":"read_only,withdraw,trade"}],"msg":""}"#;

/// Source: <https://docs.kraken.com/api-reference/account-data/get-api-key-info>, stored copy.
const KRAKEN: &str = r#"{"error":[],"result":{"apiKeyName":"my-api-key",
    "apiKey":"4/SDrDBcOOPnm3nPlNfEMMJDeRcIVqPz+QhRxIodyZbI9po/aVRiHsgX",
    "nonce":"1772627060997","nonceWindow":0,
    "permissions":["query-funds","withdraw-funds","query-open-trades","modify-trades"],
    "iban":"AA88 N84G WOAK NMOI","validUntil":"0","queryFrom":"0","queryTo":"0",
    "createdTime":"1772542900","modifiedTime":"1772543095","ipAllowlist":[],
    "lastUsed":"1772627061"}}"#;

/// Source: coinbase/coinbase-advanced-py coinbase/rest/types/data_api_types.py (its fields).
const COINBASE: &str = r#"{"can_view":true,"can_trade":false,"can_transfer":false,
    "portfolio_uuid":"portfolio1","portfolio_type":"CONSUMER"}"#;

fn venue(name: &str) -> &'static Venue {
    registry().venue(name).expect("known")
}

fn key_type(name: &str) -> KeyType {
    if name == "coinbase" { KeyType::Es256 } else { KeyType::Hmac }
}

fn request(name: &str) -> OwnRequest {
    venue(name).check(LIVE, key_type(name)).pop().expect("possible")
}

fn read(name: &str, status: u16, json: &str) -> Result<KeyFacts, &'static str> {
    venue(name).key_facts(&[answer(&request(name), status, json)])
}

fn facts(name: &str, json: &str) -> KeyFacts {
    read(name, 200, json).expect("readable")
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Findings with these rights stated.
fn found(name: &str, json: &str, stated: &[&str]) -> Findings {
    venue(name).findings(&facts(name, json), Some(&owned(stated)), NOW)
}

fn codes(findings: &Findings) -> Vec<&'static str> {
    findings.list.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_requests_are_reads() {
    let wanted = [
        ("binance", "GET https://api.binance.com/sapi/v1/account/apiRestrictions"),
        ("bybit", "GET https://api.bybit.com/v5/user/query-api"),
        ("coinbase", "GET https://api.coinbase.com/api/v3/brokerage/key_permissions"),
        ("kraken", "POST https://api.kraken.com/0/private/GetApiKeyInfo"),
        ("okx", "GET https://www.okx.com/api/v5/account/config"),
    ];
    for (name, wanted) in wanted {
        let own = request(name);
        let request = own.request();
        assert_eq!(
            format!("{} {}://{}{}", request.method, request.scheme, request.host, request.path),
            wanted
        );
        assert!(request.query.is_empty() && request.body.is_empty() && !own.is_look());
        let reading = venue(name).read(request, &CAUTIOUS).expect("read");
        assert_eq!(reading.stated.class, Class::Read);
        assert_eq!(*reading.stated.operation, *own.operation());
    }
}

#[test]
fn who_cannot_be_asked_is_not() {
    assert!(venue("binance").check(Environment::Demo, KeyType::Hmac).is_empty());
    assert!(venue("coinbase").check(LIVE, KeyType::LegacyHmac).is_empty());
    assert_eq!(venue("kraken").check(Environment::Demo, KeyType::Hmac).len(), 0);
    assert_eq!(venue("okx").check(Environment::Demo, KeyType::Hmac).len(), 1);
    assert_eq!(venue("okx").key_facts(&[]), Err("CHECK_NOT_POSSIBLE"));
    let finding = venue("binance").check_not_possible("CHECK_NOT_POSSIBLE");
    assert_eq!((finding.code, finding.severity), ("CHECK_NOT_POSSIBLE", Severity::Note));
    let finding = venue("binance").check_not_possible("NOT_PERMITTED");
    assert_eq!((finding.code, finding.severity), ("CHECK_NOT_POSSIBLE", Severity::Warning));
}

#[test]
fn binance_says_rights_one_by_one() {
    let facts = facts("binance", BINANCE);
    assert_eq!(facts.rights, ["enableReading", "enablePortfolioMarginTrading"]);
    assert_eq!(facts.unseen, ["enableFixApiTrade", "enableFixReadOnly"]);
    assert!(facts.unsaid.is_empty() && facts.foreign.is_empty());
    assert_eq!(
        (facts.withdrawals, facts.transfers, facts.ip_bound),
        (Some(false), Some(false), Some(false))
    );
    assert_eq!(facts.expires_at, None);
    let bound = BINANCE.replace(r#""ipRestrict":false"#, r#""ipRestrict":true"#);
    assert_eq!(read("binance", 200, &bound).expect("readable").ip_bound, Some(true));
}

#[test]
fn bybit_lists_rights_in_groups() {
    let facts = facts("bybit", BYBIT);
    let wanted = [
        "Order",
        "Position",
        "SpotTrade",
        "DerivativesTrade",
        "AccountTransfer",
        "SubMemberTransfer",
        "ExchangeHistory",
        "Earn",
        "FiatP2POrder",
        "Advertising",
        "FaitPayOrder",
        "FiatConvertBrokerOrder",
        "BitCard",
        "ByXPost",
    ];
    assert_eq!(facts.rights, wanted);
    assert_eq!(
        (facts.withdrawals, facts.ip_bound, facts.expires_at),
        (Some(false), Some(true), None)
    );
    // A key that only reads moves nothing.
    assert_eq!(facts.transfers, Some(false));
    assert!(facts.foreign.is_empty(), "{:?}", facts.foreign);

    let writes = BYBIT
        .replace(r#""readOnly":1"#, r#""readOnly":0"#)
        .replace(r#""SubMemberTransfer"]"#, r#""SubMemberTransfer","Withdraw"]"#)
        .replace("1970-01-01T00:00:00Z", "2026-12-01T02:36:06Z")
        .replace(r#""CopyTrading":[]"#, r#""CopyTrading":["CopyTrading"]"#);
    let facts = read("bybit", 200, &writes).expect("readable");
    assert_eq!((facts.withdrawals, facts.transfers), (Some(true), Some(true)));
    assert_eq!(facts.expires_at, Some(Timestamp::from_millis(1_796_092_566_000)));
    assert_eq!(facts.foreign, ["CopyTrading"]);
}

#[test]
fn a_list_of_all_addresses_binds_to_none() {
    // Source: bybit-exchange/docs docs/v5/user/list-sub-apikeys.mdx, modify-sub-apikey.mdx.
    for ips in ["[\"*\"]", "[\"1.2.3.4\",\"0.0.0.0/0\"]", "[]", "[\"\"]", "null"] {
        let json = BYBIT.replace(r#"["18.181.170.164","13.212.45.47","13.212.45.48"]"#, ips);
        assert_eq!(facts("bybit", &json).ip_bound, Some(false), "{ips}");
    }
    let json = OKX.replace(r#""ip":"""#, r#""ip":"117.37.203.58, ::/0""#);
    assert_eq!(facts("okx", &json).ip_bound, Some(false));
}

#[test]
fn okx_says_rights_in_one_text() {
    let facts = facts("okx", OKX);
    assert_eq!(facts.rights, ["read_only", "trade", "withdraw"]);
    assert_eq!((facts.withdrawals, facts.ip_bound), (Some(true), Some(false)));
    let bound = OKX.replace(r#""ip":"""#, r#""ip":"117.37.203.58,117.37.203.57""#);
    assert_eq!(read("okx", 200, &bound).expect("readable").ip_bound, Some(true));
}

#[test]
fn kraken_has_other_words_in_its_answer() {
    let facts = facts("kraken", KRAKEN);
    let wanted = [
        "Funds permissions - Query",
        "Funds permissions - Withdraw",
        "Orders and trades - Query open orders & trades",
        "Orders and trades - Create & modify orders",
    ];
    assert_eq!(facts.rights, wanted);
    assert_eq!(
        (facts.withdrawals, facts.ip_bound, facts.nonce_window),
        (Some(true), Some(false), false)
    );
    for window in [r#""nonceWindow":10000"#, r#""x":1"#] {
        let json = KRAKEN.replace(r#""nonceWindow":0"#, window);
        let findings = found("kraken", &json, &wanted);
        assert!(codes(&findings).contains(&"NONCE_WINDOW"), "{window}");
    }
    // Who may change the addresses may let funds out.
    let json = KRAKEN.replace("withdraw-funds", "update-withdraw-address");
    assert_eq!(read("kraken", 200, &json).expect("readable").withdrawals, Some(true));
    let ends = KRAKEN.replace(r#""validUntil":"0""#, r#""validUntil":"1795910400""#);
    let facts = read("kraken", 200, &ends).expect("readable");
    assert_eq!(facts.expires_at, Some(Timestamp::from_millis(1_795_910_400_000)));
}

#[test]
fn every_word_of_kraken_has_a_meaning() {
    // Source: <https://docs.kraken.com/api/docs/rest-api/get-api-key-info>, stored copy.
    let words = [
        "query-funds",
        "add-funds",
        "withdraw-funds",
        "earn-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
        "query-ledger",
        "export-data",
        "create-ws-token",
        "add-withdraw-address",
        "update-withdraw-address",
    ];
    let json = format!(
        r#"{{"error":[],"result":{{"validUntil":"0","nonceWindow":0,"permissions":["{}"]}}}}"#,
        words.join(r#"",""#)
    );
    let facts = facts("kraken", &json);
    assert_eq!(facts.rights, venue("kraken").rights());
    assert!(facts.foreign.is_empty());
}

#[test]
fn coinbase_does_not_say_from_where() {
    let key = facts("coinbase", COINBASE);
    assert_eq!(key.rights, ["view"]);
    assert_eq!((key.withdrawals, key.ip_bound), (Some(false), None));
    assert_eq!(codes(&found("coinbase", COINBASE, &["view"])), ["IP_BINDING_UNKNOWN"]);
    // The form of an older answer: what is not said may be.
    let older = r#"{"can_view":true,"can_trade":false,"can_withdraw":false}"#;
    assert_eq!(facts("coinbase", older).withdrawals, None);
    let findings = found("coinbase", older, &["view"]);
    assert!(findings.drifted && findings.allows_withdrawals());
    assert_eq!(codes(&findings), ["WITHDRAWALS_UNKNOWN", "RIGHT_UNSAID", "IP_BINDING_UNKNOWN"]);
}

#[test]
fn a_key_as_stated_and_bound_has_no_finding() {
    let json = BINANCE.replace(r#""ipRestrict":false"#, r#""ipRestrict":true"#).replace(
        r#""enableMargin":false"#,
        r#""enableMargin":false,"enableFixApiTrade":false,"enableFixReadOnly":false"#,
    );
    let findings = found("binance", &json, &["enableReading", "enablePortfolioMarginTrading"]);
    assert_eq!(findings, Findings::default());
}

#[test]
fn withdrawals_are_an_alarm_that_says_where_to_go() {
    let findings = found("okx", OKX, &["read_only", "trade", "withdraw"]);
    assert_eq!(codes(&findings), ["WITHDRAWALS_ENABLED", "NO_IP_BINDING", "TRANSFERS_ENABLED"]);
    assert!(findings.allows_withdrawals() && !findings.drifted);
    let first = &findings.list[0];
    assert_eq!(first.severity, Severity::Alarm);
    assert_eq!(first.message, "the key can withdraw funds: withdraw");
    assert_eq!(
        first.hint,
        "at OKX v5 (API, Edit): switch this right off; a trading bot needs none; then check again"
    );
}

#[test]
fn more_than_is_stated_is_drift_and_less_is_not() {
    let findings = found("kraken", KRAKEN, &["Funds permissions - Query", "Data - Export data"]);
    assert!(findings.drifted);
    let of = |code| findings.list.iter().find(|finding| finding.code == code).expect("found");
    let more = of("RIGHT_NOT_STATED");
    assert_eq!(more.severity, Severity::Alarm);
    assert_eq!(
        more.message,
        "the key can do more than is stated: Funds permissions - Withdraw, Orders and trades - \
         Query open orders & trades, Orders and trades - Create & modify orders"
    );
    let less = of("RIGHT_MISSING");
    assert_eq!(
        (less.severity, less.message.as_str()),
        (Severity::Note, "stated, and not held: Data - Export data")
    );

    let all = venue("kraken").rights().to_vec();
    let findings = venue("kraken").findings(&facts("kraken", KRAKEN), Some(&all), NOW);
    assert!(!findings.drifted);
}

#[test]
fn where_nothing_is_stated_nothing_can_drift() {
    let findings = venue("kraken").findings(&facts("kraken", KRAKEN), None, NOW);
    assert!(!findings.drifted);
    assert_eq!(codes(&findings), ["WITHDRAWALS_ENABLED", "NO_IP_BINDING", "RIGHTS_NOT_STATED"]);
}

#[test]
fn the_end_of_a_key_is_near_from_fourteen_days() {
    let seconds = NOW.seconds();
    let day = 86_400;
    let cases = [
        (seconds, Some(("EXPIRED", Severity::Alarm))),
        (seconds + 1, Some(("EXPIRES_SOON", Severity::Warning))),
        (seconds + 14 * day - 1, Some(("EXPIRES_SOON", Severity::Warning))),
        (seconds + 14 * day, None),
    ];
    for (at, wanted) in cases {
        let json = KRAKEN.replace(r#""validUntil":"0""#, &format!(r#""validUntil":"{at}""#));
        let findings = venue("kraken").findings(&facts("kraken", &json), None, NOW);
        let ends = findings.list.iter().find(|finding| finding.code.starts_with("EXPIR"));
        assert_eq!(ends.map(|finding| (finding.code, finding.severity)), wanted, "{at}");
    }
    let json = KRAKEN.replace(r#""validUntil":"0""#, r#""validUntil":"soon""#);
    let findings = venue("kraken").findings(&facts("kraken", &json), None, NOW);
    assert!(codes(&findings).contains(&"EXPIRY_UNKNOWN"));
}

#[test]
fn what_a_venue_no_longer_says_counts_as_held() {
    let json = BINANCE.replace(r#""enableWithdrawals":false,"#, "");
    let findings = found("binance", &json, &["enableReading", "enablePortfolioMarginTrading"]);
    assert!(findings.drifted && findings.allows_withdrawals());
    let json = BINANCE.replace(r#""enableFutures":false,"#, r#""enableFutures":"maybe","#);
    let findings = found("binance", &json, &["enableReading", "enablePortfolioMarginTrading"]);
    assert!(findings.drifted && codes(&findings).contains(&"RIGHT_UNSAID"));
    // Not every document has these two.
    let findings = found("binance", BINANCE, &["enableReading", "enablePortfolioMarginTrading"]);
    assert!(!findings.drifted);
    let unsaid = findings.list.iter().find(|finding| finding.code == "RIGHT_UNSAID");
    assert_eq!(unsaid.map(|finding| finding.severity), Some(Severity::Note));
}

#[test]
fn a_word_that_nobody_knows_is_shown_if_it_is_plain() {
    let json = KRAKEN.replace("query-funds", "print-money");
    let findings = venue("kraken").findings(&facts("kraken", &json), None, NOW);
    let unknown = findings.list.iter().find(|finding| finding.code == "RIGHT_UNKNOWN");
    assert_eq!(
        unknown.map(|finding| finding.message.as_str()),
        Some("rights that this version does not know: print-money")
    );
    let json = KRAKEN.replace("query-funds", "<script>");
    assert_eq!(read("kraken", 200, &json).expect("readable").foreign, ["(not plain)"]);
}

#[test]
fn a_word_that_nobody_knows_counts_as_a_withdrawal_if_it_sounds_like_one() {
    for word in ["withdraw-to-anyone", "Withdrawals", "instantWITHDRAW"] {
        let json = KRAKEN.replace("withdraw-funds", word);
        assert_eq!(facts("kraken", &json).withdrawals, Some(false), "{word} is in no catalogue");
        let findings = venue("kraken").findings(&facts("kraken", &json), None, NOW);
        assert!(findings.allows_withdrawals(), "{word}");
        let [unknown, ..] = findings.list.as_slice() else { panic!("a finding") };
        assert_eq!((unknown.code, unknown.severity), ("WITHDRAWALS_UNKNOWN", Severity::Alarm));
        assert!(unknown.message.ends_with(&format!(": {word}")), "{}", unknown.message);
        assert!(codes(&findings).contains(&"RIGHT_UNKNOWN"));
    }
    let json = KRAKEN.replace("withdraw-funds", "print-money");
    assert!(!venue("kraken").findings(&facts("kraken", &json), None, NOW).allows_withdrawals());
    // What is known for certain is said once.
    let json = KRAKEN.replace("query-funds", "withdraw-to-anyone");
    let findings = venue("kraken").findings(&facts("kraken", &json), None, NOW);
    let mut said = codes(&findings);
    said.retain(|code| code.starts_with("WITHDRAWALS"));
    assert_eq!(said, ["WITHDRAWALS_ENABLED"]);
}

#[test]
fn an_answer_of_another_form_is_no_key_without_rights() {
    let cases = [
        ("binance", 200, "{}", "ANSWER_UNREADABLE"),
        ("binance", 200, "[]", "ANSWER_UNREADABLE"),
        ("binance", 401, r#"{"code":-2015,"msg":"x"}"#, "NOT_PERMITTED"),
        ("binance", 503, BINANCE, "VENUE_REFUSED"),
        ("bybit", 200, r#"{"retCode":0,"result":{}}"#, "ANSWER_UNREADABLE"),
        ("bybit", 200, r#"{"retCode":10003,"retMsg":"API key is invalid."}"#, "VENUE_REFUSED"),
        ("bybit", 200, r#"{"result":{"readOnly":1}}"#, "VENUE_REFUSED"),
        ("okx", 200, r#"{"code":"0","data":[{"ip":"1.2.3.4"}]}"#, "ANSWER_UNREADABLE"),
        ("okx", 200, r#"{"code":"0","data":[]}"#, "ANSWER_UNREADABLE"),
        ("okx", 401, r#"{"code":"50111","msg":"Invalid OK-ACCESS-KEY"}"#, "VENUE_REFUSED"),
        ("kraken", 200, r#"{"error":["EAPI:Invalid key"]}"#, "VENUE_REFUSED"),
        ("kraken", 200, r#"{"error":[],"result":{}}"#, "ANSWER_UNREADABLE"),
        ("coinbase", 200, "{}", "ANSWER_UNREADABLE"),
        ("coinbase", 401, "{}", "VENUE_REFUSED"),
    ];
    for (name, status, json, problem) in cases {
        assert_eq!(read(name, status, json), Err(problem), "{name} {json}");
    }
    let mut cut = answer(&request("okx"), 200, OKX);
    cut.cut = true;
    assert_eq!(venue("okx").key_facts(&[cut]), Err("ANSWER_CUT"));
    assert_eq!(venue("okx").key_facts(&[Answer::default()]), Err("NO_ANSWER"));
    // A key that may nothing is one where the rest is there.
    let none =
        KRAKEN.replace(r#""query-funds","withdraw-funds","query-open-trades","modify-trades""#, "");
    assert!(facts("kraken", &none).rights.is_empty());
}

#[test]
fn the_tables_are_held_against_the_catalogue() {
    let cases = [
        (r#"at = "/code""#, "answer: wants ok, silent or both"),
        (
            r#"at = "/*/code"
silent = true"#,
            "answer: /*/code leads to no one member",
        ),
    ];
    for (answer, wanted) in cases {
        assert_eq!(broken(&format!("[answer]\n{answer}\nsource = \"docs\"\n")), wanted);
    }
    let good = "[answer]\nat = \"/code\"\nok = [\"0\"]\nsource = \"docs\"\n";
    let check = |rest: &str| {
        format!(
            "{good}[check]\nmethod = \"GET\"\npath = \"/me\"\nmanage = \"here\"\nsource = \"docs\"\nwithdraw = []\ntransfer = []\n{rest}{OPERATIONS}"
        )
    };
    let cases = [
        ("", "check: wants either flags or lists"),
        ("lists = [\"/a/*\"]\n", "check: lists want present"),
        (
            "lists = [\"/*/a/*\"]\npresent = \"/b\"\n",
            "check: /*/a/* is no JSON pointer with at most one *",
        ),
        ("flags = { nothing = \"/a\" }\n", "check: right nothing is not in rights"),
        (
            "flags = { trade = \"/a\" }\nenvironments = [\"demo\"]\n",
            "check: environment demo is not among the venue's",
        ),
        (
            "flags = { trade = \"/a\" }\nkey_types = [\"rsa\"]\n",
            "check: key type rsa is not in key_types",
        ),
    ];
    for (rest, wanted) in cases {
        assert_eq!(broken(&check(rest)), wanted);
    }
    let fit = check("flags = { trade = \"/a\" }\n");
    assert_eq!(
        broken(&fit.replace("path = \"/me\"\nmanage", "path = \"/orders\"\nmanage")),
        "check: GET /orders is no operation"
    );
    assert_eq!(
        broken(&fit.replace(
            "method = \"GET\"\npath = \"/me\"\nmanage",
            "method = \"DELETE\"\npath = \"/orders\"\nmanage"
        )),
        "check: DELETE /orders is no signed operation of class read"
    );
    assert_eq!(broken(&fit.replace(good, "")), "check and cancel_all want [answer]");

    let cancel = |rule: &str| {
        format!("{good}[[cancel_all]]\nname = \"all\"\nsource = \"docs\"\n{rule}\n{OPERATIONS}")
    };
    let look = "look = { method = \"GET\", path = \"/me\", symbol = \"/*/s\" }\n";
    let cases = [
        (
            "cancel = { method = \"GET\", path = \"/me\" }",
            "GET /me is no signed operation of class cancel",
        ),
        (
            "cancel = { method = \"DELETE\", path = \"/orders\", query = \"s={symbol}\" }",
            "the cancel names what the look does not report",
        ),
        (
            "cancel = { method = \"DELETE\", path = \"/orders\", item = \"{id}\" }",
            "item and items_max go together",
        ),
        (
            "cancel = { method = \"DELETE\", path = \"/orders\", body = \"[{items}]\" }",
            "items and item go together",
        ),
        (
            "by_symbol_only = true\ncancel = { method = \"DELETE\", path = \"/orders\" }",
            "by_symbol_only wants one_query",
        ),
        (
            "right = \"x\"\ncancel = { method = \"DELETE\", path = \"/orders\" }",
            "right x is not in rights",
        ),
    ];
    for (rule, wanted) in cases {
        assert_eq!(broken(&cancel(rule)), format!("cancel_all all: {wanted}"));
    }
    // One symbol that is found must not be answered by a cancel of all.
    let rule = format!(
        "{}cancel = {{ method = \"DELETE\", path = \"/orders\" }}",
        look.replace(" }", ", one_query = \"s={symbol}\" }")
    );
    assert_eq!(
        broken(&cancel(&rule)),
        "cancel_all all: one symbol can be found, and not cancelled alone"
    );
}

#[test]
fn an_addition_cannot_make_the_vault_send_anything() {
    let text = "format = 1\nvenue = \"kraken\"\n[[cancel_all]]\nname = \"more\"\nsource = \"spec\"\ncancel = { method = \"POST\", path = \"/0/private/CancelAll\" }\n";
    let addition = vault_venue::Part { file: "added.toml", text };
    let refused = vault_venue::Registry::with_additions(&[addition]).map(|_| ());
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "added.toml: only the part with [signature] may have answer, check and cancel_all"
    );
}

const OPERATIONS: &str = "[[operation]]\nmethod = \"GET\"\npath = \"/me\"\nclass = \"read\"\nsource = \"docs\"\n[[operation]]\nmethod = \"DELETE\"\npath = \"/orders\"\nclass = \"cancel\"\nsource = \"docs\"\nparams_in = \"query\"\n";

/// What is wrong with a made-up catalogue with this text.
fn broken(text: &str) -> String {
    let text = format!("{}{text}", crate::MADE);
    let parts = [vault_venue::Part { file: "made.toml", text: &text }];
    match Venue::load("made", &parts).map(|_| ()).expect_err("broken") {
        vault_venue::CatalogError::Inconsistent { what, .. } => what,
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn whatever_a_venue_says_is_read_or_refused(
        status in prop_oneof![Just(200u16), any::<u16>()],
        cut: bool,
        reported in prop::collection::vec(
            (0u32..30, 0u32..4, prop_oneof!["\\PC{0,80}", "true|false|0|1", "[a-z,_-]{0,20}"]),
            0..40,
        ),
        now: i64,
    ) {
        let reported = reported.into_iter().map(|(at, row, value)| Reported { at, row, value });
        let answer = Answer { status, reported: reported.collect(), cut };
        for name in ["binance", "bybit", "coinbase", "kraken", "okx"] {
            let venue = venue(name);
            let Ok(facts) = venue.key_facts(std::slice::from_ref(&answer)) else { continue };
            prop_assert!(facts.rights.iter().all(|right| venue.rights().contains(right)));
            let none = venue.findings(&facts, Some(&[]), Timestamp(now));
            prop_assert_eq!(none.drifted, !(facts.rights.is_empty() && facts.unsaid.is_empty()));
            let plain = |text: &str| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            prop_assert!(none.list.iter().all(|one| plain(&one.message) && plain(&one.hint)));
            prop_assert!(none.list.is_sorted_by_key(|one| one.severity));
        }
    }
}
