//! A CloudEvent: what happened, when, to what, and who did it.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

/// The version of the CloudEvents specification.
const SPEC_VERSION: &str = "1.0";

/// One kind of event. The name and the version together fix what its data means: a change that old consumers
/// would misread is a new version.
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The `type` attribute, such as `lead.created`.
    const TYPE: &'static str;
    /// The version of its data.
    const VERSION: u32 = 1;
    /// The service that publishes it.
    const PRODUCER: &'static str;

    /// What it happened to, such as `lead/42`. Events of one subject arrive in the order in which they happened.
    fn subject(&self) -> String;

    /// The version of what it happened to, after it happened; nothing when it happened to many.
    fn version(&self) -> Option<i32>;

    /// Its place in a list that clients resume from; nothing for most.
    fn sequence(&self) -> Option<i32> {
        None
    }

    /// One as it could be, for the documentation and for tests.
    fn example() -> Self;
}

/// An event with its CloudEvents attributes, as JSON in the outbox and on the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique; also the id of the change's row in the audit log.
    pub id: Uuid,
    /// Who publishes it: `/leads`.
    pub source: String,
    /// What happened: `lead.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it happened to: `lead/42`.
    pub subject: String,
    /// When it happened.
    #[serde(serialize_with = "micros")]
    pub time: DateTime<Utc>,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The meaning of `data`: `urn:leadgraph:lead.created:1`.
    pub dataschema: String,
    /// Who did it: `user:1`, `key:1`, `service:leads` or `system`.
    pub actor: String,
    /// The version of the subject after it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregateversion: Option<i32>,
    /// The piece of bulk work it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Uuid>,
    /// How many events of its type that piece of work has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batchsize: Option<u32>,
    /// Its place in a list that clients resume from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The trace that it is a part of, by the W3C's Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What others keep beside the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// What there is to know about it.
    pub data: Value,
}

impl Envelope {
    /// Wraps an event; batch and size are for bulk work.
    ///
    /// # Errors
    /// When the event has no form in JSON, which one of the contract has.
    pub fn new<E: Event>(
        event: &E,
        id: Uuid,
        time: DateTime<Utc>,
        actor: String,
        batch: Option<(Uuid, u32)>,
    ) -> serde_json::Result<Self> {
        Ok(Self {
            specversion: SPEC_VERSION.into(),
            id,
            source: source(E::PRODUCER),
            kind: E::TYPE.into(),
            subject: event.subject(),
            time,
            datacontenttype: "application/json".into(),
            dataschema: schema::<E>(),
            actor,
            aggregateversion: event.version(),
            batch: batch.map(|(id, _)| id),
            batchsize: batch.map(|(_, size)| size),
            sequence: event.sequence().map(|sequence| sequence.to_string()),
            traceparent: None,
            tracestate: None,
            data: serde_json::to_value(event)?,
        })
    }

    /// The event inside.
    ///
    /// # Errors
    /// When it is not a CloudEvent 1.0, of another type or version, or its data does not fit.
    pub fn event<E: Event>(&self) -> anyhow::Result<E> {
        anyhow::ensure!(self.specversion == SPEC_VERSION, "CloudEvents {} is not known", self.specversion);
        anyhow::ensure!(
            self.dataschema == schema::<E>(),
            "{} is not known: is this program too old?",
            self.dataschema
        );
        serde_json::from_value(self.data.clone())
            .map_err(|error| anyhow::anyhow!("the data of {}: {error}", self.kind))
    }

    /// Whether the service `name` published it.
    pub fn is_from(&self, name: &str) -> bool {
        self.source.strip_prefix('/') == Some(name)
    }
}

/// The trace in which an event happened, of an envelope as JSON: what stands in `traceparent` and `tracestate`.
#[must_use]
pub fn trace_of(envelope: &str) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct Trace {
        traceparent: String,
        tracestate: Option<String>,
    }
    // Most have none, and are not worth reading as JSON
    let may_have = envelope.contains("\"traceparent\"");
    let trace = may_have.then(|| serde_json::from_str::<Trace>(envelope).ok()).flatten()?;
    Some((trace.traceparent, trace.tracestate))
}

fn source(producer: &str) -> String {
    format!("/{producer}")
}

fn schema<E: Event>() -> String {
    format!("urn:leadgraph:{}:{}", E::TYPE, E::VERSION)
}

/// As everybody writes it, with all the digits there are.
fn micros<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{LeadCreated, LeadRemoved};

    fn envelope() -> Envelope {
        Envelope::new(&LeadCreated::example(), Uuid::nil(), DateTime::UNIX_EPOCH, "user:1".into(), None)
            .unwrap()
    }

    #[test]
    fn what_is_wrapped_comes_out_again() {
        let json = serde_json::to_string(&envelope()).unwrap();
        let back: Envelope = serde_json::from_str(&json).unwrap();
        assert_eq!(back, envelope());
        assert_eq!(back.event::<LeadCreated>().unwrap(), LeadCreated::example());
        assert!(back.is_from("leads") && !back.is_from("lead"));
    }

    #[test]
    fn the_trace_is_carried_where_there_is_one() {
        let json = |envelope: &Envelope| serde_json::to_string(envelope).unwrap();
        assert!(!json(&envelope()).contains("trace") && trace_of(&json(&envelope())).is_none());
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
        let traced = Envelope { traceparent: Some(parent.clone()), ..envelope() };
        assert_eq!(trace_of(&json(&traced)), Some((parent, None)));
        assert_eq!(serde_json::from_str::<Envelope>(&json(&traced)).unwrap(), traced);
        assert_eq!(trace_of("\"traceparent\""), None);
    }

    #[test]
    fn another_type_version_or_form_is_refused() {
        assert!(envelope().event::<LeadRemoved>().is_err());
        let newer = Envelope { dataschema: "urn:leadgraph:lead.created:2".into(), ..envelope() };
        assert!(newer.event::<LeadCreated>().unwrap_err().to_string().contains("too old"));
        assert!(Envelope { specversion: "2.0".into(), ..envelope() }.event::<LeadCreated>().is_err());
        assert!(Envelope { data: Value::Null, ..envelope() }.event::<LeadCreated>().is_err());
    }
}
