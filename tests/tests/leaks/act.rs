//! What is done to the vault, well and wrongly.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message as _;
use tonic::Request;
use vault_client::proto::sealed;
use vault_client::v1::sign_service_client::SignServiceClient;
use vault_client::v1::{self, CredentialMetadata, CredentialSecret, VenueRequest};
use vault_client::{ClientError, Operator, SecretBytes};
use vault_tests::{PASSPHRASE, kraken_metadata, okx_metadata, okx_order, order, wire};

use crate::ask::{okx_secret, secret, signs, wrong_requests};
use crate::hunt::{Hunt, SCOPE};
use crate::plant::{random, random_text, signature, token_secret};
use crate::search::Canary;

impl Hunt {
    pub async fn import(&mut self) {
        let admin = self.vault.admin().await;
        let kraken: [u8; 64] = random();
        self.add("kraken secret, decoded", kraken);
        let kraken_text = BASE64_STANDARD.encode(kraken);
        self.add("kraken secret, text", kraken_text.clone());
        let disclosed = random_text();
        let allowed = &["front memory"];
        self.canaries.push(Canary::allowed_in("disclosed passphrase", disclosed.clone(), allowed));
        let open = okx_secret(&self.secret("okx secret"), &disclosed);
        let hidden = self.hidden_okx_secret("");
        let kraken = secret("leaks-kraken-0001", &kraken_text, "");
        let hide = |name| CredentialMetadata { disclose_passphrase: false, ..okx_metadata(name) };
        for (metadata, secret) in [
            (okx_metadata("okx-open"), open),
            (hide("okx-hidden"), hidden),
            (kraken_metadata("kraken-main"), kraken),
        ] {
            self.note("credential secret", &secret);
            let imported = admin.import_unchecked(metadata, secret).await;
            self.answered("import", &imported);
            imported.expect("imported");
        }

        // Imports that come to nothing.
        let pem = CredentialSecret {
            private_key_pem: self.secret("refused private key").into(),
            ..self.hidden_okx_secret("with a private key, ")
        };
        let nowhere = CredentialMetadata { venue: "elsewhere".to_owned(), ..hide("okx-lost") };
        let not_base64 = format!("!{}", self.secret("kraken secret that is not base64"));
        let bare = secret("leaks-okx-0002", &self.secret("okx secret without a passphrase"), "");
        let elsewhere = self.hidden_okx_secret("for an unknown venue, ");
        for (what, metadata, secret) in [
            ("a private key", hide("okx-lost"), pem),
            ("an unknown venue", nowhere, elsewhere),
            ("no base64", kraken_metadata("kraken-lost"), secret("lost", &not_base64, "")),
            ("no passphrase", hide("okx-lost"), bare),
        ] {
            let import = admin.import_unchecked(metadata, secret).await;
            assert!(import.is_err(), "{what} is refused");
            self.answered(&format!("an import with {what}"), &import);
        }
        let other = self.hidden_okx_secret("for other metadata, ");
        self.import_for_other_metadata(&admin, &hide("okx-lost"), &other).await;
        self.vaultctl_import().await;
    }

    pub fn hidden_okx_secret(&mut self, what: &str) -> CredentialSecret {
        let secret = self.secret(&format!("{what}okx secret with a hidden passphrase"));
        okx_secret(&secret, &self.secret(&format!("{what}hidden passphrase")))
    }

    /// Sealed to a true ticket, but bound to other metadata than what comes beside it.
    pub async fn import_for_other_metadata(
        &mut self,
        admin: &Operator,
        metadata: &CredentialMetadata,
        secret: &CredentialSecret,
    ) {
        let answer = admin.begin_import(v1::BeginImportCommand {}).await;
        self.answered("begin import", &answer);
        let ticket = answer.expect("a ticket").ticket.expect("a ticket");
        let bound = CredentialMetadata { name: "okx-other".to_owned(), ..metadata.clone() };
        let sealed = sealed::seal(&ticket, &bound.encode_to_vec(), &secret.encode_to_vec());
        let command = v1::ImportCommand {
            ticket_id: ticket.id,
            metadata: Some(metadata.clone()),
            sealed: sealed.expect("sealed"),
            key_type: String::new(),
            skip_check: true,
            ..v1::ImportCommand::default()
        };
        let import = admin.import_sealed(command).await;
        assert!(import.is_err());
        self.answered("an import for other metadata", &import);
    }

