//! Owns sending to a collector over OTLP: the exporters, and the count of what could not be sent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    LogExporter as OtlpLogs, MetricExporter as OtlpMetrics, Protocol, SpanExporter as OtlpSpans, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use super::queue::Places;
use crate::config::{OtlpProtocol, TelemetrySettings};

/// How long one export may take.
const EXPORT_TIME_OUT: Duration = Duration::from_secs(5);
/// Where a collector takes each signal over HTTP, below its address.
const HTTP_PATHS: [(Signal, &str); 3] =
    [(Signal::Traces, "/v1/traces"), (Signal::Metrics, "/v1/metrics"), (Signal::Logs, "/v1/logs")];

/// The telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A setting is wrong.
    #[error("`{key}`: {reason}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The log was set up before, which only a test can do.
    #[error("the log cannot be set up: {0}")]
    Log(#[from] tracing_subscriber::util::TryInitError),
}

/// What leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// What was lost since the start, by signal: with exports that failed, and for want of room in a queue.
#[derive(Debug, Clone, Default)]
pub struct ExportFailures {
    traces: Lost,
    metrics: Lost,
    logs: Lost,
}

/// What was lost of one signal. Metrics have no queue: what was not sent is in the next export.
#[derive(Debug, Clone, Default)]
struct Lost {
    exports: Arc<AtomicU64>,
    places: Places,
}

impl ExportFailures {
    fn of(&self, signal: Signal) -> &Lost {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// Each signal's name, and its exports that failed.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let count = |signal| self.of(signal).exports.load(Ordering::Relaxed);
        [("traces", count(Signal::Traces)), ("metrics", count(Signal::Metrics)), ("logs", count(Signal::Logs))]
    }

