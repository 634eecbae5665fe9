//! What the standard variables of OpenTelemetry say, checked before anything is sent.

use anyhow::{Context, bail, ensure};
use clap::{ArgAction, Args, ValueEnum};
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// Where something that is told outside goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Exporter {
    /// To a receiver of OpenTelemetry's protocol over HTTP.
    #[default]
    Otlp,
    /// Nowhere.
    None,
}

/// Which of the requests that begin here are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Sampling {
    /// All of them.
    AlwaysOn,
    /// None of them.
    AlwaysOff,
    /// A share of them.
    #[value(name = "traceidratio")]
    Ratio,
    /// As whoever asks does, otherwise all of them.
    #[value(name = "parentbased_always_on")]
    ParentAlwaysOn,
    /// As whoever asks does, otherwise none of them.
    #[value(name = "parentbased_always_off")]
    ParentAlwaysOff,
    /// As whoever asks does, otherwise a share of them.
    #[value(name = "parentbased_traceidratio")]
    ParentRatio,
}

/// What is told outside of what the service does. Off unless there is an endpoint.
#[derive(Args, Clone, Debug)]
pub struct TelemetryConfig {
    /// Where traces and metrics are sent over HTTP, such as `http://127.0.0.1:4318` [default: nowhere].
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,

    /// Where traces are sent, as a whole address, if not below the endpoint.
    #[arg(long = "otlp-traces-endpoint", env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", hide_env_values = true)]
    pub traces_endpoint: Option<String>,

    /// Whether traces are sent.
    #[arg(long = "traces-exporter", env = "OTEL_TRACES_EXPORTER", value_enum, default_value = "otlp")]
    pub traces_exporter: Exporter,

    /// Headers that are sent along, such as `authorization=Bearer%20abc`, separated by commas.
    #[arg(long = "otlp-headers", env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true)]
    pub headers: Option<SecretString>,

    /// The form in which they are sent; there is one.
    #[arg(long = "otlp-protocol", env = "OTEL_EXPORTER_OTLP_PROTOCOL", default_value = "http/protobuf")]
    pub protocol: String,

    /// Sends nothing, whatever else is set.
    #[arg(
        long = "otel-disabled",
        env = "OTEL_SDK_DISABLED",
        default_value_t = false,
        action = ArgAction::Set
    )]
    pub disabled: bool,

    /// The service's name in traces and metrics [default: the subgraph's].
    #[arg(long = "otel-service-name", env = "OTEL_SERVICE_NAME")]
    pub service_name: Option<String>,

    /// Which requests are traced [default: those that whoever asks traces, and of others the share below].
    #[arg(long = "traces-sampler", env = "OTEL_TRACES_SAMPLER", value_enum)]
    pub sampler: Option<Sampling>,

    /// The share of requests that is traced, from 0 to 1.
    #[arg(long = "traces-share", env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_parser = share)]
    pub share: f64,

    /// Spans that may wait to be sent; more are dropped.
    #[arg(
        long = "spans-queue",
        env = "OTEL_BSP_MAX_QUEUE_SIZE",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub queue: u32,

    /// Spans that are sent at once, at most.
    #[arg(
        long = "spans-batch",
        env = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub batch: u32,

    /// How often spans are sent, in milliseconds.
    #[arg(
        long = "spans-delay",
        env = "OTEL_BSP_SCHEDULE_DELAY",
        default_value_t = 5000,
        value_parser = clap::value_parser!(u32).range(10..=3_600_000)
    )]
    pub delay: u32,

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
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1 is needed".to_owned())
}

impl TelemetryConfig {
    /// Where traces go, if they are sent.
    ///
    /// # Errors
    /// In words for whoever set it: it is no address of HTTP, or another protocol is asked for.
    pub fn traces(&self) -> anyhow::Result<Option<Url>> {
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", self.traces_endpoint.as_deref());
        self.receiver(self.traces_exporter, own, "v1/traces")
    }

    /// The headers that are sent along.
    ///
    /// # Errors
    /// In words for whoever set them: HTTP does not take one.
    pub(crate) fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let text = self.headers.as_ref().map_or("", |text| text.expose_secret());
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

    /// Where metrics go, if they are sent.
    ///
    /// # Errors
    /// In words for whoever set it: it is no address of HTTP, or another protocol is asked for.
    pub fn metrics(&self) -> anyhow::Result<Option<Url>> {
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", self.metrics_endpoint.as_deref());
        self.receiver(self.metrics_exporter, own, "v1/metrics")
    }

    /// Where one kind of telemetry goes: to its own address if there is one, else to its path below the endpoint.
    pub(crate) fn receiver(
        &self,
        exporter: Exporter,
        own: (&str, Option<&str>),
        path: &str,
    ) -> anyhow::Result<Option<Url>> {
        if self.disabled || exporter == Exporter::None {
            return Ok(None);
        }
        let url = match (own, self.endpoint.as_deref()) {
            ((variable, Some(url)), _) => address(variable, url)?,
            (_, Some(endpoint)) => {
                let base = format!("{}/", endpoint.trim_end_matches('/'));
                address("OTEL_EXPORTER_OTLP_ENDPOINT", &base)?.join(path)?
            }
            (_, None) => return Ok(None),
        };
        if self.protocol != "http/protobuf" {
            bail!("OTEL_EXPORTER_OTLP_PROTOCOL is {}, and only http/protobuf is spoken here", self.protocol);
        }
        Ok(Some(url))
    }

