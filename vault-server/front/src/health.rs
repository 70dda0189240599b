//! The standard health service: serving means unsealed.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use vault_ipc::Listener;

use crate::handler::served;

const LISTENERS: [Listener; 3] = [Listener::Bot, Listener::Enroll, Listener::Operator];

/// One reporter for each kind of listener, which knows the services there and no others.
#[derive(Debug)]
pub(crate) struct Healths(Vec<(Listener, HealthReporter)>);

impl Healths {
    /// Not serving, until the core says otherwise.
    pub(crate) async fn new() -> Self {
        let healths = Self(LISTENERS.map(|listener| (listener, HealthReporter::new())).into());
        healths.set_sealed(true).await;
        healths
    }

    pub(crate) async fn set_sealed(&self, sealed: bool) {
        let status = if sealed { ServingStatus::NotServing } else { ServingStatus::Serving };
        for (listener, reporter) in &self.0 {
            reporter.set_service_status("", status).await;
            for name in served(*listener) {
                reporter.set_service_status(*name, status).await;
            }
        }
    }

    pub(crate) fn server(&self, listener: Listener) -> Option<HealthServer<HealthService>> {
        let (_, reporter) = self.0.iter().find(|(kind, _)| *kind == listener)?;
        Some(HealthServer::new(HealthService::from_health_reporter(reporter.clone())))
    }
}
