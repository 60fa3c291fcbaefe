//! Owns deployments that wait for approval: who may let them start, and that nobody is offered anything before.

use kernex::config::{AdmissionRule, Settings};
use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{Account, Answer, Client, Site, TestServer, run};
use serde_json::{Value, json};

use super::commander::{Commander, count, quick_with, server};
use super::squad::{Simulated, squad};

/// Devices of the deployments that need approval here.
const DEVICES: usize = 3;

/// From now on a deployment of [`DEVICES`] needs so many approvals of administrators.
async fn four_eyes(site: &Site, approvals: u32) {
    let settings = json!({"above_devices": DEVICES - 1, "approvals": approvals, "approver_roles": ["admin"]});
    let revision = site.revision("four-eyes", "four-eyes", "authorization", settings).await;
    site.activate("four-eyes", revision).await;
}

fn admits(settings: &mut Settings) {
    settings.admission = AdmissionRule::Automatic;
}

fn as_somebody(account: &Account) -> Commander {
    Commander { client: account.client.clone() }
}

/// Devices that say that they stand somewhere.
async fn at(site: &Site, place: &str, devices: usize) -> Vec<Simulated> {
    squad(site, devices, json!({"facts": {"site": place}})).await
}

async fn deploy(site: &Site, by: &Client, place: &str) -> String {
    let bundle = site.bundle(&format!("os-{place}"), "1.0.0", place.as_bytes()).await;
    let order = Commander::order(&bundle, &format!("fact.site={place}"), quick_with(json!({"soak_s": 0})));
    by.post("/deployments").json(order).await.expect(201).id()
}

/// Waits until it waits, for this reason.
async fn waits(commander: &Commander, deployment: &str, code: &str) -> Answer {
    let what = format!("it waits: {code}");
    commander
        .until(deployment, &what, |found| found["state"] == "awaiting_approval" && found["reason"]["code"] == code)
        .await
}

/// Runs a small deployment to its end: meanwhile the driver has passed over all others, again and again.
async fn driver_passes(site: &Site, commander: &Commander, place: &str) {
    let _devices = at(site, place, 1).await;
    let deployment = deploy(site, &commander.client, place).await;
    let done = commander.settled(&deployment, "completed").await;
    assert_eq!((&done["approved_by"], count(&done, "verified")), (&json!([]), 1), "{done}");
}

fn untouched(deployment: &Answer, devices: &[Simulated]) {
    assert_eq!(count(deployment, "queued"), devices.len() as u64, "{deployment}");
    let told: Vec<Value> = devices.iter().flat_map(|device| device.story().commands).collect();
    assert!(told.is_empty(), "somebody was told to act: {told:?}");
}

/// What was decided about a deployment in somebody's name, oldest first: policy and outcome.
async fn decided(admin: &Commander, subject: &str, question: &str, deployment: &str) -> Vec<String> {
    let found = admin.decisions("authorization", subject).await;
    let about = found.iter().filter(|one| one["question"] == question && one["input"]["resource"]["id"] == deployment);
    let text = |one: &Value, field: &str| one[field].as_str().expect("a text").to_owned();
    let mut decided: Vec<String> = about.map(|one| text(one, "policy") + " " + &text(one, "outcome")).collect();
    decided.reverse();
    decided
}

#[test]
fn a_large_deployment_waits_for_somebody_else_than_its_creator() {
    run(async {
        let server = server().await;
        four_eyes(&server, 1).await;
        let (admin, creator) = (Commander::of(&server).await, server.account(&["admin"]).await);
        let commander = as_somebody(&creator);
        let devices = at(&server, "berlin", DEVICES).await;
        let deployment = deploy(&server, &creator.client, "berlin").await;
        let waiting = waits(&commander, &deployment, "approval-required").await;
        assert_eq!((&waiting["approved_by"], &waiting["reason"]["by"]), (&json!([]), &json!("policy:four-eyes")));
        driver_passes(&server, &commander, "paris").await;
        untouched(&commander.deployment(&deployment).await, &devices);
        let message = commander.explained(devices[0].id(), &deployment, "awaiting-approval").await;
        assert!(message.contains("it has 3 devices"), "{message}");
        let listed = admin.client.get("/deployments").query("state", "awaiting_approval").await.expect(200);
        assert_eq!(listed.all("id"), std::slice::from_ref(&deployment));

        commander.step(&deployment, "approve").await.problem(403, "own-deployment");
        for client in [server.api_key(&["admin"]).await, server.user("operator").await] {
            Commander { client }.step(&deployment, "approve").await.problem(403, "not-an-approver");
        }
        for step in ["resume", "rollback"] {
            admin.step(&deployment, step).await.problem(409, "wrong-state");
        }
        untouched(&commander.deployment(&deployment).await, &devices);

        let approver = server.admin_account().await.id.clone();
        let approved = admin.step(&deployment, "approve").await.expect(200);
        assert_eq!((&approved["approved_by"], &approved["state"]), (&json!([approver]), &json!("awaiting_approval")));
        let done = commander.settled(&deployment, "completed").await;
        assert_eq!((&done["approved_by"], count(&done, "verified")), (&json!([approver]), 3), "{done}");
        let late = server.account(&["admin"]).await;
        as_somebody(&late).step(&deployment, "approve").await.problem(409, "not-awaiting-approval");

        let starts = decided(&admin, &creator.id, "deployment:start", &deployment).await;
        assert_eq!(starts, ["four-eyes deny", "four-eyes allow", "rbac allow"]);
        let approvals = decided(&admin, &approver, "deployment:approve", &deployment).await;
        assert_eq!(approvals, ["four-eyes allow", "rbac allow"]);
        let audit = admin.client.get("/audit").query("action", "deployment:approve").await.expect(200);
        assert_eq!(audit.all("principal"), [approver]);
        assert_eq!(audit.items()[0]["detail"], json!({"reason": "a test says approve", "approvals": 1}));
    });
}

