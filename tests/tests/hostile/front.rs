//! What a front may try that somebody has broken into: lies about callers, and calls that no client
//! would make.

use std::time::Duration;

use prost::Message;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_core::command::Method;
use vault_ipc::{
    BarrierDone, Caller, CommandCall, EnrollCall, ExecuteCall, ForgetCall, Frame, Kind, Listener,
    ProxyCall, PullCall, Reply, StreamCut, StreamEnd, StreamMessage, WhoamiCall, body_bytes_max,
};
use vault_proto::sealed::{self, TicketKey};
use vault_proto::token::Token;
use vault_tests::{PASSPHRASE, kraken_order, kraken_post, okx_order, okx_withdrawal};

use crate::bed::{Bed, credential, decode, request_id};
use crate::core::{SOON, encoded};
use crate::person::{Key, random};

/// The longest time after which a core that has to end has ended.
const END: Duration = Duration::from_secs(20);

fn refusal(reply: &Reply) -> &str {
    assert!(!reply.releases && reply.response.is_empty(), "an answer: {reply:?}");
    reply.failure.as_ref().map_or("", |failure| failure.reason.as_str())
}

/// Every call that takes a caller, said to be of this one. Returns the reasons of the refusals.
fn ask_as(bed: &mut Bed, caller: &Caller) -> Vec<String> {
    let order = okx_order("BTC-USDT", "1");
    let mut sign = bed.sign_call("alice", order.clone());
    sign.caller = caller.clone();
    let mut execute = bed.execute_call("carol", okx_order("SOL-USDT", "1"));
    execute.caller = caller.clone();
    let mut proxy = bed.proxy_call("carol", okx_order("SOL-USDT", "1"));
    proxy.caller = caller.clone();
    let mut stream = bed.stream_call("carol", "/ws/v5/private");
    stream.caller = caller.clone();
    let list = bed.signed("admin", "ClientService/List", &v1::ListClientsCommand::default());
    let mut command = bed.command_call("admin", list);
    command.caller = caller.clone();
    let replies = [
        bed.send_call(Kind::Sign, &sign),
        bed.send_call(Kind::Execute, &execute),
        bed.send_call(Kind::Proxy, &proxy),
        bed.send_call(Kind::Stream, &stream),
        bed.send_call(Kind::Command, &command),
        bed.send_call(Kind::Whoami, &WhoamiCall { caller: caller.clone() }),
    ];
    replies.iter().map(|reply| refusal(reply).to_owned()).collect()
}

#[test]
fn an_honest_front_is_served() {
    let mut bed = Bed::new();
    bed.sign("alice", okx_order("BTC-USDT", "1")).expect("signed");
    let refused = bed.sign("alice", okx_order("SOL-USDT", "1")).expect_err("not hers");
    assert_eq!(refused.reason, "SYMBOL_NOT_GRANTED");
    let (id, _) = bed.execute("carol", okx_order("SOL-USDT", "1")).expect("sent");
    bed.settle(id);
    let (id, _) = bed.execute("bob", kraken_order("XBTUSD", "1")).expect("sent");
    bed.settle(id);
    let call = bed.proxy_call("carol", okx_order("SOL-USDT", "2"));
    assert_eq!(bed.send_call(Kind::Proxy, &call).failure, None);
    let (front, _) = bed.open_stream("carol");
    let message = StreamMessage { bytes: LOGON.into(), binary: false };
    bed.core.front.send(Kind::StreamMessage, front, &message).expect("taken");
    let grant = bed.export();
    assert_eq!(bed.pull(grant, 0).failure, None);
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent, verdict.reasons.len()), (1, 4, 0));
}

const LOGON: &str = r#"{"op":"login","args":[{"apiKey":"countersign:okx-sent","passphrase":"p","timestamp":"1","sign":"s"}]}"#;

#[test]
fn a_caller_that_does_not_exist_gets_nothing() {
    let mut bed = Bed::new();
    let [alice, bob, admin] = ["alice", "bob", "admin"].map(|name| bed.person(name).caller());
    let mut callers = Vec::new();
    for serial in [vec![], vec![0; 16], random::<16>().to_vec(), vec![0xff; 4096]] {
        callers.push(Caller { serial, ..alice.clone() });
    }
    for fingerprint in [vec![], vec![0; 32], bob.fingerprint.clone(), admin.fingerprint.clone()] {
        callers.push(Caller { fingerprint, ..alice.clone() });
    }
    let half = alice.fingerprint[..16].to_vec();
    callers.push(Caller { fingerprint: half, ..alice.clone() });
    for address in [vec![], vec![127, 0, 0], vec![0; 15], vec![0; 17], vec![1; 1 << 16]] {
        callers.push(Caller { address, ..alice.clone() });
    }
    for listener in [0, 2, 3, 4, -1, i32::MAX] {
        callers.push(Caller { listener, ..alice.clone() });
    }
    callers.push(Caller { listener: Listener::Bot.into(), ..admin });
    callers.push(Caller::default());
    callers.push(bed.person("dave").caller());
    for caller in callers {
        for reason in ask_as(&mut bed, &caller) {
            let of_caller =
                ["CERTIFICATE_UNKNOWN", "CERTIFICATE_REVOKED", "WRONG_LISTENER", "BAD_FIELD"];
            assert!(of_caller.contains(&reason.as_str()), "{reason}: {caller:?}");
        }
    }
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 0));
}

#[test]
fn what_is_over_is_over_whatever_the_front_says() {
    let mut bed = Bed::new();
    bed.sign("alice", okx_order("BTC-USDT", "1")).expect("signed");
    bed.end();
    bed.begin(10 * 365 * 24 * 60 * 60);
    for name in ["alice", "carol", "admin", "dave"] {
        let caller = bed.person(name).caller();
        let over = if name == "dave" { "CERTIFICATE_REVOKED" } else { "CERTIFICATE_EXPIRED" };
        assert_eq!(ask_as(&mut bed, &caller), [over; 6], "{name}");
    }
    // Renewal is possible for a while after the end, and no longer.
    let renew = v1::RenewCommand { csr: Key::new().csr() };
    let refused = bed.command::<v1::RenewResponse>("alice", "ClientService/Renew", &renew);
    assert_eq!(refused.expect_err("long over").reason, "CERTIFICATE_EXPIRED");
    let verdict = bed.judge();
    assert_eq!(verdict.released, 1);
}

