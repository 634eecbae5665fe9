//! What the standard variables of OpenTelemetry say about metrics.

use crate::telemetry::{Exporter, TelemetryConfig};
use anyhow::Context;
use clap::Args;
use percent_encoding::percent_decode_str;
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// How the counters are sent, for those who have no Prometheus.
#[derive(Args, Clone, Debug)]
pub struct MetricsConfig {
    /// Where metrics are sent, as a whole address, if not below the endpoint.
    #[arg(
        long = "otlp-metrics-endpoint",
        env = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        hide_env_values = true
    )]
    pub metrics_endpoint: Option<String>,

    /// Whether metrics are sent.
    #[arg(long = "metrics-exporter", env = "OTEL_METRICS_EXPORTER", value_enum, default_value = "otlp")]
    pub metrics_exporter: Exporter,

    /// How often metrics are sent, in milliseconds.
    #[arg(
        long = "metrics-interval",
        env = "OTEL_METRIC_EXPORT_INTERVAL",
        default_value_t = 60_000,
        value_parser = clap::value_parser!(u32).range(100..=3_600_000)
    )]
    pub metrics_interval: u32,

    /// Headers that are sent along, such as `authorization=Bearer%20abc`, separated by commas.
    #[arg(long = "otlp-headers", env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true)]
    pub otlp_headers: Option<SecretString>,
}

impl TelemetryConfig {
    /// Where metrics go, if they are sent.
    ///
    /// # Errors
    /// In words for whoever set it: it is no address of HTTP, or another protocol is asked for.
    pub fn metrics(&self) -> anyhow::Result<Option<Url>> {
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", self.metrics.metrics_endpoint.as_deref());
        self.receiver(self.metrics.metrics_exporter, own, "v1/metrics")
    }

    /// The headers that are sent along.
    ///
    /// # Errors
    /// In words for whoever set them: HTTP does not take one.
    pub(crate) fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let text = self.metrics.otlp_headers.as_ref().map_or("", |text| text.expose_secret());
        // A header may hold a password, so it is not repeated
        let help = "OTEL_EXPORTER_OTLP_HEADERS is not a list of headers such as name=value,other=value";
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').context(help)?;
            let value = percent_decode_str(value.trim()).decode_utf8().context(help)?;
            let mut value = HeaderValue::from_str(&value).context(help)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name.trim()).context(help)?, value);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        telemetry: TelemetryConfig,
    }

    fn config(flags: &[&str]) -> TelemetryConfig {
        Cli::parse_from(["test"].iter().chain(flags)).telemetry
    }

    fn metrics(flags: &[&str]) -> Option<String> {
        config(flags).metrics().unwrap().map(String::from)
    }

    #[test]
    fn metrics_go_below_the_endpoint_to_their_own_address_or_nowhere() {
        let endpoint = "--otlp-endpoint=http://c:4318";
        assert_eq!(metrics(&[endpoint]).unwrap(), "http://c:4318/v1/metrics");
        assert_eq!(metrics(&[endpoint, "--otlp-metrics-endpoint=http://d/x"]).unwrap(), "http://d/x");
        assert_eq!(metrics(&[endpoint, "--metrics-exporter=none"]), None);
        assert_eq!(metrics(&[endpoint, "--traces-exporter=none"]).unwrap(), "http://c:4318/v1/metrics");
        assert_eq!(metrics(&[]), None);
    }

    #[test]
    fn headers_are_decoded_and_what_is_none_is_refused() {
        let headers = config(&["--otlp-headers=authorization=Bearer%20a=b, x-tenant = 7"]).headers().unwrap();
        assert_eq!(headers["authorization"], "Bearer a=b");
        assert_eq!(headers["x-tenant"], "7");
        for wrong in ["secret", "a b=c", "a=%ff", "a=b%0a"] {
            let why = config(&["--otlp-headers", wrong]).headers().unwrap_err().to_string();
            assert!(why.contains("OTEL_EXPORTER_OTLP_HEADERS") && !why.contains(wrong), "{why}");
        }
    }
}
