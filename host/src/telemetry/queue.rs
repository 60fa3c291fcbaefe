//! Owns what waits to be sent to a collector: so much of each signal and no more, and a count of what found no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::logs::Severity;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{self, BatchLogProcessor, LogExporter, LogProcessor, SdkLogRecord};
use opentelemetry_sdk::trace::{self, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

/// Spans that wait to be sent, at most, and log records. The SDK's own queue is as long and so is never full: it would
/// drop what comes then, and tell nobody but the log how much.
const QUEUE: usize = 2_048;

/// The places in one signal's queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Places {
    /// Takes a place, or counts what gets none.
    fn take(&self) -> bool {
        if self.taken.fetch_add(1, Ordering::Relaxed) < QUEUE {
            return true;
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// So many are on their way out: the SDK has taken them from its queue.
    pub(super) fn free(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }

    /// What found no room since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A queue in front of an exporter. The exporter frees the places.
#[derive(Debug)]
pub(super) struct Queue<P> {
    inner: P,
    places: Places,
}

/// A queue of spans.
pub(super) fn of_spans(exporter: impl SpanExporter + 'static, places: &Places) -> Queue<BatchSpanProcessor> {
    let config = trace::BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Queue { inner, places: places.clone() }
}

/// A queue of log records.
pub(super) fn of_logs(exporter: impl LogExporter + 'static, places: &Places) -> Queue<BatchLogProcessor> {
    let config = logs::BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let inner = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    Queue { inner, places: places.clone() }
}

impl SpanProcessor for Queue<BatchSpanProcessor> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.places.take() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl LogProcessor for Queue<BatchLogProcessor> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.places.take() {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.inner.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_place_is_counted_and_a_place_is_free_again() {
        let places = Places::default();
        assert!((0..QUEUE).all(|_| places.take()));
        let more: Vec<bool> = (0..2).map(|_| places.take()).collect();
        assert_eq!((more, places.dropped()), (vec![false, false], 2));
        places.free(1);
        let more: Vec<bool> = (0..2).map(|_| places.take()).collect();
        assert_eq!((more, places.dropped()), (vec![true, false], 3));
    }
}
