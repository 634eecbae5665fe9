//! Putting a subgraph together: its nouns in, a running service out.

use crate::{
    caller::Caller,
    change::audit,
    config::{Config, ExtraArg},
    consume::{Consumer, Consumers},
    counter,
    error::{Error, Result},
    graphql::{Admission, Executor, StreamExecutor},
    idempotency, jobs,
    jwks::LocalKeys,
    live::LiveLimits,
    metrics::Metrics,
    migrate::Migrations,
    policy::Policy,
    rebuild::{AnyView, View},
    revocation::{self, Revocations},
    schema,
    server::Mounted,
    service::Service,
    snapshot::Snapshots,
};
use async_graphql::{ObjectType, SubscriptionType};
use events::{Event, contract::SessionRevoked, cursor, inbox, outbox};
use futures_util::future::BoxFuture;
use poem::endpoint::BoxEndpoint;
use sea_orm::{EntityTrait, QuerySelect};
use sea_orm_migration::MigratorTrait;
use std::{
    any::{Any, TypeId},
    sync::Arc,
};

type Anything = Arc<dyn Any + Send + Sync>;
type MakeState = Arc<dyn Fn(&Config, &Metrics) -> anyhow::Result<(TypeId, Anything)> + Send + Sync>;
pub(crate) type Job = Arc<dyn Fn(Service) -> BoxFuture<'static, Result<()>> + Send + Sync>;
type Routes = fn(&Service) -> Vec<(&'static str, BoxEndpoint<'static>)>;
type Mount = fn(&Service) -> Mounted;
type MakeKeys = fn(&Config) -> anyhow::Result<LocalKeys>;
type MakeExecutor = Arc<dyn Fn(&Service) -> (Executor, Option<StreamExecutor>) + Send + Sync>;
type Insist = fn(&Config) -> Vec<String>;
type Command = fn(&Config, &[String]) -> anyhow::Result<()>;