    /// The name of each signal that has a queue, and how many spans or log records found no room in it.
    #[must_use]
    pub fn dropped(&self) -> [(&'static str, u64); 2] {
        [("traces", self.traces.places.dropped()), ("logs", self.logs.places.dropped())]
    }

    /// The queue of a signal.
    pub(super) fn places(&self, signal: Signal) -> &Places {
        &self.of(signal).places
    }
}

/// What is said of the process in every export.
pub(super) fn resource(settings: &TelemetrySettings) -> Resource {
    Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An exporter that frees the places of what it sends, whose failures are counted, and which has the server's runtime
/// around it: the SDK calls it from threads of its own.
pub(super) struct Counted<E> {
    inner: E,
    lost: Lost,
    runtime: Handle,
}

impl<E> fmt::Debug for Counted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl<E> Counted<E> {
    fn new(inner: E, signal: Signal, failures: &ExportFailures) -> Self {
        Self { inner, lost: failures.of(signal).clone(), runtime: Handle::current() }
    }

    async fn watch(&self, export: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        let answer = Entered { runtime: self.runtime.clone(), future: Box::pin(export) }.await;
        if answer.is_err() {
            self.lost.exports.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

/// A future that finds the runtime's timers and sockets, whoever polls it.
struct Entered<F> {
    runtime: Handle,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Entered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let runtime = self.runtime.clone();
        let _inside = runtime.enter();
        self.future.as_mut().poll(cx)
    }
}

impl SpanExporter for Counted<OtlpSpans> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.lost.places.free(batch.len());
        self.watch(self.inner.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl LogExporter for Counted<OtlpLogs> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.lost.places.free(batch.iter().count());
        self.watch(self.inner.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl PushMetricExporter for Counted<OtlpMetrics> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.watch(self.inner.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

/// Builds one signal's exporter for the protocol that is set.
macro_rules! exporter {
    ($exporter:ident, $signal:expr, $settings:expr, $endpoint:expr, $failures:expr) => {{
        let headers = headers($settings)?;
        let built = match $settings.otlp_protocol {
            OtlpProtocol::Grpc => $exporter::builder()
                .with_tonic()
                .with_endpoint($endpoint)
                .with_timeout(EXPORT_TIME_OUT)
                .with_metadata(metadata(&headers)?)
                .build(),
            OtlpProtocol::Http => $exporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(address($endpoint, $signal))
                .with_timeout(EXPORT_TIME_OUT)
                .with_headers(headers.into_iter().collect())
                .build(),
        };
        built
            .map(|exporter| Counted::new(exporter, $signal, $failures))
            .map_err(|error| TelemetryError::Setting { key: "telemetry.otlp_endpoint", reason: error.to_string() })
    }};
}

pub(super) fn spans(
    settings: &TelemetrySettings,
    endpoint: &str,
    failures: &ExportFailures,
) -> Result<Counted<OtlpSpans>, TelemetryError> {
    exporter!(OtlpSpans, Signal::Traces, settings, endpoint, failures)
}

pub(super) fn metrics(
    settings: &TelemetrySettings,
    endpoint: &str,
    failures: &ExportFailures,
) -> Result<Counted<OtlpMetrics>, TelemetryError> {
    exporter!(OtlpMetrics, Signal::Metrics, settings, endpoint, failures)
}

pub(super) fn logs(
    settings: &TelemetrySettings,
    endpoint: &str,
    failures: &ExportFailures,
) -> Result<Counted<OtlpLogs>, TelemetryError> {
    exporter!(OtlpLogs, Signal::Logs, settings, endpoint, failures)
}

fn address(endpoint: &str, signal: Signal) -> String {
    let path = HTTP_PATHS.iter().find(|(of, _)| *of == signal).map_or("", |(_, path)| path);
    format!("{}{path}", endpoint.trim_end_matches('/'))
}

fn wrong_headers(reason: impl fmt::Display) -> TelemetryError {
    // The value is a secret: only what is wrong with its form is said.
    TelemetryError::Setting { key: "telemetry.otlp_headers", reason: reason.to_string() }
}

/// `name=value` pairs, separated by commas. Each is a header: over HTTP the exporter would leave out what is none.
fn headers(settings: &TelemetrySettings) -> Result<Vec<(String, String)>, TelemetryError> {
    let Some(text) = &settings.otlp_headers else { return Ok(Vec::new()) };
    let pairs = text.expose_secret().split(',').filter(|pair| !pair.trim().is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong_headers("write `name=value,name=value`"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        header(&name, &value)?;
        Ok((name, value))
    };
    pairs.map(pair).collect()
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), TelemetryError> {
    let name = HeaderName::try_from(name).map_err(|_| wrong_headers("a name is no header's"))?;
    let value = HeaderValue::try_from(value).map_err(|_| wrong_headers("a value is no header's"))?;
    Ok((name, value))
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, TelemetryError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let (name, value) = header(name, value)?;
        map.insert(name, value);
    }
    Ok(MetadataMap::from_headers(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_its_own_path_over_http() {
        assert_eq!(address("http://collector:4318/", Signal::Traces), "http://collector:4318/v1/traces");
        assert_eq!(address("http://collector:4318", Signal::Logs), "http://collector:4318/v1/logs");
    }

    #[test]
    fn headers_are_pairs_and_an_error_says_no_secret() {
        let with = |text: &str| TelemetrySettings {
            otlp_headers: Some(text.to_owned().into()),
            ..TelemetrySettings::default()
        };
        let pairs = headers(&with("X-Api-Key=hunter2, team = fleet ,")).expect("pairs");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("x-api-key", "hunter2"), pair("team", "fleet")]);
        assert!(metadata(&pairs).is_ok());
        let error = headers(&with("hunter2")).expect_err("no pair").to_string();
        assert!(error.contains("telemetry.otlp_headers") && !error.contains("hunter2"), "{error}");
        // Whatever the protocol: they are read before it is asked which.
        for wrong in ["a b=hunter2", "=hunter2", "key=hunter2\u{7f}", "key=hunter2\nother=x"] {
            let error = headers(&with(wrong)).expect_err(wrong).to_string();
            assert!(error.contains("telemetry.otlp_headers") && !error.contains("hunter2"), "{error}");
        }
    }
}
