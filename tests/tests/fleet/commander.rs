//! Owns what tests ask of the server as an operator: deployments, their assignments, timelines and decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use kernex_tests::harness::{Answer, Client, TestServer, eventually_within};
use serde_json::{Value, json};

/// How long a deployment may take to get where a test expects it: only failing tests wait that long.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A server that admits devices by itself, as fleets in tests want it.
pub(super) async fn server() -> TestServer {
    TestServer::start_with(|settings| settings.admission = kernex::config::AdmissionRule::Automatic).await
}

/// A server that also takes plugins that nobody has signed.
pub(super) async fn open_server() -> TestServer {
    TestServer::start_with(|settings| {
        settings.admission = kernex::config::AdmissionRule::Automatic;
        settings.plugins.allow_unsigned = true;
    })
    .await
}

/// An operator of one server.
#[derive(Debug, Clone)]
pub(super) struct Commander {
    /// Calls as an administrator.
    pub(super) client: Client,
}

/// A plan whose clocks are as short as they can be.
pub(super) fn quick() -> Value {
    json!({"max_in_flight": 50, "soak_s": 1, "attempt_timeout_s": 60, "max_attempts": 1, "canary": 1})
}

/// [`quick`] with other values.
pub(super) fn quick_with(more: Value) -> Value {
    let mut plan = quick();
    if let (Some(plan), Value::Object(more)) = (plan.as_object_mut(), more) {
        plan.extend(more);
    }
    plan
}

impl Commander {
    pub(super) async fn of(server: &TestServer) -> Self {
        Self { client: server.admin().await }
    }

    /// What is sent to create a deployment of a bundle.
    pub(super) fn order(bundle: &str, selector: &str, plan: Value) -> Value {
        json!({"name": "a test", "bundle_id": bundle, "selector": selector, "plan": plan})
    }

    /// Creates a deployment of a bundle; gives its identifier.
    pub(super) async fn deploy(&self, bundle: &str, selector: &str, plan: Value) -> String {
        self.client.post("/deployments").json(Self::order(bundle, selector, plan)).await.expect(201).id()
    }

    /// A deployment as it stands.
    pub(super) async fn deployment(&self, id: &str) -> Answer {
        self.client.get(&format!("/deployments/{id}")).await.expect(200)
    }

    /// Pause, resume, cancel or rollback.
    pub(super) async fn step(&self, id: &str, step: &str) -> Answer {
        let reason = json!({"reason": format!("a test says {step}")});
        self.client.post(&format!("/deployments/{id}/{step}")).json(reason).await
    }

    /// Waits until the deployment is in this state and nothing more happens to it by itself.
    pub(super) async fn settled(&self, id: &str, state: &str) -> Answer {
        let mut last = None;
        let what = format!("{id} is {state} and settled");
        let wanted = eventually_within(PATIENCE, &what, async || {
            let deployment = self.deployment(id).await;
            let there = deployment["state"] == state && deployment["settled"] == true;
            last = Some(deployment.clone());
            there.then_some(deployment)
        });
        match tokio::time::timeout(PATIENCE - Duration::from_secs(1), wanted).await {
            Ok(deployment) => deployment,
            Err(_) => panic!("not {state} and settled: {}", last.map(|last| last.to_string()).unwrap_or_default()),
        }
    }

