//! Owns what those on call look at: metrics, traces and logs, for Prometheus and over OTLP.
//!
//! Names follow the semantic conventions of OpenTelemetry where there is one. A collector that is away or slow
//! costs nothing but a counter: what cannot be sent is dropped, and counted.

mod export;
mod metrics;
mod queue;
mod trace;

pub use export::{ExportFailures, TelemetryError};
pub use metrics::{InFlight, Metrics, Signals};
pub use trace::{Telemetry, caller_context, is_traced, name_span, sampled_span, trace_id, trace_parent};