#[test]
fn a_lie_about_address_or_client_gets_what_that_client_may_and_no_more() {
    let mut bed = Bed::new();
    // Each client, asked for with the credential and the orders of each other.
    let orders = [
        okx_order("BTC-USDT", "1"),
        okx_order("SOL-USDT", "1"),
        kraken_order("XBTUSD", "1"),
        kraken_order("ETHUSD", "1"),
        okx_withdrawal(),
        kraken_post("Withdraw", "asset=XBT&key=mine&amount=1"),
    ];
    let (mut signed, mut sent) = (0, 0);
    for who in ["alice", "bob", "carol", "dave", "pat"] {
        for of in ["alice", "bob", "carol"] {
            for order in &orders {
                let mut sign = bed.sign_call(who, order.clone());
                sign.request.credential = credential(of);
                signed += usize::from(bed.send_call(Kind::Sign, &sign).releases);
                let mut execute = bed.execute_call(who, order.clone());
                execute.request.credential = credential(of);
                let reply = bed.send_call(Kind::Execute, &execute);
                sent += usize::from(reply.failure.is_none());
            }
        }
    }
    assert_eq!((signed, sent), (1, 2), "her own, his own and hers");
    // From elsewhere, however it is written.
    for address in [vec![10, 9, 0, 1], vec![8, 8, 8, 8], vec![0; 16], mapped([10, 9, 0, 1])] {
        for (who, order) in [("alice", &orders[0]), ("carol", &orders[1])] {
            let mut call = bed.sign_call(who, order.clone());
            call.caller.address.clone_from(&address);
            assert!(!refusal(&bed.send_call(Kind::Sign, &call)).is_empty());
            let mut call = bed.execute_call(who, order.clone());
            call.caller.address.clone_from(&address);
            assert!(!refusal(&bed.send_call(Kind::Execute, &call)).is_empty());
        }
    }
    // A balancer that vouches for nothing, in many words.
    for via in ["", "proxy:127.0.0.1", "\u{0}\n{\"type\":\"seal\"}", &"x".repeat(1 << 16)] {
        let mut call = bed.sign_call("alice", orders[0].clone());
        via.clone_into(&mut call.caller.via);
        let mut other = bed.sign_call("alice", orders[1].clone());
        via.clone_into(&mut other.caller.via);
        assert!(bed.send_call(Kind::Sign, &call).releases);
        assert_eq!(refusal(&bed.send_call(Kind::Sign, &other)), "SYMBOL_NOT_GRANTED");
    }
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (5, 2));
    let vias: Vec<_> = verdict.entries.iter().filter_map(|entry| entry.ip_via.as_deref()).collect();
    assert!(vias.iter().all(|via| ["direct", "local"].contains(via)), "{vias:?}");
}

fn mapped([a, b, c, d]: [u8; 4]) -> Vec<u8> {
    [[0; 10].as_slice(), &[0xff, 0xff, a, b, c, d]].concat()
}

#[test]
fn a_clients_certificate_makes_no_operator_and_no_role_does_anothers_work() {
    let mut bed = Bed::new();
    for name in ["alice", "pat", "guard", "auditor", "admin"] {
        let role = bed.person(name).role;
        for method in Method::ALL {
            let may = method
                .roles()
                .iter()
                .any(|one| one.to_string() == format!("{role:?}").to_lowercase());
            if may {
                continue;
            }
            let short = method.name().strip_prefix("vault.v1.").expect("ours").to_owned();
            let command = bed.signed(name, &short, &v1::ListClientsCommand::default());
            for listener in [Listener::Bot, Listener::Operator, Listener::Enroll] {
                let mut call = bed.command_call(name, command.clone());
                call.caller.listener = listener.into();
                let reply = bed.send_call(Kind::Command, &call);
                let reason = refusal(&reply);
                assert!(["ROLE", "WRONG_LISTENER"].contains(&reason), "{name} {short}: {reason}");
            }
        }
    }
    assert!(bed.is_serving());
    let acts = acts(bed);
    assert_eq!(acts, ACTS_OF_A_BED);
}

/// Changes of policy that a bed begins with: 3 credentials, 4 scopes, 6 invitations, one revocation.
const ACTS_OF_A_BED: usize = 14;

/// How many acts of operators have come into force.
fn acts(bed: Bed) -> usize {
    let verdict = bed.judge();
    let by_command = |entry: &&vault_audit::Entry| {
        entry.kind == EntryKind::AdminApplied && !entry.approvals.is_empty()
    };
    verdict.entries.iter().filter(by_command).count()
}

fn revoke(name: &str) -> v1::RevokeClientCommand {
    v1::RevokeClientCommand { name: name.to_owned(), reason: "hostile".to_owned() }
}

const REVOKE: &str = "vault.v1.ClientService/Revoke";

