//! What a running subgraph has at hand, and how resolvers reach it.

use crate::{
    caller::Caller,
    change::Change,
    clock::{Clock, Random},
    config::Config,
    db::Db,
    error::{Error, Result},
    http,
    idempotency::{self, Claim},
    jobs,
    live::Live,
    load::ById,
    metrics::Metrics,
    rate::Rates,
    revocation::Revocations,
    signals::{Signals, Wake},
    telemetry::{KeyValue, Span, Tracer},
    token::{Authenticator, sign_call},
};
use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use events::Bus;
use sea_orm::{DatabaseConnection, EntityTrait, PrimaryKeyTrait};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    hash::Hash,
    ops::Deref,
    sync::Arc,
};

/// A running subgraph. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

/// What a [`Service`] is made of.
pub struct Parts {
    /// The subgraph's name.
    pub name: &'static str,
    /// The configuration it was started with.
    pub config: Config,
    /// Its own database.
    pub db: Db,
    /// Its clock.
    pub clock: Clock,
    /// Its source of ids and secrets.
    pub random: Random,
    /// Its counters.
    pub metrics: Metrics,
    /// Its traces, where they are sent.
    pub tracer: Tracer,
    /// Finds out who calls.
    pub auth: Authenticator,
    /// The sessions whose tokens count no longer.
    pub revocations: Revocations,
    /// Carries events between the services.
    pub bus: Arc<dyn Bus>,
    /// What is wrong with the events at the moment.
    pub signals: Signals,
    /// Wakes those who wait for something new in the outbox.
    pub wake: Wake,
    /// Wakes those who wait for a job, to do it or for its end.
    pub(crate) jobs: jobs::Wake,
    /// The types of this service's events that are delivered live.
    pub live_kinds: Vec<&'static str>,
    pub(crate) live: Live,
    /// How often each user and each address may ask.
    pub rates: Rates,
    pub(crate) state: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Deref for Service {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// What the subgraph's builder put aside with [`crate::Subgraph::state`].
    ///
    /// # Panics
    /// When the builder did not: a mistake in the program.
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        let found = self.state.get(&TypeId::of::<T>()).and_then(|any| any.downcast_ref());
        found.unwrap_or_else(|| panic!("{} has no state {}", self.name, std::any::type_name::<T>()))
    }

    /// Live delivery of what happens in this service.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Asks another subgraph for some of its entities, in one call: for each id the `selection` as
    /// JSON, or null when it does not exist.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the other service does not answer in time.
    pub async fn entities(
        &self,
        peer: &str,
        typename: &str,
        ids: &[i32],
        selection: &str,
    ) -> Result<Vec<Value>> {
        let span = Span::asking("service.call");
        span.describe(|| {
            vec![
                KeyValue::new("leadgraph.peer", peer.to_owned()),
                KeyValue::new("leadgraph.type", typename.to_owned()),
            ]
        });
        span.run(self.ask(peer, typename, ids, selection)).await.map_err(|error| {
            span.fail();
            tracing::warn!(peer, error = format!("{error:#}"), "the other service does not answer");
            Error::Unavailable(format!("The {peer} service does not answer; try again"))
        })
    }

    /// The Authorization header of a call to another service.
    pub(crate) fn authorization(&self) -> anyhow::Result<String> {
        // The other service holds it against its own clock: one that a test has fixed would be refused
        let token = sign_call(self.name, self.auth.service_key(), Clock::System.now())
            .map_err(|_| anyhow::anyhow!("the service key cannot sign"))?;
        Ok(format!("Service {token}"))
    }

