//! Following a recalculation.

use super::Recalculation;
use async_graphql::{Context, SimpleObject};
use futures_util::stream::{Stream, unfold};
use sea_orm::prelude::Uuid;
use std::time::Duration;
use subgraph::{ContextExt, Error, LiveContext, Result, Service, jobs, to_int};
use tokio::time::sleep;

/// How often progress is looked at for those who follow it.
const LOOK: Duration = Duration::from_millis(250);

/// How far a recalculation is.
#[derive(Clone, Debug, PartialEq, SimpleObject)]
pub(crate) struct RecalculationProgress {
    /// Leads that were looked at.
    done: i32,
    /// Leads there are.
    total: i32,
    /// Whether the run is over.
    finished: bool,
}

#[derive(Debug, Default)]
pub(crate) struct RecalculationSubscription;

#[async_graphql::Subscription]
impl RecalculationSubscription {
    /// How far the recalculation under way is, until it is finished; when there is none, of the next one.
    async fn recalculation_progress(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<RecalculationProgress>>> {
        let last = jobs::latest::<Recalculation>(ctx.db()).await?;
        let over = last.filter(|job| job.status.is_final()).map(|job| job.id);
        let following = Following { service: ctx.service().clone(), over, shown: None };
        ctx.own_stream(|| unfold(Some(following), Following::next))
    }
}

/// Somebody who follows a run.
struct Following {
    service: Service,
    /// The last run, which was over before.
    over: Option<Uuid>,
    shown: Option<RecalculationProgress>,
}

impl Following {
    /// Waits until there is something to show; nothing follows on the end of the run.
    async fn next(following: Option<Self>) -> Option<(Result<RecalculationProgress>, Option<Self>)> {
        let following = following?;
        let service = &following.service;
        loop {
            let job = match jobs::latest::<Recalculation>(service.db.read()).await {
                Ok(job) => job.filter(|job| Some(job.id) != following.over),
                Err(Error::Unavailable(_)) => {
                    jobs::changed(service).await;
                    continue;
                }
                Err(error) => return Some((Err(error), None)),
            };
            let under_way = job.is_some();
            let now = job.map(|job| RecalculationProgress {
                done: to_int(job.done),
                total: to_int(job.total.unwrap_or_default()),
                finished: job.status.is_final(),
            });
            match now {
                Some(now) if following.shown.as_ref() != Some(&now) => {
                    let goes_on = (!now.finished).then(|| Self { shown: Some(now.clone()), ..following });
                    return Some((Ok(now), goes_on));
                }
                _ if under_way => sleep(LOOK).await,
                _ => jobs::changed(service).await,
            }
        }
    }
}
