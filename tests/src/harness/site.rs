//! Owns a server as its users see it: who calls it, with which account, API key or device.

use std::sync::{Arc, RwLock};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use ulid::Ulid;

use super::answer::Answer;
use super::call::{Address, Client};
use super::device::TestDevice;
use super::key::DeviceKey;

/// The password of every account that the harness makes.
pub const PASSWORD: &str = "correct horse battery staple";
/// The first admin's user name.
const ADMIN: &str = "ada";

/// A person's account, logged in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Identifier.
    pub id: String,
    /// User name; its address is at example.org.
    pub username: String,
    /// What the login was answered.
    pub tokens: Answer,
    /// Calls with its access token.
    pub client: Client,
}

/// A server that runs somewhere.
#[derive(Debug)]
pub struct Site {
    address: Address,
    client: Client,
    name: String,
    setup_token: RwLock<Option<String>>,
    admin: OnceCell<Account>,
}

impl Site {
    pub(super) fn new(name: &str, address: String, setup_token: Option<String>) -> Self {
        let address: Address = Arc::new(RwLock::new(address));
        let client = Client::anonymous(address.clone());
        Self { address, client, name: name.to_owned(), setup_token: RwLock::new(setup_token), admin: OnceCell::new() }
    }

    /// The same server, started again: clients go on.
    pub(super) fn moved(&self, address: String, setup_token: Option<String>) {
        *self.address.write().expect("nobody panicked while reading an address") = address;
        *self.setup_token.write().expect("nobody panicked while reading a token") = setup_token;
    }

    /// Where it listens, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        self.client.base()
    }

    /// Issuer of tokens, audience of assertions.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it printed for the first admin.
    #[must_use]
    pub fn setup_token(&self) -> Option<String> {
        self.setup_token.read().expect("nobody panicked while writing a token").clone()
    }

    /// Nobody in particular.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        self.client.clone()
    }

    /// The first admin; registered and logged in when it is asked for first.
    pub async fn admin(&self) -> Client {
        self.admin_account().await.client.clone()
    }

    /// The first admin's account.
    pub async fn admin_account(&self) -> &Account {
        self.admin
            .get_or_init(async || {
                let token = self.setup_token().expect("a server without accounts prints a set-up token");
                let mut body = registration(ADMIN);
                body["setup_token"] = token.into();
                let answer = self.client.post("/auth/register").json(body).await.expect(201);
                self.log_in(answer.id(), ADMIN).await
            })
            .await
    }

    /// A new account with one role, logged in.
    pub async fn user(&self, role: &str) -> Client {
        self.account(&[role]).await.client
    }

    /// A new account with these roles, logged in.
    pub async fn account(&self, roles: &[&str]) -> Account {
        let username = format!("user-{}", Ulid::new());
        let mut body = registration(&username);
        body["roles"] = json!(roles);
        let answer = self.admin().await.post("/users").json(body).await.expect(201);
        self.log_in(answer.id(), &username).await
    }

    /// Logs an account in once more, with its first password.
    pub async fn log_in(&self, id: String, username: &str) -> Account {
        let body = json!({"username": username, "password": PASSWORD});
        let tokens = self.client.post("/auth/login").json(body).await.expect(200);
        let client = self.client.with_token(tokens.text("access_token"));
        Account { id, username: username.to_owned(), tokens, client }
    }

    /// A new API key with these roles.
    pub async fn api_key(&self, roles: &[&str]) -> Client {
        let body = json!({"name": "a service", "roles": roles});
        let answer = self.admin().await.post("/api-keys").json(body).await.expect(201);
        self.client.with_token(answer.text("key"))
    }

    /// A new device with an Ed25519 key, admitted, with a token.
    pub async fn device(&self) -> TestDevice {
        self.device_with(DeviceKey::ed25519(), json!({})).await
    }

    /// A device with this key, admitted, with a token; `body` has what else it sends when it enrols.
    pub async fn device_with(&self, key: DeviceKey, body: Value) -> TestDevice {
        let (mut device, answer) = self.enrol(key, body).await;
        if answer["status"] == "pending" {
            self.admin().await.post(&format!("/devices/{}/admit", device.id)).await.expect(200);
        }
        device.log_in().await;
        device
    }

    /// A device that has enrolled, and how it was answered.
    pub async fn enrol(&self, key: DeviceKey, body: Value) -> (TestDevice, Answer) {
        TestDevice::enrol(&self.client, &self.name, key, body).await
    }

    /// Uploads a bundle; gives its identifier.
    pub async fn bundle(&self, name: &str, version: &str, content: &[u8]) -> String {
        let call = self.admin().await.post("/bundles").query("name", name).query("version", version);
        call.text("application/octet-stream", content.to_vec()).await.expect(201).id()
    }

    /// The digest of the plugin of this name.
    pub async fn plugin(&self, name: &str) -> String {
        let listed = self.admin().await.get("/plugins").await.expect(200);
        let found = listed.items().iter().find(|plugin| plugin["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no plugin `{name}`\n{listed}"))["digest"].as_str().expect("a digest").to_owned()
    }

    /// Writes a revision of a policy over a plugin of the program; gives its number. It does not decide yet.
    pub async fn revision(&self, policy: &str, plugin: &str, gate: &str, settings: Value) -> u64 {
        let body = json!({"plugin": self.plugin(plugin).await, "gate": gate, "settings": settings});
        let written = self.admin().await.put(&format!("/policies/{policy}")).json(body).await.expect(201);
        written["revision"].as_u64().expect("a number")
    }

    /// Lets a revision decide; gives the policy.
    pub async fn activate(&self, policy: &str, revision: u64) -> Answer {
        let call = self.admin().await.post(&format!("/policies/{policy}/activate"));
        call.json(json!({"revision": revision})).await.expect(200)
    }

    /// The settings with which the policy decides.
    pub async fn settings_of(&self, policy: &str) -> Value {
        let found = self.admin().await.get(&format!("/policies/{policy}")).await.expect(200);
        found["active"]["settings"].clone()
    }

    /// Adds roles to the bundled authorization policy, or replaces them.
    pub async fn grant_roles(&self, roles: Value) {
        let mut settings = self.settings_of("rbac").await;
        for (name, role) in roles.as_object().expect("roles") {
            settings["roles"][name] = role.clone();
        }
        let revision = self.revision("rbac", "rbac", "authorization", settings).await;
        self.activate("rbac", revision).await;
    }
}

/// What a registration sends.
fn registration(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@example.org"), "password": PASSWORD})
}