#[test]
fn an_operators_command_cannot_be_forged() {
    let mut bed = Bed::new();
    let admin = bed.person("admin").caller();
    let body = revoke("alice");
    let stranger = Key::new();
    let mut forged: Vec<v1::SignedCommand> = Vec::new();
    // Signed by others, for the admin's serial and for their own.
    for by in ["alice", "guard", "auditor", "pat"] {
        forged.push(bed.person(by).command(REVOKE, &body));
        let mut command = bed.person("admin").command(REVOKE, &body);
        let message = vault_proto::command::signing_bytes(
            REVOKE,
            &bed.person("admin").serial,
            &command.nonce,
            command.expires_at_ms,
            &command.body,
        );
        let message = message.expect("short");
        command.signature = bed.person(by).key.sign(&message);
        forged.push(command.clone());
        command.signature = stranger.sign(&message);
        forged.push(command);
    }
    // A true one, altered.
    let honest = bed.person("admin").command(REVOKE, &body);
    let altered = |change: &dyn Fn(&mut v1::SignedCommand)| {
        let mut command = honest.clone();
        change(&mut command);
        command
    };
    for at in 0..honest.signature.len() {
        forged.push(altered(&|command| command.signature[at] ^= 1));
    }
    for at in 0..honest.body.len() {
        forged.push(altered(&|command| command.body[at] ^= 1));
    }
    for at in 0..honest.nonce.len() {
        forged.push(altered(&|command| command.nonce[at] ^= 1));
    }
    for signature in [vec![], vec![0; 64], vec![0; 63], vec![0xff; 1 << 20]] {
        forged.push(altered(&|command| command.signature.clone_from(&signature)));
    }
    for nonce in [vec![], vec![0; 15], vec![0; 17], vec![0; 1 << 16]] {
        forged.push(altered(&|command| command.nonce.clone_from(&nonce)));
    }
    for end in [0, -1, 1, i64::MIN, i64::MAX, honest.expires_at_ms + 1] {
        forged.push(altered(&|command| command.expires_at_ms = end));
    }
    forged.push(altered(&|command| command.body = revoke("bob").encode_to_vec()));
    forged.push(altered(&|command| command.body.extend_from_slice(&[0x0a, 0])));
    forged.push(altered(&|command| {
        *command = v1::SignedCommand { method: REVOKE.to_owned(), ..Default::default() };
    }));
    for command in &forged {
        let call = CommandCall {
            caller: admin.clone(),
            method: REVOKE.to_owned(),
            command: command.clone(),
        };
        let reply = bed.send_call(Kind::Command, &call);
        assert_eq!(refusal(&reply), "COMMAND_SIGNATURE", "{command:?}");
    }
    bed.sign("alice", okx_order("BTC-USDT", "1")).expect("she is still there");
    let verdict_acts = acts(bed);
    assert_eq!(verdict_acts, ACTS_OF_A_BED);
}

#[test]
fn a_command_holds_for_its_method_alone() {
    let mut bed = Bed::new();
    let admin = bed.person("admin").caller();
    // The same bytes name a client, a credential, a scope, an operator.
    let methods = [
        "vault.v1.ClientService/Describe",
        REVOKE,
        "vault.v1.CredentialService/Disable",
        "vault.v1.OperatorService/Revoke",
        "vault.v1.ScopeService/Delete",
        "vault.v1.SealService/Seal",
        "vault.v1.ClientService/Renew",
        "vault.v1.AuditService/Export",
    ];
    let describe = v1::DescribeClientCommand { name: "alice".to_owned() };
    for (of, to) in methods.iter().flat_map(|of| methods.map(|to| (*of, to))) {
        if of == to {
            continue;
        }
        let command = bed.person("admin").command(of, &describe);
        let as_it_is =
            CommandCall { caller: admin.clone(), method: to.to_owned(), command: command.clone() };
        let reply = bed.send_call(Kind::Command, &as_it_is);
        let reason = refusal(&reply).to_owned();
        assert!(["COMMAND_METHOD", "ROLE"].contains(&reason.as_str()), "{of} as {to}: {reason}");
        let renamed = v1::SignedCommand { method: to.to_owned(), ..command };
        let renamed =
            CommandCall { caller: admin.clone(), method: to.to_owned(), command: renamed };
        let reply = bed.send_call(Kind::Command, &renamed);
        let reason = refusal(&reply).to_owned();
        assert!(["COMMAND_SIGNATURE", "ROLE"].contains(&reason.as_str()), "{of} as {to}: {reason}");
    }
    for method in
        ["", "vault.v1.", "vault.v1.SignService/Sign", "vault.v1.ClientService/Enroll", "x"]
    {
        let command = bed.person("admin").command(method, &describe);
        let call = CommandCall { caller: admin.clone(), method: method.to_owned(), command };
        assert_eq!(refusal(&bed.send_call(Kind::Command, &call)), "NOT_FOUND");
    }
    assert!(bed.is_serving());
    assert_eq!(acts(bed), ACTS_OF_A_BED);
}

