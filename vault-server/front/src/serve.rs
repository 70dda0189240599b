//! HTTP on one connection, until it ends, is cut or grows old.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::frame::Frames;
use crate::gate::{Calls, Gate};
use crate::io::{Io, Watch};
use crate::limit::Limits;
use crate::registry::{Connection, Registered};
use crate::stream;
use crate::task::{Alarm, Running, TaskExecutor, Tasks};
use crate::turn::Executor;

/// Serves a stream whose handshake is done. `age` is when the client is asked to make another
/// connection; `executor` runs its calls.
pub(crate) async fn serve<T>(
    stream: T,
    registered: Registered,
    gate: Gate,
    limits: &Limits,
    age: Duration,
    executor: Executor,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::clone(registered.connection());
    let heads = gate.heads.clone();
    let header_list_bytes = match gate.proxy {
        None => limits.header_list_bytes,
        Some(_) => limits.proxied_header_list_bytes,
    };
    let watch = match &heads {
        Some(heads) => Watch::Heads(Arc::clone(heads)),
        None => Watch::Frames(Frames::new(limits)),
    };
    let tasks = Tasks::of(&connection);
    let io = TokioIo::new(Io::new(stream, Arc::clone(&connection), watch, limits.turn_bytes));
    if let Some(heads) = heads {
        let upgrades = gate.upgrades.clone();
        let http = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .half_close(false)
            .header_read_timeout(limits.head)
            .max_buf_size(header_list_bytes as usize)
            .max_headers(HEADERS_MAX)
            .pipeline_flush(false)
            .serve_connection(io, Calls::through(gate, tasks.clone()))
            .with_upgrades();
        until_end(http, tasks, &connection, limits, age).await;
        if let Some(upgrade) = upgrades.take() {
            heads.end();
            stream::serve::<T>(upgrade, &connection, limits).await;
        }
        return;
    }
    let executor = TaskExecutor { others: executor, tasks: tasks.clone() };
    let http = hyper::server::conn::http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .initial_connection_window_size(limits.connection_window_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(limits.streams)
        .max_frame_size(limits.frame_bytes)
        .max_header_list_size(header_list_bytes)
        .max_local_error_reset_streams(limits.local_error_reset_streams)
        .max_pending_accept_reset_streams(limits.pending_accept_reset_streams)
        .serve_connection(io, Calls::through(gate, tasks.clone()));
    until_end(http, tasks, &connection, limits, age).await;
    // `http` and with it the socket are dropped before `registered`, which is a parameter: a barrier
    // that finds no record finds no socket either.
}

/// Headers of one HTTP/1.1 request.
const HEADERS_MAX: usize = 100;

/// A connection that hyper serves.
trait Served: Future<Output = hyper::Result<()>> {
    /// Takes no further request.
    fn wind_up(self: Pin<&mut Self>);
}

type Stream<T> = TokioIo<Io<T>>;

impl<T> Served for hyper::server::conn::http1::UpgradeableConnection<Stream<T>, Calls>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn wind_up(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<T> Served for hyper::server::conn::http2::Connection<Stream<T>, Calls, TaskExecutor>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn wind_up(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn until_end(
    http: impl Served,
    tasks: Tasks,
    connection: &Arc<Connection>,
    limits: &Limits,
    age: Duration,
) {
    let mut http = pin!(http);
    let mut running = Running::of(tasks);
    let alarm = Alarm::of(connection);
    let waker = Waker::from(Arc::clone(&alarm));
    let mut timer = pin!(tokio::time::sleep(age));
    let mut is_old = false;

    let ended = poll_fn(|cx| {
        connection.register_task(cx.waker());
        if connection.is_cut() {
            return Poll::Ready(Ok(()));
        }
        if timer.as_mut().poll(cx).is_ready() {
            if is_old {
                return Poll::Ready(Ok(()));
            }
            is_old = true;
            http.as_mut().wind_up();
            timer.as_mut().reset(tokio::time::Instant::now() + limits.connection_grace);
            // So that the new time is waited for.
            cx.waker().wake_by_ref();
        }
        connection.begin_turn();
        // What is answered now is written when `http` is polled, and needs no turn of its own.
        alarm.without(|| running.poll_woken());
        let polled = http.as_mut().poll(&mut Context::from_waker(&waker));
        // Calls only queue what they answer, holds and all: nothing but `http` writes.
        running.poll_come();
        if polled.is_pending() {
            connection.settle();
        }
        polled
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use h2::SendStream;
    use prost::Message as _;
    use tonic::service::Routes;
    use vault_ipc::Listener;
    use vault_ipc::proto::v1::SignRequest;

    use super::serve;
    use crate::caller::Facts;
    use crate::core::Core;
    use crate::gate::Gate;
    use crate::handler::Handler;
    use crate::limit::Limits;
    use crate::registry::{Connection, Registry};
    use crate::room::Room;
    use crate::sign::Signs;
    use crate::stream::{Streams, Upgrades};
    use crate::turn::{Executor, Lane, Turns};
    use crate::venue::Venues;

    const LONG: Duration = Duration::from_secs(60 * 60);

    /// A connection that is served and has nothing to do.
    async fn idle(registry: &Arc<Registry>, age: Duration) -> (Arc<Connection>, Client) {
        serve_with(registry, age, None, Turns::default()).await
    }

    /// As [`idle`]; `signs` where it signs, calls with turns of their own have them among `turns`.
    async fn serve_with(
        registry: &Arc<Registry>,
        age: Duration,
        signs: Option<Signs>,
        turns: Turns,
    ) -> (Arc<Connection>, Client) {
        let registered = registry.enter(Facts::for_test([1; 16]), 8, 1).expect("below the limit");
        let connection = Arc::clone(registered.connection());
        let gate = Gate {
            call_max: LONG,
            connection: Arc::clone(&connection),
            execute_max: LONG,
            heads: None,
            message_bytes_max: 64 << 10,
            proxy: None,
            room: Room::of(1 << 20),
            routes: Routes::default(),
            signs,
            upgrades: Upgrades::default(),
        };
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(async move {
            let executor = Executor { lane: Lane::Bots, turns };
            serve(ours, registered, gate, &Limits::default(), age, executor).await;
        });
        let (send, client) = h2::client::handshake(theirs).await.expect("h2");
        let client = tokio::spawn(client);
        let send = send.ready().await.expect("served");
        calm().await;
        (connection, Client { send, ended: client })
    }

    /// Waits until nothing moves any more.
    async fn calm() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    struct Client {
        send: h2::client::SendRequest<Bytes>,
        ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
    }

    impl Client {
        /// Begins a Sign, of which so many bytes are held back.
        fn sign(&mut self, held_back: usize) -> (SendStream<Bytes>, Bytes) {
            let request = http::Request::post("http://vault.test/vault.v1.SignService/Sign")
                .header("content-type", "application/grpc");
            let request = request.body(()).expect("a request");
            let (_, mut body) = self.send.send_request(request, false).expect("sent");
            let message = SignRequest { request_id: "one".into(), ..SignRequest::default() };
            let message = message.encode_to_vec();
            let length = u32::try_from(message.len()).expect("short").to_be_bytes();
            let mut whole = Bytes::from([&[0][..], &length, &message].concat());
            let rest = whole.split_off(whole.len() - held_back);
            body.send_data(whole, rest.is_empty()).expect("sent");
            (body, rest)
        }
    }

    #[tokio::test]
    async fn a_sign_that_has_not_come_whole_has_turns_of_its_own() {
        let limits = Limits::default();
        let registry = Arc::new(Registry::default());
        let streams = Streams::new(&limits, Arc::clone(&registry));
        let venues = Venues::new(&limits, streams.clone());
        let core = Core::new(Arc::clone(&registry), venues, streams, &limits);
        let handler = Handler::new(Listener::Bot, &core, &limits.bot, limits.execute_bytes);
        let turns = Turns::default();
        // The slice is used up, and nobody begins a round.
        turns.within(Lane::Bots, async { std::thread::sleep(Duration::from_millis(5)) }).await;
        let signs = Some(Signs::new(handler));
        let (_connection, mut client) = serve_with(&registry, LONG, signs, turns.clone()).await;

        let (mut late, rest) = client.sign(1);
        calm().await;
        late.send_data(rest, true).expect("sent");
        let _whole = client.sign(0);
        calm().await;
        assert_eq!(core.waiting().calls, 1, "the whole one, in the connection's own turn");

        tokio::spawn(async move { turns.go_round().await });
        calm().await;
        assert_eq!(core.waiting().calls, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_barrier_is_passed_by_what_was_dropped_while_the_connection_slept() {
        let registry = Arc::new(Registry::default());
        let (connection, _client) = idle(&registry, LONG).await;

        // Before the barrier, and while it waits.
        drop(registry.hold(&connection));
        let wait = registry.barrier(&[]).expect("nobody looked yet");
        wait.passed(Duration::from_millis(250)).await;
        assert!(!connection.is_cut());

        let hold = registry.hold(&connection);
        let wait = registry.barrier(&[]).expect("a reply is held");
        let passed = tokio::spawn(wait.passed(Duration::from_millis(250)));
        calm().await;
        assert!(!passed.is_finished());
        drop(hold);
        passed.await.expect("passes");
        assert!(!connection.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_is_asked_to_go_and_then_ended() {
        let registry = Arc::new(Registry::default());
        let (connection, client) = idle(&registry, Duration::from_secs(60)).await;

        assert!(!connection.is_cut());
        // A polite client ends it when it has no calls.
        let ended = tokio::time::timeout(Duration::from_secs(61), client.ended).await;
        ended.expect("asked in time").expect("no panic").expect("politely");
        drop(client.send);
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert!(connection.is_cut());
    }
}
