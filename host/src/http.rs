//! Owns the HTTP side: decodes requests, makes one call, encodes the answer. The only place that knows status codes.

pub mod allowed;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod body;
pub mod bundles;
pub mod caller;
pub mod comparisons;
mod compressed;
mod conditional;
pub mod configs;
mod content;
pub mod decisions;
pub mod deployments;
pub mod device;
pub mod device_bundles;
pub mod devices;
mod document;
pub mod enrolment;
pub mod envelope;
pub mod health;
pub mod idempotency;
pub mod link;
pub mod listener;
mod misfit;
pub mod page;
pub mod plugins;
pub mod policies;
mod presentation;
pub mod problem;
pub mod revision;
pub mod secret_text;
pub mod tag;
mod upload;
pub mod users;

use std::sync::Arc;

use bytes::Bytes;
use poem::error::MethodNotAllowedError;
use poem::http::Method;
use poem::{Body, Endpoint, IntoEndpoint, Request, Response};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService};

use crate::app::App;

/// Every operation there is, over the use cases.
fn operations(app: &Arc<App>) -> impl OpenApi + 'static {
    let app = || app.clone();
    (
        auth::AuthApi::new(app()),
        users::UserApi::new(app()),
        api_keys::ApiKeyApi::new(app()),
        enrolment::EnrolmentApi::new(app()),
        devices::DeviceApi::new(app()),
        configs::ConfigApi::new(app()),
        device::DeviceCallApi::new(app()),
        device_bundles::DeviceBundleApi::new(app()),
        bundles::BundleApi::new(app()),
        deployments::DeploymentApi::new(app()),
        plugins::PluginApi::new(app()),
        policies::PolicyApi::new(app()),
        comparisons::ComparisonApi::new(app()),
        decisions::DecisionApi::new(app()),
        audit::AuditApi::new(app()),
        health::HealthApi::new(app()),
    )
}

fn service(app: &Arc<App>) -> OpenApiService<impl OpenApi + 'static, ()> {
    OpenApiService::new(operations(app), "Kernex", env!("CARGO_PKG_VERSION"))
        .description(
            "A control plane for fleets of devices. Devices enrol, poll, download bundles, apply configs and report back; operators decide what goes where; policies in \
             sandboxed WebAssembly decide who may do what, which devices get a deployment and when, and when to stop. Errors are \
             RFC 9457 problem documents; every answer carries `X-Request-Id`.\n\n\
             To try it on a documentation page: `login`, then *Authorize* with the `access_token` of the answer.",
        )
        .license(LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0"))
}

/// The OpenAPI document, as `/openapi.json` serves it.
#[must_use]
pub fn openapi(app: &Arc<App>) -> String {
    document::complete(&service(app).spec())
}

/// The whole HTTP side of the server.
pub fn endpoint(app: &Arc<App>) -> impl Endpoint<Output = Response> + 'static {
    let service = service(app);
    let derived = service.spec();
    let document = document::complete(&derived);
    // Our own text a line above; were it no JSON, only `Allow` would be poorer.
    let allowed = allowed::AllowedMethods::from_document(&serde_json::from_str(&document).unwrap_or_default());
    // poem-openapi's page carries its script, style and the document itself: nothing comes from elsewhere.
    let docs = service.swagger_ui_html().replace(&derived, &document);
    let site = Site { service: service.into_endpoint(), document: document.into(), docs: docs.into() };
    envelope::Envelope::new(site, app.clone(), allowed)
}

/// The operations, and the two documents about them beside which they stand at the root.
struct Site<E> {
    service: E,
    document: Bytes,
    docs: Bytes,
}

impl<E: Endpoint<Output = Response>> Endpoint for Site<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (content_type, content) = match request.uri().path() {
            "/openapi.json" => ("application/json", &self.document),
            "/docs" => ("text/html; charset=utf-8", &self.docs),
            _ => return self.service.call(request).await,
        };
        match *request.method() {
            Method::GET | Method::HEAD => {
                Ok(Response::builder().content_type(content_type).body(Body::from_bytes(content.clone())))
            }
            _ => Err(MethodNotAllowedError.into()),
        }
    }
}
