//! Starting a subgraph: its database, its demo data, its server.

use crate::{
    background::Background,
    builder::{Job, Subgraph},
    caller::Caller,
    change::{Change, audit},
    clock::{Clock, Random},
    config::Config,
    db::{Db, StatementObserver},
    error::Result,
    files,
    graphql::Endpoint,
    health::Checks,
    jobs,
    jwks::KeyStore,
    live::{self, Live},
    measure::Lists,
    metrics::{Connections, Metrics, push::Target},
    migrate::Session,
    production::{self, MIN_SERVICE_KEY},
    rate::{Rates, limited},
    revocation::Revocations,
    schema,
    server::{self, Running},
    service::{Parts, Service},
    signals::{Signals, Wake},
    telemetry::{self, Tracer},
    token::Authenticator,
};
use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use secrecy::ExposeSecret;
use std::{collections::HashMap, sync::Arc};

/// The audit record of loaded demo data.
const DEMO_LOADED: &str = "demo.loaded";
/// The audit record of a new database that was to have none.
const DEMO_DECLINED: &str = "demo.declined";

impl Subgraph {
    /// Starts the subgraph: database, demo data, server.
    ///
    /// # Errors
    /// In words for whoever starts it: what is wrong and what to do.
    pub async fn start(&self, config: Config) -> anyhow::Result<Running> {
        self.start_with(config, Clock::System, Random::System).await
    }

    /// As [`Subgraph::start`], with a clock and a source of randomness.
    ///
    /// # Errors
    /// As [`Subgraph::start`].
    pub async fn start_with(&self, config: Config, clock: Clock, random: Random) -> anyhow::Result<Running> {
        let endpoint = self.prepare(config, clock, random).await?;
        let service = endpoint.service.clone();
        let routes = self.routes.map(|routes| routes(&service)).unwrap_or_default().into_iter();
        let mut routes: Vec<_> = routes.map(|(path, route)| (path, limited(&service, route))).collect();
        routes.push(self.snapshots.route(&service));
        let metrics = Target::of(&service.config.telemetry)?;
        let live = live::start(&endpoint).await?;
        let background = Background::start(
            &service,
            self.consumers.clone(),
            self.views.clone(),
            &self.jobs,
            live,
            metrics,
        );
        let mounts = self.mounts.iter().map(|(prefix, mount)| (*prefix, mount(&service))).collect();
        server::start(endpoint, Checks { migrations: self.migrations }, routes, mounts, background).await
    }

    /// Everything but the server: the endpoint over a migrated database.
    ///
    /// # Errors
    /// As [`Subgraph::start`].
    pub async fn prepare(&self, config: Config, clock: Clock, random: Random) -> anyhow::Result<Endpoint> {
        self.must_be_safe(&config)?;
        let session = Session::begin(self.name, &config).await?;
        if config.migrate_on_start {
            self.migrations.up_within(&session, self.name).await?;
        } else {
            self.migrations.must_be_up(&session, self.name).await?;
        }
        let service = self.service(config, clock, random).await?;
        let started = start_up(&service, self.demo.as_ref(), self.on_start.as_ref()).await;
        session.end().await?;
        let has_demo_data = started.map_err(|e| anyhow::anyhow!(e.message()))?;
        let (execute, stream) = (self.executor)(&service);
        let (policy, admission) = (self.policy.clone(), self.admission.clone());
        let sdl = self.sdl();
        let (entities, lists) = (schema::entities(&sdl).into(), Arc::new(Lists::of(&sdl)));
        Ok(Endpoint { service, execute, stream, policy, entities, lists, admission, has_demo_data })
    }

