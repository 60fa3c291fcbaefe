//! Owns which revisions decide about a deployment: those from its creation, until it is re-pinned.

use std::time::Duration;

use kernex::config::AdmissionRule;
use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Answer, TestDevice, TestServer, eventually_within, run};
use serde_json::{Value, json};

use super::commander::{Commander, PATIENCE, count, open_server, quick_with, server};
use super::squad::{Simulated, puppets};

/// Nobody proves a bundle for longer than it takes.
fn plan() -> Value {
    quick_with(json!({"soak_s": 0, "canary": 0}))
}

fn pins(targeting: u64, rollback: u64) -> Value {
    json!({
        "targeting": {"name": "rings", "revision": targeting}, "rollback": {"name": "guardian", "revision": rollback},
    })
}

/// Activates revisions 2 of both policies. Of so few devices the one judges as revision 1 does; the other has a wave
/// more, to which it sends nearly all.
async fn activate_others(server: &TestServer) {
    let mut guardian = server.settings_of("guardian").await;
    guardian["min_executed"] = json!(7);
    let mut rings = server.settings_of("rings").await;
    let early = |name: &str, percent: f64| json!({"name": name, "percent": percent});
    rings["waves"] =
        json!([early("a", 0.01), early("b", 0.02), early("c", 0.03), early("d", 0.04), {"name": "nearly all"}]);
    for (policy, gate, settings) in [("guardian", "rollback", guardian), ("rings", "targeting", rings)] {
        let revision = server.revision(policy, policy, gate, settings).await;
        assert_eq!(revision, 2);
        server.activate(policy, revision).await;
    }
}

impl Commander {
    /// The digest of the settings of a policy's revision.
    async fn settings_digest(&self, policy: &str, revision: u64) -> String {
        let revisions = self.client.get(&format!("/policies/{policy}/revisions")).await.expect(200);
        let found = revisions.items().iter().find(|one| one["revision"] == revision).cloned();
        let found = found.unwrap_or_else(|| panic!("no revision {revision}\n{revisions}"));
        found["settings_digest"].as_str().expect("a digest").to_owned()
    }

    /// With which settings it was decided about a deployment at a gate, newest first.
    async fn decided_with(&self, gate: &str, deployment: &str) -> Vec<String> {
        let decisions = self.decisions(gate, deployment).await;
        let digest = |decision: &Value| decision["settings_digest"].as_str().expect("a digest").to_owned();
        decisions.iter().map(digest).collect()
    }

    /// Waits until it was decided with these settings after everything else.
    async fn decided_at_last_with(&self, gate: &str, deployment: &str, digest: &str) {
        eventually_within(PATIENCE, "it is decided with these settings", async || {
            (self.decided_with(gate, deployment).await.first()? == digest).then_some(())
        })
        .await;
    }

    /// Waits until a device that enrolled late has its part.
    async fn joined(&self, deployment: &str, device: &TestDevice) {
        self.assignment_until(deployment, &device.id, "it has joined", |_| true).await;
    }
}

#[test]
fn a_deployment_keeps_the_revisions_with_which_it_was_created() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 3).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", plan()).await;
        let running = commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        assert_eq!(running["pinned"], pins(1, 1), "{running}");
        activate_others(&server).await;

        // Who joins late is chosen as those were who came first; what comes after is judged like what came before.
        let late = server.device().await;
        commander.joined(&deployment, &late).await;
        let _lives: Vec<_> = devices.into_iter().chain([late]).map(Simulated::of).collect();
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!((count(&done, "verified"), &done["pinned"]), (4, &pins(1, 1)), "{done}");
        for (gate, policy, at_least) in [("targeting", "rings", 2), ("rollback", "guardian", 2)] {
            let digest = commander.settings_digest(policy, 1).await;
            let decided = commander.decided_with(gate, &deployment).await;
            assert!(decided.len() >= at_least, "{gate}: {decided:?}");
            assert!(decided.iter().all(|found| *found == digest), "{gate}: {digest}, {decided:?}");
        }
        commander.step(&deployment, "repin").await.problem(409, "wrong-state");

        let other = server.bundle("gateway-os", "2.0.0", b"two").await;
        let next = commander.deploy(&other, "*", plan()).await;
        assert_eq!(commander.deployment(&next).await["pinned"], pins(2, 2));
        for (gate, policy) in [("targeting", "rings"), ("rollback", "guardian")] {
            let digest = commander.settings_digest(policy, 2).await;
            commander.decided_at_last_with(gate, &next, &digest).await;
        }
    });
}