#[test]
fn a_command_is_carried_out_once() {
    let mut bed = Bed::new();
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "venue:kraken".to_owned(),
        reason: "a test".to_owned(),
    };
    let command = bed.signed("admin", "HaltService/Halt", &halt);
    let call = bed.command_call("admin", command.clone());
    let _: v1::HaltResponse = decode(bed.send_call(Kind::Command, &call)).expect("halted");
    let resume = v1::ResumeCommand { target: "venue:kraken".to_owned(), ..Default::default() };
    let resumed = bed.signed("admin", "HaltService/Resume", &resume);
    let resume_call = bed.command_call("admin", resumed.clone());
    let _: v1::ResumeResponse =
        decode(bed.send_call(Kind::Command, &resume_call)).expect("resumed");
    let replays = |bed: &mut Bed| {
        for _ in 0..3 {
            for call in [&call, &resume_call] {
                let reply = bed.send_call(Kind::Command, call);
                assert_eq!(refusal(&reply), "COMMAND_REPLAYED");
            }
        }
        // As another operator's, and from another place.
        for other in ["guard", "auditor"] {
            let other = CommandCall { caller: bed.person(other).caller(), ..call.clone() };
            let reply = bed.send_call(Kind::Command, &other);
            assert!(["COMMAND_SIGNATURE", "ROLE"].contains(&refusal(&reply)));
        }
        let mut elsewhere = call.clone();
        elsewhere.caller.address = vec![10, 9, 9, 9];
        assert_eq!(refusal(&bed.send_call(Kind::Command, &elsewhere)), "COMMAND_REPLAYED");
    };
    replays(&mut bed);
    // Another command of the same person with a nonce that was used.
    let nonce = command.nonce.as_slice().try_into().expect("16 bytes");
    let again =
        bed.person("admin").command_for(REVOKE, revoke("bob").encode_to_vec(), nonce, 50_000);
    let call_again = bed.command_call("admin", again);
    assert_eq!(refusal(&bed.send_call(Kind::Command, &call_again)), "COMMAND_REPLAYED");
    // Made for longer than commands are made for, and too late.
    for (life_ms, body) in
        [(600_000, revoke("bob")), (i64::MAX / 2, revoke("bob")), (-1, revoke("bob"))]
    {
        let command =
            bed.person("admin").command_for(REVOKE, body.encode_to_vec(), random(), life_ms);
        let call = bed.command_call("admin", command);
        assert_eq!(refusal(&bed.send_call(Kind::Command, &call)), "COMMAND_EXPIRED");
    }
    bed.restart();
    replays(&mut bed);
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn what_is_no_act_is_not_carried_out_again_after_a_restart() {
    let mut bed = Bed::new();
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "all".to_owned(),
        reason: "a test".to_owned(),
    };
    let _: v1::HaltResponse = bed.command("admin", "HaltService/Halt", &halt).expect("halted");
    let cancel = v1::CancelAllCommand { target: "credential:okx-sent".to_owned() };
    let cancel = bed.signed("admin", "HaltService/CancelAll", &cancel);
    let cancel = bed.command_call("admin", cancel);
    let after = bed.core.egress.count();
    let id = bed.number();
    bed.core.front.send(Kind::Command, id, &cancel).expect("taken");
    bed.core.egress.wait(after, SOON, |frame| frame.kind == Kind::Dispatch).expect("a look");
    let export = v1::ExportCommand { from_index: 0, to_index: 0 };
    let export = bed.signed("auditor", "AuditService/Export", &export);
    let export = bed.command_call("auditor", export);
    assert_eq!(bed.send_call(Kind::Command, &export).failure, None);
    bed.restart();
    for call in [&cancel, &export] {
        assert_eq!(
            refusal(&bed.send_call(Kind::Command, call)),
            "COMMAND_REPLAYED",
            "{}",
            call.method
        );
    }
    let seal = bed.signed("guard", "SealService/Seal", &v1::SealCommand {});
    let seal = bed.command_call("guard", seal);
    let _ = bed.try_call(Kind::Command, &seal);
    assert_eq!(bed.begin_if_ended(SOON).as_deref(), Some(""), "sealed in order");
    assert_eq!(refusal(&bed.send_call(Kind::Command, &seal)), "COMMAND_REPLAYED");
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn an_enrolment_takes_the_key_that_the_tokens_holder_made() {
    let mut bed = Bed::new();
    let scope = bed.put_scope(&crate::bed::LEAVES[0].scope.replace("okx-signer", "okx-other"));
    let token = bed.invite("erin", v1::Role::Bot, &scope);
    let (own, honest) = (Key::new(), Key::new());
    let enroll = |id: &[u8], csr: Vec<u8>, proof: Vec<u8>| EnrollCall {
        address: vec![127, 0, 0, 1],
        via: "direct".to_owned(),
        request: v1::EnrollRequest { token_id: id.to_vec(), csr, proof },
    };
    let csr = honest.csr();
    let proof = token.prove(&csr);
    let own_token = Token::new(token.id, random::<32>().into(), [0; 32], [0; 32], 0, String::new());
    let attempts = [
        enroll(&token.id, own.csr(), proof.clone()),
        enroll(&token.id, own.csr(), own_token.prove(&own.csr())),
        enroll(&token.id, own.csr(), own.sign(&own.csr())),
        enroll(&token.id, csr.clone(), vec![]),
        enroll(&token.id, csr.clone(), vec![0; 64]),
        enroll(&random::<16>(), csr.clone(), proof.clone()),
        enroll(&[], csr.clone(), proof.clone()),
        enroll(&token.id, [csr.clone(), own.csr()].concat(), proof.clone()),
        enroll(&token.id, vec![0x30; 1 << 20], proof.clone()),
    ];
    for attempt in &attempts {
        assert_eq!(refusal(&bed.send_call(Kind::Enroll, attempt)), "INVITATION_PROOF");
    }
    // The holder's, and then again with another key: proven by the holder alone.
    bed.enrolments += 1;
    let call = enroll(&token.id, csr.clone(), proof);
    let first: v1::EnrollResponse = decode(bed.send_call(Kind::Enroll, &call)).expect("enrolled");
    assert_eq!(first.name, "erin");
    for attempt in &attempts {
        assert!(!refusal(&bed.send_call(Kind::Enroll, attempt)).is_empty());
    }
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn a_renewal_takes_the_key_that_the_certificates_holder_made() {
    let mut bed = Bed::new();
    let own = Key::new();
    let renew = v1::RenewCommand { csr: Key::new().csr() };
    let command = bed.signed("alice", "ClientService/Renew", &renew);
    let call = bed.command_call("alice", command.clone());
    let mut exchanged = call.clone();
    exchanged.command.body = v1::RenewCommand { csr: own.csr() }.encode_to_vec();
    assert_eq!(refusal(&bed.send_call(Kind::Command, &exchanged)), "COMMAND_SIGNATURE");
    for other in ["bob", "dave", "admin", "pat"] {
        let stolen = CommandCall { caller: bed.person(other).caller(), ..call.clone() };
        assert!(!refusal(&bed.send_call(Kind::Command, &stolen)).is_empty(), "{other}");
    }
    let _: v1::RenewResponse = decode(bed.send_call(Kind::Command, &call)).expect("renewed");
    assert_eq!(refusal(&bed.send_call(Kind::Command, &call)), "COMMAND_REPLAYED");
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn an_import_and_an_unseal_are_sealed_to_the_core_or_to_nobody() {
    let mut bed = Bed::new();
    let secret = ("canary-key-4", "canary-import-secret-0123456789", "canary-import-passphrase");
    // A ticket of the front's own: what seals to it looks at it first.
    let begin = v1::BeginImportCommand {};
    let begun: v1::BeginImportResponse =
        bed.command("admin", "CredentialService/BeginImport", &begin).expect("a ticket");
    let ticket = begun.ticket.expect("a ticket");
    let core_fingerprint = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &ticket.core_public_key,
    ));
    let core_fingerprint: [u8; 32] = core_fingerprint.into();
    sealed::verify_ticket(&ticket, sealed::IMPORT, &core_fingerprint).expect("the core's");
    let own = TicketKey::generate();
    let mine = v1::SealTicket { public_key: own.public_key().to_vec(), ..ticket.clone() };
    let signing = Key::new();
    let resigned = v1::SealTicket {
        signature: signing.sign(&sealed::ticket_signing_bytes(&mine)),
        ..mine.clone()
    };
    let whole = v1::SealTicket {
        core_public_key: rcgen::PublicKeyData::der_bytes(&signing).to_vec(),
        ..resigned.clone()
    };
    let other_use = v1::SealTicket { purpose: sealed::UNSEAL.to_owned(), ..ticket.clone() };
    for forged in [&mine, &resigned, &whole, &other_use] {
        let checked = sealed::verify_ticket(forged, sealed::IMPORT, &core_fingerprint);
        assert_eq!(checked, Err(sealed::SealedError::Ticket));
    }
    // A true import, with what is sealed or what it is of exchanged on the way.
    let import = bed.sealed_import("new", "okx", secret, false);
    assert!(own.open(&ticket, &[], &import.sealed).is_err());
    let command = bed.signed("admin", "CredentialService/Import", &import);
    let metadata = v1::CredentialMetadata {
        name: "okx-main".to_owned(),
        ..import.metadata.clone().expect("of a key")
    };
    let own_secret = v1::CredentialSecret {
        api_key: "mine".to_owned(),
        secret: "mine-mine-mine-mine".into(),
        passphrase: "mine".into(),
        ..Default::default()
    };
    let resealed = sealed::seal(&ticket, &metadata.encode_to_vec(), &own_secret.encode_to_vec());
    let other = v1::ImportCommand {
        ticket_id: ticket.id.clone(),
        metadata: Some(metadata),
        sealed: resealed.expect("sealed"),
        skip_check: true,
        ..Default::default()
    };
    let mut exchanged = bed.command_call("admin", command.clone());
    exchanged.command.body = other.encode_to_vec();
    assert_eq!(refusal(&bed.send_call(Kind::Command, &exchanged)), "COMMAND_SIGNATURE");
    for by in ["alice", "guard"] {
        let stolen = bed.person(by).command("vault.v1.CredentialService/Import", &other);
        let stolen = bed.command_call(by, stolen);
        assert_eq!(refusal(&bed.send_call(Kind::Command, &stolen)), "ROLE");
    }
    let call = bed.command_call("admin", command);
    let _: v1::ImportResponse = decode(bed.send_call(Kind::Command, &call)).expect("imported");
    // What was sealed is good for its ticket alone, and that is used up.
    let again = bed.signed("admin", "CredentialService/Import", &import);
    let again = bed.command_call("admin", again);
    assert_eq!(refusal(&bed.send_call(Kind::Command, &again)), "SEALED_SECRET");

    // Nobody opens a vault but who knows its passphrase and is an admin.
    bed.end();
    bed.core = crate::core::Core::start(&bed.data());
    bed.core.front.wait(0, SOON, |frame| frame.kind == Kind::State).expect("up");
    let status: v1::StatusResponse =
        bed.command("guard", "SealService/Status", &v1::StatusCommand {}).expect("a status");
    let ticket = status.unseal_ticket.expect("sealed");
    let unseal = |ticket: &v1::SealTicket, words: &str| v1::UnsealCommand {
        ticket_id: ticket.id.clone(),
        sealed: sealed::seal(ticket, &[], words.as_bytes()).expect("sealed"),
    };
    let unseal_method = "vault.v1.SealService/Unseal";
    for by in ["guard", "auditor", "alice"] {
        let command = bed.person(by).command(unseal_method, &unseal(&ticket, PASSPHRASE));
        let call = bed.command_call(by, command);
        assert!(
            ["ROLE", "WRONG_LISTENER"].contains(&refusal(&bed.send_call(Kind::Command, &call)))
        );
    }
    let mut forged = bed.person("guard").command(unseal_method, &unseal(&ticket, PASSPHRASE));
    forged.method = unseal_method.to_owned();
    let forged = bed.command_call("admin", forged);
    assert_eq!(refusal(&bed.send_call(Kind::Command, &forged)), "COMMAND_SIGNATURE");
    let sealed = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
    assert_eq!(refusal(&bed.send_call(Kind::Sign, &sealed)), "SEALED");
    bed.unseal();
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn a_barrier_that_is_not_kept_ends_the_core_and_answers_nobody() {
    let mut bed = Bed::new();
    bed.core.front.keep_silent(true);
    // Ids of the future and of the past, and those of egress are not ours to confirm.
    for id in (0..10_000).chain([u64::MAX]) {
        bed.core.front.send(Kind::BarrierDone, id, &BarrierDone { id }).expect("taken");
    }
    let command = bed.signed("admin", "ClientService/Revoke", &revoke("alice"));
    let call = bed.command_call("admin", command);
    let id = bed.number();
    bed.core.front.send(Kind::Command, id, &call).expect("taken");
    let is_answer = |frame: &Frame| frame.kind == Kind::Reply && frame.correlation == id;
    let barrier = bed.core.front.wait(0, SOON, |frame| {
        frame.kind == Kind::Barrier
            && frame.message().is_ok_and(|barrier: vault_ipc::Barrier| barrier.id > 1)
    });
    let barrier: vault_ipc::Barrier = barrier.expect("a barrier").message().expect("a barrier");
    for wrong in [0, 1, barrier.id + 1, u64::MAX] {
        bed.core.front.send(Kind::BarrierDone, wrong, &BarrierDone { id: wrong }).expect("taken");
    }
    assert_eq!(bed.core.front.wait(0, Duration::from_secs(1), is_answer), None);
    // She is revoked all the same.
    let refused = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
    assert_eq!(refusal(&bed.send_call(Kind::Sign, &refused)), "CERTIFICATE_REVOKED");
    let reason = bed.begin_if_ended(END).expect("it ends");
    assert!(reason.contains("the front did not confirm a barrier in time"), "{reason}");
    let refused = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
    assert_eq!(refusal(&bed.send_call(Kind::Sign, &refused)), "CERTIFICATE_REVOKED");
    // Confirmed twice, it is confirmed.
    bed.core.front.keep_silent(true);
    let command = bed.signed("admin", "ClientService/Revoke", &revoke("bob"));
    let call = bed.command_call("admin", command);
    let id = bed.number();
    bed.core.front.send(Kind::Command, id, &call).expect("taken");
    let barrier = bed.core.front.wait(0, SOON, |frame| frame.kind == Kind::Barrier);
    let barrier: vault_ipc::Barrier = barrier.expect("a barrier").message().expect("a barrier");
    for _ in 0..3 {
        let done = BarrierDone { id: barrier.id };
        bed.core.front.send(Kind::BarrierDone, 0, &done).expect("taken");
    }
    bed.core.front.keep_silent(false);
    assert!(bed.core.front.reply(0, id).expect("an answer").failure.is_none());
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!(verdict.released, 0);
}

#[test]
fn numbers_of_calls_are_the_fronts_own_affair() {
    let mut bed = Bed::new();
    for id in [0, u64::MAX, 7, 7, 7] {
        let call = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
        let after = bed.core.front.count();
        bed.core.front.send(Kind::Sign, id, &call).expect("taken");
        assert!(bed.core.front.reply(after, id).expect("an answer").releases);
    }
    // Two requests for one number, of two clients; the outcomes come one by one all the same.
    let after = bed.core.egress.count();
    for who in ["carol", "bob", "bob"] {
        let order =
            if who == "bob" { kraken_order("XBTUSD", "1") } else { okx_order("SOL-USDT", "1") };
        let call = bed.execute_call(who, order);
        bed.core.front.send(Kind::Execute, 9, &call).expect("taken");
    }
    // Of others that wait, and of nobody.
    let forget = ForgetCall { caller: Some(bed.person("bob").caller()) };
    for id in [9, 10, 0, u64::MAX] {
        bed.core.front.send(Kind::Forget, id, &forget).expect("taken");
        bed.core.front.send(Kind::StreamEnd, id, &StreamEnd::default()).expect("taken");
        let message = StreamMessage { bytes: LOGON.into(), binary: false };
        bed.core.front.send(Kind::StreamMessage, id, &message).expect("taken");
    }
    assert!(bed.is_serving());
    let sent = bed.dispatched(after, 2);
    assert_eq!(sent.len(), 2, "the third was forgotten");
    for id in sent {
        bed.settle(id);
    }
    assert!(bed.is_serving());
    // Without a number there is no call whose answer egress could give.
    let call = bed.execute_call("carol", okx_order("SOL-USDT", "1"));
    bed.core.front.send(Kind::Execute, 0, &call).expect("taken");
    let reason = bed.begin_if_ended(END).expect("it ends");
    assert!(reason.contains("the front sent a call without a number"), "{reason}");
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (5, 2));
    assert_eq!(verdict.count(EntryKind::ExecuteOutcome), 2);
}

