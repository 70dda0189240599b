//! The same table for callers and vaults in other states: revoked, expired, halted, at the wrong listener,
//! with a command that was used before. And every way to a venue in each of them.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use vault_tests::okx_balance;

use super::*;

const REVOKED: &str = "CERTIFICATE_REVOKED";
const EXPIRED: &str = "CERTIFICATE_EXPIRED";
const HOUR: i64 = 3_600;

/// How a request of a bot's reaches a venue, or would.
const WAYS: [Way; 7] = [
    Way::Sign,
    Way::SignBatch,
    Way::SignStream,
    Way::Execute,
    Way::ExecuteStream,
    Way::Proxy,
    Way::WebSocket,
];

#[derive(Clone, Copy, Debug)]
enum Way {
    Sign,
    SignBatch,
    SignStream,
    Execute,
    ExecuteStream,
    Proxy,
    WebSocket,
}

impl Way {
    /// What whoever may gets, where the venue cannot be reached: all of the vault has let it pass.
    fn open(self) -> &'static str {
        match self {
            Self::Sign | Self::SignBatch | Self::SignStream => OK,
            Self::Execute | Self::ExecuteStream | Self::Proxy => "NOT_SENT",
            Self::WebSocket => "NOT_CONNECTED",
        }
    }
}

impl Cast {
    /// With a key at OKX, which cannot be reached, and a second admin.
    async fn at_work() -> Self {
        let nowhere = [("host", "*"), ("connect", "127.0.0.1:9")];
        let nowhere = nowhere.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
        let place = vec![toml::Value::Table(nowhere.into_iter().collect())];
        let vault = TestVault::builder().config("egress", "override", place).start().await;
        vault.import_okx("okx-main").await;
        let scope = OKX_SCOPE.replace(r#"["sign"]"#, r#"["sign", "execute"]"#);
        vault.bot_identity("bot", &scope, &[]).await;
        vault.pricer("pricer").await;
        vault.operator("second", v1::Role::Admin).await;
        let mut cast = Self { vault, callers: BTreeMap::new() };
        cast.connect().await;
        cast
    }

    /// Asks everything of everybody.
    async fn walk(&self, state: &str, expected: impl Fn(&Row, &str) -> &'static str) {
        for row in TABLE {
            for who in CALLERS {
                let expected = match row.of(who) {
                    NOT_SERVED => NOT_SERVED,
                    _ => expected(row, who),
                };
                if row.rpc == "SealService/Seal" && expected == OK {
                    continue;
                }
                assert_eq!(self.ask(row, who).await, expected, "{state}: {} as {who}", row.rpc);
            }
        }
    }

    /// Goes every way to the venue, as the bot.
    async fn go(&self, state: &str, expected: impl Fn(Way) -> &'static str) {
        let bots = self.vault.ready().bot;
        for way in WAYS {
            assert_eq!(self.try_way(way, bots).await, expected(way), "{state}: {way:?}");
        }
    }

    async fn try_way(&self, way: Way, at: SocketAddr) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let request_id = format!("way-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (credential, request) = ("okx-main".to_owned(), Some(okx_balance()));
        let (method, bytes) = match way {
            Way::Sign => {
                let sign = v1::SignRequest { request_id, credential, request };
                ("vault.v1.SignService/Sign", sign.encode_to_vec())
            }
            Way::SignBatch => {
                let sign = v1::SignRequest { request_id, credential, request };
                let batch = v1::SignBatchRequest { requests: vec![sign] };
                ("vault.v1.SignService/SignBatch", batch.encode_to_vec())
            }
            Way::SignStream => {
                let sign = v1::SignRequest { request_id, credential, request };
                ("vault.v1.SignService/SignStream", sign.encode_to_vec())
            }
            Way::Execute => {
                let execute = v1::ExecuteRequest { request_id, credential, request };
                ("vault.v1.ExecuteService/Execute", execute.encode_to_vec())
            }
            Way::ExecuteStream => {
                let execute = v1::ExecuteRequest { request_id, credential, request };
                ("vault.v1.ExecuteService/ExecuteStream", execute.encode_to_vec())
            }
            Way::Proxy => {
                let head = "GET /https://www.okx.com/api/v5/account/balance HTTP/1.1\r\nhost: vault\r\n\
                    ok-access-key: countersign:okx-main\r\nconnection: close\r\n\r\n";
                return self.http("bot", at, head).await;
            }
            Way::WebSocket => return self.upgrade("bot", at).await,
        };
        let channel = self.channel("bot", at).await;
        word(method, wire::call(&channel, method, bytes).await)
    }

    /// Signs a body anew for a command that is there already: with its nonce.
    fn signed_again(&self, who: &str, of: &v1::SignedCommand, body: &[u8]) -> v1::SignedCommand {
        let identity = &self.callers[who].identity;
        let file = identity.folder().join("key.pem");
        let key = PrivateKeyDer::from_pem_file(file).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der());
        let bytes = vault_proto::command::signing_bytes(
            &of.method,
            identity.serial(),
            &of.nonce,
            of.expires_at_ms,
            body,
        );
        let key = key.expect("P-256");
        let signature = key.sign(&SystemRandom::new(), &bytes.expect("short")).expect("signed");
        let signature = signature.as_ref().to_vec();
        v1::SignedCommand { body: body.to_vec(), signature, ..of.clone() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_gets_nothing_on_no_way_open_or_sealed() {
    let mut cast = Cast::at_work().await;
    cast.go("open", Way::open).await;
    let second = cast.vault.connect("second").await;
    for name in ["bot", "pricer"] {
        let revoke = v1::RevokeClientCommand { name: name.to_owned(), reason: String::new() };
        second.revoke_client(revoke).await.expect("revoked");
    }
    for name in ["admin", "guard", "auditor"] {
        let revoke = v1::RevokeOperatorCommand { name: name.to_owned() };
        second.revoke_operator(revoke).await.expect("revoked");
    }
    let state_rev = cast.vault.state_rev();
    cast.connect().await;
    cast.walk("revoked", |_, _| REVOKED).await;
    cast.go("revoked", |_| REVOKED).await;

    second.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(cast.vault.restarted().await.state, "sealed");
    cast.connect().await;
    let sealed = |row: &Row| match OF_BOTS.contains(&row.service()) {
        true => "SEALED",
        false => REVOKED,
    };
    cast.walk("revoked and sealed", |row, _| sealed(row)).await;
    cast.go("revoked and sealed", |_| "SEALED").await;
    cast.vault.unseal();
    assert_eq!(cast.vault.state_rev(), state_rev, "nothing of it changed anything");
    cast.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_certificate_is_over_may_renew_it_for_some_days_and_nothing_else() {
    let mut cast = Cast::at_work().await;
    cast.vault.set_clock_offset_s(25 * HOUR);
    cast.vault.restart().await;
    cast.connect().await;
    let state_rev = cast.vault.state_rev();
    cast.walk("a bot's is over", |row, who| match who {
        "bot" | "pricer" if row.rpc != "ClientService/Renew" => EXPIRED,
        _ => row.of(who),
    })
    .await;
    cast.go("a bot's is over", |_| EXPIRED).await;

    // All are, those of bots for longer than they may be renewed.
    cast.vault.stop().await;
    cast.vault.set_clock_offset_s(91 * 24 * HOUR);
    cast.vault.run().await;
    // Before it is open, it does not renew its own certificate, which by our clock is good.
    cast.connect().await;
    cast.walk("all are over, sealed", |row, _| match OF_BOTS.contains(&row.service()) {
        true => "SEALED",
        false => EXPIRED,
    })
    .await;
    cast.vault.unseal();
    cast.walk("all are over", |_, _| EXPIRED).await;
    assert_eq!(cast.vault.state_rev(), state_rev, "nothing of it changed anything");
    cast.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_of_all_stops_every_way_to_a_venue_and_no_operator() {
    let cast = Cast::at_work().await;
    let command = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "all".to_owned(),
        reason: "a test".to_owned(),
    };
    cast.go("open", Way::open).await;
    cast.vault.guard().await.halt(command).await.expect("halted");
    cast.walk("halted", |row, who| row.of(who)).await;
    cast.go("halted", |_| "HALT_NOTHING").await;

    let resume = v1::ResumeCommand { target: "all".to_owned(), ..Default::default() };
    cast.vault.admin().await.resume(resume).await.expect("resumed");
    cast.go("resumed", Way::open).await;
    cast.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_a_venue_begins_at_another_listener() {
    let cast = Cast::at_work().await;
    let ready = cast.vault.ready();
    for way in WAYS {
        assert_eq!(cast.try_way(way, ready.operator).await, NOT_SERVED, "{way:?}");
        assert_eq!(cast.try_way(way, ready.enroll).await, NOT_SERVED, "{way:?}");
    }
    // Where nobody has a certificate, one that is shown counts for nothing.
    for who in CALLERS {
        let channel = cast.channel(who, ready.enroll).await;
        for row in TABLE {
            let method = full(row.rpc);
            let request = match UNSIGNED.contains(&row.rpc) {
                true => unsigned(row.rpc),
                false => wire::request(Some(cast.signed(who, &method))),
            };
            let expected = match row.rpc {
                "ClientService/Enroll" => "INVITATION_PROOF",
                _ => NOT_SERVED,
            };
            let answer = word(row.rpc, wire::call(&channel, &method, request).await);
            assert_eq!(answer, expected, "{} as {who}, where nobody is anybody", row.rpc);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_heard_once_and_its_nonce_serves_no_other() {
    let cast = Cast::new().await;
    let state_rev = cast.vault.state_rev();
    join_all(CALLERS.map(|who| cast.try_again(who))).await;
    assert_eq!(cast.vault.state_rev(), state_rev);
    cast.vault.verify();
}

impl Cast {
    async fn try_again(&self, who: &str) {
        let elsewhere = self.channel(who, self.own_listener(who)).await;
        for row in TABLE.iter().filter(|row| !UNSIGNED.contains(&row.rpc)) {
            if row.rpc == "SealService/Seal" && row.of(who) == OK {
                continue;
            }
            let method = full(row.rpc);
            let channel = &self.callers[who].channel;
            let command = self.signed(who, &method);
            let again = match row.of(who) {
                refused @ (NOT_SERVED | ROLE) => refused,
                _ => "COMMAND_REPLAYED",
            };
            let altered = self.signed_again(who, &command, &[0x98, 0x06, 0x01]);
            let tries = [
                (channel, &command, row.of(who), "first"),
                (channel, &command, again, "again"),
                (&elsewhere, &command, again, "again, on another connection"),
                (channel, &altered, again, "another body under its nonce"),
            ];
            for (channel, command, expected, what) in tries {
                let request = wire::request(Some(command.clone()));
                let answer = word(row.rpc, wire::call(channel, &method, request).await);
                assert_eq!(answer, expected, "{what}: {} as {who}", row.rpc);
            }
        }
    }
}
