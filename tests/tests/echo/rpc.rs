//! Every field of every RPC, signed by whoever may call it.

use tonic::Status;
use tonic::transport::Channel;
use vault_tests::{OKX_SCOPE, TestVault, local::Local, wire};

use crate::message::{Messages, Rpc};
use crate::{MARK, SHAPES, found, log_is_clean, nowhere, stderr_is_clean};

/// Who asks for what.
fn asker(method: &str) -> &'static str {
    match method {
        _ if method.contains("AuditService") => "auditor",
        "vault.v1.PriceService/Put" => "pricer",
        _ if method.contains("SignService") || method.contains("ExecuteService") => "bot",
        _ => "admin",
    }
}

struct Bed {
    vault: TestVault,
    channels: Vec<(&'static str, Channel)>,
}

impl Bed {
    async fn start() -> Self {
        // Whatever is not told at this level is told at none.
        let builder = TestVault::builder().config("log", "level", "trace");
        let vault = builder.config("egress", "override", nowhere()).start().await;
        vault.import_okx("okx-main").await;
        let scope = OKX_SCOPE.replace(r#"["sign"]"#, r#"["sign", "execute"]"#);
        vault.bot_identity("bot", &scope, &[]).await;
        vault.pricer("pricer").await;
        let mut channels = Vec::new();
        for who in ["admin", "auditor", "bot", "pricer"] {
            let identity = vault.identity(who);
            let ready = vault.ready();
            let at = if ["bot", "pricer"].contains(&who) { ready.bot } else { ready.operator };
            let tls = wire::tls(&identity, Some(&identity));
            channels.push((who, wire::channel(tls, at, None).await.expect("connected")));
        }
        Self { vault, channels }
    }

    async fn call(&self, rpc: &Rpc, body: Vec<u8>) -> Result<Vec<u8>, Status> {
        let who = asker(&rpc.method);
        let (_, channel) = self.channels.iter().find(|(name, _)| *name == who).expect("connected");
        let request = match rpc.is_signed {
            false => body,
            true => {
                let identity = self.vault.identity(who);
                let now = self.vault.now();
                // The client signs whatever bytes it is given.
                let body = wire::Encoded(body);
                let command = vault_client::signed_command(&identity, &rpc.method, &body, now);
                wire::request(Some(command.expect("signed")))
            }
        };
        wire::call_status(channel, &rpc.method, request).await
    }
}

/// All that a status says.
fn said(status: &Status) -> Vec<u8> {
    let mut said = status.message().as_bytes().to_vec();
    said.extend(status.details());
    said.extend(format!("{:?} {status:?} {status}", status.metadata()).into_bytes());
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_log_line_or_entry_repeats_a_field_of_any_rpc() {
    let bed = Bed::start().await;
    let messages = Messages::of_the_vault();
    let (mut asked, mut refused) = (0, 0);
    let mut echoes = Vec::new();
    for rpc in messages.rpcs() {
        // It would end the test, and has nothing in it.
        if rpc.method.ends_with("SealService/Seal") {
            continue;
        }
        let paths = messages.texts(&rpc.input);
        let each = paths.iter().map(|path| Some(path.as_slice()));
        for path in each.chain([None]) {
            for shape in SHAPES {
                let body = messages.encode(&rpc.input, path, shape.what);
                asked += 1;
                let Err(status) = bed.call(&rpc, body).await else { continue };
                refused += 1;
                if let Some(around) = found(&said(&status)) {
                    let field = path.map(|path| messages.name(&rpc.input, path));
                    echoes.push(format!(
                        "{} {}: {around}",
                        rpc.method,
                        field.as_deref().unwrap_or("all")
                    ));
                }
            }
        }
    }
    echoes.sort();
    echoes.dedup();
    assert!(echoes.is_empty(), "{} echoes:\n{}", echoes.len(), echoes.join("\n"));
    assert!(asked > 1_500 && refused > 1_000, "{asked} asked, {refused} refused");
    stderr_is_clean(&bed.vault);
    // Of one caller's refusals beyond 500 at once and 50 a second there is no entry to read: those are
    // counted.
    log_is_clean(&bed.vault);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_socket_repeats_nothing() {
    use vault_ipc::LocalOperation;
    let bed = Bed::start().await;
    for operation in [
        LocalOperation::Reissue,
        LocalOperation::Seal,
        LocalOperation::Status,
        LocalOperation::Unseal,
    ] {
        for shape in SHAPES {
            for text in [shape.what.as_bytes().to_vec(), field(shape.what), field(MARK)] {
                if operation == LocalOperation::Seal {
                    continue;
                }
                let mut local = Local::connect(&bed.vault.ready().socket);
                let answer: Result<vault_client::v1::StatusResponse, _> =
                    local.call(operation, text);
                if let Err(failure) = answer {
                    assert_eq!(found(format!("{failure:?}").as_bytes()), None, "{operation:?}");
                }
            }
        }
    }
    stderr_is_clean(&bed.vault);
    log_is_clean(&bed.vault);
}

/// A message with a text in its first fields.
fn field(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [1u8, 2] {
        bytes.push(number << 3 | 2);
        prost::encoding::encode_varint(text.len() as u64, &mut bytes);
        bytes.extend(text.as_bytes());
    }
    bytes
}