    /// Waits until the deployment fulfils a condition.
    pub(super) async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        eventually_within(PATIENCE, what, async || {
            let deployment = self.deployment(id).await;
            wanted(&deployment).then_some(deployment)
        })
        .await
    }

    /// Every assignment of a deployment.
    pub(super) async fn assignments(&self, id: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let mut call = self.client.get(&format!("/deployments/{id}/assignments")).query("limit", 500);
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let page = call.await.expect(200);
            found.extend(page.items().iter().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return found;
            }
        }
    }

    /// One device's assignment.
    pub(super) async fn assignment(&self, deployment: &str, device: &str) -> Option<Value> {
        self.assignments(deployment).await.into_iter().find(|assignment| assignment["device_id"] == device)
    }

    /// Waits until a device's assignment fulfils a condition.
    pub(super) async fn assignment_until(
        &self,
        deployment: &str,
        device: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually_within(PATIENCE, what, async || {
            self.assignment(deployment, device).await.filter(|found| wanted(found))
        })
        .await
    }

    /// Waits until a device's assignment is in a state.
    pub(super) async fn assignment_in(&self, deployment: &str, device: &str, state: &str) -> Value {
        self.assignment_until(deployment, device, &format!("the assignment is {state}"), |found| {
            found["state"] == state
        })
        .await
    }

    /// A device as it is stored.
    pub(super) async fn device(&self, id: &str) -> Answer {
        self.client.get(&format!("/devices/{id}")).await.expect(200)
    }

    /// A device's timeline with its explanations.
    pub(super) async fn timeline(&self, id: &str) -> Answer {
        self.client.get(&format!("/devices/{id}/timeline")).query("limit", 200).await.expect(200)
    }

    /// The codes of a device's timeline that belong to a deployment, oldest first.
    pub(super) async fn codes(&self, device: &str, deployment: &str) -> Vec<String> {
        let timeline = self.timeline(device).await;
        let of_it = timeline.items().iter().filter(|entry| entry["deployment_id"] == deployment);
        let mut codes: Vec<String> = of_it.map(|entry| entry["code"].as_str().unwrap_or_default().to_owned()).collect();
        codes.reverse();
        codes
    }

    /// What the timeline says of a device in a deployment: code and message.
    pub(super) async fn explanation(&self, device: &str, deployment: &str) -> Option<(String, String)> {
        let timeline = self.timeline(device).await;
        let found = timeline["explanations"].as_array()?.iter().find(|found| found["deployment_id"] == deployment)?;
        Some((found["code"].as_str()?.to_owned(), found["message"].as_str()?.to_owned()))
    }

    /// Waits until the timeline explains a device's standing in a deployment with this code; gives the message.
    pub(super) async fn explained(&self, device: &str, deployment: &str, code: &str) -> String {
        let mut last = None;
        let patience = Duration::from_secs(30);
        let start = std::time::Instant::now();
        while start.elapsed() < patience {
            last = self.explanation(device, deployment).await;
            if let Some((found, message)) = &last
                && found == code
            {
                return message.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("expected the explanation `{code}`, the last one was {last:?}")
    }

    /// The decisions about something at one gate, newest first.
    pub(super) async fn decisions(&self, gate: &str, subject: &str) -> Vec<Value> {
        let answer =
            self.client.get("/decisions").query("gate", gate).query("subject", subject).query("limit", 200).await;
        answer.expect(200).items().clone()
    }
}

/// Of devices that share a wave other than the canary's, the wave and the devices. In which wave a device is
/// depends on its hash; of nine devices at least three share one.
pub(super) fn crowd(assignments: &[Value]) -> (u64, Vec<String>) {
    let mut crowds = BTreeMap::<u64, Vec<String>>::new();
    for assignment in assignments {
        let wave = assignment["wave"].as_u64().expect("a number");
        let device = assignment["device_id"].as_str().expect("an identifier");
        crowds.entry(wave).or_default().push(device.to_owned());
    }
    crowds.remove(&0);
    crowds.into_iter().max_by_key(|(_, devices)| devices.len()).expect("more devices than canaries")
}

/// A deployment's counts over all waves, by state.
pub(super) fn counts(deployment: &Answer) -> Value {
    let mut sum = serde_json::Map::new();
    for wave in deployment["waves"].as_array().expect("a deployment has waves") {
        for (state, count) in wave["counts"].as_object().expect("a wave has counts") {
            let before = sum.get(state).and_then(Value::as_u64).unwrap_or(0);
            sum.insert(state.clone(), (before + count.as_u64().expect("a count")).into());
        }
    }
    sum.into()
}

/// One count over all waves.
pub(super) fn count(deployment: &Answer, state: &str) -> u64 {
    counts(deployment)[state].as_u64().unwrap_or(0)
}