#[test]
fn what_waits_goes_on_waiting_after_a_restart_and_takes_devices_in() {
    run(async {
        let mut server = TestServer::durable_with(admits).await;
        four_eyes(&server, 1).await;
        let (admin, creator) = (Commander::of(&server).await, server.account(&["operator"]).await);
        let mut devices = at(&server, "berlin", DEVICES).await;
        let deployment = deploy(&server, &creator.client, "berlin").await;
        let before = waits(&admin, &deployment, "approval-required").await;
        server.restart().await;
        driver_passes(&server, &admin, "paris").await;
        let after = admin.deployment(&deployment).await;
        assert_eq!(after.json(), before.json(), "nothing is news");
        assert_eq!(decided(&admin, &creator.id, "deployment:start", &deployment).await, ["four-eyes deny"]);
        untouched(&after, &devices);

        devices.extend(at(&server, "berlin", 1).await);
        let all = devices.len() as u64;
        let joined = admin.until(&deployment, "it has joined", |found| count(found, "queued") == all).await;
        untouched(&joined, &devices);
        admin.step(&deployment, "approve").await.expect(200);
        let done = admin.settled(&deployment, "completed").await;
        assert_eq!(count(&done, "verified"), all, "{done}");
    });
}

#[test]
fn two_who_approve_at_once_both_count() {
    run(async {
        let server = server().await;
        four_eyes(&server, 2).await;
        let admin = Commander::of(&server).await;
        let (one, two) = (server.account(&["admin"]).await, server.account(&["admin"]).await);
        let _devices = at(&server, "berlin", DEVICES).await;
        let operator = server.user("operator").await;
        let deployment = deploy(&server, &operator, "berlin").await;
        waits(&admin, &deployment, "approval-required").await;
        let (first, second) = (as_somebody(&one), as_somebody(&two));
        let (first, second) = tokio::join!(first.step(&deployment, "approve"), second.step(&deployment, "approve"));
        first.expect(200);
        second.expect(200);
        let done = admin.settled(&deployment, "completed").await;
        let approved_by = done["approved_by"].as_array().expect("a list");
        assert_eq!(approved_by.len(), 2, "{done}");
        assert!(approved_by.contains(&json!(one.id)) && approved_by.contains(&json!(two.id)), "{done}");
    });
}

#[test]
fn what_waits_can_be_paused_and_resumed_and_cancelled() {
    run(async {
        let server = server().await;
        four_eyes(&server, 1).await;
        let (admin, creator) = (Commander::of(&server).await, server.account(&["operator"]).await);
        let commander = as_somebody(&creator);
        let devices = at(&server, "berlin", DEVICES).await;
        let deployment = deploy(&server, &creator.client, "berlin").await;
        waits(&commander, &deployment, "approval-required").await;

        assert_eq!(commander.step(&deployment, "pause").await.expect(200)["state"], "paused");
        admin.step(&deployment, "approve").await.problem(409, "not-awaiting-approval");
        assert_eq!(commander.step(&deployment, "resume").await.expect(200)["state"], "draft");
        let again = waits(&commander, &deployment, "approval-required").await;
        untouched(&again, &devices);

        commander.step(&deployment, "cancel").await.expect(200);
        let done = commander.settled(&deployment, "cancelled").await;
        assert_eq!(count(&done, "cancelled"), DEVICES as u64, "{done}");
        admin.step(&deployment, "approve").await.problem(409, "not-awaiting-approval");
        let told = devices.iter().any(|device| !device.story().commands.is_empty());
        assert!(!told, "nobody was ever told to act");
    });
}

