//! Asking: once for all who ask the same, in turns, with patience, and not at all while the provider is broken.

use crate::{
    breaker::Breaker,
    completion::Completion,
    counters::Counters,
    extract::extract,
    failure::Failure,
    form::{Form, Key},
    provider::Provider,
    question::{Answer, Question, Reply},
    settings::Settings,
};
use backon::{ExponentialBuilder, Retryable};
use moka::future::Cache;
use std::{
    any::Any,
    fmt::{self, Debug, Formatter},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use subgraph::{
    Metrics, Random,
    telemetry::{KeyValue, Span, going_on},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// Bytes of answers that are kept for who asks the same again.
const MAX_KEPT: u64 = 4_000_000;
/// What an answer takes beside its text, about.
const OVERHEAD: usize = 500;

/// Asks one provider. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Parts>);

struct Parts {
    provider: Provider,
    turns: Semaphore,
    breaker: Breaker,
    counters: Counters,
    kept: Cache<Key, Kept>,
}

/// A [`Reply`], whatever is in it, and the bytes it takes.
#[derive(Clone)]
struct Kept {
    reply: Arc<dyn Any + Send + Sync>,
    weight: u32,
}

impl Client {
    /// A client with counters among those of a subgraph.
    ///
    /// # Errors
    /// When the system's TLS configuration cannot be read, or the subgraph has a client already.
    pub fn new(settings: Settings, metrics: &Metrics) -> anyhow::Result<Self> {
        let (limits, counters) = (settings.limits, Counters::new(metrics)?);
        let kept = Cache::builder().max_capacity(MAX_KEPT).weigher(|_, kept: &Kept| kept.weight);
        Ok(Self(Arc::new(Parts {
            provider: Provider::new(settings)?,
            turns: Semaphore::new(limits.at_once),
            breaker: Breaker::new(limits.failures, limits.rest, counters.breaker.clone()),
            counters,
            kept: kept.time_to_live(limits.kept).build(),
        })))
    }

    /// Asks, unless somebody asks the same at the moment or did a while ago. An asker who goes away takes nothing from
    /// the others.
    ///
    /// # Errors
    /// After at most [`crate::Limits::total`], when there is no answer that can be used; the cause was logged.
    pub async fn ask<T: Answer>(&self, question: &Question<'_>) -> Result<Arc<Reply<T>>, Failure> {
        let form = Form::of::<T>(&self.0.provider.settings().model, question);
        let parts = self.0.clone();
        // In a task of its own, which ends with an answer for the others whoever goes away
        let asking = async move { parts.ask_once(&form).await };
        let asked = tokio::spawn(going_on(asking)).await;
        asked.unwrap_or_else(|_| Err(Failure::Unfit("reading it came to a sudden end".to_owned())))
    }
}

impl Debug for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(self.0.provider.settings()).finish()
    }
}

impl Parts {
    async fn ask_once<T: Answer>(&self, form: &Form) -> Result<Arc<Reply<T>>, Failure> {
        let entry = self.kept.entry(form.key).or_try_insert_with(self.observed::<T>(form)).await;
        let entry = entry.map_err(|failure| failure.as_ref().clone())?;
        if !entry.is_fresh() {
            self.counters.shared();
        }
        let reply = entry.into_value().reply.downcast();
        reply.map_err(|_| Failure::Unfit("another type was kept".to_owned()))
    }

    async fn observed<T: Answer>(&self, form: &Form) -> Result<Kept, Failure> {
        let (start, attempts) = (Instant::now(), AtomicUsize::new(0));
        let answered = self.answer::<T>(form, &attempts).await;
        let (took, attempts) = (start.elapsed(), attempts.into_inner());
        self.counters.ended(answered.as_ref().err(), took);
        let (subject, seconds) = (&*form.subject, took.as_secs_f64());
        match &answered {
            Ok(_) => tracing::info!(subject, attempts, seconds, "the language model answered"),
            // These may be many, and the failures before them were warnings
            Err(cause @ (Failure::Resting | Failure::Busy)) => {
                tracing::info!(subject, seconds, %cause, "the language model was not asked");
            }
            Err(cause) => {
                tracing::warn!(subject, attempts, seconds, %cause, "no answer from the language model");
            }
        }
        answered
    }

