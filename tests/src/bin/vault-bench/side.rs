//! Those that are measured beside each other.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::client::Grpc;
use vault_proto::v1::sign_service_client::SignServiceClient;

use crate::bao::{BaoTarget, BaoTask};
use crate::cpu::Watched;
use crate::echo_process::EchoProcess;
use crate::lane::{Asker, Lane, SignStream, TOGETHER};
use crate::work::Work;
use crate::{Error, tls, way};

/// One of them: where it is, what is asked of it, and which processes do it.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) watched: Watched,
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    Bao(BaoTarget, BaoTask),
    Echo(Place),
    /// Connections in turn as each of these.
    Sign(Vec<Place>, Work, Manner),
}

/// Where it listens, and as whom it is called.
#[derive(Clone, Debug)]
struct Place {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

/// How Signs are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Many in one call.
    Batch,
    /// One call each.
    Single,
    /// Many at a time on one stream.
    Stream,
}

/// Calls of one client that the front passes to the core at a time.
pub(crate) const UNDER_WAY_MAX: usize = 256;

impl Side {
    pub(crate) fn echo(name: &str, process: &EchoProcess) -> Self {
        let place = Place { address: process.address, tls: Arc::clone(&process.tls) };
        let watched = Watched::new(&[client(), ("echo", process.process())]);
        Self { name: name.to_owned(), watched, target: Target::Echo(place) }
    }

    /// A bot of a vault, by the folder of its identity.
    pub(crate) fn sign(
        name: &str,
        vault: &vault_tests::TestVault,
        bot: &str,
        work: Work,
        manner: Manner,
    ) -> Result<Self, Error> {
        Self::sign_as(name, vault, &[bot], work, manner)
    }

    /// Bots of a vault, each with as many of the connections as the others.
    pub(crate) fn sign_as(
        name: &str,
        vault: &vault_tests::TestVault,
        bots: &[impl AsRef<str>],
        work: Work,
        manner: Manner,
    ) -> Result<Self, Error> {
        let ready = vault.ready();
        let watched = Watched::new(&[
            client(),
            ("supervisor", ready.pid),
            ("front", ready.pid_front),
            ("core", ready.pid_core),
            ("egress", ready.pid_egress),
        ]);
        let place = |bot: &str| -> Result<Place, Error> {
            let tls = tls::of_identity(&vault.identity_folder(bot), b"h2")?;
            Ok(Place { address: ready.bot, tls })
        };
        let places = bots.iter().map(|bot| place(bot.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), watched, target: Target::Sign(places, work, manner) })
    }

    pub(crate) fn bao(name: &str, target: &BaoTarget, task: BaoTask, process: i32) -> Self {
        let watched = Watched::new(&[client(), ("openbao", process)]);
        Self { name: name.to_owned(), watched, target: Target::Bao(target.clone(), task) }
    }

    /// Connects so many times, for so many calls at a time on each, and makes one call on each
    /// connection, so that it is warm. What sends many at once does so once on each connection, on
    /// no more connections than the vault takes calls of one client.
    pub(crate) async fn lanes(
        &self,
        connections: usize,
        streams: usize,
    ) -> Result<Vec<Lane>, Error> {
        let mut lanes = Vec::new();
        match &self.target {
            Target::Bao(target, task) => {
                for asker in target.connect(*task, connections, streams).await? {
                    lanes.push(Lane::new(Asker::Bao(asker)));
                }
                for lane in &mut lanes {
                    lane.call().await?;
                }
            }
            Target::Echo(place) => {
                for _ in 0..connections {
                    let grpc = Grpc::new(place.channel().await?);
                    let lane = || Lane::new(Asker::Echo(grpc.clone()));
                    add(&mut lanes, streams, lane).await?;
                }
            }
            Target::Sign(places, work, Manner::Batch) => {
                for place in places.iter().cycle().take(connections.min(UNDER_WAY_MAX / TOGETHER)) {
                    let client = place.signer().await?;
                    add(&mut lanes, 1, || Lane::new(Asker::Batch(client.clone(), *work))).await?;
                }
            }
            Target::Sign(places, work, Manner::Single) => {
                for place in places.iter().cycle().take(connections) {
                    let grpc = Grpc::new(place.channel().await?);
                    let lane = || Lane::new(Asker::Sign(grpc.clone(), *work));
                    add(&mut lanes, streams, lane).await?;
                }
            }
            Target::Sign(places, work, Manner::Stream) => {
                for place in places.iter().cycle().take(connections.min(UNDER_WAY_MAX / TOGETHER)) {
                    let stream = SignStream::open(place.signer().await?, *work).await?;
                    lanes.push(Lane::new(Asker::Stream(Box::new(stream))));
                }
            }
        }
        Ok(lanes)
    }

    /// Whether its latencies say how long a call took. On a stream they are the time between two
    /// answers.
    pub(crate) fn has_latencies(&self) -> bool {
        !matches!(self.target, Target::Sign(_, _, Manner::Stream))
    }
}

impl Place {
    async fn channel(&self) -> Result<tonic::transport::Channel, Error> {
        way::channel(self.address, Arc::clone(&self.tls)).await
    }

    async fn signer(&self) -> Result<SignServiceClient<tonic::transport::Channel>, Error> {
        let client = SignServiceClient::new(self.channel().await?);
        Ok(client.max_decoding_message_size(BATCH_BYTES_MAX))
    }
}

/// The longest answer to a batch.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// Lanes of one connection, of which the first has made a call.
async fn add(lanes: &mut Vec<Lane>, count: usize, lane: impl Fn() -> Lane) -> Result<(), Error> {
    let first = lanes.len();
    lanes.extend((0..count).map(|_| lane()));
    if let Some(lane) = lanes.get_mut(first) {
        lane.call().await?;
    }
    Ok(())
}

fn client() -> (&'static str, i32) {
    ("client", i32::try_from(std::process::id()).unwrap_or_default())
}
