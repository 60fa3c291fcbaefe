//! Owns simulated devices that live by themselves: they poll fast, obey, and report, each in its own manner.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernex_tests::harness::{DeviceKey, Site, TestDevice};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Pause between two heartbeats of one device: much shorter than any server asks for.
const POLL: Duration = Duration::from_millis(60);

/// How a device takes to the bundle that it is told to install. Going back always works.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Manner {
    /// It installs what it is told.
    Willing,
    /// This bundle does not install: it says so.
    Fails(String),
    /// This bundle installs, and then the device says that it does not work.
    Sickens(String),
}

/// What a device has been through. Shared with the test.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    /// The bundle that it runs.
    pub(super) bundle: Option<String>,
    /// The config version and document that it runs.
    pub(super) config: Option<(u64, Value)>,
    /// Every command that it took up, in order.
    pub(super) commands: Vec<Value>,
    /// Reports that the server took in, as (assignment, attempt, state).
    pub(super) acknowledged: Vec<(String, u64, String)>,
    /// Reports that the server refused, with its code.
    pub(super) refused: Vec<(String, String)>,
}

/// A device that lives by itself until it is dropped.
#[derive(Debug)]
pub(super) struct Simulated {
    /// The device; the test may call in its name too.
    pub(super) device: TestDevice,
    story: Arc<Mutex<Story>>,
    manner: Arc<Mutex<Manner>>,
    life: JoinHandle<()>,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.life.abort();
    }
}

impl Simulated {
    /// Begins to live.
    pub(super) fn of(device: TestDevice) -> Self {
        let story = Arc::<Mutex<Story>>::default();
        let manner = Arc::new(Mutex::new(Manner::Willing));
        let life = tokio::spawn(live(device.clone(), story.clone(), manner.clone()));
        Self { device, story, manner, life }
    }

    /// Its identifier.
    pub(super) fn id(&self) -> &str {
        &self.device.id
    }

    /// What it has been through up to now.
    pub(super) fn story(&self) -> Story {
        self.story.lock().expect("nobody panicked over a story").clone()
    }

    /// The bundle that it runs.
    pub(super) fn bundle(&self) -> Option<String> {
        self.story().bundle
    }

    /// Changes how it takes to bundles.
    pub(super) fn behave(&self, manner: Manner) {
        *self.manner.lock().expect("nobody panicked over a manner") = manner;
    }

    /// Whether it was ever told to install this bundle.
    pub(super) fn was_told(&self, bundle: &str) -> bool {
        self.story().commands.iter().any(|command| command["kind"] == "install" && command["bundle"]["id"] == bundle)
    }
}

/// Devices that enrol, are admitted by the server's rule, and begin to live. `body` is what they say of themselves.
pub(super) async fn squad(site: &Site, count: usize, body: Value) -> Vec<Simulated> {
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        devices.push(Simulated::of(site.device_with(DeviceKey::ed25519(), body.clone()).await));
    }
    devices
}

/// Devices that the test plays itself, step by step.
pub(super) async fn puppets(site: &Site, count: usize) -> Vec<TestDevice> {
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        devices.push(site.device().await);
    }
    devices
}

async fn live(device: TestDevice, story: Arc<Mutex<Story>>, manner: Arc<Mutex<Manner>>) {
    loop {
        let beat = {
            let story = story.lock().expect("nobody panicked over a story");
            let manner = manner.lock().expect("nobody panicked over a manner");
            let sick = matches!(&*manner, Manner::Sickens(bundle) if story.bundle.as_ref() == Some(bundle));
            json!({
                "bundle_id": story.bundle,
                "config_version": story.config.as_ref().map(|(version, _)| version),
                "health": if sick { "failed" } else { "healthy" },
            })
        };
        // A server that is away or busy is asked again: that is what devices do.
        if let Ok(answer) = device.heartbeat(beat).send().await
            && let Some(command) = answer["commands"].as_array().and_then(|commands| commands.first()).cloned()
        {
            let manner = manner.lock().expect("nobody panicked over a manner").clone();
            obey(&device, &story, &manner, &command).await;
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn obey(device: &TestDevice, story: &Mutex<Story>, manner: &Manner, command: &Value) {
    let known = {
        let mut story = story.lock().expect("nobody panicked over a story");
        let attempt = |told: &Value| (told["assignment_id"].clone(), told["attempt"].clone());
        let known = story.commands.iter().any(|told| attempt(told) == attempt(command));
        if !known {
            story.commands.push(command.clone());
        }
        known
    };
    if !known {
        tell(device, story, command, "downloading", Value::Null).await;
    }
    let bundle = command["bundle"]["id"].as_str();
    if command["kind"] == "install" && matches!(manner, Manner::Fails(bad) if bundle == Some(bad)) {
        let error = json!({"error": {"code": "boot-failed", "message": "the new version did not come up"}});
        tell(device, story, command, "failed", error).await;
        return;
    }
    {
        let mut story = story.lock().expect("nobody panicked over a story");
        match bundle {
            Some(bundle) => story.bundle = Some(bundle.to_owned()),
            None => {
                let version = command["config"]["version"].as_u64().expect("a command without a bundle has a config");
                story.config = Some((version, command["config"]["document"].clone()));
            }
        }
    }
    tell(device, story, command, "installed", Value::Null).await;
}

/// Reports until the server has answered for good.
async fn tell(device: &TestDevice, story: &Mutex<Story>, command: &Value, state: &str, more: Value) {
    loop {
        let sent = device.report_with(command, state, more.clone()).send().await;
        if let Ok(answer) = sent {
            let mut story = story.lock().expect("nobody panicked over a story");
            let assignment = command["assignment_id"].as_str().unwrap_or_default().to_owned();
            match answer.status.as_u16() {
                200 => {
                    story.acknowledged.push((assignment, command["attempt"].as_u64().unwrap_or(0), state.to_owned()));
                    return;
                }
                503 => {}
                _ => {
                    story.refused.push((state.to_owned(), answer["code"].as_str().unwrap_or_default().to_owned()));
                    return;
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
