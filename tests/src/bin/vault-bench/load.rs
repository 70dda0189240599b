//! How much is asked of a side, and what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Error;
use crate::histogram::Latencies;
use crate::lane::Lane;
use crate::reply::Replies;
use crate::schedule::{Schedule, keep};
use crate::side::Side;

/// How much, for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// Calls at a time on each of them, at most.
    pub(crate) streams: usize,
    pub(crate) pace: Pace,
    pub(crate) time: Duration,
}

/// When calls are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pace {
    /// So many a second whatever becomes of them; a latency begins when its call was to begin.
    Open(u64),
    /// Each lane's next as soon as its last is answered.
    Closed,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Requests that were answered.
    pub(crate) answered: usize,
    pub(crate) took: Duration,
    pub(crate) latencies: Latencies,
    /// Of the calls that the pace wanted, the share that was made in time.
    pub(crate) made: f64,
    /// Per answered request, of each process that is watched, in microseconds.
    pub(crate) cpu: Vec<f64>,
    pub(crate) replies: Replies,
}

impl Load {
    pub(crate) fn name(&self) -> String {
        let Self { connections, streams, .. } = self;
        match self.pace {
            Pace::Closed => format!("{connections}x{streams}"),
            Pace::Open(rate) => format!("{rate}/s, {connections}x{streams}"),
        }
    }

    /// Puts it on a side.
    pub(crate) async fn put_on(&self, side: &Side) -> Result<Outcome, Error> {
        let lanes = side.lanes(self.connections, self.streams).await?;
        let before = side.watched.look();
        let begun = Instant::now();
        let done = match self.pace {
            Pace::Closed => closed(lanes, begun + self.time).await?,
            Pace::Open(rate) => open(lanes, Schedule::new(rate, self.time), begun).await?,
        };
        let took = begun.elapsed();
        let cpu = side.watched.look().per_request(&before, done.answered);
        let mut replies = Replies::default();
        for lane in done.lanes {
            replies.append(lane.finish().await?);
        }
        let Done { answered, latencies, made, .. } = done;
        Ok(Outcome { answered, took, latencies, made, cpu, replies })
    }
}

/// What lanes have done.
struct Done {
    answered: usize,
    latencies: Latencies,
    made: f64,
    lanes: Vec<Lane>,
}

type Lanes = JoinSet<Result<(Lane, Latencies, usize), Error>>;

async fn closed(lanes: Vec<Lane>, end: Instant) -> Result<Done, Error> {
    let mut tasks = Lanes::new();
    for mut lane in lanes {
        tasks.spawn(async move {
            let (mut latencies, mut answered) = (Latencies::default(), 0);
            let mut sent = Instant::now();
            while sent < end {
                let count = lane.call().await?;
                let now = Instant::now();
                if count > 0 {
                    latencies.push(now - sent);
                    answered += count;
                }
                sent = now;
            }
            Ok((lane, latencies, answered))
        });
    }
    joined(tasks).await
}

async fn open(lanes: Vec<Lane>, schedule: Schedule, begun: Instant) -> Result<Done, Error> {
    let (due, next) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Lanes::new();
    for mut lane in lanes {
        let (due, next) = (Arc::clone(&due), Arc::clone(&next));
        tasks.spawn(async move {
            let (mut latencies, mut answered) = (Latencies::default(), 0);
            // Until nothing is due any more.
            while let Ok(place) = due.acquire().await {
                place.forget();
                let intended = begun + schedule.at(next.fetch_add(1, Ordering::Relaxed));
                let count = lane.call().await?;
                if count > 0 {
                    latencies.push(intended.elapsed());
                    answered += count;
                }
            }
            Ok((lane, latencies, answered))
        });
    }
    // A thread of its own: a runtime's timer knows milliseconds.
    let keeper = std::thread::spawn(move || keep(schedule, begun, &due));
    let mut done = joined(tasks).await?;
    keeper.join().map_err(|_| "the schedule was not kept")?;
    let made = next.load(Ordering::Relaxed);
    for number in made..schedule.calls() {
        // It waited until the end at least.
        done.latencies.push(schedule.end() - schedule.at(number));
    }
    done.made = made as f64 / schedule.calls().max(1) as f64;
    Ok(done)
}

async fn joined(mut tasks: Lanes) -> Result<Done, Error> {
    let mut done =
        Done { answered: 0, latencies: Latencies::default(), made: 1.0, lanes: Vec::new() };
    while let Some(task) = tasks.join_next().await {
        let (lane, latencies, answered) = task??;
        done.lanes.push(lane);
        done.latencies.append(&latencies);
        done.answered += answered;
    }
    Ok(done)
}
