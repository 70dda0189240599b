//! One attempt from inside a process, and its control.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vault_tests::TestVault;

use crate::{built, users};

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Port of a collector that is not there.
pub const COLLECTOR: u16 = 9;

/// What is tried, and on what. The processes of the vault are meant by [`Victim`].
#[derive(Clone, Debug)]
pub struct Order {
    /// As `attack.c` has it.
    pub name: &'static str,
    pub path: PathBuf,
    pub port: u16,
}

/// Something to try.
pub fn order(name: &'static str) -> Order {
    Order { name, path: "/".into(), port: 0 }
}

impl Order {
    pub fn at(self, path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..self }
    }

    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    fn words(&self, pid: i32) -> [String; 4] {
        let path = self.path.to_str().expect("plain").to_owned();
        [self.name.to_owned(), pid.to_string(), path, self.port.to_string()]
    }
}

/// What came of it.
#[derive(Debug, Eq, PartialEq)]
pub enum Answer {
    /// It worked.
    Did,
    /// The process ended; what the vault said last.
    Ended(String),
    /// An error number.
    Refused(i32),
}

/// A vault with attacker's code in one of its processes.
pub struct Attacked {
    pub vault: TestVault,
    inside: &'static str,
    files: TempDir,
}

impl Attacked {
    /// A sealed vault, run as `user`, with the code in `inside`: nothing is tried yet.
    pub async fn start(inside: &'static str, user: Option<(u32, u32)>) -> Self {
        let files = tempfile::Builder::new().prefix("countersign-attack-").tempdir();
        let files = files.expect("a folder");
        set_mode(files.path(), 0o711);
        for name in ["order", "result"] {
            let path = files.path().join(name);
            fs::write(&path, "").expect("written");
            set_mode(&path, 0o666);
        }
        let mut builder = TestVault::builder()
            .sealed()
            .env("LD_PRELOAD", &built().attack)
            .env("COUNTERSIGN_TEST_ATTACK_IN", inside)
            .env("COUNTERSIGN_TEST_ATTACK_ORDER", files.path().join("order"))
            .env("COUNTERSIGN_TEST_ATTACK_RESULT", files.path().join("result"));
        if let Some((user, group)) = user {
            builder = builder.user(user, group);
        }
        if inside == "exporter" {
            let collector = format!("http://127.0.0.1:{COLLECTOR}");
            builder = builder.config("tracing", "otlp_endpoint", collector);
        }
        Self { vault: builder.start().await, inside, files }
    }

    /// Starts the vault anew: something else can be tried.
    pub async fn renew(&mut self) {
        self.vault.stop().await;
        self.forget();
        self.vault.run().await;
    }

    /// Once the vault has new processes, something else can be tried in them.
    pub fn forget(&self) {
        for name in ["order", "result"] {
            fs::write(self.files.path().join(name), "").expect("written");
        }
    }

    /// A file that everybody may read, outside the data directory.
    pub fn public_file(&self) -> PathBuf {
        let path = self.files.path().join("public");
        fs::write(&path, "public").expect("written");
        set_mode(&path, 0o644);
        path
    }

    /// Tries it on the core.
    pub async fn try_it(&self, order: &Order) -> Answer {
        let line = order.words(self.vault.ready().pid_core).join(" ") + "\n";
        fs::write(self.files.path().join("order"), line).expect("written");
        let tried = format!("try {}\n", order.name);
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            self.wake();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let result = fs::read_to_string(self.files.path().join("result")).expect("readable");
            let Some(rest) = result.strip_prefix(&tried) else { continue };
            if let Some(answer) = parse(rest) {
                return answer;
            }
            let said = self.vault.stderr();
            if said.contains("everything is stopped") {
                return Answer::Ended(said);
            }
        }
        panic!("{} was not tried in the {}:\n{}", order.name, self.inside, self.vault.stderr());
    }

    /// Sees to it that the process calls what the code waits in.
    fn wake(&self) {
        match self.inside {
            // Every guess is logged, and may come to a core that is gone already.
            "core" => {
                let data = self.vault.data();
                let data = data.to_str().expect("plain");
                let words = ["unseal", "--data", data, "--passphrase-stdin"];
                self.vault.server_command(&words, Some("not the passphrase\n"));
            }
            // Their own timers wake them.
            "egress" | "exporter" => {}
            _ => drop(TcpStream::connect(self.vault.ready().bot)),
        }
    }
}

/// The same attempt from a plain process, on a process that is nobody's: `got 0 0`.
pub fn control(order: &Order) -> Answer {
    let mut victim = Sleeper::start();
    let pid = i32::try_from(victim.0.id()).expect("a process id");
    let output = Command::new(&built().control).args(order.words(pid)).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let rest = text.strip_prefix(&format!("try {}\n", order.name)).expect("tried");
    if order.name.starts_with("kill") {
        assert!(!victim.0.wait().expect("ended").success());
    }
    // Another program took its place.
    if rest == "executed\n" { Answer::Did } else { parse(rest).expect("an answer") }
}

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
        Self(sleep.expect("sleep"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn parse(rest: &str) -> Option<Answer> {
    let words: Vec<&str> = rest.strip_prefix("got ")?.strip_suffix('\n')?.split(' ').collect();
    let [result, error] = words.as_slice() else { panic!("{rest:?}") };
    let result: i64 = result.parse().expect("a number");
    Some(if result < 0 { Answer::Refused(error.parse().expect("a number")) } else { Answer::Did })
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// The attempt fails with this error, for every user, and the vault goes on.
pub async fn is_refused(inside: &'static str, order: impl Fn(&Attacked) -> Order, error: i32) {
    for user in users() {
        let attacked = Attacked::start(inside, user).await;
        let order = order(&attacked);
        let answer = attacked.try_it(&order).await;
        assert_eq!(answer, Answer::Refused(error), "{} in the {inside} as {user:?}", order.name);
        assert_eq!(control(&order), Answer::Did, "{} elsewhere", order.name);
        attacked.vault.local().status();
        stop(attacked).await;
    }
}

/// The attempt ends the process, for every user, and the vault says so in plain words.
pub async fn is_fatal(inside: &'static str, order: impl Fn(&Attacked) -> Order) {
    for user in users() {
        let mut attacked = Attacked::start(inside, user).await;
        let order = order(&attacked);
        // While its target is there.
        assert_eq!(control(&order), Answer::Did, "{} elsewhere", order.name);
        let Answer::Ended(said) = attacked.try_it(&order).await else {
            panic!("{} in the {inside} as {user:?} did not end it", order.name)
        };
        let words = format!("the {inside} was killed by signal 31 (SIGSYS)");
        assert!(said.contains(&words) && said.contains("docs/reference/sandbox.md"), "{said}");
        let status = attacked.vault.ended().await;
        assert_eq!(status.code(), Some(70), "{status}");
    }
}

async fn stop(mut attacked: Attacked) {
    attacked.vault.stop().await;
}