#[test]
fn a_websocket_cannot_be_hidden_from_a_cut() {
    let mut bed = Bed::new();
    let (front, first) = bed.open_stream("carol");
    bed.core.front.send(Kind::StreamEnd, front, &StreamEnd::default()).expect("taken");
    // The number again, while egress still has the first one.
    let call = bed.stream_call("carol", "/ws/v5/private");
    let after = bed.core.egress.count();
    let reply = bed.core.front.call(Kind::Stream, front, &call).expect("an answer");
    assert_eq!(reply.failure, None);
    let dial = bed.core.egress.wait(after, SOON, |frame| frame.kind == Kind::StreamDial);
    let second = dial.expect("a dial").correlation;
    bed.core.egress.send(Kind::StreamEnd, first, &StreamEnd::default()).expect("taken");
    assert!(bed.is_serving());
    let after = bed.core.egress.count();
    let _: v1::RevokeClientResponse =
        bed.command("admin", "ClientService/Revoke", &revoke("carol")).expect("revoked");
    let cut = bed.core.egress.wait(after, Duration::from_secs(2), |frame| {
        frame.kind == Kind::StreamCut && frame.correlation == second
    });
    assert!(cut.is_some(), "a WebSocket of a client that is revoked goes on");
    let told = bed.core.front.wait(0, SOON, |frame| {
        frame.kind == Kind::StreamCut
            && frame.message().is_ok_and(|cut: StreamCut| cut.failure.is_some())
    });
    assert_eq!(told.expect("told").correlation, front);
    bed.judge();
}

