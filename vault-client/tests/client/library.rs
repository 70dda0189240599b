//! The library.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use prost::Message as _;
use tonic::Code;
use vault_client::v1::{self, Role};
use vault_client::{
    Client, ClientError, EnrollOptions, Identity, IdentityError, KeyType, Operator, SecretBytes,
    SignOrder, get,
};

use crate::fake::{Fake, INSTANCE, refusal, spki};

async fn enrolled(fake: &Fake, folder: &Path, role: Role) -> Identity {
    let token = fake.token("someone", role);
    Identity::enroll(&token, folder, &EnrollOptions::default()).await.expect("enrolled")
}

async fn operator(fake: &Fake, folder: &Path) -> Operator {
    let identity = enrolled(fake, folder, Role::Admin).await;
    Operator::connect(identity).await.expect("connected")
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn enrols_with_keys_of_both_kinds() {
    let fake = Fake::start().await;
    for key_type in [KeyType::Ed25519, KeyType::P256] {
        let temporary = temporary();
        let folder = temporary.path().join("new/bot");
        let token = fake.token("bot-1", Role::Bot);
        let options = EnrollOptions { key_type, ..Default::default() };
        let identity = Identity::enroll(&token, &folder, &options).await.expect("enrolled");

        assert_eq!((identity.name(), identity.role()), ("bot-1", Role::Bot));
        assert_eq!(identity.address(), fake.address());
        assert_eq!(identity.core_fingerprint(), &token.core_fingerprint);
        assert_eq!(identity.instance_id(), &INSTANCE);
        assert_eq!(identity.key_type(), key_type);
        let mut names: Vec<_> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, ["ca.pem", "cert.pem", "identity.json", "key.pem"]);
        let mode = |name: &str| {
            fs::metadata(folder.join(name)).expect("a file").permissions().mode() & 0o777
        };
        assert_eq!(mode("key.pem"), 0o600);
        assert_eq!(mode(""), 0o700);
        Operator::connect(identity).await.expect("its key signs the handshake");
    }
}

#[tokio::test]
async fn a_folder_in_use_is_left_alone() {
    let fake = Fake::start().await;
    let folder = temporary();
    enrolled(&fake, folder.path(), Role::Bot).await;
    let before = fs::read(folder.path().join("key.pem")).expect("a key");
    let token = fake.token("other", Role::Bot);
    let outcome = Identity::enroll(&token, folder.path(), &EnrollOptions::default()).await;

    assert!(matches!(outcome, Err(ClientError::Identity(IdentityError::InUse(_)))));
    assert_eq!(fs::read(folder.path().join("key.pem")).expect("a key"), before);
    assert_eq!(fake.state().certified.len(), 1);
}

#[tokio::test]
async fn refuses_a_server_of_another_ca_before_it_says_anything() {
    let fake = Fake::start().await;
    let temporary = temporary();
    let folder = temporary.path().join("bot");
    let mut token = fake.token("bot", Role::Bot);
    token.ca_fingerprint[0] ^= 1;
    let outcome = Identity::enroll(&token, &folder, &EnrollOptions::default()).await;

    assert!(matches!(outcome, Err(ClientError::ServerNotTrusted(_))), "{outcome:?}");
    assert!(fake.state().certified.is_empty());
    assert!(!folder.exists());
}

#[tokio::test]
async fn refuses_a_server_certified_for_another_name() {
    let fake = Fake::start().await;
    let temporary = temporary();
    let token = fake.token("bot", Role::Bot);
    let port = fake.address().rsplit(':').next().expect("a port").to_owned();
    let options =
        EnrollOptions { address: Some(format!("localhost:{port}")), ..Default::default() };
    let outcome = Identity::enroll(&token, &temporary.path().join("bot"), &options).await;

    assert!(matches!(outcome, Err(ClientError::ServerNotTrusted(_))), "{outcome:?}");
}

#[tokio::test]
async fn refuses_another_core_than_the_tokens() {
    let fake = Fake::start().await;
    let temporary = temporary();
    let folder = temporary.path().join("bot");
    fake.state().other_core = true;
    let token = fake.token("bot", Role::Bot);
    let outcome = Identity::enroll(&token, &folder, &EnrollOptions::default()).await;

    assert!(matches!(outcome, Err(ClientError::Protocol(_))), "{outcome:?}");
    assert!(!folder.join("key.pem").exists());
    assert!(!folder.join("identity.json").exists());
}

