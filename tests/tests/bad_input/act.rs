//! What operators may ask for and cannot get.

use prost::Message as _;
use vault_client::v1;
use vault_proto::sealed;
use vault_tests::{
    OKX_SCOPE, TestVault, kraken_metadata, kraken_secret, okx_metadata, okx_secret, reason, scope,
};

#[tokio::test(flavor = "multi_thread")]
async fn scopes() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let changed = |change: &dyn Fn(&mut v1::Scope)| {
        let mut scope = scope(OKX_SCOPE);
        change(&mut scope);
        scope
    };
    let text = |text: &str| vec![text.to_owned()];
    let network = |allow: &str| Some(v1::Network { allow: text(allow), ..Default::default() });
    for (what, scope) in [
        ("no name", changed(&|scope| scope.name.clear())),
        ("a name with a slash", changed(&|scope| scope.name = "../x".to_owned())),
        ("a name in upper case", changed(&|scope| scope.name = "Okx".to_owned())),
        ("a long name", changed(&|scope| scope.name = "a".repeat(64))),
        ("withdraw", changed(&|scope| scope.classes = text("withdraw"))),
        ("keys", changed(&|scope| scope.classes = text("keys"))),
        ("a class that is none", changed(&|scope| scope.classes = text("teleport"))),
        ("a mode that is none", changed(&|scope| scope.modes = text("Sign"))),
        ("a product that is none", changed(&|scope| scope.products = text("bond"))),
        ("everything and something", changed(&|scope| scope.products.push("*".to_owned()))),
        ("a venue that is none", changed(&|scope| scope.symbols[0].venue = "nowhere".to_owned())),
        ("a venue twice", changed(&|scope| scope.symbols.push(scope.symbols[0].clone()))),
        ("a symbol with a blank", changed(&|scope| scope.symbols[0].symbols = text("BTC USDT"))),
        ("an operation without a path", changed(&|scope| scope.operations = text("GET"))),
        ("every address", changed(&|scope| scope.network = network("0.0.0.0/0"))),
        ("every IPv6 address", changed(&|scope| scope.network = network("::/0"))),
        ("a mapped address", changed(&|scope| scope.network = network("::ffff:10.0.0.0/104"))),
        ("host bits", changed(&|scope| scope.network = network("10.0.0.1/8"))),
        ("no network", changed(&|scope| scope.network = network("localhost"))),
        ("a credential that is no name", changed(&|scope| scope.credentials = text("a b"))),
    ] {
        let command = v1::PutScopeCommand { scope: Some(scope), ..Default::default() };
        let error = admin.put_scope(command).await.expect_err(what);
        let refusal = error.refusal().unwrap_or_else(|| panic!("{what}: {error:?}"));
        assert!(
            matches!(refusal.reason.as_str(), "SCOPE_INVALID" | "BAD_FIELD"),
            "{what}: {refusal:?}"
        );
    }
    let stale = v1::PutScopeCommand {
        scope: Some(scope(OKX_SCOPE)),
        expected_revision: u64::MAX,
        ..Default::default()
    };
    assert_eq!(reason(admin.put_scope(stale).await), "REVISION_CONFLICT");
    assert_eq!(vault.state_rev(), state_rev);
    let list = admin.list_scopes(v1::ListScopesCommand::default()).await.expect("a list");
    assert!(list.scopes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations() {
    let vault = TestVault::start().await;
    vault.put_scope(OKX_SCOPE).await;
    vault.pricer("pricer").await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let good = || v1::InviteClientCommand {
        name: "bot".to_owned(),
        role: v1::Role::Bot.into(),
        scope: "okx-demo".to_owned(),
        networks: Vec::new(),
        invite: Some(v1::InviteSpec {
            token_id: vec![1; 16],
            token_public_key: vec![2; 32],
            lifetime_s: 0,
        }),
    };
    let spec = |change: &dyn Fn(&mut v1::InviteSpec)| {
        let mut command = good();
        change(command.invite.as_mut().expect("a spec"));
        command
    };
    let network =
        |text: &str| v1::InviteClientCommand { networks: vec![text.to_owned()], ..good() };
    let named = |text: &str| v1::InviteClientCommand { name: text.to_owned(), ..good() };
    let role = |role: i32| v1::InviteClientCommand { role, ..good() };
    for (what, command, expected) in [
        ("no name", named(""), "BAD_FIELD"),
        ("a name with a line feed", named("bot\n"), "BAD_FIELD"),
        ("a name with a slash", named("../bot"), "BAD_FIELD"),
        ("a long name", named(&"b".repeat(64)), "BAD_FIELD"),
        ("no role", role(0), "BAD_FIELD"),
        ("a role that is none", role(77), "BAD_FIELD"),
        ("an operator's role", role(v1::Role::Admin.into()), "BAD_FIELD"),
        ("a pricer with a scope", role(v1::Role::Pricer.into()), "BAD_FIELD"),
        ("no scope", v1::InviteClientCommand { scope: String::new(), ..good() }, "NOT_FOUND"),
        (
            "a scope that is not there",
            v1::InviteClientCommand { scope: "no".into(), ..good() },
            "NOT_FOUND",
        ),
        ("the name of a pricer", named("pricer"), "CLIENT_DIFFERS"),
        ("every network", network("0.0.0.0/0"), "BAD_FIELD"),
        ("no network", network("10.0.0.0/33"), "BAD_FIELD"),
        ("no spec", v1::InviteClientCommand { invite: None, ..good() }, "BAD_FIELD"),
        ("a short id", spec(&|spec| spec.token_id.truncate(15)), "BAD_FIELD"),
        ("a long key", spec(&|spec| spec.token_public_key.push(0)), "BAD_FIELD"),
        ("59 seconds", spec(&|spec| spec.lifetime_s = 59), "BAD_FIELD"),
        ("more than a day", spec(&|spec| spec.lifetime_s = 86_401), "BAD_FIELD"),
    ] {
        assert_eq!(reason(admin.invite_client_by_spec(command).await), expected, "{what}");
    }
    let operator = |name: &str, role: v1::Role| v1::InviteOperatorCommand {
        name: name.to_owned(),
        role: role.into(),
        invite: good().invite,
    };
    for (what, command, expected) in [
        ("a bot as operator", operator("second", v1::Role::Bot), "BAD_FIELD"),
        ("the auditor as admin", operator("auditor", v1::Role::Admin), "NAME_TAKEN"),
        ("no name", operator("", v1::Role::Admin), "BAD_FIELD"),
    ] {
        assert_eq!(reason(admin.invite_operator_by_spec(command).await), expected, "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);
    admin.invite_client_by_spec(good()).await.expect("invited");
    assert_eq!(reason(admin.invite_client_by_spec(good()).await), "NAME_TAKEN", "an id twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn halts() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let good = || v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "all".to_owned(),
        reason: String::new(),
    };
    let target = |text: &str| v1::HaltCommand { target: text.to_owned(), ..good() };
    for (what, command) in [
        ("no level", v1::HaltCommand { level: 0, ..good() }),
        ("a level that is none", v1::HaltCommand { level: 9, ..good() }),
        ("no target", target("")),
        ("a target that is none", target("symbol:BTC-USDT")),
        ("a venue without a name", target("venue:")),
        ("all in upper case", target("ALL")),
        ("a long reason", v1::HaltCommand { reason: "x".repeat(201), ..good() }),
        ("CRLF in the reason", v1::HaltCommand { reason: "a\r\nb".to_owned(), ..good() }),
    ] {
        assert_eq!(reason(admin.halt(command).await), "BAD_FIELD", "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let okx = || okx_metadata("okx-main");
    let kraken = || kraken_metadata("kraken-main");
    let words = |text: &str| vec![text.to_owned()];
    for (what, metadata, secret) in [
        ("no name", v1::CredentialMetadata { name: String::new(), ..okx() }, okx_secret()),
        ("a bad name", v1::CredentialMetadata { name: "a b".into(), ..okx() }, okx_secret()),
        ("no venue", v1::CredentialMetadata { venue: "nowhere".into(), ..okx() }, okx_secret()),
        (
            "no environment",
            v1::CredentialMetadata { environment: "test".into(), ..okx() },
            okx_secret(),
        ),
        (
            "a demo at kraken",
            v1::CredentialMetadata { environment: "demo".into(), ..kraken() },
            kraken_secret(),
        ),
        (
            "a right that is none",
            v1::CredentialMetadata { rights: words("fly"), rights_stated: true, ..okx() },
            okx_secret(),
        ),
        (
            "an assumption that is none",
            v1::CredentialMetadata { assume: words("luck"), ..okx() },
            okx_secret(),
        ),
        (
            "a site that is none",
            v1::CredentialMetadata { sites: words("moon"), ..okx() },
            okx_secret(),
        ),
        ("no api key", okx(), v1::CredentialSecret { api_key: String::new(), ..okx_secret() }),
        (
            "CRLF in the api key",
            okx(),
            v1::CredentialSecret { api_key: "a\r\nb".into(), ..okx_secret() },
        ),
        ("no secret", okx(), v1::CredentialSecret { secret: Vec::new(), ..okx_secret() }),
        ("no passphrase", okx(), v1::CredentialSecret { passphrase: Vec::new(), ..okx_secret() }),
        (
            "not base64",
            kraken(),
            v1::CredentialSecret { secret: b"not base64!".into(), ..kraken_secret() },
        ),
        (
            "a PEM that is none",
            kraken(),
            v1::CredentialSecret {
                private_key_pem: b"x".into(),
                secret: Vec::new(),
                ..kraken_secret()
            },
        ),
    ] {
        let error = admin.import_unchecked(metadata, secret).await.expect_err(what);
        let refusal = error.refusal().unwrap_or_else(|| panic!("{what}: {error:?}"));
        assert_eq!(refusal.code, tonic::Code::InvalidArgument, "{what}: {refusal:?}");
        assert!(!refusal.reason.is_empty(), "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);
    let list = admin.list_credentials(v1::ListCredentialsCommand::default()).await.expect("a list");
    assert!(list.credentials.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_bound_to_its_ticket_and_its_metadata() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let ticket = async || {
        let answer = admin.begin_import(v1::BeginImportCommand {}).await;
        answer.expect("a ticket").ticket.expect("said")
    };
    let import = async |ticket: &v1::SealTicket, sealed_for: v1::CredentialMetadata, said| {
        let plain = okx_secret().encode_to_vec();
        let sealed = sealed::seal(ticket, &sealed_for.encode_to_vec(), &plain).expect("sealed");
        let ticket_id = ticket.id.clone();
        let command = v1::ImportCommand {
            ticket_id,
            metadata: Some(said),
            sealed,
            key_type: String::new(),
            skip_check: true,
            ..Default::default()
        };
        admin.import_sealed(command).await
    };
    let okx = || okx_metadata("okx-main");

    let first = ticket().await;
    let wider = v1::CredentialMetadata { disclose_passphrase: false, ..okx() };
    let refused = import(&first, wider, okx()).await;
    assert_eq!(reason(refused), "SEALED_SECRET", "the front may not change the metadata");
    assert_eq!(
        reason(import(&first, okx(), okx()).await),
        "SEALED_SECRET",
        "a ticket is good once"
    );
    let (one, two) = (ticket().await, ticket().await);
    let crossed = v1::SealTicket { id: two.id.clone(), ..one };
    assert_eq!(reason(import(&crossed, okx(), okx()).await), "SEALED_SECRET");
    assert_eq!(vault.state_rev(), state_rev);
    let last = ticket().await;
    import(&last, okx(), okx()).await.expect("imported");
    assert_eq!(vault.state_rev(), state_rev + 1);
}
