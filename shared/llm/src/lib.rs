//! Questions to a language model behind an OpenAI-compatible API, and answers whose form can be trusted.
//!
//! - A service is offered the model with [`offered`]; [`client`] is there when an operator configured one. Without it,
//!   and whenever [`Client::ask`] fails, the service's built-in rules answer.
//! - An [`Answer`] says which form it has and checks what it holds. What does not fit never leaves this crate.
//! - A provider that is slow, broken or hostile costs bounded time and memory: [`Limits`] has the numbers.
//!
//! ```no_run
//! use llm::{Answer, Question};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// How somebody feels.
//! #[derive(Deserialize, JsonSchema)]
//! struct Mood {
//!     /// From 0 (bad) to 10 (good).
//!     level: f64,
//! }
//!
//! impl Answer for Mood {
//!     const NAME: &'static str = "mood";
//!
//!     fn check(self) -> Result<Self, String> {
//!         if (0.0..=10.0).contains(&self.level) { Ok(self) } else { Err("the level is out of range".into()) }
//!     }
//! }
//!
//! # async fn example(service: &subgraph::Service) -> Option<f64> {
//! let question = Question {
//!     subject: "mood:42",
//!     instructions: "Say how this person feels, judging by the notes.",
//!     data: serde_json::json!({ "notes": ["Loved the demo"] }),
//! };
//! let reply = llm::client(service)?.ask::<Mood>(&question).await.ok()?;
//! Some(reply.answer.level)
//! # }
//! ```

mod breaker;
mod client;
mod completion;
mod counters;
mod extract;
mod extras;
mod failure;
mod form;
mod provider;
mod question;
mod settings;

pub use client::Client;
pub use failure::Failure;
pub use question::{Answer, Question, Reply};
pub use settings::{Limits, Settings};

use subgraph::{Config, Metrics, Service, Subgraph};

/// The client, when there is one.
struct Offered(Option<Client>);

/// Gives a service the flags that configure a language model, and the client.
#[must_use]
pub fn offered(subgraph: Subgraph) -> Subgraph {
    let subgraph = settings::ARGS.iter().fold(subgraph, |subgraph, arg| subgraph.arg(*arg));
    subgraph.counted_state(offer)
}

/// The client of a service that was [`offered`] one; nothing when neither a key nor an address is configured.
///
/// # Panics
/// When the service was not offered one: a mistake in the program.
pub fn client(service: &Service) -> Option<&Client> {
    service.state::<Offered>().0.as_ref()
}

fn offer(config: &Config, metrics: &Metrics) -> anyhow::Result<Offered> {
    let client = Settings::of(config)?.map(|settings| Client::new(settings, metrics)).transpose()?;
    Ok(Offered(client))
}
