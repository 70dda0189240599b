//! Who has nothing to do with an attack: an operator who looks, halts and resumes, a bot that signs, and
//! both of them coming anew. Each has a thread of its own, so that what is timed is not the attacker's
//! queue.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault_client::{Client, ClientError, Identity, Operator, v1};

use crate::{okx_order, order};

/// Between two looks of the operator, on the connection that stands.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// So many looks between a halt and its end.
const LOOKS_PER_HALT: u32 = 4;
/// Between two new connections.
const NEW_PAUSE: Duration = Duration::from_millis(500);
/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// That below which this share of all lies; nothing if there are none.
    pub fn at(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied()
    }

    /// The longest.
    pub fn most(&self) -> Option<Duration> {
        self.0.iter().max().copied()
    }
}

/// What was seen since the last look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The operator's Status.
    pub status: Times,
    /// The operator's Halt and Resume.
    pub halt: Times,
    /// A new connection of an operator, with a Status; tried again until it is let in.
    pub new_operator: Times,
    /// A new connection of the bot, with a Sign; the same.
    pub new_bot: Times,
    /// What went wrong, each in a few words.
    pub failed: Vec<String>,
    /// Tries of new connections that were not let in.
    pub turned_away: u64,
}

/// The operator and the bot at work. They stop when it is dropped.
#[derive(Debug)]
pub struct Witness {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    paused: AtomicBool,
    refused: AtomicU64,
    seen: Mutex<Seen>,
    signed: AtomicU64,
    stop: AtomicBool,
}

impl Witness {
    /// Sets them to work: the bot signs so many orders at a time, and the operator halts and resumes
    /// the client `bystander`.
    pub fn start(operator: &Identity, bot: &Identity, bystander: &str, streams: usize) -> Self {
        let shared = Arc::new(Shared {
            paused: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            seen: Mutex::default(),
            signed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let load = |identity: &Identity| Identity::load(identity.folder()).expect("an identity");
        let threads = vec![
            spawn(Arc::clone(&shared).operate(load(operator), bystander.to_owned())),
            spawn(Arc::clone(&shared).sign(load(bot), streams)),
            spawn(Arc::clone(&shared).come_anew(operator.folder().into(), bot.folder().into())),
        ];
        Self { shared, threads }
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.shared.seen())
    }

    /// Has them rest, or go on; what is under way is still answered.
    pub fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
    }

    /// Orders that the bot has had signed so far.
    pub fn signed(&self) -> u64 {
        self.shared.signed.load(Ordering::Relaxed)
    }

    /// Orders that it was refused.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work);
    })
}

impl Shared {
    async fn operate(self: Arc<Self>, identity: Identity, bystander: String) {
        let operator = Operator::connect(identity).await.expect("connected");
        let target = format!("client:{bystander}");
        let mut looks = 0_u32;
        while self.goes_on().await {
            let status = timed(operator.status(v1::StatusCommand {})).await;
            self.note("status", status, |seen| &mut seen.status);
            looks += 1;
            if looks.is_multiple_of(LOOKS_PER_HALT) {
                let halt = v1::HaltCommand {
                    level: v1::HaltLevel::Nothing.into(),
                    target: target.clone(),
                    reason: "siege".to_owned(),
                };
                let halted = timed(operator.halt(halt)).await;
                self.note("halt", halted, |seen| &mut seen.halt);
                let resume = v1::ResumeCommand { target: target.clone(), ..Default::default() };
                let resumed = timed(operator.resume(resume)).await;
                self.note("resume", resumed, |seen| &mut seen.halt);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn sign(self: Arc<Self>, identity: Identity, streams: usize) {
        let client = Arc::new(Client::connect(identity).await.expect("connected"));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..streams {
            let (client, shared) = (Arc::clone(&client), Arc::clone(&self));
            tasks.spawn(async move {
                while shared.goes_on().await {
                    let wanted = order("okx-main", okx_order("BTC-USDT", "0.001"));
                    match tokio::time::timeout(PATIENCE, client.sign(wanted)).await {
                        Ok(Ok(_)) => shared.signed.fetch_add(1, Ordering::Relaxed),
                        Ok(Err(_)) | Err(_) => {
                            // A bot that is refused does not ask again at once.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            shared.refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn come_anew(self: Arc<Self>, operator: std::path::PathBuf, bot: std::path::PathBuf) {
        while self.goes_on().await {
            let operator = || async {
                let operator = Operator::connect(Identity::load(&operator)?).await?;
                operator.status(v1::StatusCommand {}).await.map(drop)
            };
            let came = self.until_let_in(operator).await;
            self.note("a new operator", came, |seen| &mut seen.new_operator);
            let bot = || async {
                let bot = Client::connect(Identity::load(&bot)?).await?;
                bot.sign(order("okx-main", okx_order("BTC-USDT", "0.001"))).await.map(drop)
            };
            let came = self.until_let_in(bot).await;
            self.note("a new bot", came, |seen| &mut seen.new_bot);
            tokio::time::sleep(NEW_PAUSE).await;
        }
    }

    async fn until_let_in<F>(&self, attempt: impl Fn() -> F) -> (Duration, Result<(), String>)
    where
        F: Future<Output = Result<(), ClientError>>,
    {
        let begun = Instant::now();
        loop {
            let (_, came) = timed(attempt()).await;
            match came {
                Err(_) if begun.elapsed() < PATIENCE && !self.is_over() => {
                    self.seen().turned_away += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                came => return (begun.elapsed(), came),
            }
        }
    }

    fn note(
        &self,
        what: &str,
        (took, result): (Duration, Result<(), String>),
        times: impl Fn(&mut Seen) -> &mut Times,
    ) {
        if self.is_over() {
            return;
        }
        let mut seen = self.seen();
        times(&mut seen).0.push(took);
        if let Err(error) = result {
            seen.failed.push(format!("{what}: {error}"));
        }
    }

    /// Waits out a pause; `false` at the end.
    async fn goes_on(&self) -> bool {
        while self.paused.load(Ordering::Relaxed) && !self.is_over() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn timed<T>(
    work: impl Future<Output = Result<T, ClientError>>,
) -> (Duration, Result<(), String>) {
    let begun = Instant::now();
    let result = match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    };
    (begun.elapsed(), result)
}
