//! Memory of the vault's processes while millions of Signs come: it grows until all that is bounded is
//! full, and must not afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use vault_tests::TestVault;

use crate::bar::{self, Judged};
use crate::cpu::Watched;
use crate::figure::{Rounds, Table};
use crate::lane::Lane;
use crate::memory::Memory;
use crate::reply::Replies;
use crate::side::{Manner, Side};
use crate::work::Work;
use crate::{Arguments, Error, Report, cores, sign};

/// Signs after which every memory that is bounded by a number is full, and has been copied to its last
/// size: of ids the core remembers 1,048,576, of answers 24 MiB.
const WARM: u64 = 2_000_000;
/// Signs between two lines of the table.
const STEP: u64 = 1_000_000;
/// Memory is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// One look.
#[derive(Clone, Debug)]
struct Look {
    /// Signs that were answered by then.
    signs: u64,
    memory: Memory,
}

/// What was seen while the Signs of one step came.
#[derive(Clone, Debug)]
struct Line {
    /// Signs at the end of the step.
    until: u64,
    /// The look at which all processes together took the least: what they keep.
    least: Memory,
    /// And the most: what is taken for a moment counts.
    most: Memory,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<Report, Error> {
    let work = Work::Hmac;
    let vault = TestVault::start().await;
    sign::import(&vault, work).await?;
    vault.bot_identity(work.name(), &work.scope(), &[]).await;
    let side = Side::sign(work.name(), &vault, work.name(), work, Manner::Single)?;

    let signs = arguments.signs;
    let idle = Memory::look(&side.watched);
    let lanes = side.lanes(arguments.connections, arguments.streams).await?;
    let begun = Instant::now();
    let answered = Arc::<AtomicU64>::default();
    let watcher = Watcher::start(&side.watched, &answered);
    let replies = sign_all(lanes, signs, &answered).await?;
    let took = begun.elapsed();
    let looks = watcher.stop()?;
    let log = replies.check(&vault)?;

    let step = STEP.min((signs / LINES_MIN).max(1));
    let warm = WARM.min(signs / LINES_MIN * 2).max(step);
    let lines = lines(&looks, step, signs);
    let per_second = signs as f64 / took.as_secs_f64();
    Ok(report(Found { idle, lines, log, per_second, signs, warm }))
}

/// However few Signs there are, so many lines.
const LINES_MIN: u64 = 10;

async fn sign_all(
    lanes: Vec<Lane>,
    signs: u64,
    answered: &Arc<AtomicU64>,
) -> Result<Replies, Error> {
    let mut tasks = JoinSet::<Result<Lane, Error>>::new();
    for mut lane in lanes {
        let answered = Arc::clone(answered);
        tasks.spawn(async move {
            while answered.load(Ordering::Relaxed) < signs {
                let count = lane.call().await?;
                answered.fetch_add(count as u64, Ordering::Relaxed);
            }
            Ok(lane)
        });
    }
    let mut replies = Replies::default();
    while let Some(task) = tasks.join_next().await {
        replies.append(task??.finish().await?);
    }
    Ok(replies)
}

/// A thread that looks at memory again and again.
struct Watcher {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

impl Watcher {
    fn start(watched: &Watched, answered: &Arc<AtomicU64>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let (watched, answered, over) =
            (watched.clone(), Arc::clone(answered), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut looks = Vec::new();
            loop {
                // Before the look: the last one has all Signs.
                let is_last = over.load(Ordering::Acquire);
                let signs = answered.load(Ordering::Relaxed);
                looks.push(Look { signs, memory: Memory::look(&watched) });
                if is_last {
                    return looks;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self { is_over, thread }
    }

    fn stop(self) -> Result<Vec<Look>, Error> {
        self.is_over.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "nobody looked at memory".into())
    }
}

/// Of each step the looks with the least and the most memory. What was still under way when `all` had
/// been answered is of the last step.
fn lines(looks: &[Look], step: u64, all: u64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for Look { signs, memory } in looks.iter().filter(|look| look.signs > 0) {
        let until = (*signs).min(all).div_ceil(step) * step;
        match lines.last_mut() {
            Some(line) if line.until >= until => {
                if memory.all_mib() < line.least.all_mib() {
                    line.least = memory.clone();
                }
                if memory.all_mib() > line.most.all_mib() {
                    line.most = memory.clone();
                }
            }
            _ => lines.push(Line { until, least: memory.clone(), most: memory.clone() }),
        }
    }
    lines
}

/// The last line by the one that ends with the warm-up; nothing if there is no later one.
fn growth(lines: &[Line], warm: u64, of: impl Fn(&Line) -> &Memory) -> Option<f64> {
    let warmed = lines.iter().rfind(|line| line.until <= warm)?;
    let last = lines.last().filter(|last| last.until > warm)?;
    Some(of(last).all_mib() / of(warmed).all_mib())
}

/// All that was found.
struct Found {
    /// Before the first Sign.
    idle: Memory,
    lines: Vec<Line>,
    log: Value,
    per_second: f64,
    signs: u64,
    warm: u64,
}

fn report(found: Found) -> Report {
    let Found { idle, lines, log, per_second, signs, warm } = found;
    let ratio = |of: fn(&Line) -> &Memory| -> Rounds {
        growth(&lines, warm, of).into_iter().chain([f64::NAN]).take(1).collect()
    };
    let load = format!("{signs} Signs");
    let judged = vec![
        Judged::new(&bar::MEMORY_GROWTH, &load, ratio(|line| &line.least)),
        Judged::free(
            "the same of the most that was taken for a moment",
            &load,
            ratio(|line| &line.most),
        ),
    ];

    let mut columns = vec!["Signs, MiB".to_owned()];
    columns.extend(idle.each_mib().map(|(name, _)| name.to_owned()));
    columns.extend(["all".to_owned(), "at most".to_owned()]);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&columns);
    let mut row = |what: String, least: &Memory, most: &Memory| {
        let mut cells = vec![what];
        cells.extend(least.each_mib().map(|(_, mib)| format!("{mib:.1}")));
        cells.extend([least, most].map(|memory| format!("{:.1}", memory.all_mib())));
        table.row(&cells);
    };
    row("0".to_owned(), &idle, &idle);
    for line in &lines {
        row(line.until.to_string(), &line.least, &line.most);
    }
    let kind = if idle.pss_mib().is_some() { "PSS" } else { "RSS" };
    let of = |line: &Line| {
        let (least, most) = (line.least.json(), line.most.json());
        json!({ "signs": line.until, "least": least, "most": most })
    };
    let json = json!({
        "scenario": "memory",
        "what": Work::Hmac.what(),
        "cores": cores(),
        "signs": signs,
        "warm": warm,
        "per_second": per_second.round(),
        "kind": kind,
        "idle": idle.json(),
        "lines": lines.iter().map(of).collect::<Vec<_>>(),
        "ratios": bar::json(&judged),
        "log": log,
    });
    let text = format!(
        "memory: {}\n{signs} Signs, {per_second:.0} a second, {} cores. {kind} of each process at the \
         moment of each line at which all together took the least, and of all at the most. Warm after \
         {warm} Signs.\n\n{}\n{}\n\
         The log: {log}\n",
        Work::Hmac.what(),
        cores(),
        table.text(),
        bar::table(&judged),
    );
    Report { json, text, judged }
}

#[cfg(test)]
mod tests {
    use super::{Look, growth, lines};
    use crate::memory::Memory;

