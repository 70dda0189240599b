//! OpenBao as somebody would tune it: one node with raft storage, TLS with client certificates, a
//! role without the `default` policy, one file audit device, transit keys. Started in a temporary
//! folder, gone with it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use vault_tests::Port;

pub(crate) use crate::bao_lane::{BaoLane, BaoTarget, BaoTask, Protocol};
use crate::{Error, tls};

/// One that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Bao {
    child: Child,
    pub(crate) target: BaoTarget,
    _ports: [Port; 2],
    // Last: it ends before its folder goes.
    _folder: TempDir,
}

/// How long a start and an unseal may take.
const START: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

impl Bao {
    /// Starts `bao server`, opens it and makes its keys.
    pub(crate) async fn start(binary: &Path) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("countersign-bench-bao-").tempdir()?;
        let ports = [Port::take(), Port::take()];
        let [server, client] = [Pair::new()?, Pair::new()?];
        write_config(folder.path(), &ports, &server, &client)?;
        let log = File::create(folder.path().join("server.log"))?;
        let mut command = Command::new(binary);
        command
            .arg("server")
            .arg(format!("-config={}", folder.path().join("config.hcl").display()))
            .env_remove("BAO_TOKEN")
            .env_remove("VAULT_TOKEN")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent's.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0].number()));
        let target = BaoTarget {
            address,
            tls: [server.client_tls(&client, b"http/1.1")?, server.client_tls(&client, b"h2")?],
            token: String::new(),
        };
        let mut bao = Self { child, target, _ports: ports, _folder: folder };
        if let Err(error) = bao.set_up(&client).await {
            let said = fs::read_to_string(bao._folder.path().join("server.log"));
            return Err(format!("OpenBao: {error}\n{}", said.unwrap_or_default()).into());
        }
        Ok(bao)
    }

    pub(crate) fn process(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    async fn set_up(&mut self, client: &Pair) -> Result<(), Error> {
        let init = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = self.until_done("PUT", "sys/init", &init).await?;
        let key = made["keys_base64"][0].as_str().ok_or("no unseal key")?;
        self.target.request("PUT", "sys/unseal", &json!({ "key": key })).await?;
        self.target.token = text(&made["root_token"])?;
        self.until_done("POST", "sys/mounts/transit", &json!({ "type": "transit" })).await?;
        for (name, key) in [
            ("hmac", json!({ "type": "hmac", "key_size": 32 })),
            ("ed25519", json!({ "type": "ed25519" })),
            ("p256", json!({ "type": "ecdsa-p256" })),
        ] {
            self.target.request("POST", &format!("transit/keys/{name}"), &key).await?;
        }
        let policy = json!({ "policy": r#"path "transit/*" { capabilities = ["update"] }"# });
        self.target.request("PUT", "sys/policies/acl/bench", &policy).await?;
        self.target.request("POST", "sys/auth/cert", &json!({ "type": "cert" })).await?;
        let role = json!({
            "certificate": client.pem,
            "token_policies": ["bench"],
            "token_no_default_policy": true,
            "token_ttl": "8h",
        });
        self.target.request("POST", "auth/cert/certs/bench", &role).await?;
        let login = json!({ "name": "bench" });
        let answer = self.target.request("POST", "auth/cert/login", &login).await?;
        if answer["auth"]["policies"] != json!(["bench"]) {
            return Err(format!("the role has policies {}", answer["auth"]["policies"]).into());
        }
        self.target.token = text(&answer["auth"]["client_token"])?;
        Ok(())
    }

    /// Asks again until it is up and has a leader.
    async fn until_done(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let until = Instant::now() + START;
        loop {
            match self.target.request(method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() > until => return Err(error),
                Err(error) => match self.child.try_wait()? {
                    Some(status) => return Err(format!("it ended ({status}): {error}").into()),
                    None => tokio::time::sleep(PAUSE).await,
                },
            }
        }
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> Result<String, Error> {
    Ok(value.as_str().ok_or("no text where one should be")?.to_owned())
}

/// A key with a certificate that it signed itself.
struct Pair {
    key: rcgen::KeyPair,
    certificate: rcgen::Certificate,
    pem: String,
}

impl Pair {
    fn new() -> Result<Self, Error> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "bench");
        let certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        Ok(Self { key, certificate, pem })
    }

    /// Of a client of this server.
    fn client_tls(
        &self,
        client: &Self,
        protocol: &[u8],
    ) -> Result<std::sync::Arc<rustls::ClientConfig>, Error> {
        let key = PrivateKeyDer::Pkcs8(client.key.serialize_der().into());
        let pair = (vec![client.certificate.der().clone()], key);
        tls::client(self.certificate.der().clone(), Some(pair), protocol)
    }
}

fn write_config(
    folder: &Path,
    [port, cluster_port]: &[Port; 2],
    server: &Pair,
    client: &Pair,
) -> Result<(), Error> {
    fs::create_dir(folder.join("raft"))?;
    fs::write(folder.join("server.pem"), &server.pem)?;
    fs::write(folder.join("server.key"), server.key.serialize_pem())?;
    fs::write(folder.join("client.pem"), &client.pem)?;
    let (folder_text, port, cluster_port) =
        (folder.display(), port.number(), cluster_port.number());
    let config = format!(
        r#"
storage "raft" {{
  path = "{folder_text}/raft"
  node_id = "bench"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_cert_file = "{folder_text}/server.pem"
  tls_key_file = "{folder_text}/server.key"
  tls_client_ca_file = "{folder_text}/client.pem"
  tls_require_and_verify_client_cert = true
  tls_min_version = "tls13"
}}
audit "file" "bench" {{
  options = {{
    file_path = "{folder_text}/audit.log"
  }}
}}
api_addr = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
log_level = "error"
"#
    );
    fs::write(folder.join("config.hcl"), config)?;
    Ok(())
}