#[test]
fn two_websockets_with_one_number_end_the_core() {
    let mut bed = Bed::new();
    let (front, _) = bed.open_stream("carol");
    let call = bed.stream_call("carol", "/ws/v5/public");
    bed.core.front.send(Kind::Stream, front, &call).expect("taken");
    let reason = bed.begin_if_ended(END).expect("it ends");
    assert!(reason.contains("the front gave two streams one number"), "{reason}");
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn a_websocket_takes_what_its_own_client_may_say() {
    let mut bed = Bed::new();
    let (front, _) = bed.open_stream("carol");
    let order = |symbol: &str| {
        format!(
            r#"{{"id":"7","op":"order","args":[{{"instId":"{symbol}","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"1"}}]}}"#
        )
    };
    let texts = [
        order("SOL-USDT"),
        LOGON.replace("okx-sent", "okx-main"),
        LOGON.replace("okx-sent", "kraken-main"),
        LOGON.to_owned(),
        order("BTC-USDT"),
        order("SOL-USDT"),
        order("SOL-USDT").replace("\"id\":\"7\"", "\"id\":\"8\""),
        r#"{"op":"withdraw","args":[{}]}"#.to_owned(),
        "[".repeat(60_000),
        String::new(),
    ];
    for text in &texts {
        for number in [front, front + 1, 0] {
            let message = StreamMessage { bytes: text.clone().into_bytes(), binary: false };
            bed.core.front.send(Kind::StreamMessage, number, &message).expect("taken");
        }
    }
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!(verdict.sent, 3, "a log-on and two orders");
}

#[test]
fn frames_that_are_none_end_the_core_in_order() {
    let mut bed = Bed::new();
    let header = |length: u32, version: u8, kind: u8, reserved: u16| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[version, kind]);
        bytes.extend_from_slice(&reserved.to_le_bytes());
        bytes.extend_from_slice(&9_u64.to_le_bytes());
        bytes
    };
    let max = u32::try_from(body_bytes_max(Kind::Sign)).expect("32 bits");
    let garbage = |count: usize| -> Vec<u8> { (0..count).map(|at| (at * 7 + 3) as u8).collect() };
    let mut attempts: Vec<Vec<u8>> = vec![
        header(max + 1, 1, 1, 0),
        header(u32::MAX, 1, 1, 0),
        header(0, 0, 1, 0),
        header(0, 2, 1, 0),
        header(0, 1, 0, 0),
        header(0, 1, 255, 0),
        header(0, 1, 1, 1),
        [header(max, 1, 1, 0), garbage(max as usize)].concat(),
        garbage(1 << 20),
        vec![0; 16],
        vec![0xff; 4096],
        b"GET / HTTP/1.1\r\nhost: core\r\n\r\n".to_vec(),
    ];
    // Frames of the supervisor, of egress and of the core itself.
    for kind in [
        Kind::Local,
        Kind::Shutdown,
        Kind::Outcome,
        Kind::VenueHead,
        Kind::VenueBody,
        Kind::VenueEnd,
        Kind::StreamReady,
        Kind::Health,
        Kind::Hardening,
        Kind::Usage,
        Kind::Reply,
        Kind::ServerIdentity,
        Kind::State,
        Kind::Barrier,
        Kind::Restart,
        Kind::Dispatch,
        Kind::StreamDial,
        Kind::StreamSend,
        Kind::StreamCut,
        Kind::StreamRefusal,
        Kind::Metrics,
    ] {
        attempts.push(encoded(kind, 1, &[]));
    }
    for attempt in &attempts {
        // It may have ended before all of it is written.
        let _ = bed.core.front.write(attempt);
        let reason = bed.begin_if_ended(END);
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{:?}", &attempt[..16]);
    }
    let half =
        encoded(Kind::Sign, 9, &bed.sign_call("alice", okx_order("BTC-USDT", "1")).encode_to_vec());
    for end in [1, 15, 16, 17, half.len() - 1] {
        bed.core.front.write(&half[..end]).expect("taken");
        assert!(bed.core.is_alive());
        bed.core.front.close();
        assert!(bed.begin_if_ended(END).is_some(), "half a frame and no more");
    }
    // A message in a message, a thousand deep, is one of a few fields.
    bed.core.front.write(&encoded(Kind::Sign, 11, &nested(1_000))).expect("taken");
    // Empty bodies are messages with nothing in them.
    for kind in [Kind::Sign, Kind::Enroll, Kind::Command, Kind::Pull, Kind::Execute, Kind::Proxy] {
        bed.core.front.write(&encoded(kind, 11, &[])).expect("taken");
    }
    assert!(bed.is_serving());
    let verdict = bed.judge();
    assert_eq!((verdict.released, verdict.sent), (0, 0));
}