#[test]
fn a_person_pins_it_to_what_is_active() {
    run(async {
        let server = server().await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 2).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", plan()).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        activate_others(&server).await;
        let pinned = commander.step(&deployment, "repin").await.expect(200);
        assert_eq!((&pinned["pinned"], &pinned["state"]), (&pins(2, 2), &json!("running")), "{pinned}");

        let audit = commander.client.get("/audit").query("resource", &deployment).query("action", "deployment:control");
        let audit = audit.await.expect(200);
        let detail = json!({"step": "repin", "reason": "a test says repin", "from": pins(1, 1), "to": pins(2, 2)});
        assert_eq!(audit.items()[0]["detail"], detail, "{audit}");

        // The deployment has no such wave as the new revision means: nobody gets lost behind the last one.
        let late = puppets(&server, 4).await;
        for device in &late {
            commander.joined(&deployment, device).await;
        }
        let rings = commander.settings_digest("rings", 2).await;
        assert_eq!(commander.decided_with("targeting", &deployment).await.first(), Some(&rings));
        let _lives: Vec<_> = devices.into_iter().chain(late).map(Simulated::of).collect();
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), 6, "{done}");
        let (before, after) =
            (commander.settings_digest("guardian", 1).await, commander.settings_digest("guardian", 2).await);
        let decided = commander.decided_with("rollback", &deployment).await;
        assert_eq!(decided.first(), Some(&after), "{before}, {decided:?}");

        // What is sent to one device is no policy's matter.
        let config = commander.client.put(&format!("/devices/{}/config", server.device().await.id));
        config.json(json!({"document": {}})).await.expect(200);
        let direct = commander.client.get("/deployments").query("kind", "direct").await.expect(200).all("id").remove(0);
        assert_eq!(commander.deployment(&direct).await["pinned"], Value::Null);
        commander.step(&direct, "repin").await.problem(409, "no-policies");
    });
}

#[test]
fn a_pin_outlives_the_process() {
    run(async {
        let mut server = TestServer::durable_with(|settings| settings.admission = AdmissionRule::Automatic).await;
        let commander = Commander::of(&server).await;
        let devices = puppets(&server, 2).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let deployment = commander.deploy(&bundle, "*", plan()).await;
        commander.until(&deployment, "it runs", |found| found["state"] == "running").await;
        activate_others(&server).await;
        server.restart().await;
        assert_eq!(commander.deployment(&deployment).await["pinned"], pins(1, 1));
        let before = commander.decided_with("rollback", &deployment).await.len();
        let _lives: Vec<_> = devices.into_iter().map(Simulated::of).collect();
        commander.settled(&deployment, "completed").await;
        let decided = commander.decided_with("rollback", &deployment).await;
        let digest = commander.settings_digest("guardian", 1).await;
        assert!(decided.len() > before && decided.iter().all(|found| *found == digest), "{digest}, {decided:?}");
    });
}

#[test]
fn a_pinned_revision_that_keeps_failing_gives_way_to_the_active_one() {
    run(async {
        let server = open_server().await;
        let commander = Commander::of(&server).await;
        commander.client.post("/plugins").bytes(MISBEHAVING).await.expect(201);
        let revision = async |decide: &str| {
            let revision = server.revision("mine", "misbehaving", "rollback", json!({"decide": decide})).await;
            server.activate("mine", revision).await;
            revision
        };
        let _device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let mut wanted = plan();
        wanted["rollback_policy"] = "mine".into();
        let (good, bad) = (revision("none").await, revision("panic").await);
        let deployment = commander.deploy(&bundle, "*", wanted).await;
        // Most likely it has not failed often enough before another one is active.
        let better = revision("none").await;
        assert_eq!((good, bad, better), (1, 2, 3));
        let mine = commander.settings_digest("mine", good).await;
        commander.decided_at_last_with("rollback", &deployment, &mine).await;
        let policy = commander.client.get("/policies/mine").await.expect(200);
        assert_eq!(policy["quarantined"], json!([bad]), "{policy}");
        assert_eq!(policy["active"]["revision"], better, "{policy}");
        let pinned = commander.deployment(&deployment).await;
        assert_eq!(pinned["pinned"]["rollback"], json!({"name": "mine", "revision": bad}), "nobody re-pinned it");
    });
}

#[test]
fn a_deployment_whose_policy_is_gone_says_so_once_and_goes_on_when_it_is_back() {
    run(async {
        let server = open_server().await;
        let commander = Commander::of(&server).await;
        commander.client.post("/plugins").bytes(MISBEHAVING).await.expect(201);
        let revision = async |decide: &str| {
            let revision = server.revision("mine", "misbehaving", "rollback", json!({"decide": decide})).await;
            server.activate("mine", revision).await;
            revision
        };
        let _device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let mut wanted = plan();
        wanted["rollback_policy"] = "mine".into();
        revision("panic").await;
        let deployment = commander.deploy(&bundle, "*", wanted).await;
        let good = revision("none").await;
        // The one that it is pinned to is in quarantine then.
        let digest = commander.settings_digest("mine", good).await;
        commander.decided_at_last_with("rollback", &deployment, &digest).await;

        let retired = commander.client.post("/policies/mine/rollback").await.expect(200);
        assert_eq!(retired["active"], Value::Null, "{retired}");
        let gone = |found: &Answer| found["reason"]["code"] == "unknown-policy";
        let waiting = commander.until(&deployment, "it says why it waits", gone).await;
        assert_eq!((&waiting["state"], &waiting["reason"]["by"]), (&json!("running"), &json!("host")), "{waiting}");
        // Some passes later nothing more was written.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(commander.deployment(&deployment).await.header("etag"), waiting.header("etag"));
        let steps = commander.client.get("/audit").query("resource", &deployment).query("limit", 50).await.expect(200);
        let waits = steps.items().iter().filter(|record| record["detail"]["step"] == "wait").count();
        assert_eq!(waits, 1, "{steps}");

        server.activate("mine", good).await;
        commander.until(&deployment, "it is decided about it", |found| found["reason"]["code"] == "as-asked").await;
    });
}