    fn look(signs: u64, kib: u64) -> Look {
        Look { signs, memory: Memory::of_one("core", kib) }
    }

    #[test]
    fn of_each_step_the_least_and_the_most_are_seen() {
        let looks = [(0, 900), (1, 50), (9, 70), (10, 60), (11, 80), (20, 40), (35, 85)];
        let looks = looks.map(|(signs, kib)| look(signs, kib * 1024));
        let lines = lines(&looks, 10, 40);
        let found: Vec<_> = lines
            .iter()
            .map(|line| (line.until, line.least.all_mib(), line.most.all_mib()))
            .collect();
        assert_eq!(found, [(10, 50.0, 70.0), (20, 40.0, 80.0), (40, 85.0, 85.0)]);
        assert_eq!(growth(&lines, 20, |line| &line.most), Some(85.0 / 80.0));
        assert_eq!(growth(&lines, 39, |line| &line.least), Some(85.0 / 40.0));
        assert_eq!(growth(&lines, 40, |line| &line.most), None, "nothing came after the warm-up");
        assert_eq!(growth(&lines, 9, |line| &line.most), None, "the warm-up was not seen");
        assert_eq!(growth(&[], 9, |line| &line.most), None);
    }

    #[test]
    fn what_is_answered_beyond_all_is_of_the_last_step() {
        let looks = [look(9, 40 * 1024), look(10, 50 * 1024), look(12, 90 * 1024)];
        let lines = lines(&looks, 5, 10);
        let last = lines.last().map(|line| (line.until, line.least.all_mib(), line.most.all_mib()));
        assert_eq!((lines.len(), last), (1, Some((10, 40.0, 90.0))));
    }
}
