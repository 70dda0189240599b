//! A key is for the hosts of its own site, whichever a bot names.

use vault_ipc::ExecuteCall;
use vault_ipc::proto::v1;

use super::bench::{Bench, ONE, execute, okx_order, proxied, sign};
use crate::storage::Row;

/// The order at another host.
fn at(host: &str) -> v1::VenueRequest {
    v1::VenueRequest { host: host.to_owned(), ..okx_order("1") }
}

fn call(id: &str, host: &str) -> ExecuteCall {
    execute(id, "okx-main", at(host))
}

/// The order as a library makes it, with the placeholder of the key.
fn made(host: &str) -> v1::VenueRequest {
    let key =
        v1::Header { name: "OK-ACCESS-KEY".to_owned(), value: "countersign:okx-main".to_owned() };
    v1::VenueRequest { headers: vec![key], ..at(host) }
}

#[test]
fn no_way_leads_to_the_host_of_another_site() {
    let mut bench = Bench::new();
    let mut row = bench.vault.tables().credentials["okx-main"].clone();
    row.disclose_passphrase = true;
    let mut changes = crate::storage::Changes::new();
    changes.put(row);
    bench.change(&changes);
    for (sites, own, others) in [
        (&[][..], "www.okx.com", ["eea.okx.com", "us.okx.com", "app.okx.com"]),
        (&["eea"], "eea.okx.com", ["www.okx.com", "us.okx.com", "app.okx.com"]),
    ] {
        bench.resite("okx-main", sites);
        let id =
            |way: &str, host: &str| format!("{way}-{}-{}", sites.len(), host.replace('.', "-"));
        for host in others {
            let seen = bench.execute(1, call(&id("execute", host), host));
            assert_eq!(seen.reason(), "HOST_ELSEWHERE", "{host}");
            let failure = seen.replies[0].1.failure.as_ref().expect("refused");
            assert!(failure.hint.contains("--site"), "{}", failure.hint);
            assert_eq!(seen.entries[0].reason.as_deref(), Some("HOST_ELSEWHERE"));
            let seen = bench.call(2, proxied(&id("proxy", host), made(host)));
            assert_eq!(seen.reason(), "HOST_ELSEWHERE", "{host}");
            let seen = bench.sign(3, &sign(ONE, &id("sign", host), "okx-main", at(host)));
            assert_eq!(seen.reason(), "HOST_ELSEWHERE", "{host}");
        }
        let seen = bench.execute(4, call(&id("execute", own), own));
        assert!(seen.sent().1.url.starts_with(&format!("https://{own}/")));
        let seen = bench.call(5, proxied(&id("proxy", own), made(own)));
        assert!(seen.sent().1.url.starts_with(&format!("https://{own}/")));
    }
}

#[test]
fn explain_says_what_the_answer_would_be() {
    let mut bench = Bench::new();
    let explained = |bench: &mut Bench, host: &str| {
        let command = v1::ExplainCommand {
            client: "one".to_owned(),
            credential: "okx-main".to_owned(),
            address: "10.0.0.1".to_owned(),
            mode: "execute".to_owned(),
            request: Some(at(host)),
        };
        let response = bench.vault.explain(&command, bench.now).expect("explained");
        (response.allowed, response.reason)
    };
    assert_eq!(explained(&mut bench, "www.okx.com"), (true, String::new()));
    assert_eq!(explained(&mut bench, "eea.okx.com"), (false, "HOST_ELSEWHERE".to_owned()));
    bench.resite("okx-main", &["eea", "main"]);
    for host in ["www.okx.com", "eea.okx.com"] {
        assert_eq!(explained(&mut bench, host), (true, String::new()), "{host}");
    }
    assert_eq!(explained(&mut bench, "us.okx.com"), (false, "HOST_ELSEWHERE".to_owned()));
}

#[test]
fn public_endpoints_take_no_key_and_are_open_at_every_site() {
    let mut bench = Bench::new();
    for host in ["www.okx.com", "eea.okx.com", "us.okx.com"] {
        let time = super::bench::request("GET", host, "/api/v5/public/time");
        let seen = bench.execute(1, execute(&host.replace('.', "-"), "", time));
        assert_eq!(seen.dispatches.len(), 1, "{host}: {:?}", seen.replies);
    }
}

#[test]
fn what_is_said_at_an_import_is_what_is_kept() {
    let bench = Bench::new();
    let row = |venue: &str, environment: &str, sites: &[&str]| {
        let metadata = v1::CredentialMetadata {
            name: "new".to_owned(),
            venue: venue.to_owned(),
            environment: environment.to_owned(),
            sites: sites.iter().map(|site| (*site).to_owned()).collect(),
            ..v1::CredentialMetadata::default()
        };
        bench.vault.credential_row(&metadata, bench.now).map(|row| row.sites)
    };
    let kept = |sites: &[&str]| Some(sites.iter().map(|site| (*site).to_owned()).collect());
    assert_eq!(row("okx", "live", &[]).ok(), kept(&[]));
    assert_eq!(row("okx", "live", &["main"]).ok(), kept(&[]), "said or not, one document");
    assert_eq!(row("okx", "demo", &["us"]).ok(), kept(&["us"]));
    assert_eq!(row("okx", "live", &["main", "eea", "eea"]).ok(), kept(&["eea", "main"]));
    assert_eq!(row("kraken", "live", &["main", "main"]).ok(), kept(&[]));
    for (venue, environment, sites) in [
        ("okx", "live", &["nl"][..]),
        ("okx", "live", &["eea", ""]),
        ("okx", "live", &["eea.okx.com"]),
        ("bybit", "live", &["demo"]),
        ("kraken", "live", &["eea"]),
    ] {
        let refused = row(venue, environment, sites).map_err(|error| error.reason());
        assert_eq!(refused, Err("BAD_FIELD"), "{venue} {sites:?}");
    }
}

#[test]
fn a_document_from_before_there_were_sites_stays_what_it_is() {
    let mut bench = Bench::new();
    let old = r#"{"assume":[],"created_at":1,"disclose_passphrase":false,"environment":"live","name":"okx-main","nonce_floor":"0","rights":null,"state":"enabled","venue":"okx","version":1}"#;
    let row = Row::parse(crate::storage::Table::Credential, old).expect("reads");
    assert_eq!(row.doc().expect("canonical"), old);

    bench.resite("okx-main", &["eea"]);
    let row = bench.vault.tables().credentials["okx-main"].clone();
    let doc = Row::from(row.clone()).doc().expect("canonical");
    assert!(doc.contains(r#""sites":["eea"]"#), "{doc}");
    let read = Row::parse(crate::storage::Table::Credential, &doc).expect("reads");
    assert_eq!(read.doc().expect("canonical"), doc);
    bench.resite("okx-main", &[]);
    assert!(
        !Row::from(bench.vault.tables().credentials["okx-main"].clone())
            .doc()
            .expect("canonical")
            .contains("sites")
    );
}