/// Field 1 in field 1 in field 1.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn a_front_that_closes_in_the_middle_leaves_a_whole_log() {
    let mut bed = Bed::new();
    for round in 0..5 {
        for _ in 0..200 {
            let call = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
            let id = bed.number();
            bed.core.front.send(Kind::Sign, id, &call).expect("taken");
        }
        if round % 2 == 0 {
            let command = bed.signed(
                "admin",
                "CredentialService/Disable",
                &v1::DisableCredentialCommand { name: "kraken-main".to_owned() },
            );
            let call = bed.command_call("admin", command);
            let id = bed.number();
            bed.core.front.send(Kind::Command, id, &call).expect("taken");
        }
        bed.core.front.close();
        assert!(bed.begin_if_ended(END).is_some());
    }
    assert!(bed.is_serving());
    bed.judge();
}

// ---- floods ----

/// Longer than any request is.
fn long_order(who: &str, bed: &Bed) -> ExecuteCall {
    let mut call = bed.execute_call(who, kraken_order("XBTUSD", "1"));
    let request = call.request.request.as_mut().expect("a request");
    request.headers = vec![v1::Header { name: "x".to_owned(), value: "y".repeat(120 << 10) }];
    call
}

/// Why a call was refused; nothing while it waits.
fn refused(bed: &Bed, id: u64) -> Option<String> {
    let is_reply = |frame: &Frame| frame.kind == Kind::Reply && frame.correlation == id;
    let (_, reply) = bed.core.front.find(0, is_reply)?;
    reply.message::<Reply>().expect("a reply").failure.map(|failure| failure.reason)
}

