//! Plugins that do wrong, at every gate and in every step of their lives: what is said of each, and what goes on.

mod configuring;
mod counting;
mod deciding;
mod uploads;

use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Call, Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

/// How the server says what is wrong with a plugin, and that it is the plugin.
const TRAPPED: &str = "the plugin trapped: ";
const FUEL: &str = "the plugin ran out of fuel: ";
const MEMORY: &str = "the plugin ran out of memory: ";
const ANSWER: &str = "the plugin's answer is outside the contract: ";
const UNFIT: &str = "the plugin does not fit this host: ";

/// A server with a plugin that does wrong on request, and people who call it.
struct Ground {
    server: TestServer,
    admin: Client,
    viewer: Client,
    plugin: String,
}

impl Ground {
    async fn new() -> Self {
        let server = TestServer::start_with(|settings| settings.plugins.allow_unsigned = true).await;
        let (admin, viewer) = (server.admin().await, server.user("viewer").await);
        let plugin = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        Self { server, admin, viewer, plugin }
    }

    /// Writes a revision over the plugin, which is asked about these actions.
    fn put(&self, policy: &str, gate: &str, settings: &Value, actions: &[&str]) -> Call {
        let body = json!({"plugin": self.plugin, "gate": gate, "settings": settings, "actions": actions});
        self.admin.put(&format!("/policies/{policy}")).json(body)
    }

    /// Writes a revision and lets it decide.
    async fn activate(&self, policy: &str, gate: &str, settings: Value, actions: &[&str]) {
        let written = self.put(policy, gate, &settings, actions).await.expect(201);
        let choice = json!({"revision": written["revision"]});
        self.admin.post(&format!("/policies/{policy}/activate")).json(choice).await.expect(200);
    }

    /// Lets the policy decide as it did before, if it did.
    async fn take_back(&self, policy: &str) {
        self.admin.post(&format!("/policies/{policy}/rollback")).await.expect(200);
    }

    /// The server is ready, and the bundled policy decides what it is asked about.
    async fn goes_on(&self) {
        self.server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
        self.viewer.get("/deployments").await.expect(200);
        self.viewer.post("/deployments").json(deployment(json!({}))).await.expect(403);
    }
}

/// What is sent to create a deployment to all devices.
fn deployment(plan: Value) -> Value {
    json!({"name": "a", "selector": "*", "config": {"level": 1}, "plan": plan})
}

/// Fails unless a sentence says this of the plugin after the words before it.
#[track_caller]
fn blames(sentence: &str, before: &str, says: &str) {
    assert!(sentence.starts_with(&format!("{before}{says}")), "expected `{before}{says}`: {sentence}");
    assert!(sentence.len() < 2_000, "a sentence of {} bytes", sentence.len());
}