    /// The share of requests that is traced of those that no trace leads to.
    pub fn share_of_new(&self) -> f64 {
        match self.sampler.unwrap_or(Sampling::ParentRatio) {
            Sampling::AlwaysOn | Sampling::ParentAlwaysOn => 1.0,
            Sampling::AlwaysOff | Sampling::ParentAlwaysOff => 0.0,
            Sampling::Ratio | Sampling::ParentRatio => self.share,
        }
    }

    /// Decides which requests are traced.
    pub(super) fn sampler(&self) -> Sampler {
        let ratio = Sampler::TraceIdRatioBased(self.share);
        match self.sampler.unwrap_or(Sampling::ParentRatio) {
            Sampling::AlwaysOn => Sampler::AlwaysOn,
            Sampling::AlwaysOff => Sampler::AlwaysOff,
            Sampling::Ratio => ratio,
            Sampling::ParentAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            Sampling::ParentAlwaysOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            Sampling::ParentRatio => Sampler::ParentBased(Box::new(ratio)),
        }
    }
}

fn address(variable: &str, text: &str) -> anyhow::Result<Url> {
    // The address may hold a password, so it is not repeated
    let help = || format!("{variable} is not an address such as http://127.0.0.1:4318");
    let url = Url::parse(text).with_context(help)?;
    ensure!(matches!(url.scheme(), "http" | "https") && url.has_host(), help());
    let anonymous = url.username().is_empty() && url.password().is_none();
    ensure!(
        anonymous,
        "{variable} has a user in it: put what the receiver asks for into OTEL_EXPORTER_OTLP_HEADERS"
    );
    Ok(url)
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

    fn config(flags: &[&str]) -> Result<TelemetryConfig, clap::Error> {
        Cli::try_parse_from(["test"].iter().chain(flags)).map(|cli| cli.telemetry)
    }

    fn traces(flags: &[&str]) -> Result<Option<String>, String> {
        let traces = config(flags).map_err(|error| error.to_string())?.traces();
        traces.map(|url| url.map(String::from)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn traces_go_below_the_endpoint_or_to_their_own_address() {
        let below = |endpoint| traces(&["--otlp-endpoint", endpoint]).unwrap().unwrap();
        assert_eq!(below("http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(below("https://c/otlp/"), "https://c/otlp/v1/traces");
        let own = ["--otlp-endpoint=http://c:1", "--otlp-traces-endpoint=http://d:2/x"];
        assert_eq!(traces(&own).unwrap().unwrap(), "http://d:2/x");
    }

    #[test]
    fn nothing_is_sent_without_an_address_or_when_that_is_not_wanted() {
        assert_eq!(traces(&[]), Ok(None));
        assert_eq!(traces(&["--otlp-endpoint=http://c", "--traces-exporter=none"]), Ok(None));
        assert_eq!(traces(&["--otlp-endpoint=http://c", "--otel-disabled=true"]), Ok(None));
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_name() {
        for (flags, name) in [
            (vec!["--otlp-endpoint=localhost:4318"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (vec!["--otlp-endpoint=http://"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (vec!["--otlp-traces-endpoint=?"], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
            (vec!["--otlp-endpoint=http://user:secret@c"], "OTEL_EXPORTER_OTLP_ENDPOINT has a user"),
            (vec!["--otlp-endpoint=http://c", "--otlp-protocol=grpc"], "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (vec!["--traces-sampler=often"], "--traces-sampler"),
            (vec!["--traces-share=1.5"], "--traces-share"),
            (vec!["--traces-share=NaN"], "--traces-share"),
            (vec!["--spans-queue=99999999999"], "--spans-queue"),
            (vec!["--spans-batch=0"], "--spans-batch"),
        ] {
            let why = traces(&flags).unwrap_err();
            assert!(why.contains(name), "{flags:?}: {why}");
        }
    }

    #[test]
    fn a_share_alone_is_of_requests_that_begin_here() {
        let sampler = |flags: &[&str]| format!("{:?}", config(flags).unwrap().sampler());
        assert_eq!(sampler(&["--traces-share=0.1"]), "ParentBased(TraceIdRatioBased(0.1))");
        assert_eq!(sampler(&[]), "ParentBased(TraceIdRatioBased(1.0))");
        assert_eq!(sampler(&["--traces-sampler=always_off"]), "AlwaysOff");
    }

    #[test]
    fn headers_are_decoded_and_what_is_none_is_refused() {
        let headers =
            config(&["--otlp-headers=authorization=Bearer%20a=b, x-tenant = 7"]).unwrap().headers().unwrap();
        assert_eq!(headers["authorization"], "Bearer a=b");
        assert_eq!(headers["x-tenant"], "7");
        for wrong in ["secret", "a b=c", "a=%ff", "a=b%0a"] {
            let why = config(&["--otlp-headers", wrong]).unwrap().headers().unwrap_err().to_string();
            assert!(why.contains("OTEL_EXPORTER_OTLP_HEADERS") && !why.contains(wrong), "{why}");
        }
    }

    fn metrics(flags: &[&str]) -> Option<String> {
        config(flags).unwrap().metrics().unwrap().map(String::from)
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
}