#[test]
fn floods_of_calls_fill_no_memory() {
    let mut bed = Bed::new();
    // Calls of nobody, as long as they can be.
    let mut nobody = long_order("bob", &bed);
    nobody.caller.serial = vec![9; 16];
    let bytes = encoded(Kind::Execute, 5, &nobody.encode_to_vec());
    for _ in 0..256 {
        bed.core.front.write(&bytes).expect("taken");
    }
    // Calls that wait behind one whose outcome never comes. First with as many headers as fit: each is two
    // bytes there.
    let _ = bed.execute("bob", kraken_order("XBTUSD", "1")).expect("sent");
    let proxied = |bed: &Bed, rest: Vec<v1::Header>| {
        let ExecuteCall { caller, request, .. } =
            bed.execute_call("bob", kraken_order("XBTUSD", "1"));
        let mut request = request.request.expect("a request");
        let value = format!("countersign:{}", credential("bob"));
        request.headers = vec![v1::Header { name: "api-key".to_owned(), value }];
        request.headers.extend(rest);
        ProxyCall { caller, request_id: request_id(), request, ..ProxyCall::default() }
    };
    let mut last = 0;
    for _ in 0..256 {
        let call = proxied(&bed, vec![v1::Header::default(); 60_000]);
        last = bed.number();
        bed.core.front.send(Kind::Proxy, last, &call).expect("taken");
    }
    assert!(bed.is_serving());
    assert_eq!(refused(&bed, last).as_deref(), Some("BAD_FIELD"));
    // Then each as long as it can be.
    let mut all = Vec::new();
    for _ in 0..512 {
        let long = v1::Header { name: "x".to_owned(), value: "y".repeat(120 << 10) };
        let call = proxied(&bed, vec![long]);
        all.push(bed.number());
        bed.core.front.send(Kind::Proxy, all[all.len() - 1], &call).expect("taken");
    }
    assert!(bed.is_serving());
    let reasons: Vec<_> = all.iter().map(|id| refused(&bed, *id)).collect();
    assert!(reasons[..16].iter().all(Option::is_none), "these wait: {reasons:?}");
    assert!(reasons[256..].iter().all(|it| it.as_deref() == Some("OVERLOADED")), "{reasons:?}");
    // Small ones, very many.
    for kind in [Kind::Forget, Kind::StreamEnd, Kind::StreamMessage, Kind::BarrierDone, Kind::Pull]
    {
        let many: Vec<u8> = (0..50_000).flat_map(|id| encoded(kind, (1 << 40) + id, &[])).collect();
        bed.core.front.write(&many).expect("taken");
    }
    assert!(bed.is_serving());
    let resident = bed.core.resident_bytes_max();
    assert!(resident < crate::judge::RESIDENT_BYTES_MAX, "{resident}");
    bed.judge();
}

#[test]
fn commands_that_wait_fill_no_memory() {
    let mut bed = Bed::new();
    bed.core.front.keep_silent(true);
    let command = bed.signed("admin", "ClientService/Revoke", &revoke("alice"));
    let call = bed.command_call("admin", command);
    let id = bed.number();
    bed.core.front.send(Kind::Command, id, &call).expect("taken");
    // While the front holds the barrier back, what it says to be of operators waits: nobody has
    // signed it, and nothing of it was looked at.
    for method in [REVOKE, "vault.v1.ScopeService/Put"] {
        let forged = CommandCall {
            caller: bed.person("admin").caller(),
            method: method.to_owned(),
            command: v1::SignedCommand {
                method: method.to_owned(),
                body: vec![0; 1 << 20],
                ..Default::default()
            },
        };
        let bytes = encoded(Kind::Command, 6, &forged.encode_to_vec());
        for _ in 0..1_024 {
            // The barrier's time may be over before.
            if bed.core.front.write(&bytes).is_err() {
                break;
            }
        }
    }
    let resident = bed.core.resident_bytes_max();
    assert!(resident < crate::judge::RESIDENT_BYTES_MAX, "{resident}");
    let reason = bed.begin_if_ended(END).expect("it ends");
    assert!(reason.contains("the front did not confirm a barrier in time"), "{reason}");
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn a_front_that_pulls_and_does_not_read_fills_no_memory() {
    let mut bed = Bed::new();
    // A log that is worth reading.
    for _ in 0..500 {
        let call = bed.sign_call("alice", okx_order("BTC-USDT", "1"));
        let id = bed.number();
        bed.core.front.send(Kind::Sign, id, &call).expect("taken");
    }
    let grant = bed.export();
    bed.core.front.pause(true);
    let pull = encoded(Kind::Pull, 3, &PullCall { grant, from_index: 0 }.encode_to_vec());
    let many: Vec<u8> = pull.repeat(1_000);
    for _ in 0..10 {
        if bed.core.front.write(&many).is_err() {
            break;
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    let resident = bed.core.resident_bytes_max();
    assert!(resident < crate::judge::RESIDENT_BYTES_MAX, "{resident}");
    bed.core.front.pause(false);
    // It may have given the front up, which took nothing for ten seconds.
    if bed.begin_if_ended(Duration::from_millis(500)).is_none() {
        assert!(bed.is_serving());
        let is_refused = |frame: &Frame| {
            let reply = frame.message::<Reply>();
            let failure = reply.ok().and_then(|reply| reply.failure);
            frame.correlation == 3 && failure.is_some_and(|failure| failure.reason == "OVERLOADED")
        };
        assert!(bed.core.front.frames().iter().any(is_refused), "reads wait without end");
    }
    assert!(bed.is_serving());
    bed.judge();
}

#[test]
fn who_asks_for_figures_without_end_is_told_them_a_few_times_and_no_secret() {
    let mut bed = Bed::new();
    let before = bed.core.front.frames().len();
    let asks = encoded(Kind::MetricsCall, 0, &[]).repeat(1_000);
    for _ in 0..100 {
        bed.core.front.write(&asks).expect("taken");
    }
    assert!(bed.is_serving());
    let frames = bed.core.front.frames();
    let told: Vec<_> =
        frames[before..].iter().filter(|frame| frame.kind == Kind::Metrics).collect();
    assert!((1..1_000).contains(&told.len()), "{} answers", told.len());
    for frame in told {
        let metrics: vault_ipc::metric::Metrics = frame.message().expect("figures");
        assert!(!metrics.samples.is_empty());
        for label in metrics.samples.iter().flat_map(|sample| &sample.labels) {
            for unsaid in ["admin", "auditor", "guard", "okx-sent", "okx-main"] {
                assert_ne!(label, unsaid, "operators and credentials are not in it");
            }
        }
    }
}
