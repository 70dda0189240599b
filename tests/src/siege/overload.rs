//! A bot that asks for more than it can get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::frames::sign_body;
use super::{Done, Effort, Target};
use crate::wire;

/// Calls at a time on one connection.
const STREAMS: u64 = 64;
const METHOD: &str = "vault.v1.SignService/Sign";
/// Before a bot that was refused asks again.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) async fn overload(target: &Target, effort: Effort, done: &Arc<Done>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut callers = JoinSet::new();
    for _ in 0..effort.count.div_ceil(STREAMS) {
        let config = (*target.traitor).clone();
        let Ok(channel) = wire::channel(config, target.bot, None).await else {
            Done::add(&done.ended, 1);
            continue;
        };
        Done::add(&done.connections, 1);
        for _ in 0..STREAMS.min(effort.count) {
            let (channel, done) = (channel.clone(), Arc::clone(done));
            callers.spawn(async move {
                while Instant::now() < effort.until {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    // As a message of gRPC without what goes before it.
                    let body =
                        sign_body(format!("load-{}-{number}", std::process::id())).split_off(5);
                    Done::add(&done.sent, 1);
                    match wire::call(&channel, METHOD, body).await {
                        Ok(_) => Done::add(&done.answered, 1),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
            });
        }
    }
    while callers.join_next().await.is_some() {}
}
