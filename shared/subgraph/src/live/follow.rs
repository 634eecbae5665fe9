//! The resolvers' side: what a field of `Subscription` follows.
//!
//! A resolver that follows events runs in two ways. When somebody subscribes, it runs to check the arguments and to say
//! what it follows, and its stream is empty. When something happened, it runs once for all who asked the same, and its
//! stream is that one event. One that has a stream of its own runs once more for each who subscribes.

use super::Item;
use crate::{
    error::{Error, Result},
    service::{ContextExt, Service},
};
use async_graphql::Context;
use events::Event;
use futures_util::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The argument that says where a client goes on; it is the only one in which subscribers of one group differ.
pub(crate) const PLACE: &str = "afterSequence";

/// What was missed after a sequence, at most so many, in order; the events as JSON.
pub(crate) type Replay =
    Arc<dyn Fn(Service, i32, u64) -> BoxFuture<'static, Result<Vec<(i32, Value)>>> + Send + Sync>;

/// Where a client goes on, and how to read what it missed.
#[derive(Clone)]
pub(crate) struct Resume {
    /// The last sequence that the client has.
    pub after: i32,
    /// Reads what follows.
    pub replay: Replay,
}

/// What a field follows.
#[derive(Clone)]
pub(crate) enum Followed {
    /// Events of a type.
    Events {
        /// The type.
        kind: &'static str,
        /// Where the client goes on, if it was there before.
        resume: Option<Resume>,
    },
    /// A stream that is made for each who subscribes, and ends by itself.
    Own,
}

/// Somebody who subscribed is given a stream of their own.
pub(crate) struct Streaming;

/// Somebody subscribes: the resolver notes what it follows.
#[derive(Default)]
pub(crate) struct Opening(Mutex<Vec<Followed>>);

impl Opening {
    /// What was noted, by field.
    pub fn followed(&self) -> Vec<Followed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, followed: Followed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(followed);
    }
}

/// Something happened: the resolver makes the answer of it.
pub(crate) enum Rendering {
    /// Now.
    Live(Arc<Item>),
    /// Some time ago.
    Replayed(Value),
}

impl Rendering {
    fn event<E: Event>(&self) -> Result<E> {
        match self {
            Self::Live(item) => item.event(),
            Self::Replayed(data) => serde_json::from_value(data.clone()).map_err(Error::internal),
        }
    }
}

/// What the fields of `Subscription` ask of their context.
pub trait LiveContext {
    /// The events of a type, as they happen. The service has to declare it with [`crate::Subgraph::live`].
    fn follow<E: Event>(&self) -> Result<BoxStream<'static, E>>;

    /// As [`LiveContext::follow`], after those that the client missed since `after`, which is the field's
    /// argument `afterSequence`. Nothing is lost and nothing repeated between what is replayed and what is live.
    ///
    /// `replay` reads the service's own tables: the events after a sequence, in order, at most so many; none when
    /// there are no more. It refuses a sequence it cannot go on from: one that is older than what is kept, or was
    /// never given out.
    fn follow_from<E: Event, F>(
        &self,
        after: Option<i32>,
        replay: fn(Service, i32, u64) -> F,
    ) -> Result<BoxStream<'static, E>>
    where
        F: Future<Output = Result<Vec<(i32, E)>>> + Send + 'static;

    /// A stream of the subscriber's own, for what is no event. When it ends, the subscription is complete. It is made
    /// when it is begun, not when it is checked whether it may be.
    fn own_stream<T: Send + 'static, S>(&self, make: impl FnOnce() -> S) -> Result<BoxStream<'static, T>>
    where
        S: Stream<Item = T> + Send + 'static;
}

impl LiveContext for Context<'_> {
    fn follow<E: Event>(&self) -> Result<BoxStream<'static, E>> {
        follow(self, None)
    }

    fn follow_from<E: Event, F>(
        &self,
        after: Option<i32>,
        replay: fn(Service, i32, u64) -> F,
    ) -> Result<BoxStream<'static, E>>
    where
        F: Future<Output = Result<Vec<(i32, E)>>> + Send + 'static,
    {
        let replay: Replay =
            Arc::new(move |service, after, limit| Box::pin(as_json(replay(service, after, limit))));
        follow(self, after.map(|after| Resume { after, replay }))
    }

    fn own_stream<T: Send + 'static, S>(&self, make: impl FnOnce() -> S) -> Result<BoxStream<'static, T>>
    where
        S: Stream<Item = T> + Send + 'static,
    {
        if self.data_opt::<Streaming>().is_some() {
            return Ok(make().boxed());
        }
        opening(self)?.note(Followed::Own);
        Ok(stream::empty().boxed())
    }
}

/// Where those who subscribe are.
fn opening<'a>(ctx: &Context<'a>) -> Result<&'a Opening> {
    let opening = ctx.data_opt::<Arc<Opening>>();
    opening.map(|opening| &**opening).ok_or_else(|| Error::Unavailable("Subscribe over WebSocket".into()))
}

async fn as_json<E: Event>(
    page: impl Future<Output = Result<Vec<(i32, E)>>> + Send,
) -> Result<Vec<(i32, Value)>> {
    let to_json = |(sequence, event)| {
        let data = serde_json::to_value::<E>(event).map_err(Error::internal)?;
        Ok((sequence, data))
    };
    page.await?.into_iter().map(to_json).collect()
}

fn follow<E: Event>(ctx: &Context<'_>, resume: Option<Resume>) -> Result<BoxStream<'static, E>> {
    if let Some(rendering) = ctx.data_opt::<Rendering>() {
        return Ok(stream::iter([rendering.event()?]).boxed());
    }
    let opening = opening(ctx)?;
    if !ctx.service().live_kinds.contains(&E::TYPE) {
        return Err(Error::internal(format!("{} was not declared with Subgraph::live", E::TYPE)));
    }
    opening.note(Followed::Events { kind: E::TYPE, resume });
    Ok(stream::empty().boxed())
}