#[test]
fn whoever_may_create_and_not_start_needs_leave_and_not_approvals() {
    run(async {
        let server = server().await;
        let (admin, other) = (Commander::of(&server).await, server.account(&["admin"]).await);
        let _devices = at(&server, "berlin", DEVICES).await;
        let grant = async |grants: Value| server.grant_roles(json!({"planner": {"grants": grants}})).await;
        grant(json!(["deployment:create"])).await;
        let planner = server.account(&["planner"]).await;
        let deployment = deploy(&server, &planner.client, "berlin").await;
        let waiting = waits(&admin, &deployment, "role-missing").await;
        assert_eq!(waiting["reason"]["by"], "policy:rbac");

        admin.step(&deployment, "approve").await.expect(200);
        let waiting = waits(&admin, &deployment, "role-missing").await;
        assert_eq!(waiting["approved_by"].as_array().map(Vec::len), Some(1), "it counts, and is not enough\n{waiting}");
        admin.step(&deployment, "approve").await.problem(409, "already-approved");
        grant(json!(["deployment:create", "deployment:start"])).await;
        as_somebody(&other).step(&deployment, "approve").await.expect(200);
        admin.settled(&deployment, "completed").await;
        let starts = decided(&admin, &planner.id, "deployment:start", &deployment).await;
        assert_eq!(starts, ["rbac deny", "rbac deny", "rbac allow"], "asked as often as somebody approved");
    });
}

#[test]
fn a_creator_who_is_shut_out_starts_nothing() {
    run(async {
        let server = server().await;
        four_eyes(&server, 1).await;
        let (admin, other) = (Commander::of(&server).await, server.account(&["admin"]).await);
        let person = server.account(&["operator"]).await;
        let key = admin.client.post("/api-keys").json(json!({"name": "ci", "roles": ["operator"]})).await.expect(201);
        let service = server.anonymous().with_token(key.text("key"));
        let _devices = (at(&server, "berlin", DEVICES).await, at(&server, "paris", DEVICES).await);
        let by_person = deploy(&server, &person.client, "berlin").await;
        let by_key = deploy(&server, &service, "paris").await;
        for deployment in [&by_person, &by_key] {
            waits(&admin, deployment, "approval-required").await;
        }
        let account = format!("/users/{}", person.id);
        admin.client.edit(&account, json!({"disabled": true})).await.expect(200);
        admin.client.delete(&format!("/api-keys/{}", key.id())).await.expect(204);
        for (deployment, code) in [(&by_person, "creator-disabled"), (&by_key, "creator-gone")] {
            admin.step(deployment, "approve").await.expect(200);
            let waiting = waits(&admin, deployment, code).await;
            assert_eq!((&waiting["reason"]["by"], count(&waiting, "queued")), (&json!("host"), 3), "{waiting}");
        }
        admin.client.edit(&account, json!({"disabled": false})).await.expect(200);
        as_somebody(&other).step(&by_person, "approve").await.expect(200);
        admin.settled(&by_person, "completed").await;
        assert_eq!(admin.deployment(&by_key).await["state"], "awaiting_approval", "nobody can start it any more");
        admin.step(&by_key, "cancel").await.expect(200);
        admin.settled(&by_key, "cancelled").await;
    });
}

#[test]
fn a_policy_that_fails_starts_nothing() {
    run(async {
        let server = TestServer::start_with(|settings| {
            admits(settings);
            settings.plugins.allow_unsigned = true;
        })
        .await;
        let (admin, other) = (Commander::of(&server).await, server.account(&["admin"]).await);
        let digest = admin.client.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let broken = json!({
            "plugin": digest, "gate": "authorization", "actions": ["deployment:start"],
            "settings": {"decide": "panic"},
        });
        let written = admin.client.put("/policies/broken").json(broken).await.expect(201);
        server.activate("broken", written["revision"].as_u64().expect("a number")).await;
        let devices = at(&server, "berlin", 1).await;
        let deployment = deploy(&server, &admin.client, "berlin").await;
        let waiting = waits(&admin, &deployment, "policy-fault").await;
        assert_eq!(waiting["reason"]["by"], "policy:broken");
        untouched(&waiting, &devices);

        admin.client.post("/policies/broken/rollback").await.expect(200);
        as_somebody(&other).step(&deployment, "approve").await.expect(200);
        admin.settled(&deployment, "completed").await;
    });
}
