//! The things that operations are called on: made when an operation names them, so that no call disturbs another.

use std::collections::HashMap;

use kernex::config::{Registration, Settings};
use kernex_tests::harness::{Client, DeviceKey, PASSWORD, TestDevice, TestServer, eventually};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use ulid::Ulid;

use super::operations::{Operation, ROLES};

/// Operations after which their caller is logged out.
const ENDS_SESSION: [&str; 3] = ["logout", "change_password", "revoke_all_sessions"];

/// Raises every rate, because the table is one caller that calls a thousand times, and takes unsigned plugins.
pub(crate) fn generous(settings: &mut Settings) {
    settings.registration = Registration::Open;
    settings.plugins.allow_unsigned = true;
    settings.limits.logins_per_address = 1_000_000;
    settings.limits.logins_per_account = 1_000_000;
    settings.limits.enrolments_per_address = 1_000_000;
}

/// A server, somebody for every column of the table, and one device that all speak of as `mine`.
pub(crate) struct World<'s> {
    server: &'s TestServer,
    admin: Client,
    mine: TestDevice,
    stranger: TestDevice,
    service: Client,
    command: Value,
    bundle: String,
    people: [OnceCell<Client>; ROLES.len()],
    lasting: Mutex<HashMap<String, String>>,
}

impl<'s> World<'s> {
    pub(crate) async fn new(server: &'s TestServer) -> Self {
        let admin = server.admin().await;
        let (mine, stranger) = (server.device().await, server.device().await);
        let service = server.api_key(&["operator"]).await;
        let bundle = server.bundle("mine", "1.0.0", b"content").await;
        let command = command(&admin, &mine, &bundle).await;
        Self {
            server,
            admin,
            mine,
            stranger,
            service,
            command,
            bundle,
            people: Default::default(),
            lasting: Mutex::default(),
        }
    }

    /// Somebody for a column; somebody new for operations that end their caller's session.
    pub(crate) async fn client(&self, role: usize, operation: &Operation) -> Client {
        let person = self.people.get(role).filter(|_| !ENDS_SESSION.contains(&operation.id));
        match ROLES[role] {
            "anonymous" => self.server.anonymous(),
            "service" => self.service.clone(),
            "device" => self.mine.client.clone(),
            "stranger" => self.stranger.client.clone(),
            name => match person {
                Some(person) => person.get_or_init(|| self.server.user(name)).await.clone(),
                None => self.server.user(name).await,
            },
        }
    }

    /// Fills in the places of one call.
    pub(crate) fn things(&self) -> Things<'_, 's> {
        Things { world: self, known: HashMap::new() }
    }

    /// The principals of all columns that stay the same.
    pub(crate) fn devices(&self) -> [&str; 2] {
        [&self.mine.id, &self.stranger.id]
    }

    async fn post(&self, path: &str, body: Value) -> kernex_tests::harness::Answer {
        self.admin.post(path).json(body).await
    }

    /// What may be used by every call that only reads it.
    async fn lasting(&self, name: &str, make: impl Future<Output = String>) -> String {
        let mut lasting = self.lasting.lock().await;
        match lasting.get(name) {
            Some(thing) => thing.clone(),
            None => {
                let thing = make.await;
                lasting.insert(name.to_owned(), thing.clone());
                thing
            }
        }
    }

    async fn device(&self, steps: &[&str]) -> String {
        let (device, _) = self.server.enrol(DeviceKey::ed25519(), json!({})).await;
        for step in steps {
            self.admin.post(&format!("/devices/{}/{step}", device.id)).await.expect(200);
        }
        device.id
    }

    async fn configured(&self) -> String {
        let device = self.device(&["admit"]).await;
        for level in [1, 2] {
            let body = json!({"document": {"level": level}});
            self.admin.put(&format!("/devices/{device}/config")).json(body).await.expect(200);
        }
        device
    }

    /// A device that ran one bundle and now runs another.
    async fn updated(&self) -> String {
        let device = self.server.device().await;
        for version in ["1.0.0", "2.0.0"] {
            let bundle = self.server.bundle(&format!("b-{}", Ulid::new()), version, b"content").await;
            device.heartbeat(json!({"bundle_id": bundle})).await.expect(200);
        }
        device.id
    }

    /// A deployment that runs for as long as its one device says nothing.
    async fn deployment(&self) -> String {
        let device = self.server.device().await;
        let bundle = self.server.bundle(&format!("b-{}", Ulid::new()), "1", b"content").await;
        command(&self.admin, &device, &bundle).await["deployment_id"].as_str().expect("a deployment").to_owned()
    }

    async fn paused(&self) -> String {
        let deployment = self.deployment().await;
        self.post(&format!("/deployments/{deployment}/pause"), json!({})).await.expect(200);
        deployment
    }

