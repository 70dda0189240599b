//! What is peculiar to signatures and credentials, on both sides of each border.

use super::*;

const SIGN: (&str, &str) = ("\"execute\"", "\"sign\"");
const SUM: &str = "[cumulative]\norders = [{ per = \"1m\", at_most = 10 }]";

fn once() -> CredentialFacts {
    CredentialFacts { takes_signatures_once: true, ..credential("main", "okx") }
}

#[test]
fn a_deadline_is_needed_under_caps_over_time_alone() {
    let needed = |changes: &[(&str, &str)]| lint(&with_all(changes), &knowing(&[once()]));
    let notional = SUM.replace("orders = [{", "notional_usd = [{");
    let dimension = |warnings: &[Warning]| {
        assert_eq!(codes(warnings), ["DEADLINE_NEEDED"]);
        warnings[0].dimension.to_string()
    };
    assert_eq!(dimension(&needed(&[SIGN])), "cumulative.orders");
    assert_eq!(dimension(&needed(&[SIGN, (SUM, &notional)])), "cumulative.notional_usd");
    assert_eq!(needed(&[SIGN, (SUM, "")]), []);
    let classes = "\"read\", \"trade\", \"cancel\"";
    assert_eq!(codes(&needed(&[SIGN, (classes, "\"read\"")])), ["CAPS_WITHOUT_TRADE"]);
    let warnings = needed(&[SIGN]);
    assert!(warnings[0].words.starts_with("with main a cap"), "{}", warnings[0].words);
}

#[test]
fn facts_are_those_of_the_credential_of_that_name() {
    let twice = CredentialFacts { takes_signatures_once: false, ..once() };
    let other = |facts: &CredentialFacts| CredentialFacts {
        name: "other".parse().expect("a name"),
        is_enabled: false,
        rights_stated: false,
        venue_checks: true,
        signs_path: false,
        reads_can_be_signed: false,
        disclosed: 9,
        ..facts.clone()
    };
    let sign = with_all(&[SIGN]);
    assert_eq!(codes(&lint(&sign, &knowing(&[other(&twice), once()]))), ["DEADLINE_NEEDED"]);
    let warnings = lint(&sign, &knowing(&[other(&once()), twice]));
    assert_eq!(codes(&warnings), ["CAP_NOT_ENFORCEABLE"]);
    assert_eq!(codes(&lint(&sign, &knowing(&[other(&once())]))), ["CREDENTIAL_UNKNOWN"]);
}

#[test]
fn a_log_on_is_beside_rules_only_where_there_are_some() {
    let logon = |rules: &str| {
        said(&scope(&format!(
            "name = \"feed\"\ncredentials = [\"main\"]\nclasses = [\"logon\"]\n\
             modes = [\"execute\"]\nproducts = [\"spot\"]\n[network]\nallow = [\"10.0.0.0/24\"]\n{rules}"
        )))
    };
    assert_eq!(logon(""), Vec::<&str>::new());
    assert_eq!(logon("[duplicates]\norder = \"10s\""), ["LOGON_BESIDE_CAPS"]);
}

#[test]
fn a_read_that_is_never_released_is_said_where_reads_are_signed() {
    let never = [CredentialFacts { reads_can_be_signed: false, ..once() }];
    let sign = |modes: &str, classes: &str, more: &str| {
        let text = format!(
            "name = \"tax\"\ncredentials = [\"main\"]\nclasses = {classes}\nmodes = {modes}\n\
             products = [\"spot\"]\n{more}[symbols]\nokx = [\"BTC-USDT\"]\n\
             [network]\nallow = [\"10.0.0.0/24\"]"
        );
        let warnings = lint(&scope(&text), &knowing(&never));
        let released = warnings.iter().map(|warning| {
            assert_eq!(warning.code, "SIGNED_READ_NEVER_RELEASED");
            (warning.words.contains("can never be released one"), warning.remedy.len())
        });
        released.collect::<Vec<_>>()
    };
    let (short, long) = (
        "modes = [\"execute\"]".len(),
        "modes = [\"execute\"], or a scope of their own for reads, with modes = [\"execute\"]"
            .len(),
    );
    assert_eq!(sign("[\"sign\"]", "[\"read\"]", ""), [(true, short)]);
    assert_eq!(sign("[\"sign\"]", "[\"public\", \"read\"]", ""), [(true, short)]);
    assert_eq!(sign("[\"sign\"]", "[\"read\", \"cancel\"]", ""), [(false, long)]);
    assert_eq!(sign("[\"execute\", \"sign\"]", "[\"read\", \"cancel\"]", ""), [(false, short)]);
    assert_eq!(sign("[\"sign\"]", "[\"read\"]", "operations = [\"POST /x\"]\n"), [(false, long)]);
    assert_eq!(sign("[\"sign\"]", "[\"public\"]", ""), []);
    assert_eq!(sign("[\"execute\"]", "[\"read\"]", ""), []);
}

#[test]
fn several_products_matter_to_writes_that_are_signed_without_path() {
    let products = |products: &str, classes: &str, mode: &str, signs_path: bool| {
        let scope = with_all(&[
            ("[\"spot\"]", products),
            ("\"read\", \"trade\", \"cancel\"", classes),
            ("\"execute\"", mode),
            (SUM, ""),
        ]);
        let facts = [CredentialFacts { signs_path, ..once() }];
        codes(&lint(&scope, &knowing(&facts)))
    };
    let two = "[\"linear\", \"spot\"]";
    let cancel = "\"cancel\"";
    assert_eq!(products(two, cancel, "\"sign\"", false), ["SIGN_SEVERAL_PRODUCTS"]);
    assert_eq!(products(two, cancel, "\"sign\"", true), Vec::<&str>::new());
    assert_eq!(products(two, cancel, "\"execute\"", false), Vec::<&str>::new());
    assert_eq!(products(two, "\"read\"", "\"sign\"", false), Vec::<&str>::new());
    assert_eq!(products("[\"spot\"]", cancel, "\"sign\"", false), Vec::<&str>::new());
    assert_eq!(products("[]", cancel, "\"sign\"", false), ["PRODUCTS_NONE"]);
    assert_eq!(
        products("[\"*\"]", cancel, "\"sign\"", false),
        ["PRODUCTS_EVERY", "SIGN_SEVERAL_PRODUCTS"]
    );
}

#[test]
fn an_api_key_that_opens_nothing_is_not_said() {
    let sign = with_all(&[SIGN, (SUM, "")]);
    let disclosed = |disclosed| knowing(&[CredentialFacts { disclosed, ..once() }]);
    assert_eq!(lint(&sign, &disclosed(0)), []);
    let warnings = lint(&sign, &disclosed(1));
    assert_eq!(codes(&warnings), ["API_KEY_DISCLOSED"]);
    assert!(warnings[0].words.contains("opens 1 operations"), "{}", warnings[0].words);
    assert_eq!(lint(&with(SUM, ""), &disclosed(1)).len(), 1, "COUNT_UNLIMITED");
}