    async fn answer<T: Answer>(&self, form: &Form, attempts: &AtomicUsize) -> Result<Kept, Failure> {
        if self.breaker.refuses() {
            return Err(Failure::Resting);
        }
        let (now, total) = (Instant::now(), self.provider.settings().limits.total);
        // Who gets a turn has at least half of the time: otherwise a queue of our own would look like a slow provider
        let Ok(Ok(_turn)) = timeout_at(now + total / 2, self.turns.acquire()).await else {
            return Err(Failure::Busy);
        };
        let pass = self.breaker.admit().ok_or(Failure::Resting)?;
        let deadline = now + total;
        let said = timeout_at(deadline, self.attempts(form, deadline, attempts)).await;
        let said = said.unwrap_or(Err(Failure::TimedOut));
        pass.report(said.as_ref().err().is_some_and(Failure::is_providers));
        self.checked::<T>(said?)
    }

    async fn attempts(
        &self,
        form: &Form,
        deadline: Instant,
        attempts: &AtomicUsize,
    ) -> Result<Completion, Failure> {
        let limits = self.provider.settings().limits;
        let pauses = ExponentialBuilder::new().with_min_delay(limits.pause).with_max_times(limits.retries);
        let ask = || {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.attempt(form)
        };
        ask.retry(pauses)
            .when(Failure::is_transient)
            .adjust(|failure, pause| fitting(failure, pause?, deadline))
            .notify(|cause, pause| {
                tracing::info!(subject = form.subject, %cause, ?pause, "the language model is asked again");
            })
            .await
    }

    async fn attempt(&self, form: &Form) -> Result<Completion, Failure> {
        let span = Span::asking("llm.request");
        let said = span.run(self.provider.ask(form)).await;
        span.describe(|| self.described(&said));
        if said.is_err() {
            span.fail();
        }
        said
    }

    /// What a trace says of an attempt: nothing of what was asked or said.
    fn described(&self, said: &Result<Completion, Failure>) -> Vec<KeyValue> {
        let asked = KeyValue::new("gen_ai.request.model", self.provider.settings().model.clone());
        let outcome = |outcome| KeyValue::new("leadgraph.outcome", outcome);
        match said {
            Ok(Completion { model, usage, .. }) => {
                let tokens = |kind, count| KeyValue::new(kind, i64::try_from(count).unwrap_or(i64::MAX));
                let model = model.clone().map(|model| KeyValue::new("gen_ai.response.model", model));
                let used = [
                    tokens("gen_ai.usage.input_tokens", usage.prompt),
                    tokens("gen_ai.usage.output_tokens", usage.completion),
                ];
                [asked, outcome("ok")].into_iter().chain(model).chain(used).collect()
            }
            Err(failure) => vec![asked, outcome(failure.outcome())],
        }
    }

    fn checked<T: Answer>(&self, said: Completion) -> Result<Kept, Failure> {
        self.counters.used(said.usage);
        let answer: T = extract(&said.text)?;
        let model = said.model.unwrap_or_else(|| self.provider.settings().model.clone());
        let weight = u32::try_from(said.text.len() + OVERHEAD).unwrap_or(u32::MAX);
        Ok(Kept { reply: Arc::new(Reply { answer, model }), weight })
    }
}

/// How long to wait before the next attempt; nothing when there is no time left for it. Chance spreads those who failed
/// together.
fn fitting(failure: &Failure, pause: Duration, deadline: Instant) -> Option<Duration> {
    let chance = || f64::from(u32::from_le_bytes(Random::System.bytes())) / f64::from(u32::MAX);
    let pause = failure.retry_after().unwrap_or_else(|| pause.mul_f64(chance()));
    (pause < deadline.saturating_duration_since(Instant::now())).then_some(pause)
}
