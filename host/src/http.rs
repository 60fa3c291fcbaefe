//! Owns the HTTP side: decodes requests, makes one call, encodes the answer. The only place that knows status codes.

pub mod allowed;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod body;
pub mod bundles;
pub mod caller;
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
pub mod listener;
mod misfit;
pub mod page;
pub mod policies;
pub mod problem;
pub mod revision;
pub mod secret_text;
pub mod tag;
pub mod users;

use std::sync::Arc;

use poem::web::Html;
use poem::{Endpoint, EndpointExt, Response, Route, handler};
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
        policies::PolicyApi::new(app()),
        decisions::DecisionApi::new(app()),
        audit::AuditApi::new(app()),
        health::HealthApi::new(app()),
    )
}

fn service(app: &Arc<App>) -> OpenApiService<impl OpenApi + 'static, ()> {
    OpenApiService::new(operations(app), "Kernex", env!("CARGO_PKG_VERSION"))
        .summary("A control plane for fleets of devices")
        .description(
            "Devices enrol, poll, download bundles, apply configs and report back; operators decide what goes where; policies in \
             sandboxed WebAssembly decide who may do what, which devices get a deployment and when, and when to stop. Errors are \
             RFC 9457 problem documents; every answer carries `X-Request-Id`.",
        )
        .license(LicenseObject::new("Apache-2.0").identifier("Apache-2.0"))
}

/// The OpenAPI document, as `/openapi.json` serves it.
#[must_use]
pub fn openapi(app: &Arc<App>) -> String {
    document::complete(&service(app).spec())
}

/// The whole HTTP side of the server.
pub fn endpoint(app: &Arc<App>) -> impl Endpoint<Output = Response> + 'static {
    let service = service(app);
    let document = document::complete(&service.spec());
    // Our own text a line above; were it no JSON, only `Allow` would be poorer.
    let allowed = allowed::AllowedMethods::from_document(&serde_json::from_str(&document).unwrap_or_default());
    // poem-openapi's page carries its script, style and the document itself: nothing comes from elsewhere.
    let docs = service.swagger_ui_html();
    let routes = Route::new()
        .at("/openapi.json", poem::get(document_endpoint.data(Document(document.into()))))
        .at("/docs", poem::get(docs_endpoint.data(Page(docs.into()))))
        .nest_no_strip("/", service);
    envelope::Envelope::new(routes, app.clone(), allowed)
}

#[derive(Clone)]
struct Document(Arc<str>);

#[derive(Clone)]
struct Page(Arc<str>);

#[handler]
fn document_endpoint(document: poem::web::Data<&Document>) -> Response {
    Response::builder().content_type("application/json").body(document.0.0.to_string())
}

#[handler]
fn docs_endpoint(page: poem::web::Data<&Page>) -> Html<String> {
    Html(page.0.0.to_string())
}
