//! Owns a test device: a real key, and what a device calls.

use serde_json::{Value, json};

use super::answer::Answer;
use super::assertion::Assertion;
use super::call::{Call, Client};
use super::key::DeviceKey;

/// A device that a test plays.
#[derive(Debug, Clone)]
pub struct TestDevice {
    /// Its identifier.
    pub id: String,
    /// Its key.
    pub key: DeviceKey,
    /// Calls with its token; without one before [`TestDevice::log_in`].
    pub client: Client,
    audience: String,
}

impl TestDevice {
    /// Enrols with a key; `body` has what else is sent. Gives the device and how the call was answered.
    pub async fn enrol(client: &Client, audience: &str, key: DeviceKey, mut body: Value) -> (Self, Answer) {
        body["public_key"] = key.public_pem().into();
        let client = client.without_token();
        let answer = client.post("/devices").json(body).await;
        assert!(answer.status.is_success(), "the device cannot enrol\n{answer}");
        (Self { id: answer.id(), key, client, audience: audience.to_owned() }, answer)
    }

    /// A good assertion of this device.
    #[must_use]
    pub fn assertion(&self) -> Assertion {
        Assertion::new(&self.key, &self.id, &self.audience)
    }

    /// Asks for a token with an assertion.
    pub fn ask_token(&self, assertion: &Assertion) -> Call {
        self.client.without_token().post("/device/token").json(assertion.body())
    }

    /// Gets a token and keeps it.
    pub async fn log_in(&mut self) {
        let answer = self.ask_token(&self.assertion()).await.expect(200);
        self.client = self.client.with_token(answer.text("access_token"));
    }

    /// One heartbeat: `json!({})` where nothing is new.
    pub fn heartbeat(&self, body: Value) -> Call {
        self.client.post("/device/heartbeat").json(body)
    }

    /// The command that the next heartbeat brings, if any.
    pub async fn command(&self) -> Option<Value> {
        let answer = self.heartbeat(json!({})).await.expect(200);
        answer["commands"].as_array().and_then(|commands| commands.first().cloned())
    }

    /// A report on a command: `installed`, `failed`, ...
    pub fn report(&self, command: &Value, state: &str) -> Call {
        self.report_with(command, state, Value::Null)
    }

    /// A report with more fields.
    pub fn report_with(&self, command: &Value, state: &str, more: Value) -> Call {
        let mut body =
            json!({"assignment_id": command["assignment_id"], "attempt": command["attempt"], "state": state});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.client.post("/device/reports").json(body)
    }

    /// Downloads a bundle's content.
    pub fn download(&self, bundle: &str) -> Call {
        self.client.get(&format!("/device/bundles/{bundle}/content"))
    }
}
