//! A job: requests of the vault's own that belong together, and what has come of each.

use std::collections::HashMap;
use std::sync::Arc;

use vault_model::{ClockTime, Name};
use vault_venue::{Answer, OwnRequest, Registry};

use super::cancel_all::{self, CancelAll};
use super::check::Check;
use super::{OwnKey, Purpose, Task};

/// What a job is for.
pub enum Aim {
    /// To cancel open orders.
    CancelAll(Box<CancelAll>),
    /// To learn what a key may do.
    Check(Box<Check>),
}

/// Requests that belong together.
pub struct Job {
    pub aim: Aim,
    /// Who asked; absent: the vault's schedule.
    pub by: Option<Name>,
    /// After which nobody waits any more, on the vault's own clock.
    pub deadline: ClockTime,
    pub steps: Vec<Step>,
}

/// One request of a job.
pub struct Step {
    pub key: Arc<OwnKey>,
    pub request: OwnRequest,
    /// Index of its `execute.intent`.
    pub entry: Option<u64>,
    pub state: State,
    /// Of a cancel: the look that found its orders.
    pub look: Option<usize>,
    /// Before this it is not sent.
    pub not_before: ClockTime,
    /// Of a look: how often the same one came before it.
    pub round: u32,
    /// Orders found, or asked to be cancelled.
    pub order_count: u32,
}

/// How far a step is.
#[derive(Clone, Debug)]
pub enum State {
    /// Not begun.
    Waiting,
    /// On its way, or waiting for its lane.
    UnderWay,
    /// Ended, and what follows from that is not done yet.
    Ended(Ended),
    /// Done; with the venue's status, and why it did not do what it was for.
    Done { status: u32, problem: String },
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The venue answered.
    Answered(Answer),
    /// It did not, or nothing was sent.
    Failed { status: u32, problem: String },
}

impl Step {
    pub fn new(key: &Arc<OwnKey>, request: OwnRequest) -> Self {
        Self {
            key: Arc::clone(key),
            request,
            entry: None,
            state: State::Waiting,
            look: None,
            not_before: ClockTime(0),
            round: 0,
            order_count: 0,
        }
    }

    /// Ends it.
    pub fn done(&mut self, status: u32, problem: &str) {
        self.state = State::Done { status, problem: problem.to_owned() };
    }
}

impl Job {
    fn purpose(&self) -> Purpose {
        match self.aim {
            Aim::CancelAll(_) => Purpose::CancelAll,
            Aim::Check(_) => Purpose::Check,
        }
    }

    /// Takes up what follows from the answers that have come.
    pub fn proceed(&mut self, registry: &Registry, now: ClockTime) {
        match &self.aim {
            Aim::CancelAll(_) => cancel_all::proceed(&mut self.steps, registry, now),
            // Its answers are read together.
            Aim::Check(_) => {}
        }
    }

    /// The next request that can be sent now: of one credential at most [`AT_ONCE_MAX`] are on their
    /// way.
    pub fn next_task(&mut self, job: u64, now: ClockTime) -> Option<Task> {
        let mut under_way: HashMap<*const OwnKey, usize> = HashMap::new();
        for step in self.steps.iter().filter(|step| matches!(step.state, State::UnderWay)) {
            *under_way.entry(Arc::as_ptr(&step.key)).or_default() += 1;
        }
        let at = self.steps.iter().position(|step| {
            let of_key = under_way.get(&Arc::as_ptr(&step.key)).copied().unwrap_or(0);
            matches!(step.state, State::Waiting) && step.not_before <= now && of_key < AT_ONCE_MAX
        })?;
        let purpose = self.purpose();
        let (by, deadline) = (self.by.clone(), self.deadline);
        let step = self.steps.get_mut(at)?;
        step.state = State::UnderWay;
        let (key, request) = (Arc::clone(&step.key), step.request.clone());
        Some(Task { job, step: at, key, request, purpose, by, deadline })
    }

    /// A request is in the log, and on its way.
    pub fn sent(&mut self, step: usize, entry: u64) {
        if let Some(step) = self.steps.get_mut(step) {
            step.entry = Some(entry);
        }
    }

    /// A request has ended.
    pub fn end(&mut self, step: usize, ended: Ended) {
        if let Some(step) = self.steps.get_mut(step) {
            step.state = State::Ended(ended);
        }
    }

    /// Whether nothing is left to send and nothing is on its way.
    pub fn is_done(&self) -> bool {
        let is_open = |step: &Step| matches!(step.state, State::UnderWay | State::Waiting);
        !self.steps.iter().any(is_open)
    }

    /// Its time is over: what has not ended is left as it is.
    pub fn give_up(&mut self) {
        for step in &mut self.steps {
            if matches!(step.state, State::UnderWay | State::Waiting) {
                let problem = "DEADLINE_EXCEEDED".to_owned();
                step.state = State::Ended(Ended::Failed { status: 0, problem });
            }
        }
    }
}

/// How many requests of one credential a job has on their way at once.
const AT_ONCE_MAX: usize = 8;
