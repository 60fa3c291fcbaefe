//! Owns `telemetry.*`: what is sent where.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::codec;

/// `telemetry.*`: what is sent to a collector over OTLP. Nothing is, where no endpoint is set.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The collector's address, such as `http://127.0.0.1:4317`, without a user or password; `https://…` only where
    /// `telemetry.otlp_protocol` is `http`. Nothing is sent where there is none.
    #[schemars(extend("x-type" = "URL"))]
    pub otlp_endpoint: Option<String>,
    /// How the collector is spoken to.
    pub otlp_protocol: OtlpProtocol,
    /// Headers of every export, as `name=value` pairs separated by commas; a collector's API key, for example.
    #[serde(deserialize_with = "codec::secret", serialize_with = "codec::masked")]
    #[schemars(with = "Option<String>", extend("x-type" = "text, secret"))]
    pub otlp_headers: Option<SecretString>,
    /// The share of requests that are traced where the caller has not decided it (W3C Trace Context).
    #[schemars(range(min = 0, max = 1))]
    pub sample_ratio: f64,
    /// Seconds between two exports of metrics.
    #[schemars(range(min = 1, max = 3_600))]
    pub interval_s: u32,
    /// What the server is called in what it sends.
    pub service_name: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_protocol: OtlpProtocol::Grpc,
            otlp_headers: None,
            sample_ratio: 0.01,
            interval_s: 10,
            service_name: "kernex".to_owned(),
        }
    }
}

/// The two ways of OTLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// gRPC without TLS, usually at port 4317.
    #[default]
    Grpc,
    /// HTTP with Protocol Buffers, usually at port 4318; with TLS where the address begins with `https://`.
    Http,
}
