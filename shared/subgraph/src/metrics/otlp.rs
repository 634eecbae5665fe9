//! Counters in the form of OpenTelemetry's protocol: sums, gauges and histograms since a start.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1 as whose,
};
use opentelemetry_sdk::Resource;
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

/// The span of time that numbers are about, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// When counting began.
    pub start: u64,
    /// Now.
    pub now: u64,
}

/// A request that tells of these counters. `resource` says whose they are.
pub(super) fn request(
    families: &[MetricFamily],
    resource: &Resource,
    span: Span,
) -> ExportMetricsServiceRequest {
    let metrics = families.iter().filter_map(|family| metric(family, span)).collect();
    let scope = InstrumentationScope {
        name: "leadgraph".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let attributes = resource.iter().map(|(key, value)| attribute(key.as_str(), &value.as_str())).collect();
    let resource = Some(whose::Resource { attributes, ..whose::Resource::default() });
    let all = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![all] }
}

/// One metric with all its labels; nothing for kinds that we have none of.
fn metric(family: &MetricFamily, span: Span) -> Option<Metric> {
    let (samples, aggregation_temporality) =
        (family.get_metric().iter(), AggregationTemporality::Cumulative.into());
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let number = |sample: &proto::Metric| number(sample, sample.get_counter().get_value(), span);
            let data_points = samples.map(number).collect();
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
        }
        MetricType::GAUGE => {
            // What is measured now began at no time
            let span = Span { start: 0, ..span };
            let number = |sample: &proto::Metric| number(sample, sample.get_gauge().get_value(), span);
            Data::Gauge(Gauge { data_points: samples.map(number).collect() })
        }
        MetricType::HISTOGRAM => {
            let data_points = samples.map(|sample| histogram(sample, span)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let unit = if family.name().contains("_seconds") { "s" } else { "" };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(sample: &proto::Metric, value: f64, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(sample.get_label()),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts in each bucket what lies in those below it as well; OpenTelemetry does not, and has one more
/// bucket for what lies above all bounds.
fn histogram(sample: &proto::Metric, span: Span) -> HistogramDataPoint {
    let histogram = sample.get_histogram();
    let bounded = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut below, mut bucket_counts, mut explicit_bounds) = (0, Vec::new(), Vec::new());
    for bucket in bounded {
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        explicit_bounds.push(bucket.upper_bound());
        below = bucket.cumulative_count();
    }
    // Of the same moment as the buckets, which the total may not be
    let count = histogram.get_sample_count().max(below);
    bucket_counts.push(count - below);
    HistogramDataPoint {
        attributes: attributes(sample.get_label()),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| attribute(label.name(), label.value())).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn point(metrics: &Metrics, name: &str) -> Data {
        let request =
            request(&metrics.gather(), &Resource::builder_empty().build(), Span { start: 1, now: 2 });
        let metrics = request.resource_metrics.into_iter().flat_map(|all| all.scope_metrics);
        let mut metrics = metrics.flat_map(|scope| scope.metrics);
        metrics.find(|metric| metric.name == name).and_then(|metric| metric.data).unwrap()
    }

    #[test]
    fn a_counter_is_a_sum_since_the_start() {
        let metrics = Metrics::new("test").unwrap();
        metrics.requests.answered("query", "things", &[]);
        metrics.requests.answered("query", "things", &[]);
        let Data::Sum(sum) = point(&metrics, "leadgraph_graphql_requests_total") else { panic!() };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
        let [one] = sum.data_points.try_into().unwrap();
        assert_eq!((one.start_time_unix_nano, one.time_unix_nano), (1, 2));
        assert_eq!(one.value, Some(Value::AsDouble(2.0)));
        let labels = [("field", "things"), ("operation", "query"), ("outcome", "ok"), ("subgraph", "test")];
        assert_eq!(one.attributes, labels.map(|(key, value)| attribute(key, value)));
    }

    #[test]
    fn buckets_count_what_lies_in_them_alone() {
        let metrics = Metrics::new("test").unwrap();
        for seconds in [0.0001, 0.0007, 0.0008, 1000.0] {
            metrics.requests.took("things", seconds);
        }
        let Data::Histogram(all) = point(&metrics, "leadgraph_graphql_request_seconds") else { panic!() };
        let [one] = all.data_points.try_into().unwrap();
        assert_eq!(one.explicit_bounds[..2], [0.0005, 0.001]);
        assert_eq!(one.bucket_counts.len(), one.explicit_bounds.len() + 1);
        assert_eq!((one.bucket_counts[0], one.bucket_counts[1]), (1, 2));
        assert_eq!(one.bucket_counts.last(), Some(&1));
        assert_eq!(one.bucket_counts.iter().sum::<u64>(), one.count);
    }
}
