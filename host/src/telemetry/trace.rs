//! Owns the log and the traces: where events and spans go, which requests are traced, and the context that comes
//! and goes in headers (W3C Trace Context).

use std::io::IsTerminal;

use kernex_model::id::RequestId;
use kernex_model::trace::TraceId;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::subscriber::Interest;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{DynFilterFn, EnvFilter, FilterExt, FilterFn, LevelFilter};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::export::{self, ExportFailures, Signal, TelemetryError};
use super::queue;
use crate::config::{Log, LogFormat, TelemetrySettings};

/// The target of spans that begin a trace. Other spans are traced inside of one only.
const ROOT: &str = "kernex::trace";
/// What our own targets begin with: the database's and the framework's spans are not ours to send.
const OURS: &str = "kernex";
/// What a log record takes over from the request that it belongs to.
const LOGGED: [&str; 2] = ["request.id", "principal"];

/// The log and traces of the process.
#[derive(Debug)]
pub struct Telemetry {
    failures: ExportFailures,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Sets up the log on standard error and, where a collector is set, what is sent there. Once in a process,
    /// inside its runtime.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn start(log: &Log, settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        let (telemetry, subscriber) = Self::laid_out(log, settings)?;
        subscriber.try_init()?;
        Ok(telemetry)
    }

    /// The log and traces, and what they are written with.
    fn laid_out(
        log: &Log,
        settings: &TelemetrySettings,
    ) -> Result<(Self, impl tracing::Subscriber + Send + Sync), TelemetryError> {
        let failures = ExportFailures::default();
        let filter = || {
            EnvFilter::try_new(&log.filter)
                .map_err(|error| TelemetryError::Setting { key: "log.filter", reason: error.to_string() })
        };
        let lines =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let lines = match log.format {
            LogFormat::Pretty => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let (traces, logs) = match &settings.otlp_endpoint {
            None => (None, None),
            Some(endpoint) => {
                let spans = export::spans(settings, endpoint, &failures)?;
                let traces = SdkTracerProvider::builder()
                    .with_resource(export::resource(settings))
                    // What begins a trace was sampled before its span was made.
                    .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
                    .with_span_processor(queue::of_spans(spans, failures.places(Signal::Traces)));
                let records = export::logs(settings, endpoint, &failures)?;
                let logs = SdkLoggerProvider::builder()
                    .with_resource(export::resource(settings))
                    .with_log_processor(queue::of_logs(records, failures.places(Signal::Logs)));
                (Some(traces.build()), Some(logs.build()))
            }
        };
        let sampled =
            DynFilterFn::new(in_trace).with_max_level_hint(LevelFilter::DEBUG).with_callsite_filter(may_be_in_trace);
        let spans = traces.as_ref().map(|traces| {
            tracing_opentelemetry::layer()
                .with_tracer(traces.tracer("kernex"))
                .with_location(false)
                .with_filter(sampled)
        });
        // What exporting says about itself stays here: sending it would say more.
        let ours = FilterFn::new(is_ours).and(filter()?);
        let records = logs.as_ref().map(|logs| {
            OpenTelemetryTracingBridge::builder(logs)
                .with_tracing_span_attributes(TracingSpanAttributes::allowlist(LOGGED))
                .build()
                .with_filter(ours)
        });
        let wanted = traces.is_some().then(|| filter().map(Wanted)).transpose()?;
        let subscriber =
            tracing_subscriber::registry().with(lines.with_filter(filter()?)).with(spans).with(records).with(wanted);
        Ok((Self { failures, traces, logs }, subscriber))
    }

    /// What was lost since the start on the way to the collector.
    #[must_use]
    pub fn failures(&self) -> &ExportFailures {
        &self.failures
    }

    /// Sends what was not sent yet. Blocks for up to some seconds; a collector that is away has been counted.
    pub fn shut_down(self) {
        if let Some(traces) = self.traces {
            let _ = traces.shutdown();
        }
        if let Some(logs) = self.logs {
            let _ = logs.shutdown();
        }
    }
}

/// What is neither written nor part of a trace is not made. The registry makes every span that the filter of some layer
/// is asked about each time, whether or not one of them wants it.
struct Wanted(EnvFilter);

impl<S> Layer<S> for Wanted
where
    S: tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::sometimes() } else { Filter::<S>::callsite_enabled(&self.0, metadata) }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.0, metadata, &context) || in_trace(metadata, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.0).map(|written| written.max(LevelFilter::DEBUG))
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(OURS)
}

/// Whether it is to be asked of a place in the code each time it is passed whether it belongs to a trace: of the
/// database's and the framework's, of which every request passes many, the answer is known.
fn may_be_in_trace(metadata: &'static Metadata<'static>) -> Interest {
    if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
}

/// Whether a span or event belongs to a trace: it begins one, or one is going on.
fn in_trace<S>(metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool
where
    S: tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    metadata.target() == ROOT || (is_ours(metadata) && context.lookup_current().is_some())
}

/// Where the caller's trace stands, and whether it wants to be traced; `None` where it does not say.
#[must_use]
pub fn caller_context(headers: &HeaderMap) -> Option<opentelemetry::Context> {
    headers.get("traceparent")?;
    let context = TraceContextPropagator::new().extract(&Read(headers));
    context.span().span_context().is_valid().then_some(context)
}

