//! The stream: made where there is none, never changed into another one.

use crate::outbox;
use anyhow::anyhow;
use async_nats::jetstream::{
    Context, ErrorCode,
    context::{GetStreamError, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};
use std::time::Duration;

pub(super) const NAME: &str = "LEADGRAPH";
/// What the subjects of all events begin with.
pub(super) const PREFIX: &str = "leadgraph.events";
/// As long as the outboxes keep what they published: afterwards nobody could publish it again either.
const KEPT: Duration = Duration::from_secs(outbox::KEPT.num_seconds().unsigned_abs());
/// For how long the server knows what it has. Far longer than a relay needs to try again.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);

/// What the stream says of itself once it has lost some of its content.
const LOST: &str = "leadgraph-lost";

/// Which stream this is. One that was lost and made anew was made at another time, and one that lost some of its
/// content says so.
pub(super) fn identity(info: &Info) -> String {
    let lost = info.config.metadata.get(LOST).map(|lost| format!(":{lost}")).unwrap_or_default();
    format!("nats:{}{lost}", info.created.unix_timestamp_nanos())
}

/// Makes it another log for everybody, so that all there is in the outboxes is published again. Its settings and its
/// other consumers stay.
pub(super) async fn renew(jetstream: &Context, info: &Info, why: &str) -> anyhow::Result<()> {
    let mut config = info.config.clone();
    config.metadata.insert(LOST.into(), why.into());
    let updated = jetstream.update_stream(config).await;
    updated.map_err(|error| {
        anyhow!("the stream {NAME} lost events ({why}), and cannot be marked: remove it, and all is published again ({error})")
    })?;
    Ok(())
}

/// The stream as it is now, made first where there is none. Several services may do it at once.
pub(super) async fn ensure(jetstream: &Context) -> anyhow::Result<Info> {
    match jetstream.get_stream(NAME).await {
        Ok(stream) => with_subjects(jetstream, stream.cached_info()).await,
        Err(error) if is_missing(&error) => match jetstream.create_stream(config()).await {
            Ok(stream) => Ok(stream.cached_info().clone()),
            // Where somebody made it meanwhile, with other settings, it is there
            Err(refused) => {
                info(jetstream).await.map_err(|_| anyhow!("NATS makes no stream {NAME}: {refused}"))
            }
        },
        Err(error) => Err(silent(&error)),
    }
}

/// The stream as it is now.
pub(super) async fn info(jetstream: &Context) -> anyhow::Result<Info> {
    let stream = jetstream.get_stream(NAME).await.map_err(|error| silent(&error))?;
    Ok(stream.cached_info().clone())
}

fn silent(error: &GetStreamError) -> anyhow::Error {
    anyhow!("NATS does not tell about the stream {NAME}; has it JetStream? ({error})")
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn config() -> Config {
    Config {
        name: NAME.into(),
        description: Some("Events between the services of Leadgraph".into()),
        subjects: vec![subjects()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: KEPT,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: 1,
        ..Config::default()
    }
}

fn subjects() -> String {
    format!("{PREFIX}.>")
}

/// The settings of a stream belong to the operator, who may have raised its replicas: only the subjects are
/// added, without which nothing arrives.
async fn with_subjects(jetstream: &Context, info: &Info) -> anyhow::Result<Info> {
    if info.config.subjects.iter().any(|subject| *subject == subjects() || subject == ">") {
        return Ok(info.clone());
    }
    let mut config = info.config.clone();
    config.subjects.push(subjects());
    let updated = jetstream.update_stream(config).await;
    updated.map_err(|error| anyhow!("the stream {NAME} does not take the subjects {}: {error}", subjects()))
}