#[tokio::test]
async fn an_enrolment_that_broke_goes_on_with_the_same_key() {
    let fake = Fake::start().await;
    let temporary = temporary();
    let folder = temporary.path().join("bot");
    let token = fake.token("bot", Role::Bot);
    fake.state().breaks = 1;
    let outcome = Identity::enroll(&token, &folder, &EnrollOptions::default()).await;
    assert!(matches!(outcome, Err(ClientError::Transport(_))), "{outcome:?}");
    Identity::enroll(&token, &folder, &EnrollOptions::default()).await.expect("enrolled");

    let certified = fake.state().certified.clone();
    assert_eq!(certified.len(), 2);
    assert_eq!(certified[0], certified[1]);
}

#[tokio::test]
async fn a_refused_enrolment_leaves_no_key() {
    let fake = Fake::start().await;
    let temporary = temporary();
    let folder = temporary.path().join("bot");
    let mut token = fake.token("bot", Role::Bot);
    token.id[0] ^= 0x80;
    let outcome = Identity::enroll(&token, &folder, &EnrollOptions::default()).await;

    let error = outcome.expect_err("refused");
    assert_eq!(error.refusal().expect("a refusal").reason, "TOKEN_UNKNOWN");
    assert!(!folder.exists());
}

#[tokio::test]
async fn commands_verify_and_are_never_the_same() {
    let fake = Fake::start().await;
    let folder = temporary();
    let operator = operator(&fake, folder.path()).await;
    for _ in 0..2 {
        operator.status(v1::StatusCommand {}).await.expect("verified");
    }

    let state = fake.state();
    assert_eq!(state.commands.len(), 2);
    assert_ne!(state.commands[0].nonce, state.commands[1].nonce);
    assert_eq!(state.serials[0], operator.identity().serial());
}

#[tokio::test]
async fn only_the_pinned_core_opens_what_is_sealed() {
    let fake = Fake::start().await;
    let folder = temporary();
    let operator = operator(&fake, folder.path()).await;
    let metadata = v1::CredentialMetadata { name: "okx-main".to_owned(), ..Default::default() };
    let secret = v1::CredentialSecret {
        api_key: "key".to_owned(),
        secret: b"canary".to_vec(),
        ..Default::default()
    };
    operator.import_unchecked(metadata.clone(), secret.clone()).await.expect("imported");
    operator.unseal(&SecretBytes::new(b"pass word".to_vec())).await.expect("unsealed");
    let opened = fake.state().opened.clone();
    assert_eq!(opened[0], (metadata.encode_to_vec(), secret.encode_to_vec()));
    assert_eq!(opened[1], (Vec::new(), b"pass word".to_vec()));

    fake.state().forges_tickets = true;
    let commands_before = fake.state().commands.len();
    let imported = operator.import_unchecked(metadata, secret).await;
    let unsealed = operator.unseal(&SecretBytes::new(b"pass word".to_vec())).await;
    assert!(matches!(imported, Err(ClientError::Ticket(_))), "{imported:?}");
    assert!(matches!(unsealed, Err(ClientError::Ticket(_))), "{unsealed:?}");
    // BeginImport and Status, but neither Import nor Unseal.
    assert_eq!(fake.state().commands.len(), commands_before + 2);
    assert_eq!(fake.state().opened.len(), 2);
}

#[tokio::test]
async fn refusals_come_with_their_details() {
    let fake = Fake::start().await;
    let folder = temporary();
    let operator = operator(&fake, folder.path()).await;
    let metadata = [("hint", "look at the list"), ("entry_index", "12")];
    let status = refusal(Code::NotFound, "SCOPE_NOT_FOUND", "scope not found", &metadata);
    fake.state().refusal = Some(status);
    let outcome = operator.scope(v1::GetScopeCommand { name: "a".to_owned() }).await;

    let error = outcome.expect_err("refused");
    let refusal = error.refusal().expect("a refusal");
    assert_eq!(refusal.code, Code::NotFound);
    assert_eq!(refusal.reason, "SCOPE_NOT_FOUND");
    assert_eq!(refusal.hint, "look at the list");
    assert_eq!(refusal.entry_index, Some(12));
}

#[tokio::test]
async fn whoever_is_invited_can_enrol() {
    let fake = Fake::start().await;
    let folder = temporary();
    let operator = operator(&fake, folder.path()).await;
    let command = v1::InviteClientCommand {
        name: "mm-1".to_owned(),
        role: Role::Bot.into(),
        invite: Some(v1::InviteSpec { lifetime_s: 60, ..Default::default() }),
        ..Default::default()
    };
    let invited = operator.invite_client(command).await.expect("invited");
    let text = invited.token.encode();
    let token = vault_proto::token::Token::decode(&text).expect("a token");
    let bot = folder.path().join("bot");
    let identity =
        Identity::enroll(&token, &bot, &EnrollOptions::default()).await.expect("enrolled");

    assert_eq!(identity.name(), "mm-1");
    assert_eq!(token.expires_at_ms, 60);
}