/// The span of a request that is traced: where the caller said so, or, where it said nothing, for a share of the
/// requests. Identifiers end in random bits, so theirs decide.
#[must_use]
pub fn sampled_span(id: RequestId, caller: Option<&opentelemetry::Context>, ratio: f64) -> Option<Span> {
    let sampled = match caller {
        Some(context) => context.span().span_context().is_sampled(),
        None => is_sampled(id, ratio),
    };
    sampled.then(|| {
        // Of the highest level: whatever `log.filter` lets pass belongs to it.
        let span = tracing::error_span!(
            target: ROOT,
            "request",
            otel.kind = "server",
            request.id = %id,
            principal = tracing::field::Empty,
            http.request.method = tracing::field::Empty,
            http.response.status_code = tracing::field::Empty,
        );
        if let Some(context) = caller {
            // It fails only for a span that is not enabled, and nothing is lost then.
            let _ = span.set_parent(context.clone());
        }
        span
    })
}

/// Names the span of a request that is traced after its operation, which is known only once it was routed: the layer
/// drops an `otel.name` that is recorded when a span has begun, so the span itself is told.
pub fn name_span(span: &Span, operation: &'static str) {
    span.context().span().update_name(operation);
}

fn is_sampled(id: RequestId, ratio: f64) -> bool {
    let bits = u32::try_from(id.0.0 & u128::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(bits) < ratio * (f64::from(u32::MAX) + 1.0)
}

/// The trace that a request belongs to, where somebody records it: the caller's, whether or not this server sends spans
/// of its own; else that of the request's own span.
#[must_use]
pub fn trace_id(caller: Option<&opentelemetry::Context>, span: Option<&Span>) -> Option<TraceId> {
    match (caller, span) {
        (Some(caller), _) => recorded(caller),
        (None, Some(span)) => recorded(&span.context()),
        (None, None) => None,
    }
}

fn recorded(context: &opentelemetry::Context) -> Option<TraceId> {
    let span = context.span();
    let known = span.span_context();
    if known.is_valid() && known.is_sampled() { TraceId::from_bytes(known.trace_id().to_bytes()) } else { None }
}

/// Whether a span is sent to a collector; it may be there for the log alone.
#[must_use]
pub fn is_traced(span: &Span) -> bool {
    !span.is_disabled() && recorded(&span.context()).is_some()
}

/// The header by which a caller can go on with the trace of `span`.
#[must_use]
pub fn trace_parent(span: &Span) -> Option<HeaderValue> {
    let mut header = Written::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut header);
    HeaderValue::from_str(&header.0).ok().filter(|value| !value.is_empty())
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Keeps `traceparent` only: there is no state of ours to pass on.
#[derive(Default)]
struct Written(String);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use kernex_model::id::Ulid;

    use super::*;

    fn headers(parent: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static("traceparent"), HeaderValue::from_static(parent))])
    }

    #[test]
    fn a_caller_decides_and_its_nonsense_does_not() {
        let sampled = headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let context = caller_context(&sampled).expect("a context");
        assert!(context.span().span_context().is_sampled());
        let not = headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        let context = caller_context(&not).expect("a context");
        assert!(sampled_span(RequestId(Ulid(0)), Some(&context), 1.0).is_none(), "the caller does not want it");
        for nonsense in ["", "hunter2", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert!(caller_context(&headers(nonsense)).is_none(), "{nonsense}");
        }
        assert!(caller_context(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_trace_is_known_where_somebody_records_it() {
        let of = |parent: &'static str| {
            let caller = caller_context(&headers(parent));
            trace_id(caller.as_ref(), None).map(|id| id.to_string())
        };
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sampled = of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(sampled.as_deref(), Some(trace), "whether or not this server sends any spans");
        assert_eq!(of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), None);
        assert_eq!(of("hunter2"), None);

        // Our own spans have one where they are sent.
        let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("kernex"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let own = sampled_span(RequestId(Ulid(0)), None, 1.0).expect("all are traced");
            let id = trace_id(None, Some(&own)).expect("a trace");
            let header = trace_parent(&own).expect("a header");
            assert!(header.to_str().expect("text").contains(&id.to_string()), "{header:?}");
            let caller = caller_context(&headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
            let joined = sampled_span(RequestId(Ulid(0)), caller.as_ref(), 0.0).expect("the caller wants it");
            assert_eq!(trace_id(None, Some(&joined)).map(|id| id.to_string()).as_deref(), Some(trace));
        });
        let nowhere = sampled_span(RequestId(Ulid(0)), None, 1.0).expect("a span that nobody takes");
        assert_eq!(trace_id(None, Some(&nowhere)), None);
    }

    #[tokio::test]
    async fn a_span_that_nobody_sends_or_writes_is_not_made() {
        let log = Log { format: LogFormat::Json, filter: "off,kernex=info".to_owned() };
        let settings =
            TelemetrySettings { otlp_endpoint: Some("http://127.0.0.1:1".to_owned()), ..TelemetrySettings::default() };
        let (telemetry, subscriber) = Telemetry::laid_out(&log, &settings).expect("the settings are right");
        tracing::subscriber::with_default(subscriber, || {
            let made = || !tracing::debug_span!("of a request").is_disabled();
            assert!(!made(), "of a request that is not traced");
            assert!(sampled_span(RequestId(Ulid(0)), None, 0.0).is_none());
            let traced = sampled_span(RequestId(Ulid(0)), None, 1.0).expect("all are traced");
            traced.in_scope(|| assert!(made(), "of one that is"));
            assert!(!made(), "and of the next one that is not");
            assert!(!tracing::info_span!("of a level that is written").is_disabled());
        });
        tokio::task::spawn_blocking(|| telemetry.shut_down()).await.expect("it ends");
    }

    #[test]
    fn the_share_of_requests_is_what_was_asked_for() {
        let sampled = |ratio: f64| {
            (0..1_000_u32).filter(|n| is_sampled(RequestId(Ulid(u128::from(n * 4_294_967))), ratio)).count()
        };
        assert_eq!(sampled(0.0), 0);
        assert_eq!(sampled(1.0), 1_000);
        let tenth = sampled(0.1);
        assert!((99..=101).contains(&tenth), "{tenth}");
    }
}
