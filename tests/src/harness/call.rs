//! Owns how the API is called: a client with or without credentials, and one call that is built step by step.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::RwLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Url};
use serde_json::Value;

use super::answer::Answer;
use super::documented::tells;

/// What stands in front of paths that do not name it themselves.
const PREFIX: &str = "/api/v1";

/// Where a server listens. A restarted server tells those who have a copy its new address.
pub(super) type Address = Arc<RwLock<String>>;

/// Somebody who calls a server. A clone is the same somebody.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    token: Option<String>,
}

/// One call, on its way: `.await` sends it.
#[must_use]
pub struct Call {
    http: reqwest::Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Body>,
}

impl Client {
    /// Somebody without credentials.
    #[must_use]
    pub fn anonymous(address: Address) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        Self { http, address, token: None }
    }

    /// The same server, with an access token or API key.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same server, without credentials.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// What stands behind `Bearer`.
    ///
    /// # Panics
    /// Where the client has no credentials.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a client with credentials")
    }

    /// Where the server listens, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        self.address.read().expect("nobody panicked while writing an address").clone()
    }

    /// GET; the path may leave out `/api/v1`.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST; the path may leave out `/api/v1`.
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// PUT; the path may leave out `/api/v1`.
    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    /// PATCH; the path may leave out `/api/v1`.
    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    /// PATCH with JSON, on the revision that is read right before it.
    pub async fn edit(&self, path: &str, body: Value) -> Answer {
        let etag = self.get(path).await.expect(200).header("etag").expect("an ETag").to_owned();
        self.patch(path).header("if-match", &etag).json(body).await
    }

    /// DELETE; the path may leave out `/api/v1`.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Any method; the path may leave out `/api/v1`.
    pub fn call(&self, method: Method, path: &str) -> Call {
        if path.starts_with("/api/") { self.root(method, path) } else { self.root(method, &format!("{PREFIX}{path}")) }
    }

    /// Any method on a path that stands as it is: `/openapi.json`, `/health/ready`.
    pub fn root(&self, method: Method, path: &str) -> Call {
        let url = format!("{}{path}", self.base()).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let call = Call { http: self.http.clone(), method, url, headers: HeaderMap::new(), body: None };
        match &self.token {
            Some(token) => call.header("authorization", &format!("Bearer {token}")),
            None => call,
        }
    }
}

impl Call {
    /// Adds a query parameter.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.url.query_pairs_mut().append_pair(name, &value.to_string());
        self
    }

    /// Sets a header, in place of an earlier one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
        self
    }

    /// A JSON body.
    pub fn json(self, body: Value) -> Self {
        self.text("application/json", body.to_string())
    }

    /// A body of any type.
    pub fn text(self, content_type: &str, body: impl Into<Body>) -> Self {
        self.header("content-type", content_type).bytes(body)
    }

    /// A body without a type: bytes, or a stream of them.
    pub fn bytes(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it, and gives the answer before its body was read.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn start(self) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = self.http.request(self.method, self.url).headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        request.send().await
    }

    /// Sends it; for calls that may find no server.
    ///
    /// # Errors
    /// Where there is no whole answer.
    ///
    /// # Panics
    /// Where the document does not tell of such an answer.
    pub async fn send(self) -> Result<Answer, reqwest::Error> {
        let call = format!("{} {}", self.method, self.url);
        let (method, path) = (self.method.clone(), self.url.path().to_owned());
        let response = self.start().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        assert!(tells(&method, &path, status.as_u16()), "{call}: docs/openapi.json does not tell of {status}");
        Ok(Answer::new(call, status, headers, response.bytes().await?.to_vec()))
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    /// Sends it; where there is no answer the test fails.
    fn into_future(self) -> Self::IntoFuture {
        let call = format!("{} {}", self.method, self.url);
        Box::pin(async move { self.send().await.unwrap_or_else(|error| panic!("{call}: no answer: {error:?}")) })
    }
}
