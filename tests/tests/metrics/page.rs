//! The page about the figures has what the vault serves, and nothing else.

use std::collections::BTreeMap;

use vault_ipc::metric::{Family, Form};
use vault_tests::{okx_order, okx_withdrawal, order};

use crate::{bot, builder, lost_request, of, text, until};

const PAGE: &str = include_str!("../../../docs/reference/metrics.md");

/// Names of figures with what they are and their labels, as the page has them.
fn documented() -> BTreeMap<String, (String, Vec<String>)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `countersign_"));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, form, labels, meaning, _] = cells.as_slice() else {
            panic!("not four cells: {row}");
        };
        let plain = |text: &str| text.trim_matches('`').to_owned();
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(plain).collect();
        assert!(meaning.len() > 12, "it says nothing: {row}");
        let before = documented.insert(plain(name), ((*form).to_owned(), labels));
        assert!(before.is_none(), "{name} is there twice");
    }
    documented
}

fn word(form: Form) -> &'static str {
    match form {
        Form::Counter => "counter",
        Form::Gauge => "gauge",
        Form::Seconds | Form::Sizes => "histogram",
    }
}

#[test]
fn the_page_has_every_figure_with_its_form_and_labels() {
    let known: BTreeMap<String, (String, Vec<String>)> = Family::ALL
        .iter()
        .map(|family| {
            let about = family.about();
            let labels = about.labels.iter().map(ToString::to_string).collect();
            (about.name.to_owned(), (word(about.form).to_owned(), labels))
        })
        .collect();
    assert_eq!(documented(), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_at_work_serves_what_the_page_has_and_nothing_else() {
    let vault = builder().start().await;
    let bot = bot(&vault).await;
    bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
    bot.sign(order("okx-main", okx_withdrawal())).await.expect_err("denied");
    bot.execute(lost_request()).await.expect_err("nobody is there");
    // Once a second the core hears how venues are.
    let is_known = |name: &str| name.starts_with("countersign_venue_state{");
    until(&vault, |figures| figures.keys().any(|name| is_known(name))).await;

    let text = text(&vault).await;
    let mut served = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, form) = line.split_once(' ').expect("a name and a form");
        assert!(served.insert(name.to_owned(), form.to_owned()).is_none(), "{name} twice");
    }
    let documented: BTreeMap<String, String> =
        documented().into_iter().map(|(name, (form, _))| (name, form)).collect();
    assert_eq!(served, documented);

    // Each line has the labels that the page has, and a histogram its own.
    let figures = crate::figures(&text);
    for name in figures.keys() {
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let is_of = |family: &&Family| {
            let about = family.about();
            let suffix = name.strip_prefix(about.name);
            match about.form {
                Form::Counter | Form::Gauge => suffix == Some(""),
                _ => matches!(suffix, Some("_bucket" | "_count" | "_sum")),
            }
        };
        let family =
            Family::ALL.iter().find(is_of).unwrap_or_else(|| panic!("{name} is of no family"));
        let mut expected = family.about().labels.to_vec();
        if name.ends_with("_bucket") {
            expected.push("le");
        }
        let names: Vec<&str> = labels
            .trim_end_matches('}')
            .split(',')
            .filter_map(|label| label.split_once('=').map(|(name, _)| name))
            .collect();
        assert_eq!(names, expected, "{name}");
    }
    assert_eq!(of(&figures, "countersign_core_up"), 1.0);
}
