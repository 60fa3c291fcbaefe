//! Owns the metrics: every instrument, what it counts, and their text for Prometheus.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, PeriodicReader, Pipeline, SdkMeterProvider, Temporality};
use prometheus::{Registry, TextEncoder};

use kernex_model::comparison::Comparison;

use super::export::{self, ExportFailures, TelemetryError};
use crate::config::TelemetrySettings;

/// Bounds of latencies, in seconds: from a heartbeat answered from memory to a call's time-out.
const SECONDS: [f64; 14] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];
/// Bounds of fuel used by one decision.
const FUEL: [f64; 8] = [1e3, 3e3, 1e4, 3e4, 1e5, 1e6, 1e7, 1e8];

/// The instruments of one server. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Instruments>);

struct Instruments {
    registry: Registry,
    provider: SdkMeterProvider,
    requests: Histogram<f64>,
    problems: Counter<u64>,
    decisions: Histogram<f64>,
    fuel: Histogram<u64>,
    compared: Counter<u64>,
    queries: Histogram<f64>,
    in_flight: AtomicI64,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// What is read at the moment at which somebody looks.
pub trait Signals: Send + Sync + 'static {
    /// Devices by standing.
    fn devices(&self) -> Vec<(&'static str, u64)>;
    /// Assignments by state, of deployments that are not settled.
    fn assignments(&self) -> Vec<(&'static str, u64)>;
    /// What waits to be written or compared, by queue.
    fn waiting(&self) -> Vec<(&'static str, u64)>;
    /// Decisions that were not kept: the log's buffer was full, or they could not be written.
    fn dropped_decisions(&self) -> u64;
}

/// A request that runs; it is one less when this is dropped.
#[derive(Debug)]
pub struct InFlight(Metrics);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// The instruments, read by whoever asks for the text, and sent to a collector where one is set.
    ///
    /// # Errors
    /// Where the collector's settings are wrong.
    pub fn new(settings: &TelemetrySettings, failures: &ExportFailures) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
        let exporter =
            exporter.map_err(|error| TelemetryError::Setting { key: "telemetry", reason: error.to_string() })?;
        let mut provider = SdkMeterProvider::builder().with_resource(export::resource(settings));
        provider = match &settings.otlp_endpoint {
            None => provider.with_reader(exporter),
            Some(endpoint) => {
                let sender = PeriodicReader::builder(export::metrics(settings, endpoint, failures)?);
                let interval = Duration::from_secs(u64::from(settings.interval_s));
                provider.with_reader(Shared { shown: exporter, sent: sender.with_interval(interval).build() })
            }
        };
        let provider = provider.build();
        let meter = provider.meter("kernex");
        let metrics = Self(Arc::new(Instruments {
            registry,
            requests: seconds(
                &meter,
                "http.server.request.duration",
                "How long requests took, by operation and status.",
            ),
            problems: meter
                .u64_counter("kernex.problems")
                .with_description("Problem documents that were answered, by their code.")
                .build(),
            decisions: seconds(
                &meter,
                "kernex.decision.duration",
                "How long decisions took, by policy, outcome and fault.",
            ),
            fuel: meter
                .u64_histogram("kernex.decision.fuel")
                .with_description("Fuel that decisions used, by policy.")
                .with_boundaries(FUEL.to_vec())
                .build(),
            compared: meter
                .u64_counter("kernex.shadow.questions")
                .with_description("Questions that revisions that look on were shown, by policy and what came of it.")
                .build(),
            queries: seconds(
                &meter,
                "kernex.store.duration",
                "How long calls to the database took, by kind and outcome.",
            ),
            in_flight: AtomicI64::new(0),
            provider,
        }));
        metrics.observe_in_flight(&meter);
        observe_failures(&meter, failures);
        Ok(metrics)
    }

    fn observe_in_flight(&self, meter: &Meter) {
        let instruments = Arc::downgrade(&self.0);
        meter
            .i64_observable_up_down_counter("http.server.active_requests")
            .with_description("Requests that run now.")
            .with_callback(move |observer| {
                if let Some(instruments) = instruments.upgrade() {
                    observer.observe(instruments.in_flight.load(Ordering::Relaxed), &[]);
                }
            })
            .build();
    }

    /// Reads `signals` whenever somebody looks.
    pub fn observe(&self, signals: Arc<dyn Signals>) {
        let meter = self.0.provider.meter("kernex");
        let gauge = |name: &'static str,
                     description: &'static str,
                     key: &'static str,
                     read: fn(&dyn Signals) -> Vec<(&'static str, u64)>| {
            let signals = signals.clone();
            meter
                .u64_observable_gauge(name)
                .with_description(description)
                .with_callback(move |observer| {
                    for (value, count) in read(&*signals) {
                        observer.observe(count, &[KeyValue::new(key, value)]);
                    }
                })
                .build();
        };
        gauge("kernex.devices", "Devices, by standing.", "status", |signals| signals.devices());
        gauge("kernex.assignments", "Assignments of deployments that are not settled, by state.", "state", |signals| {
            signals.assignments()
        });
        gauge("kernex.queue.length", "What waits to be written or compared, by queue.", "queue", |signals| {
            signals.waiting()
        });
        let dropped = signals.clone();
        meter
            .u64_observable_counter("kernex.decisions.dropped")
            .with_description("Decisions that were not kept: the log's buffer was full, or they could not be written.")
            .with_callback(move |observer| observer.observe(dropped.dropped_decisions(), &[]))
            .build();
    }

    /// A request begins.
    #[must_use]
    pub fn begin(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// A request was answered.
    pub fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        let attributes =
            [KeyValue::new("operation", operation), KeyValue::new("http.response.status_code", i64::from(status))];
        self.0.requests.record(took.as_secs_f64(), &attributes);
    }

    /// A problem document was the answer.
    pub fn problem(&self, code: &str) {
        self.0.problems.add(1, &[KeyValue::new("code", code.to_owned())]);
    }

    /// A policy was asked; a fault is named by its code.
    pub fn decided(
        &self,
        policy: &Arc<str>,
        outcome: &'static str,
        fault: Option<&'static str>,
        fuel: u64,
        took: Duration,
    ) {
        let policy = KeyValue::new("policy", policy.clone());
        self.0.fuel.record(fuel, std::slice::from_ref(&policy));
        let attributes = [policy, KeyValue::new("outcome", outcome), KeyValue::new("fault", fault.unwrap_or_default())];
        self.0.decisions.record(took.as_secs_f64(), &attributes);
    }

    /// A revision that looks on was compared with the one that decides.
    pub fn compared(&self, policy: &Arc<str>, comparison: &Comparison) {
        let Comparison { asked, differing, missed, .. } = comparison;
        for (outcome, count) in [("same", asked - differing), ("differing", *differing), ("missed", *missed)] {
            let attributes = [KeyValue::new("policy", policy.clone()), KeyValue::new("outcome", outcome)];
            self.0.compared.add(count, &attributes);
        }
    }

    /// The database was called.
    pub fn queried(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        let attributes = [KeyValue::new("kind", kind), KeyValue::new("outcome", outcome)];
        self.0.queries.record(took.as_secs_f64(), &attributes);
    }

    /// All of them, as Prometheus reads them.
    ///
    /// # Errors
    /// Where the text cannot be made.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    /// Sends what was not sent yet, and stops sending. Blocks for up to some seconds.
    pub fn shut_down(&self) {
        // A collector that is away has been counted already.
        let _ = self.0.provider.shutdown();
    }
}

/// Two that read the same measurements: a reader each would have everything measured twice, with every request.
#[derive(Debug)]
struct Shared<A, B> {
    shown: A,
    sent: B,
}

impl<A: MetricReader, B: MetricReader> MetricReader for Shared<A, B> {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.shown.register_pipeline(pipeline.clone());
        self.sent.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.shown.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.shown.force_flush().and(self.sent.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // What is sent last is read before nothing is to be read any more.
        self.sent.shutdown_with_timeout(timeout).and(self.shown.shutdown_with_timeout(timeout))
    }

    fn temporality(&self, _: InstrumentKind) -> Temporality {
        // Whoever reads leaves to the other what it has read.
        Temporality::Cumulative
    }
}

fn seconds(meter: &Meter, name: &'static str, description: &'static str) -> Histogram<f64> {
    meter.f64_histogram(name).with_unit("s").with_description(description).with_boundaries(SECONDS.to_vec()).build()
}

fn observe_failures(meter: &Meter, failures: &ExportFailures) {
    let (failures, dropped) = (failures.clone(), failures.clone());
    meter
        .u64_observable_counter("kernex.telemetry.export_failures")
        .with_description("Exports to the collector that failed, by signal; their spans and log records are lost.")
        .with_callback(move |observer| {
            for (signal, count) in failures.counts() {
                observer.observe(count, &[KeyValue::new("signal", signal)]);
            }
        })
        .build();
    meter
        .u64_observable_counter("kernex.telemetry.dropped")
        .with_description("Spans and log records that were not sent because too many waited, by signal.")
        .with_callback(move |observer| {
            for (signal, count) in dropped.dropped() {
                observer.observe(count, &[KeyValue::new("signal", signal)]);
            }
        })
        .build();
}