#[tokio::test]
async fn renewal_replaces_key_and_certificate() {
    let fake = Fake::start().await;
    let folder = temporary();
    let old = enrolled(&fake, folder.path(), Role::Bot).await;
    let new = old.renew().await.expect("renewed");
    let loaded = Identity::load(folder.path()).expect("loads");

    assert_eq!(new.serial(), loaded.serial());
    assert_ne!(old.serial(), loaded.serial());
    let certified = fake.state().certified.clone();
    assert_eq!(certified.len(), 2);
    assert_ne!(certified[0], certified[1]);
    // The command was signed by the old certificate's key.
    assert_eq!(fake.state().serials, [old.serial().to_vec()]);
    // Who comes late takes what is there.
    let late = old.renew().await.expect("taken over");
    assert_eq!(late.serial(), loaded.serial());
    assert_eq!(fake.state().certified.len(), 2);
}

#[tokio::test]
async fn a_refused_renewal_changes_nothing() {
    let fake = Fake::start().await;
    let folder = temporary();
    let old = enrolled(&fake, folder.path(), Role::Bot).await;
    let refused = refusal(Code::PermissionDenied, "CLIENT_REVOKED", "revoked", &[]);
    fake.state().refusal = Some(refused);

    assert!(old.renew().await.is_err());
    assert_eq!(Identity::load(folder.path()).expect("loads").serial(), old.serial());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
}

#[tokio::test]
async fn a_renewal_that_crashed_is_finished_at_the_next_load() {
    let fake = Fake::start().await;
    let folder = temporary();
    let other = temporary();
    let old = enrolled(&fake, folder.path(), Role::Bot).await;
    // A renewal elsewhere gives the files that a crash would have left here.
    for name in ["ca.pem", "cert.pem", "identity.json", "key.pem"] {
        fs::copy(folder.path().join(name), other.path().join(name)).expect("copied");
    }
    let new = Identity::load(other.path()).expect("loads").renew().await.expect("renewed");
    let path = |name: &str| folder.path().join(name);
    let put = |from: &str, to: &str| {
        fs::copy(other.path().join(from), path(to)).expect("copied");
    };

    // Before the certificate came: the new key alone.
    put("key.pem", "key.pem.new");
    assert_eq!(Identity::load(folder.path()).expect("loads").serial(), old.serial());
    // A certificate of which only half was written.
    let whole = fs::read(other.path().join("cert.pem")).expect("a certificate");
    fs::write(path("cert.pem.new"), &whole[..whole.len() / 2]).expect("written");
    assert_eq!(Identity::load(folder.path()).expect("loads").serial(), old.serial());
    assert!(!path("cert.pem.new").exists());
    // Both written, nothing renamed.
    let saved = fs::read(path("cert.pem")).expect("a certificate");
    let saved_key = fs::read(path("key.pem")).expect("a key");
    put("cert.pem", "cert.pem.new");
    assert_eq!(Identity::load(folder.path()).expect("loads").serial(), new.serial());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
    // The certificate renamed, the key not.
    fs::write(path("key.pem"), saved_key).expect("written");
    put("key.pem", "key.pem.new");
    assert_eq!(Identity::load(folder.path()).expect("loads").serial(), new.serial());
    // Nothing to finish it with.
    fs::write(path("cert.pem"), saved).expect("written");
    assert!(matches!(Identity::load(folder.path()), Err(IdentityError::Mismatch(_))));
}

#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let fake = Fake::start().await;
    let folder = temporary();
    enrolled(&fake, folder.path(), Role::Bot).await;
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("changed");

    assert!(matches!(Identity::load(folder.path()), Err(IdentityError::KeyMode(_))));
}

#[tokio::test]
async fn renewal_is_due_at_two_thirds() {
    let fake = Fake::start().await;
    let folder = temporary();
    fake.state().lifetime = Duration::from_secs(3_000);
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let due = identity.not_before() + Duration::from_secs(2_000);

    assert!(!identity.needs_renewal(due - Duration::from_secs(1)));
    assert!(identity.needs_renewal(due));
    assert!(!identity.needs_renewal(SystemTime::now()));
}