    /// A deployment that waits for approval: its creator may not start it.
    async fn awaiting(&self) -> String {
        self.lasting("curfew", self.curfew()).await;
        let body = json!({"name": "to nobody", "config": {"level": 1}, "selector": "fact.n=nothing"});
        let deployment = self.service.post("/deployments").json(body).await.expect(201).id();
        eventually("it waits", async || {
            let found = self.admin.get(&format!("/deployments/{deployment}")).await.expect(200);
            (found["state"] == "awaiting_approval").then_some(())
        })
        .await;
        deployment
    }

    /// A policy by which nobody but administrators starts a deployment.
    async fn curfew(&self) -> String {
        let settings = json!({
            "covers": ["deployment:start"], "exempt": [{"role": "admin"}],
            "freezes": [{"name": "for ever", "from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}],
        });
        let revision = self.server.revision("curfew", "freeze", "authorization", settings).await;
        self.server.activate("curfew", revision).await;
        "curfew".to_owned()
    }

    async fn replay(&self) -> String {
        let body = json!({"revision": 1, "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"});
        self.post("/policies/rbac/replay", body).await.expect(202).id()
    }

    async fn decision(&self) -> String {
        let audit = self.admin.get("/audit").query("limit", 50).await.expect(200);
        let decided = audit.items().iter().find_map(|record| record["decision_id"].as_str());
        decided.unwrap_or_else(|| panic!("no decision\n{audit}")).to_owned()
    }
}

/// Deploys a bundle to one device and waits for its command.
async fn command(admin: &Client, device: &TestDevice, bundle: &str) -> Value {
    let mark = Ulid::new().to_string();
    device.heartbeat(json!({"facts": {"mark": mark}})).await.expect(200);
    let body = json!({
        "name": "to one device", "bundle_id": bundle, "selector": format!("fact.mark={mark}"),
        "plan": {"attempt_timeout_s": 3_600, "soak_s": 0},
    });
    admin.post("/deployments").json(body).await.expect(201);
    eventually("a command", async || device.command().await).await
}

/// The things of one call; each is made once.
pub(crate) struct Things<'w, 's> {
    world: &'w World<'s>,
    known: HashMap<String, String>,
}

impl Things<'_, '_> {
    /// Replaces each `{name}` in a text by such a thing, in the form that the text wants.
    pub(crate) async fn fill(&mut self, text: &str, form: &dyn Fn(&str) -> String) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_place(rest) {
            let thing = match self.known.get(name) {
                Some(thing) => thing.clone(),
                None => self.make(name).await,
            };
            self.known.insert(name.to_owned(), thing.clone());
            filled.push_str(before);
            filled.push_str(&form(&thing));
            rest = after;
        }
        filled + rest
    }

    async fn make(&self, name: &str) -> String {
        let world = self.world;
        match name {
            // In lower case: policies' names know no other.
            "unique" => format!("u-{}", Ulid::new()).to_lowercase(),
            "password" => PASSWORD.to_owned(),
            "key" => DeviceKey::ed25519().public_pem(),
            "refresh" => world.server.account(&[]).await.tokens.text("refresh_token"),
            "user" => world.server.account(&["viewer"]).await.id,
            "session" => {
                let account = world.server.account(&["viewer"]).await;
                account.client.get("/auth/sessions").await.expect(200).all("id").remove(0)
            }
            "api-key" => world.post("/api-keys", json!({"name": "x", "roles": []})).await.expect(201).id(),
            "mine" => world.mine.id.clone(),
            "pending" => world.device(&[]).await,
            "active" => world.device(&["admit"]).await,
            "blocked" => world.device(&["admit", "block"]).await,
            "configured" => world.configured().await,
            "updated" => world.updated().await,
            "assertion" => world.stranger.assertion().text(),
            "my-assignment" => world.command["assignment_id"].as_str().expect("an assignment").to_owned(),
            "my-bundle" => world.bundle.clone(),
            "bundle" => world.server.bundle(&format!("b-{}", Ulid::new()), "1", b"content").await,
            "deployment" => world.deployment().await,
            "awaiting" => world.awaiting().await,
            "paused" => world.paused().await,
            "plugin" => {
                world
                    .lasting(name, async { world.admin.get("/plugins").await.expect(200).all("digest").remove(0) })
                    .await
            }
            "rings" => world.lasting(name, world.server.plugin("rings")).await,
            "twice-activated" => {
                let policy = format!("p-{}", Ulid::new()).to_lowercase();
                for wave in ["one", "two"] {
                    let settings = json!({"waves": [{"name": wave}]});
                    let revision = world.server.revision(&policy, "rings", "targeting", settings).await;
                    world.server.activate(&policy, revision).await;
                }
                policy
            }
            "replay" => world.lasting(name, world.replay()).await,
            "decision" => world.lasting(name, world.decision()).await,
            other => panic!("`{other}` is no thing"),
        }
    }
}

/// The next `{name}` of a text: what stands before it, the name, what follows. JSON's own braces are no places.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let close = open + text[open..].find('}')?;
        let name = &text[open + 1..close];
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            return Some((&text[..open], name, &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}