    pub(crate) async fn service(
        &self,
        config: Config,
        clock: Clock,
        random: Random,
    ) -> anyhow::Result<Service> {
        let metrics = Metrics::new(self.name)?;
        let tracer = Tracer::start(self.name, &config.telemetry)?;
        let db = Db::connect(self.name, &config, Some(observer(&metrics))).await?;
        metrics.add(Connections::of(&db)?)?;
        let auth = Authenticator::new(self.key_store(&config)?, service_key(&config)?);
        let state = self
            .state
            .iter()
            .map(|make| make(&config, &metrics))
            .collect::<anyhow::Result<HashMap<_, _>>>()?;
        let nats_url = config.nats_url.as_ref().map(ExposeSecret::expose_secret);
        let bus = events::open(nats_url, &config.data_dir).await?;
        let revocations = Revocations::default();
        revocations.load(&db).await.map_err(|e| anyhow::anyhow!(e.message()))?;
        let live = Live::new(self.live_limits, metrics.live.clone());
        let rates = Rates::new(&config, &metrics)?;
        Ok(Service::new(Parts {
            name: self.name,
            config,
            db,
            clock,
            random,
            metrics,
            tracer,
            auth,
            revocations,
            bus,
            signals: Signals::default(),
            wake: Wake::default(),
            jobs: jobs::Wake::default(),
            live_kinds: self.live.clone(),
            live,
            rates,
            state,
        }))
    }

    /// The keys that sign tokens: its own, or those that accounts publishes.
    fn key_store(&self, config: &Config) -> anyhow::Result<KeyStore> {
        Ok(match self.keys {
            Some(make) => KeyStore::local(make(config)?),
            None => KeyStore::remote(
                config.jwks_url.clone(),
                config.data_dir.join(format!("{}.jwks.json", self.name)),
            ),
        })
    }

    /// Compares each declared table with its entity, on a running service.
    ///
    /// # Errors
    /// Names the table whose columns differ.
    pub async fn check_tables(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        for (table, check) in &self.tables {
            let checked = check(endpoint.service.clone()).await;
            checked
                .map_err(|e| anyhow::anyhow!("{}", e.message()))
                .with_context(|| format!("the table {table}"))?;
        }
        Ok(())
    }
}

impl Endpoint {
    /// The running subgraph behind this endpoint.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

/// Demo data into a database in which nothing ever happened, then what the service does at every
/// start. Tells whether there is demo data.
async fn start_up(service: &Service, demo: Option<&Job>, on_start: Option<&Job>) -> Result<bool> {
    let recorded = audit::Entity::find().limit(1).one(service.db.read()).await?;
    let wanted = service.config.demo.unwrap_or(service.config.is_development());
    if let (Some(load), None) = (demo, recorded) {
        if wanted {
            load(service.clone()).await?;
        }
        // Decided once: a database that was to be empty stays without demo data
        let mut change = Change::begin(service, &Caller::system()).await?;
        change.record(if wanted { DEMO_LOADED } else { DEMO_DECLINED }, service.name, &())?;
        change.finish(()).await?;
    }
    if let Some(run) = on_start {
        run(service.clone()).await?;
    }
    let loaded = audit::Entity::find().filter(audit::Column::EntityId.eq(service.name));
    let loaded = loaded.filter(audit::Column::Action.eq(DEMO_LOADED)).limit(1).one(service.db.read()).await?;
    if service.config.demo == Some(true) && demo.is_some() && loaded.is_none() {
        tracing::warn!(target: "leadgraph", subgraph = service.name, "no demo data: it goes only into a new database");
    }
    Ok(loaded.is_some())
}

/// What is told of every statement.
fn observer(metrics: &Metrics) -> StatementObserver {
    let count = metrics.database.observer();
    Arc::new(move |info| {
        count(info.elapsed, info.failed);
        telemetry::statement_ended(info);
    })
}

/// The configured service key, or one that all services with this data folder share.
fn service_key(config: &Config) -> anyhow::Result<String> {
    ensure!(config.is_development() || config.service_key.is_some(), production::NO_SERVICE_KEY);
    let file = config.data_dir.join("service.key");
    let key = match &config.service_key {
        Some(key) => key.expose_secret().to_owned(),
        None => files::read_or_create(&file, || Ok(BASE64_STANDARD.encode(Random::System.bytes::<32>())))?,
    };
    ensure!(
        key.trim().len() >= MIN_SERVICE_KEY,
        "the service key (SERVICE_KEY, else {}) has fewer than {MIN_SERVICE_KEY} characters: whoever guesses it reads \
         everything; make one with `openssl rand -hex 32`",
        file.display()
    );
    Ok(key.trim().to_owned())
}