    /// The command line: once well, once with a word too many.
    pub async fn vaultctl_import(&mut self) {
        let admin = self.vault.identity_folder("admin");
        let lines = format!(
            "leaks-okx-0003\n{}\n{}\n",
            self.secret("okx secret on stdin"),
            self.secret("passphrase on stdin")
        );
        for (json, venue, works) in
            [(true, "okx", true), (false, "elsewhere", false), (true, "elsewhere", false)]
        {
            let mut command = Command::new(vault_tests::vaultctl());
            command.args(["credential", "import", "okx-line", "--environment", "live", "--stdin"]);
            command
                .args(["--rights-unstated", "--no-check", "--venue", venue, "--identity"])
                .arg(&admin);
            command.args(json.then_some("--json"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("vaultctl starts");
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(lines.as_bytes()).expect("written");
            drop(stdin);
            let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await;
            let output = output.expect("no panic").expect("waited for");
            let talk = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), works, "{talk}");
            let shown = [output.stdout, output.stderr].concat();
            self.said.push(("vaultctl credential import".to_owned(), shown));
        }
    }

    /// Hundreds of Signs, while memories are searched again and again.
    pub async fn sign_while_searching(&mut self, stage: &str) {
        const TASKS: usize = 8;
        const SIGNS: usize = 60;
        let bot = Arc::new(self.vault.connect_bot("bot").await);
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(signs(Arc::clone(&bot), task, SIGNS))).collect();
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            self.search_processes(stage);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for task in tasks {
            let signed = task.await.expect("signed");
            assert_eq!(signed.len(), SIGNS);
            let last = signed.last().expect("some");
            self.note("a signed request", last);
            let signature = signature(last);
            let allowed = &["front memory"];
            self.canaries.push(Canary::allowed_in("a signature", signature, allowed));
        }
        let hidden = bot.sign(order("okx-hidden", okx_order("BTC-USDT", "1"))).await;
        let reason = hidden.as_ref().err().and_then(ClientError::refusal);
        assert_eq!(reason.expect("refused").reason, "PASSPHRASE_NOT_DISCLOSED");
        self.answered("a Sign with a hidden passphrase", &hidden);
    }

    /// Requests of a bot that must be refused, with canaries wherever one fits.
    pub async fn ask_wrongly(&mut self) {
        let bot = self.vault.identity("bot");
        let tls = wire::tls(&bot, Some(&bot));
        let channel = wire::channel(tls, self.vault.ready().bot, None).await.expect("connected");
        let input = self.input.clone();
        for (what, wrong) in wrong_requests(&input, &self.symbol) {
            let mut request = Request::new(wrong);
            let value = input.parse().expect("plain");
            request.metadata_mut().insert("authorization", value);
            let answer = SignServiceClient::new(channel.clone()).sign(request).await;
            match answer {
                Ok(_) => panic!("{what} was signed"),
                Err(status) => self.refused(what, &status),
            }
        }
        let garbage = [b"\x0a\xff\xff".as_slice(), input.as_bytes()].concat();
        for (method, bytes) in [
            ("vault.v1.SignService/Sign", garbage.clone()),
            (&format!("vault.v1.SignService/{input}"), garbage),
        ] {
            let refused = wire::call(&channel, method, bytes).await.expect_err("refused");
            self.note("garbage", &refused);
        }
    }

    /// What operators do, well and wrongly.
    pub async fn operate(&mut self) {
        let admin = self.vault.admin().await;
        let list = admin.list_credentials(v1::ListCredentialsCommand::default()).await;
        assert_eq!(list.as_ref().map(|list| list.credentials.len()).ok(), Some(4));
        self.answered("list", &list);
        for name in ["okx-hidden", "kraken-main", "no such", &self.operator_input.clone()] {
            let command = v1::DescribeCredentialCommand { name: name.to_owned() };
            self.answered("describe", &admin.describe_credential(command).await);
        }
        let invited = admin.invite_operator("later", v1::Role::Auditor, 60).await;
        let token = &invited.as_ref().expect("invited").token;
        self.canaries.push(Canary::new("later token", token_secret(token)));
        self.answered("invite", &invited);
        let clients = admin.list_clients(v1::ListClientsCommand::default()).await;
        self.answered("list of clients", &clients);
        self.explain(&admin).await;
        self.operate_wrongly(&admin).await;

        let auditor = self.vault.auditor().await;
        let mut export = auditor.export(v1::ExportCommand::default()).await.expect("granted");
        let mut entries = 0;
        while let Some(part) = export.next().await.expect("a part") {
            entries += part.entries.len();
            let bytes = part.entries.join(&b'\n');
            self.said.push(("export/ over gRPC".to_owned(), bytes));
        }
        assert!(entries > 3 * 8 * 60, "the export has every Sign");
        let checkpoint = auditor.checkpoint(v1::GetCheckpointCommand {}).await;
        self.answered("checkpoint", &checkpoint);
    }

    pub async fn explain(&mut self, admin: &Operator) {
        let input = self.input.clone();
        let wrong = wrong_requests(&input, &self.symbol);
        let mut requests: Vec<(String, VenueRequest)> = wrong
            .into_iter()
            .filter_map(|(what, sign)| Some((format!("explained {what}"), sign.request?)))
            .collect();
        requests.push(("explained order".to_owned(), okx_order("BTC-USDT", "1")));
        for (what, request) in requests {
            let explained = admin
                .explain(v1::ExplainCommand {
                    client: "bot".to_owned(),
                    credential: "okx-hidden".to_owned(),
                    mode: String::new(),
                    request: Some(request),
                    address: "127.0.0.1".to_owned(),
                })
                .await;
            // The place's name begins with the word that allows a symbol.
            let shown = format!("{explained:?}\n{explained:#?}");
            self.said.push((what, shown.into_bytes()));
        }
    }

    pub async fn operate_wrongly(&mut self, admin: &Operator) {
        let text = self.operator_input.clone();
        let odd = format!("{text} {text}");
        let scope = |change: &dyn Fn(&mut v1::Scope)| {
            let mut scope = vault_tests::scope(SCOPE);
            change(&mut scope);
            v1::PutScopeCommand { scope: Some(scope), ..Default::default() }
        };
        // One that is taken, so that the text is in the database.
        let described = scope(&|scope| scope.description.clone_from(&text));
        let answer = admin.put_scope(described).await;
        self.answered("a scope", &answer);
        answer.expect("put");
        let network =
            |cidr: &str| v1::Network { allow: vec![cidr.to_owned()], ..Default::default() };
        for (what, command) in [
            ("a scope's name", scope(&|scope| scope.name.clone_from(&odd))),
            ("a scope's class", scope(&|scope| scope.classes.push(text.clone()))),
            ("a scope's product", scope(&|scope| scope.products.push(text.clone()))),
            ("a scope's mode", scope(&|scope| scope.modes.push(odd.clone()))),
            ("a scope's operation", scope(&|scope| scope.operations.push(odd.clone()))),
            ("a scope's credential", scope(&|scope| scope.credentials.push(odd.clone()))),
            ("a scope's venue", scope(&|scope| scope.symbols[0].venue.clone_from(&text))),
            ("a scope's network", scope(&|scope| scope.network = Some(network(&text)))),
        ] {
            let answer = admin.put_scope(command).await;
            assert!(answer.is_err(), "{what}");
            self.answered(what, &answer);
        }
        for (name, scope, network) in
            [(odd.as_str(), "leaks", "127.0.0.1"), ("x", &text, "127.0.0.1"), ("x", "leaks", &text)]
        {
            let command = v1::InviteClientCommand {
                name: name.to_owned(),
                role: v1::Role::Bot.into(),
                scope: scope.to_owned(),
                networks: vec![network.to_owned()],
                invite: None,
            };
            let answer = admin.invite_client(command).await;
            assert!(answer.is_err());
            self.answered("a wrong invitation", &answer);
        }
        for target in [text.clone(), format!("venue:{text}"), format!("client:{odd}")] {
            let level = v1::HaltLevel::Nothing.into();
            let command = v1::HaltCommand { level, target, reason: text.clone() };
            let answer = admin.halt(command).await;
            assert!(answer.is_err());
            self.answered("a wrong halt", &answer);
        }
        let identity = admin.identity();
        let tls = wire::tls(identity, Some(identity));
        let address = self.vault.ready().operator;
        let channel = wire::channel(tls, address, None).await.expect("connected");
        let body = v1::DescribeCredentialCommand { name: odd };
        let now = self.vault.now();
        let mut command =
            vault_client::signed_command(identity, &text, &body, now).expect("signed");
        let method = "vault.v1.CredentialService/Describe";
        for _ in 0..2 {
            let request = wire::request(Some(command.clone()));
            let answer = wire::call(&channel, method, request).await;
            self.note("a wrong command", &answer.expect_err("refused"));
            command.method = method.to_owned();
            command.body = [b"\x0a\xff".as_slice(), text.as_bytes()].concat();
        }
    }

    pub async fn seal(&mut self) {
        let admin = self.vault.admin().await;
        let sealed = admin.seal(v1::SealCommand {}).await;
        self.answered("seal", &sealed);
        sealed.expect("sealed");
        drop(admin);
        let ready = self.vault.restarted().await;
        assert_eq!(ready.state, "sealed");
        self.note("the ready line", &ready);

        let admin = self.vault.admin().await;
        let mistyped = SecretBytes::new(self.secret("mistyped passphrase").into_bytes());
        self.note("a passphrase", &mistyped);
        let answer = admin.unseal(&mistyped).await;
        assert!(answer.is_err());
        self.answered("an unseal with a mistyped passphrase", &answer);
        // Too early, and heard over the local socket.
        let mistyped = self.secret("mistyped passphrase on the local socket");
        let failure = self.vault.local().unseal(&mistyped).expect_err("refused");
        self.note("a local unseal", &failure);
        let bot = self.vault.connect_bot("bot").await;
        let answer = bot.sign(order("okx-open", okx_order("BTC-USDT", "1"))).await;
        assert!(answer.is_err());
        self.answered("a Sign while sealed", &answer);
    }

    /// Over the front, as an operator does it.
    pub async fn unseal(&mut self) {
        let admin = self.vault.admin().await;
        let passphrase = SecretBytes::new(PASSPHRASE.as_bytes().to_vec());
        for _ in 0..60 {
            let status = admin.status(v1::StatusCommand {}).await;
            self.answered("status", &status);
            if status.is_ok_and(|status| status.retry_after_s == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let unsealed = admin.unseal(&passphrase).await;
        self.answered("unseal", &unsealed);
        unsealed.expect("unsealed");
    }

    pub async fn stop_and_export(&mut self) {
        self.vault.stop().await;
        let out = self.folder.path().join("export");
        let data = self.vault.data();
        let [data, out_text] = [&data, &out].map(|path| path.to_str().expect("plain"));
        for words in [
            ["audit", "export", "--data", data, "--out", out_text].as_slice(),
            &["audit", "verify", out_text],
        ] {
            let output = self.vault.server_command(words, None);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            self.said.push((words.join(" "), [output.stdout, output.stderr].concat()));
        }
        self.search_said("stopped");
        self.search_files("stopped");
        self.search_folder("stopped", "export", &out);
    }
}