fn order() -> SignOrder {
    SignOrder {
        request_id: None,
        credential: "okx-main".to_owned(),
        request: get("https://www.okx.com/api/v5/account/balance").expect("a URL"),
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_once_more_under_the_same_id() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let client = Client::connect(identity).await.expect("connected");
    fake.state().breaks = 1;
    let signed = client.sign(order()).await.expect("signed at the second try");

    assert_eq!(signed.usable_for, Some(Duration::from_secs(30)));
    assert_eq!(signed.receipt.index, 4);
    {
        let state = fake.state();
        let ids: Vec<_> =
            state.signs.iter().map(|(request, _)| request.request_id.as_str()).collect();
        assert_eq!(ids, [signed.request_id.as_str(); 2]);
        assert_eq!(signed.request_id.len(), 32);
    }

    fake.state().breaks = 2;
    let outcome = client.sign(order()).await;
    assert!(matches!(outcome, Err(ClientError::Transport(_))), "{outcome:?}");
    assert_eq!(fake.state().signs.len(), 4);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let client = Client::connect(identity).await.expect("connected");
    let denied = refusal(
        Code::PermissionDenied,
        "CLASS_NOT_GRANTED",
        "denied by policy",
        &[("operation", "okx POST /api/v5/asset/withdrawal")],
    );
    fake.state().refusal = Some(denied);
    let error = client.sign(order()).await.expect_err("denied");

    let refusal = error.refusal().expect("a refusal");
    assert_eq!(refusal.operation, "okx POST /api/v5/asset/withdrawal");
    assert_eq!(fake.state().signs.len(), 1);
}

#[tokio::test]
async fn outcomes_of_a_batch_are_in_the_order_of_its_orders() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let client = Client::connect(identity).await.expect("connected");
    let refused =
        SignOrder { request_id: Some("second".to_owned()), credential: String::new(), ..order() };
    let outcomes = client.sign_batch(vec![order(), refused]).await.expect("answered");

    let [first, second] = <[_; 2]>::try_from(outcomes).expect("two");
    let signed = first.result.expect("signed");
    assert_eq!(signed.request_id, first.request_id);
    assert_eq!((signed.receipt.index, first.request_id.len()), (4, 32));
    assert_eq!(second.request_id, "second");
    let error = second.result.expect_err("refused");
    let refusal = error.refusal().expect("by the vault");
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound, "NOT_FOUND"));
    assert_eq!(refusal.entry_index, Some(9));
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(250)));

    let lossy = SignOrder { credential: "lossy".to_owned(), ..order() };
    let error = client.sign_batch(vec![lossy, order()]).await.expect_err("one is missing");
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn a_stream_ends_after_the_last_outcome() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let client = Client::connect(identity).await.expect("connected");
    let (sender, mut stream) = client.sign_stream().await.expect("a stream");
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(sender.send(order()).await.expect("sent"));
    }
    drop(sender);

    let mut answered = Vec::new();
    while let Some(outcome) = stream.next().await.expect("goes on") {
        assert!(outcome.result.is_ok());
        answered.push(outcome.request_id);
    }
    assert_eq!(answered, sent);
}

#[tokio::test]
async fn after_a_renewal_the_new_certificate_signs_on() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let client = Client::connect(identity).await.expect("connected");
    client.sign(order()).await.expect("signed");
    client.renew().await.expect("renewed");
    client.sign(order()).await.expect("signed");

    let state = fake.state();
    assert_ne!(state.signs[0].1, state.signs[1].1);
    assert_eq!(state.signs[1].1, client.identity().serial());
}

#[tokio::test]
async fn the_client_renews_by_itself_at_two_thirds() {
    let fake = Fake::start().await;
    let folder = temporary();
    // Of its 24 hours two thirds are over when the client first looks, but not all.
    fake.state().used_up = Duration::from_secs(17 * 3_600);
    let identity = enrolled(&fake, folder.path(), Role::Bot).await;
    let first = *identity.serial();
    fake.state().used_up = Duration::ZERO;
    let client = Client::connect(identity).await.expect("connected");
    for _ in 0..2_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if *client.identity().serial() != first {
            break;
        }
    }

    assert_ne!(*client.identity().serial(), first);
    assert!(!client.identity().needs_renewal(SystemTime::now()));
    let loaded = Identity::load(folder.path()).expect("loads");
    assert_eq!(loaded.serial(), client.identity().serial());
    assert_eq!(fake.state().certified.len(), 2);
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_in_the_handshake() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Admin).await;
    let identity = identity.with_address(other.address());
    let outcome = Operator::connect(identity).await;

    assert!(matches!(outcome, Err(ClientError::ServerNotTrusted(_))), "{outcome:?}");
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let fake = Fake::start().await;
    let folder = temporary();
    let identity = enrolled(&fake, folder.path(), Role::Admin).await.with_address("127.0.0.1:1");
    let outcome = Operator::connect(identity).await;

    assert!(matches!(outcome, Err(ClientError::Transport(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_identity_says_which_key_was_certified() {
    let fake = Fake::start().await;
    let folder = temporary();
    enrolled(&fake, folder.path(), Role::Bot).await;
    let pem = fs::read(folder.path().join("cert.pem")).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");

    assert_eq!(spki(&pem.contents), fake.state().certified[0]);
}
