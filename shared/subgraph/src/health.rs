//! The REST face that every subgraph has: health, version and metrics.

use crate::{caller::Actor, config::Environment, migrate::Migrations, service::Service};
use events::inbox::parked;
use poem::{Request, web::RemoteAddr};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    payload::{Json, PlainText},
};
use std::collections::BTreeMap;

/// What is known about the service's health.
#[derive(Clone, Debug, Object)]
pub struct Health {
    /// `ok`; `degraded` when events do not get through, which passes without loss; `unavailable` when something it
    /// cannot do without is wrong.
    pub status: String,
    /// What was looked at, each `ok` or in words what is wrong.
    pub checks: BTreeMap<String, String>,
}

/// Which build this is.
#[derive(Clone, Debug, Object)]
pub struct Version {
    /// The subgraph.
    pub name: String,
    /// The version of Leadgraph.
    pub version: String,
}

#[derive(ApiResponse)]
enum Ready {
    /// Ready to serve.
    #[oai(status = 200)]
    Yes(Json<Health>),
    /// Not ready; the checks say why.
    #[oai(status = 503)]
    No(Json<Health>),
}

#[derive(ApiResponse)]
enum MetricsText {
    /// Prometheus' text format.
    #[oai(status = 200)]
    Text(PlainText<String>),
    /// In production: from this machine, or with a token.
    #[oai(status = 403)]
    Refused(PlainText<String>),
    /// The counters cannot be written as text.
    #[oai(status = 500)]
    Broken(PlainText<String>),
}

/// What readiness is made of.
pub(crate) struct Checks {
    pub migrations: Migrations,
}

impl Checks {
    pub async fn run(&self, service: &Service) -> BTreeMap<String, String> {
        let database = match service.db.read().ping().await {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                tracing::warn!(%error, "the database does not answer");
                "does not answer".to_owned()
            }
        };
        let migrations = match self.migrations.pending(&service.db).await {
            Ok(pending) if pending.is_empty() => "ok".to_owned(),
            Ok(pending) => format!("{} missing, run `{} migrate up`", pending.len(), service.name),
            Err(error) => format!("{error:#}").lines().next().unwrap_or_default().to_owned(),
        };
        [("database".to_owned(), database), ("migrations".to_owned(), migrations)].into()
    }
}

/// What it can do without for a while.
async fn soft_checks(service: &Service) -> BTreeMap<String, String> {
    let broker = service.signals.problem().unwrap_or_else(|| "ok".into());
    let parked = match parked::count(service.db.read()).await {
        Ok(0) => "ok".into(),
        Ok(count) => format!("{count} parked, see `leadgraph events parked`"),
        Err(_) => "unknown".into(),
    };
    [("broker".to_owned(), broker), ("events".to_owned(), parked)].into()
}

pub(crate) struct Api {
    pub service: Service,
    pub checks: Checks,
}

#[OpenApi]
impl Api {
    /// Whether the process runs. It answers whatever else is wrong.
    #[oai(path = "/health/live", method = "get")]
    async fn live(&self) -> Json<Health> {
        Json(Health { status: "ok".into(), checks: BTreeMap::new() })
    }

    /// Whether the service can do its work; names what is wrong.
    #[oai(path = "/health/ready", method = "get")]
    async fn ready(&self) -> Ready {
        let mut checks = self.checks.run(&self.service).await;
        let all_ok = |checks: &BTreeMap<_, String>| checks.values().all(|said| said == "ok");
        let well = all_ok(&checks);
        checks.extend(soft_checks(&self.service).await);
        let status = match well {
            false => "unavailable",
            true if all_ok(&checks) => "ok",
            true => "degraded",
        };
        let health = Json(Health { status: status.into(), checks });
        if well { Ready::Yes(health) } else { Ready::No(health) }
    }

    /// Which build this is.
    #[oai(path = "/version", method = "get")]
    async fn version(&self) -> Json<Version> {
        Json(Version { name: self.service.name.into(), version: env!("CARGO_PKG_VERSION").into() })
    }

    /// Counters in Prometheus' text format. Open in development; in production for callers on this
    /// machine or with a token.
    #[oai(path = "/metrics", method = "get")]
    async fn metrics(&self, request: &Request, remote: &RemoteAddr) -> MetricsText {
        if self.service.config.environment == Environment::Production
            && !self.may_see_metrics(request, remote).await
        {
            return MetricsText::Refused(PlainText("from this machine, or with a token".into()));
        }
        match self.service.metrics.text() {
            Ok(text) => MetricsText::Text(PlainText(text)),
            Err(error) => MetricsText::Broken(PlainText(error.to_string())),
        }
    }

    async fn may_see_metrics(&self, request: &Request, remote: &RemoteAddr) -> bool {
        // A proxy on this machine asks for others
        let forwarded = request.header("x-forwarded-for").is_some();
        if !forwarded && remote.as_socket_addr().is_some_and(|addr| addr.ip().is_loopback()) {
            return true;
        }
        let service = &self.service;
        let caller =
            service.auth.caller(request.header("authorization"), String::new(), service.clock.now()).await;
        let ended = caller.session.is_some_and(|session| service.revocations.contains(&session));
        caller.actor != Actor::Anonymous && !ended
    }
}
