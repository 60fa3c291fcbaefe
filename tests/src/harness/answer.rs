//! Owns what a call was answered: status, headers and body, and assertions that show all of it where they fail.

use std::ops::Index;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Bytes of a body that a failing assertion shows.
const SHOWN_BYTES: usize = 4_096;

/// What a call was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Method and path, for people.
    pub call: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    json: Value,
}

impl Answer {
    /// Takes an answer apart.
    #[must_use]
    pub fn new(call: String, status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { call, status, headers, body, json }
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status.as_u16() == status, "expected {status}\n{self}");
        self
    }

    /// Fails the test unless this is a whole problem document with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        answer.check_problem();
        assert!(answer["code"] == code, "expected the code `{code}`\n{answer}");
        answer
    }

    /// Fails the test unless this is a whole problem document.
    #[track_caller]
    pub fn check_problem(&self) {
        assert!(self.header("content-type") == Some("application/problem+json"), "not a problem document\n{self}");
        for field in ["type", "title", "detail", "instance", "code", "request_id", "timestamp"] {
            assert!(self[field].as_str().is_some_and(|text| !text.is_empty()), "the problem has no `{field}`\n{self}");
        }
        assert!(self["status"] == self.status.as_u16(), "the problem names another status\n{self}");
        assert!(self.header("x-request-id") == self["request_id"].as_str(), "two request ids\n{self}");
        assert!(self["type"] == format!("urn:kernex:problem:{}", self.text("code")), "type and code differ\n{self}");
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The body as a type.
    #[track_caller]
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(self.json.clone()).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// A text field of the body.
    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        self[field].as_str().unwrap_or_else(|| panic!("no text `{field}`\n{self}")).to_owned()
    }

    /// The identifier in the body.
    #[track_caller]
    pub fn id(&self) -> String {
        self.text("id")
    }

    /// The items of a list.
    #[track_caller]
    pub fn items(&self) -> &Vec<Value> {
        self["items"].as_array().unwrap_or_else(|| panic!("not a list\n{self}"))
    }

    /// One field of every item of a list.
    #[track_caller]
    pub fn all(&self, field: &str) -> Vec<String> {
        let text = |item: &Value| {
            item[field].as_str().unwrap_or_else(|| panic!("an item without `{field}`\n{self}")).to_owned()
        };
        self.items().iter().map(text).collect()
    }

    /// A header, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The pointers of a problem's errors, in order.
    #[must_use]
    pub fn pointers(&self) -> Vec<String> {
        let errors = self["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
    }

    /// Fails the test where the answer repeats `secret` anywhere.
    #[track_caller]
    pub fn never_says(self, secret: &str) -> Self {
        let headers = format!("{:?}", self.headers);
        let body = String::from_utf8_lossy(&self.body);
        assert!(!body.contains(secret) && !headers.contains(secret), "the answer repeats `{secret}`\n{self}");
        self
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    /// A field of the body; null where there is none.
    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} -> {}", self.call, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        match &self.json {
            Value::Null => {
                let shown = self.body.get(..SHOWN_BYTES).unwrap_or(&self.body);
                write!(f, "{} bytes: {}", self.body.len(), String::from_utf8_lossy(shown))
            }
            json => write!(f, "{json:#}"),
        }
    }
}