    async fn ask(
        &self,
        peer: &str,
        typename: &str,
        ids: &[i32],
        selection: &str,
    ) -> anyhow::Result<Vec<Value>> {
        let url = self
            .config
            .peers
            .get(peer)
            .ok_or_else(|| anyhow::anyhow!("{peer} was not declared as a peer"))?;
        let query = format!(
            "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {typename} {selection} }} }}"
        );
        let variables = ids.iter().map(|id| json!({ "__typename": typename, "id": id.to_string() }));
        let variables = json!({ "r": variables.collect::<Vec<_>>() });
        let request = http::client()?.post(url).header("authorization", self.authorization()?);
        let request = request.json(&json!({ "query": query, "variables": variables }));
        let answer = http::send(request).await?;
        let mut answer: Value = answer.error_for_status()?.json().await?;
        // Of the errors their codes: what they say may repeat what somebody wrote
        let code = &answer["errors"][0]["extensions"]["code"];
        anyhow::ensure!(answer.get("errors").is_none(), "answered with errors: {code}");
        let found: Vec<Value> = serde_json::from_value(answer["data"]["_entities"].take())?;
        anyhow::ensure!(found.len() == ids.len(), "answered {} of {} entities", found.len(), ids.len());
        Ok(found)
    }
}

/// What resolvers ask of their context.
pub trait ContextExt<'a> {
    /// The running subgraph.
    fn service(&self) -> &'a Service;
    /// Who asks.
    fn caller(&self) -> &'a Caller;
    /// The database, for reading.
    fn db(&self) -> &'a DatabaseConnection;
    /// Begins a change by this caller.
    fn change(&self) -> impl Future<Output = Result<Change>> + Send;
    /// The answer that an earlier call under the same idempotency key got. Ask before asking other
    /// services: a call that was answered once is answered again whatever has changed since.
    ///
    /// # Errors
    /// `CONFLICT` when the key was used with another input.
    fn replayed<T: DeserializeOwned + Send>(
        &self,
        operation: &str,
        key: Option<&str>,
        input: &(impl Serialize + Sync),
    ) -> impl Future<Output = Result<Option<T>>> + Send;
    /// Loads one value, together with everything that is asked for at the same moment.
    fn load<K>(&self, key: K) -> impl Future<Output = Result<Option<<Service as Loader<K>>::Value>>> + Send
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Service: Loader<K, Error = Error>;
    /// Loads one row by its id, together with everything that is asked for at the same moment.
    fn by_id<E>(&self, id: i32) -> impl Future<Output = Result<Option<E::Model>>> + Send
    where
        E: EntityTrait,
        E::Model: Clone + Send + Sync,
        ById<E>: Send + Sync + Hash + Eq + Clone + 'static,
        Service: Loader<ById<E>, Value = E::Model, Error = Error>,
        <E::PrimaryKey as PrimaryKeyTrait>::ValueType: Send;
}

impl<'a> ContextExt<'a> for Context<'a> {
    fn service(&self) -> &'a Service {
        self.data_unchecked()
    }

    fn caller(&self) -> &'a Caller {
        self.data_unchecked()
    }

    fn db(&self) -> &'a DatabaseConnection {
        self.service().db.read()
    }

    async fn change(&self) -> Result<Change> {
        Change::begin(self.service(), self.caller()).await
    }

    async fn replayed<T: DeserializeOwned + Send>(
        &self,
        operation: &str,
        key: Option<&str>,
        input: &(impl Serialize + Sync),
    ) -> Result<Option<T>> {
        let Some(key) = key else { return Ok(None) };
        let claim = Claim::new(&self.caller().actor, operation, key, input)?;
        let answer = idempotency::kept(self.db(), &claim, self.service().clock.now()).await?;
        answer.map(|json| serde_json::from_str(&json).map_err(Error::internal)).transpose()
    }

    async fn load<K>(&self, key: K) -> Result<Option<<Service as Loader<K>>::Value>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Service: Loader<K, Error = Error>,
    {
        self.data_unchecked::<DataLoader<Service>>().load_one(key).await
    }

    async fn by_id<E>(&self, id: i32) -> Result<Option<E::Model>>
    where
        E: EntityTrait,
        E::Model: Clone + Send + Sync,
        ById<E>: Send + Sync + Hash + Eq + Clone + 'static,
        Service: Loader<ById<E>, Value = E::Model, Error = Error>,
        <E::PrimaryKey as PrimaryKeyTrait>::ValueType: Send,
    {
        self.load(ById::<E>::new(id)).await
    }
}
