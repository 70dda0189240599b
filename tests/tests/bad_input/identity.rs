//! Certificates, tokens, CSRs and passphrases.

use std::time::{Duration, Instant};

use prost::Message as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt as _;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_proto::token::Token;
use vault_tests::{OKX_SCOPE, PASSPHRASE, Refused, TestVault, okx_balance, order, wire};

use crate::{channel, eventually, with_bot};

const ENROLL: &str = "vault.v1.ClientService/Enroll";

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("randomness")
}

fn bare() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
}

fn csr(params: CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.serialize_request(key).expect("a CSR").der().to_vec()
}

/// Enrols with any CSR, and proves the token for it.
async fn enroll(
    vault: &TestVault,
    token: &Token,
    csr: Vec<u8>,
) -> Result<v1::EnrollResponse, Refused> {
    let request = v1::EnrollRequest { token_id: token.id.to_vec(), proof: token.prove(&csr), csr };
    enroll_with(vault, request).await
}

async fn enroll_with(
    vault: &TestVault,
    request: v1::EnrollRequest,
) -> Result<v1::EnrollResponse, Refused> {
    let admin = vault.identity("admin");
    let channel = wire::channel(wire::tls(&admin, None), vault.ready().enroll, None).await;
    let answer = wire::call(&channel.expect("connected"), ENROLL, request.encode_to_vec()).await?;
    Ok(v1::EnrollResponse::decode(answer.as_slice()).expect("a response"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_does_not_pass() {
    let (vault, bot) = with_bot().await;
    let ours = vault.identity("bot");
    let ca_file = ours.folder().join("ca.pem");
    let ca = || {
        use rustls_pki_types::pem::PemObject as _;
        CertificateDer::from_pem_file(&ca_file).expect("ca.pem")
    };
    // Another CA of the same name and a certificate with the serial of a bot that may.
    let ca_key = key();
    let mut params = bare();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::from_params(&params, &ca_key);
    let leaf_key = key();
    let mut leaf = bare();
    leaf.serial_number = Some(rcgen::SerialNumber::from_slice(ours.serial()));
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let foreign = leaf.signed_by(&leaf_key, &issuer).expect("signed");
    let self_signed = leaf.self_signed(&leaf_key).expect("signed");

    for listener in [vault.ready().bot, vault.ready().operator] {
        for certificate in [&foreign, &self_signed] {
            let pair = (
                certificate.der().clone(),
                PrivateKeyDer::try_from(leaf_key.serialize_der()).expect("a key"),
            );
            let stream = wire::stream(wire::tls_with(ca(), Some(pair)), listener, None).await;
            let error = match stream {
                Ok(mut stream) => stream.read_u8().await.expect_err("refused"),
                Err(error) => error,
            };
            let said = error.to_string();
            assert!(said.contains("UnknownCA") || said.contains("BadCertificate"), "{said}");
        }
    }
    bot.sign(order("okx-main", okx_balance())).await.expect("ours passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_believe_another_server() {
    let (one, two) = (TestVault::start().await, TestVault::start().await);
    let stray = one.identity("admin").with_address(two.ready().operator.to_string());
    let error = vault_client::Operator::connect(stray).await.expect_err("another vault");
    assert!(matches!(error, vault_client::ClientError::ServerNotTrusted(_)), "{error:?}");

    let mut token = one.invite_operator("stray", v1::Role::Guard).await;
    token.address = two.ready().enroll.to_string();
    let error = one.enroll("stray", &token).await.expect_err("another vault");
    assert!(matches!(error, vault_client::ClientError::ServerNotTrusted(_)), "{error:?}");
    assert!(!one.identity_folder("stray").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_certificates_are_turned_away_and_counted() {
    let (vault, _bot) = with_bot().await;
    let identity = vault.identity("bot");
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: String::new() };
    vault.admin().await.revoke_client(revoke).await.expect("revoked");
    let state_rev = vault.state_rev();

    let channel = channel(&identity).await;
    for number in 0..50 {
        let sign = v1::SignRequest {
            request_id: format!("r-{number}"),
            credential: "okx-main".to_owned(),
            request: Some(okx_balance()),
        };
        let answer = wire::call(&channel, "vault.v1.SignService/Sign", sign.encode_to_vec()).await;
        assert_eq!(answer.expect_err("revoked").reason, "CERTIFICATE_REVOKED");
    }
    let counted = || -> u64 {
        let entries = vault.log_entries();
        let denied = entries.iter().filter(|entry| {
            entry.kind == EntryKind::AuthDenied
                && entry.reason.as_deref() == Some("CERTIFICATE_REVOKED")
        });
        denied.filter_map(|entry| entry.detail.get("count")?.parse::<u64>().ok()).sum()
    };
    eventually("all are counted", || counted() == 50).await;
    let entries = vault.log_entries();
    let denied = entries.iter().filter(|entry| entry.kind == EntryKind::AuthDenied).count();
    assert!(denied < 10, "few entries stand for many: {denied}");
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_one_key() {
    let mut vault = TestVault::start().await;
    vault.put_scope(OKX_SCOPE).await;
    let token = vault.invite("bot", v1::Role::Bot, "okx-demo", &[]).await;
    let (first, second) = (key(), key());
    let csr_of = |key: &KeyPair| csr(bare(), key);

    let issued = enroll(&vault, &token, csr_of(&first)).await.expect("enrolled");
    let state_rev = vault.state_rev();
    let refused = enroll(&vault, &token, csr_of(&second)).await.expect_err("another key");
    assert_eq!(refused.reason, "INVITATION_USED");
    assert_eq!(vault.state_rev(), state_rev);

    // The answer may have been lost: the same key may ask again.
    let again = enroll(&vault, &token, csr_of(&first)).await.expect("the same key");
    assert_ne!(issued.certificate, again.certificate);
    let state_rev = vault.state_rev();

    let fresh = vault.invite("late", v1::Role::Bot, "okx-demo", &[]).await;
    vault.set_clock_offset_s(16 * 60);
    vault.restart().await;
    let refused = enroll(&vault, &token, csr_of(&first)).await.expect_err("too late");
    assert_eq!(refused.reason, "INVITATION_USED");
    let refused = enroll(&vault, &fresh, csr_of(&first)).await.expect_err("too late");
    assert_eq!(refused.reason, "INVITATION_EXPIRED");
    assert_eq!(vault.state_rev(), state_rev + 1, "the second invitation and nothing more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_wants_its_proof() {
    let vault = TestVault::start().await;
    let token = vault.invite("pricer", v1::Role::Pricer, "", &[]).await;
    let other = vault.invite("other", v1::Role::Pricer, "", &[]).await;
    let state_rev = vault.state_rev();
    let csr = csr(bare(), &key());
    let good = v1::EnrollRequest {
        token_id: token.id.to_vec(),
        proof: token.prove(&csr),
        csr: csr.clone(),
    };
    let mut bent = good.proof.clone();
    bent[0] ^= 1;
    for (what, request) in [
        ("no proof", v1::EnrollRequest { proof: Vec::new(), ..good.clone() }),
        ("a bent proof", v1::EnrollRequest { proof: bent, ..good.clone() }),
        ("another token's proof", v1::EnrollRequest { proof: other.prove(&csr), ..good.clone() }),
        ("another token", v1::EnrollRequest { token_id: other.id.to_vec(), ..good.clone() }),
        ("no such token", v1::EnrollRequest { token_id: vec![9; 16], ..good.clone() }),
        ("a short token", v1::EnrollRequest { token_id: vec![9; 15], ..good.clone() }),
        ("another CSR", v1::EnrollRequest { csr: self::csr(bare(), &key()), ..good.clone() }),
    ] {
        let refused = enroll_with(&vault, request).await.expect_err(what);
        assert_eq!(refused.reason, "INVITATION_PROOF", "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);
    let large = v1::EnrollRequest { csr: vec![0; 100_000], ..good.clone() };
    let refused = enroll_with(&vault, large).await.expect_err("too large");
    assert_eq!(refused.code, tonic::Code::OutOfRange, "{refused:?}");
    enroll_with(&vault, good).await.expect("none of it used it up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_brings_a_key_and_nothing_else() {
    let vault = TestVault::start().await;
    let token = vault.invite("pricer", v1::Role::Pricer, "", &[]).await;
    let state_rev = vault.state_rev();
    let named = |kind: DnType, name: &str| {
        let mut params = bare();
        params.distinguished_name.push(kind, name);
        params
    };
    let alternative = {
        let mut params = CertificateParams::new(vec!["admin.example".to_owned()]).expect("a name");
        params.distinguished_name = DistinguishedName::new();
        params
    };
    let mut bent = csr(bare(), &key());
    *bent.last_mut().expect("bytes") ^= 1;
    let longer = [csr(bare(), &key()), vec![0]].concat();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("randomness");
    let cases = [
        ("a common name", csr(named(DnType::CommonName, "admin"), &key()), "CSR_HAS_NAMES"),
        ("an organisation", csr(named(DnType::OrganizationName, "o"), &key()), "CSR_HAS_NAMES"),
        ("an alternative name", csr(alternative, &key()), "CSR_HAS_NAMES"),
        ("another kind of key", csr(bare(), &p384), "CSR_KEY_TYPE"),
        ("a bent signature", bent, "CSR_INVALID"),
        ("a byte too many", longer, "CSR_INVALID"),
        ("garbage", vec![0x30, 0x82, 0xff, 0xff], "CSR_INVALID"),
        ("nothing", Vec::new(), "CSR_INVALID"),
    ];
    for (what, csr, expected) in &cases {
        let refused = enroll(&vault, &token, csr.clone()).await.expect_err(what);
        assert_eq!(&refused.reason, expected, "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);

    let pricer = vault.enroll("pricer", &token).await.expect("enrolled");
    let state_rev = vault.state_rev();
    let channel = channel(&pricer).await;
    let renew = async |csr: Vec<u8>| {
        let outcome: Result<v1::RenewResponse, Refused> = wire::command(
            &channel,
            &pricer,
            "vault.v1.ClientService/Renew",
            &v1::RenewCommand { csr },
            vault.now(),
        )
        .await;
        outcome.expect_err("refused").reason
    };
    for (what, csr, expected) in &cases {
        assert_eq!(&renew(csr.clone()).await, expected, "{what}");
    }
    let own =
        KeyPair::from_pem(&std::fs::read_to_string(pricer.folder().join("key.pem")).expect("read"));
    let old_key = csr(bare(), &own.expect("a key"));
    assert_eq!(renew(old_key).await, "BAD_FIELD", "a renewal brings a new key");
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_costs_time() {
    let mut vault = TestVault::start().await;
    let state_rev = vault.state_rev();
    vault.stop().await;
    vault.run().await;

    let attempt = |vault: &TestVault, text: &str| vault.local().unseal(text).err();
    let is_wrong = |vault: &TestVault, text: &str| {
        let refused = attempt(vault, text).expect("wrong");
        assert!(matches!(refused.reason.as_str(), "UNSEAL_BACKOFF" | "WRONG_PASSPHRASE"));
        refused.reason == "WRONG_PASSPHRASE"
    };
    // What is left of a pause that began after `failed_at`, in whole seconds.
    let wait = |vault: &TestVault, failed_at: Instant, pause: Duration| {
        let wait = Duration::from_secs(vault.local().status().retry_after_s.into());
        let passed = failed_at.elapsed();
        assert!(wait <= pause && wait + passed >= pause, "{wait:?} of {pause:?} after {passed:?}");
        wait
    };
    let (mut failures, mut pause) = (0, Duration::from_secs(2));
    let first_wait = loop {
        let failed_at = Instant::now();
        assert!(is_wrong(&vault, "not this one"));
        failures += 1;
        // Too early, right or not.
        if let Some(refused) = attempt(&vault, PASSPHRASE) {
            assert_eq!(refused.reason, "UNSEAL_BACKOFF");
            break wait(&vault, failed_at, pause);
        }
        // On a slow machine the pause may be over: the vault is open, and begins anew.
        assert!(failed_at.elapsed() >= pause, "opened too early");
        vault.stop().await;
        vault.run().await;
    };
    tokio::time::sleep(first_wait).await;
    let mut failed_at = Instant::now();
    assert!(is_wrong(&vault, PASSPHRASE.trim_end_matches('x')));
    (failures, pause) = (failures + 1, pause * 2);
    wait(&vault, failed_at, pause);

    // A restart is no fresh start.
    loop {
        vault.stop().await;
        vault.run().await;
        let asked_at = Instant::now();
        if !is_wrong(&vault, "nor this") {
            break;
        }
        // Here too it may be over: then another begins, which is twice as long.
        assert!(failed_at.elapsed() >= pause, "the restart took the pause away");
        (failed_at, failures, pause) = (asked_at, failures + 1, pause * 2);
    }
    tokio::time::sleep(wait(&vault, failed_at, pause)).await;
    let answer = vault.local().unseal(PASSPHRASE).expect("opened");
    assert_eq!(answer.state_rev, state_rev);

    let entries = vault.log_entries();
    let wrong = entries.iter().filter(|entry| {
        entry.kind == EntryKind::UnsealDenied && entry.reason.as_deref() == Some("WRONG_PASSPHRASE")
    });
    assert_eq!(wrong.count(), failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_another_reason_is_no_wrong_passphrase() {
    let mut vault = TestVault::start().await;
    // Nobody of these has tried a passphrase, so none of them may keep the owner out.
    for _ in 0..6 {
        let guard = vault.guard().await.unseal_sealed(v1::UnsealCommand::default()).await;
        assert_eq!(vault_tests::reason(guard), "ROLE");
        let admin = vault.admin().await.unseal_sealed(v1::UnsealCommand::default()).await;
        assert_eq!(vault_tests::reason(admin), "ALREADY_UNSEALED");
    }
    vault.stop().await;
    vault.run().await;

    assert_eq!(vault.local().status().retry_after_s, 0);
    vault.unseal();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unseal_ticket_is_good_once() {
    let mut vault = TestVault::start().await;
    vault.stop().await;
    vault.run().await;
    let mut local = vault.local();
    let ticket = local.status().unseal_ticket.expect("a ticket");
    let sealed = vault_proto::sealed::seal(&ticket, &[], b"wrong").expect("sealed");
    let command = v1::UnsealCommand { ticket_id: ticket.id.clone(), sealed };
    let unseal = |command: &v1::UnsealCommand| {
        let outcome: Result<v1::UnsealResponse, _> =
            vault.local().call(vault_ipc::LocalOperation::Unseal, command.encode_to_vec());
        outcome.expect_err("refused").reason
    };
    let mut bent = command.clone();
    bent.sealed[40] ^= 1;
    assert_eq!(unseal(&bent), "SEALED_SECRET");
    assert_eq!(unseal(&command), "SEALED_SECRET", "a ticket that failed is gone");
    let unknown = v1::UnsealCommand { ticket_id: vec![3; 16], ..command };
    assert_eq!(unseal(&unknown), "SEALED_SECRET");
    vault.unseal();
}