/// A subgraph that has not been started: its name, roots, rules and tables.
#[derive(Clone)]
pub struct Subgraph {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) peers: Vec<(&'static str, u16)>,
    pub(crate) extra_args: Vec<ExtraArg>,
    pub(crate) commands: Vec<(&'static str, &'static str, Command)>,
    pub(crate) migrations: Migrations,
    pub(crate) sdl: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) executor: MakeExecutor,
    pub(crate) policy: Arc<Policy>,
    pub(crate) tables: Vec<(&'static str, Job)>,
    pub(crate) state: Vec<MakeState>,
    pub(crate) demo: Option<Job>,
    pub(crate) on_start: Option<Job>,
    pub(crate) admission: Option<Admission>,
    pub(crate) keys: Option<MakeKeys>,
    pub(crate) routes: Option<Routes>,
    pub(crate) mounts: Vec<(&'static str, Mount)>,
    pub(crate) consumers: Consumers,
    pub(crate) snapshots: Snapshots,
    pub(crate) views: Vec<AnyView>,
    pub(crate) jobs: Vec<jobs::Kind>,
    pub(crate) live: Vec<&'static str>,
    pub(crate) live_limits: LiveLimits,
    pub(crate) insist: Option<Insist>,
}

impl Subgraph {
    /// A subgraph with these roots (which must be named `Query`, `Mutation` and `Subscription`),
    /// on this port unless configured otherwise, with the migrations of `M`.
    pub fn new<Q, Mu, S, M>(name: &'static str, port: u16, policy: Policy) -> Self
    where
        Q: ObjectType + Default + 'static,
        Mu: ObjectType + Default + 'static,
        S: SubscriptionType + Default + 'static,
        M: MigratorTrait + 'static,
    {
        Self {
            name,
            port,
            peers: Vec::new(),
            extra_args: Vec::new(),
            commands: Vec::new(),
            migrations: Migrations::of::<M>(),
            sdl: Arc::new(schema::sdl::<Q, Mu, S>),
            executor: Arc::new(schema::executor::<Q, Mu, S>),
            policy: Arc::new(policy),
            tables: Vec::new(),
            state: Vec::new(),
            demo: None,
            on_start: None,
            admission: None,
            keys: None,
            routes: None,
            mounts: Vec::new(),
            consumers: Consumers::default(),
            snapshots: Snapshots::default(),
            views: Vec::new(),
            jobs: Vec::new(),
            live: Vec::new(),
            live_limits: LiveLimits::default(),
            insist: None,
        }
        .table::<audit::Entity>("audit_log")
        .table::<idempotency::row::Entity>("idempotency_key")
        .table::<outbox::Entity>("outbox")
        .table::<counter::Entity>("counter")
        .table::<inbox::Entity>("inbox")
        .table::<inbox::parked::Entity>("parked_event")
        .table::<cursor::Entity>("bus_cursor")
        .table::<revocation::Entity>("revoked_session")
        .on::<SessionRevoked, Revocations>()
        .view::<SessionRevoked, Revocations>()
    }

    /// A table this subgraph owns; [`Subgraph::check_tables`] compares it with the entity.
    #[must_use]
    pub fn table<E: EntityTrait>(mut self, name: &'static str) -> Self {
        let check: Job = Arc::new(|service: Service| {
            Box::pin(async move {
                E::find().limit(1).one(service.db.read()).await.map_err(Error::internal)?;
                Ok(())
            })
        });
        self.tables.push((name, check));
        self
    }

    /// Another subgraph this one asks, and its usual port.
    #[must_use]
    pub fn peer(mut self, name: &'static str, port: u16) -> Self {
        self.peers.push((name, port));
        self
    }

    /// A flag that only this service has.
    #[must_use]
    pub fn arg(mut self, arg: ExtraArg) -> Self {
        self.extra_args.push(arg);
        self
    }

    /// A subcommand that only this service has.
    #[must_use]
    pub fn command(mut self, name: &'static str, about: &'static str, run: Command) -> Self {
        self.commands.push((name, about, run));
        self
    }

    /// Something that resolvers find through [`Service::state`], made once at start.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, make: fn(&Config) -> anyhow::Result<T>) -> Self {
        self.state.push(Arc::new(move |config, _| Ok((TypeId::of::<T>(), Arc::new(make(config)?)))));
        self
    }

    /// As [`Subgraph::state`], for something that has counters of its own ([`Metrics::add`]).
    #[must_use]
    pub fn counted_state<T: Send + Sync + 'static>(
        mut self,
        make: fn(&Config, &Metrics) -> anyhow::Result<T>,
    ) -> Self {
        let make = move |config: &Config, metrics: &Metrics| {
            Ok((TypeId::of::<T>(), Arc::new(make(config, metrics)?) as Anything))
        };
        self.state.push(Arc::new(make));
        self
    }

    /// Loads this service's demo data into a new database.
    #[must_use]
    pub fn demo<F: Future<Output = Result<()>> + Send + 'static>(mut self, load: fn(Service) -> F) -> Self {
        self.demo = Some(Arc::new(move |service| Box::pin(load(service))));
        self
    }

    /// Runs at every start, after migrations and demo data, before the first request.
    #[must_use]
    pub fn on_start<F: Future<Output = Result<()>> + Send + 'static>(
        mut self,
        run: fn(Service) -> F,
    ) -> Self {
        self.on_start = Some(Arc::new(move |service| Box::pin(run(service))));
        self
    }

    /// A further look at each verified caller.
    #[must_use]
    pub fn admission<F>(mut self, check: fn(Service, Caller) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.admission = Some(Arc::new(move |service, caller| Box::pin(check(service, caller))));
        self
    }

    /// Where the keys are made, in the one service that makes them.
    #[must_use]
    pub fn keys(mut self, make: MakeKeys) -> Self {
        self.keys = Some(make);
        self
    }

    /// What it does when something happened in another service. Those of one event share its transaction.
    #[must_use]
    pub fn on<E: Event, C: Consumer<E>>(mut self) -> Self {
        self.consumers.add::<E, C>();
        self
    }

    /// What this service has now, in the form of an event that tells of it, for those who keep a view of it: the
    /// rows after a key, each with its key, in the order of the keys; none when there are no more.
    #[must_use]
    pub fn snapshot<E, F>(mut self, page: fn(Service, Option<String>, u64) -> F) -> Self
    where
        E: Event,
        F: Future<Output = Result<Vec<(String, E)>>> + Send + 'static,
    {
        self.snapshots.add(page);
        self
    }

    /// A view of what another service owns, which [`Subgraph::rebuild`] fills again from that service's snapshot.
    /// The owner must be a peer.
    #[must_use]
    pub fn view<E: Event, V: View<E>>(mut self) -> Self {
        self.views.push(AnyView::of::<E, V>());
        self
    }

    /// Work that this service does in the background. Its migrations must have the table of jobs.
    #[must_use]
    pub fn job<J: jobs::Job>(mut self) -> Self {
        if self.jobs.is_empty() {
            self = self.table::<jobs::Entity>("job");
        }
        self.jobs.push(jobs::Kind::of::<J>());
        self
    }

    /// Events of its own that are delivered live to who subscribes.
    #[must_use]
    pub fn live<E: Event>(mut self) -> Self {
        self.live.push(E::TYPE);
        self
    }

    /// How patient live delivery is, if not as usual.
    #[must_use]
    pub fn live_limits(mut self, limits: LiveLimits) -> Self {
        self.live_limits = limits;
        self
    }

    /// What this service refuses in production beside what all do: each fault in one line that says what to set.
    #[must_use]
    pub fn insist(mut self, faults: fn(&Config) -> Vec<String>) -> Self {
        self.insist = Some(faults);
        self
    }

    /// HTTP routes beside `/graphql`.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = Some(routes);
        self
    }

    /// A service beside poem's routes, for all paths that are `prefix` or below it. It sees hyper's requests and can
    /// upgrade their connections.
    #[must_use]
    pub fn beside(mut self, prefix: &'static str, mount: fn(&Service) -> Mounted) -> Self {
        self.mounts.push((prefix, mount));
        self
    }

    /// The subgraph's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The port it listens on unless configured otherwise.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The other subgraphs this one asks, by name.
    pub fn peers(&self) -> impl Iterator<Item = &'static str> {
        self.peers.iter().map(|(name, _)| *name)
    }

    /// The federation SDL; needs no database.
    pub fn sdl(&self) -> String {
        (self.sdl)()
    }

    /// The migrations of this service's database.
    pub fn migrations(&self) -> &Migrations {
        &self.migrations
    }
}
