//! Jobs as spans, in the traces in which they were asked for.

use super::{Span, Tracer, remote};
use crate::jobs;
use opentelemetry::{KeyValue, trace::SpanKind};

impl Tracer {
    /// What this process does of a job.
    pub(crate) fn job(&self, job: &jobs::Model) -> Span {
        let parent = remote(job.traceparent.as_deref(), None);
        let span = self.work(parent, "job.run", SpanKind::Consumer);
        span.describe(|| {
            vec![
                KeyValue::new("leadgraph.job.kind", job.kind.clone()),
                KeyValue::new("leadgraph.job.id", job.id.to_string()),
            ]
        });
        span
    }
}
