//! Trying a revision out before it decides: looking on at live traffic, and replays of what was decided.

use kernex_tests::harness::{Answer, Client, ServerProcess, TestServer, eventually, run};
use serde_json::{Value, json};

/// A revision of the authorization policy in which viewers may not list devices.
async fn stricter(server: &TestServer) -> u64 {
    let mut settings = server.settings_of("rbac").await;
    let grants = settings["roles"]["viewer"]["grants"].as_array_mut().expect("grants");
    grants.retain(|grant| grant != "device:list");
    server.revision("rbac", "rbac", "authorization", settings).await
}

/// What is told of the revision that looks on, once it was asked so often.
async fn seen(admin: &Client, policy: &str, asked: u64) -> Answer {
    eventually("it was asked", async || {
        let shadow = admin.get(&format!("/policies/{policy}/shadow")).await.expect(200);
        (shadow["comparison"]["asked"].as_u64() >= Some(asked)).then_some(shadow)
    })
    .await
}

#[test]
fn a_revision_that_looks_on_is_compared_and_decides_nothing() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let viewer = server.account(&["viewer"]).await;
        let revision = stricter(&server).await;
        let policy = admin.post("/policies/rbac/shadow").json(json!({"revision": revision})).await.expect(200);
        assert_eq!((&policy["shadow"], &policy["active"]["revision"]), (&json!(revision), &json!(1)));
        for _ in 0..5 {
            viewer.client.get("/devices").await.expect(200);
            viewer.client.get("/bundles").await.expect(200);
        }
        let shadow = eventually("all differences", async || {
            // A list is two questions: whether it may be read, and what it shows.
            let shadow = seen(&admin, "rbac", 15).await;
            (shadow["comparison"]["differing"] == 10).then_some(shadow)
        })
        .await;
        assert_eq!((&shadow["comparison"]["faults"], &shadow["comparison"]["missed"]), (&json!(0), &json!(0)));
        assert_eq!(shadow["breakdown"]["subjects"], json!([{"name": viewer.id, "count": 10}]));
        let questions = json!([{"name": "device:list", "count": 5}, {"name": "scope device:list", "count": 5}]);
        assert_eq!(shadow["breakdown"]["questions"], questions);
        assert_eq!(shadow["breakdown"]["changes"], json!([{"decided": "allow", "candidate": "deny", "count": 10}]));

        let listed = admin.get("/policies/rbac/differences").query("limit", 3).await.expect(200);
        assert_eq!(listed.items().len(), 3, "{listed}");
        let first = listed.items().iter().find(|one| one["question"] == "device:list").expect("one of the last three");
        assert_eq!(first["candidate"]["outcome"], "deny", "{first}");
        assert_eq!((&first["decided"]["code"], &first["subject"]), (&json!("allowed"), &json!(viewer.id)));
        assert_eq!(first["input"]["principal"]["id"], viewer.id);
        let text = admin.root(reqwest::Method::GET, "/metrics").await.expect(200);
        let text = String::from_utf8(text.body).expect("text");
        let counted = |line: &&str| {
            line.starts_with("kernex_shadow_questions_total") && line.contains("differing") && line.ends_with(" 10")
        };
        assert!(text.lines().any(|line| counted(&line)), "{text}");

        // What decides looks on no more, and what it was seen to do can still be read.
        let active = server.activate("rbac", revision).await;
        assert_eq!(active["shadow"], Value::Null);
        viewer.client.get("/devices").await.expect(403);
        admin.get("/policies/rbac/shadow").await.problem(404, "not-found");
        let before = admin.get("/policies/rbac/shadow").query("revision", revision).await.expect(200);
        assert_eq!(before["comparison"]["differing"], 10);
    });
}

#[test]
fn a_revision_that_only_shows_other_devices_differs() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let grants = json!(["device:list", "deployment:create"]);
        let watcher = |devices: &str| json!({"watcher": {"grants": grants, "devices": devices}});
        server.grant_roles(watcher("site in (a,b)")).await;
        let active = admin.get("/policies/rbac").await.expect(200)["active"]["revision"].as_u64().expect("a number");
        let revision = async |devices: &str| {
            let mut settings = server.settings_of("rbac").await;
            settings["roles"]["watcher"] = watcher(devices)["watcher"].clone();
            server.revision("rbac", "rbac", "authorization", settings).await
        };
        let (other, same) = (revision("site=c").await, revision("site in (b,a)").await);
        let watcher = server.account(&["watcher"]).await;
        let look_on = async |candidate: u64, differing: u64| {
            admin.post("/policies/rbac/shadow").json(json!({"revision": candidate})).await.expect(200);
            for _ in 0..3 {
                watcher.client.get("/devices").await.expect(200);
            }
            eventually("its lists were seen", async || {
                let shadow = seen(&admin, "rbac", 6).await;
                (shadow["comparison"]["differing"] == differing).then_some(shadow)
            })
            .await
        };
        look_on(same, 0).await;
        let shadow = look_on(other, 3).await;
        assert_eq!(shadow["breakdown"]["questions"], json!([{"name": "scope device:list", "count": 3}]), "{shadow}");
        assert_eq!(shadow["breakdown"]["changes"], json!([{"decided": "allow", "candidate": "allow", "count": 3}]));
        let listed = admin.get("/policies/rbac/differences").await.expect(200);
        let one = &listed.items()[0];
        let says = |finding: &Value, text: &str| finding["message"].as_str().is_some_and(|said| said.contains(text));
        assert!(says(&one["decided"], "site in (a,b)") && says(&one["candidate"], "site=c"), "{one}");
        assert_eq!(
            (&one["input"]["action"], &one["input"]["resource_kind"]),
            (&json!("device:list"), &json!("device"))
        );
        assert_eq!(one["input"]["principal"]["id"], watcher.id, "{one}");

        // What narrowed a change is recorded with it, and so it is replayed.
        let body = json!({"name": "a", "selector": "*", "config": {}});
        watcher.client.post("/deployments").json(body).await.expect(201);
        for unchanged in [active, same] {
            let replay = replayed(&admin, "rbac", everything(unchanged)).await["replay"].clone();
            let of_watcher = replay["breakdown"]["subjects"].to_string().contains(&watcher.id);
            assert!(!of_watcher && replay["comparison"]["unrepeatable"] == 0, "{replay}");
        }
        let replay = replayed(&admin, "rbac", everything(other)).await["replay"].clone();
        assert_eq!(
            replay["breakdown"]["questions"],
            json!([{"name": "scope deployment:create", "count": 1}]),
            "{replay}"
        );
        assert_eq!(replay["differences"][0]["subject"], json!(watcher.id), "{replay}");
    });
}

#[test]
fn a_share_of_the_questions_is_a_share() {
    run(async {
        let server = TestServer::start().await;
        let (admin, viewer) = (server.admin().await, server.user("viewer").await);
        let revision = stricter(&server).await;
        let body = json!({"revision": revision, "sample_percent": 25});
        admin.post("/policies/rbac/shadow").json(body).await.expect(200);
        for _ in 0..40 {
            viewer.get("/bundles").await.expect(200);
        }
        // Long enough for all of them to have been asked, were it all.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        // Looking is asked about, too: the admin's own calls are among them.
        let shadow = seen(&admin, "rbac", 10).await;
        let asked = shadow["comparison"]["asked"].as_u64().expect("a number");
        assert!((10..20).contains(&asked), "{shadow}");
    });
}

#[test]
fn what_cannot_look_on_is_refused() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let shadow = |policy: &str, revision: u64| {
            admin.post(&format!("/policies/{policy}/shadow")).json(json!({"revision": revision}))
        };
        shadow("rings", 1).await.problem(400, "already-active");
        shadow("rbac", 1).await.problem(400, "already-active");
        shadow("rbac", 9).await.problem(400, "unknown-revision");
        shadow("nobody", 1).await.problem(404, "not-found");
        admin.get("/policies/rbac/shadow").await.problem(404, "not-found");
    });
}

/// Everything that was decided until now.
pub(super) fn everything(revision: u64) -> Value {
    json!({"revision": revision, "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"})
}

pub(super) async fn replayed(admin: &Client, policy: &str, body: Value) -> Answer {
    let begun = admin.post(&format!("/policies/{policy}/replay")).json(body).await.expect(202);
    let path = begun.header("location").expect("a location").to_owned();
    let ended = eventually("the replay's end", async || {
        let operation = admin.get(&path).await.expect(200);
        (operation["state"] != "running").then_some(operation)
    })
    .await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    ended
}

/// What `kernex` prints with these words, as somebody at the server.
async fn printed(server: &TestServer, caller: &Client, words: &str) -> String {
    let mut command = tokio::process::Command::new(ServerProcess::program());
    command.args(words.split(' ')).env("KERNEX_SERVER", server.base()).env("KERNEX_TOKEN", caller.token());
    let output = command.output().await.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until the log's buffer has been written.
async fn written(admin: &Client, denied: &Answer) -> Answer {
    let id = denied["decision"].as_str().expect("a decision").to_owned();
    eventually("the decision is written", async || {
        let found = admin.get(&format!("/decisions/{id}")).await;
        (found.status == 200).then_some(found)
    })
    .await
}

#[test]
fn the_unchanged_revision_decides_the_same_with_the_same_fuel() {
    run(async {
        let server = TestServer::start().await;
        let (admin, viewer) = (server.admin().await, server.user("viewer").await);
        // In fresh instances: one that was used before has room already that another still has to make.
        let settings = server.settings_of("rbac").await;
        let revision = server.revision("rbac", "rbac", "authorization", settings).await;
        let active = server.activate("rbac", revision).await;
        assert_eq!(active["active"]["instances"], "fresh");
        for _ in 0..20 {
            server.device().await;
        }
        let denied =
            viewer.post("/deployments/preview").json(json!({"name": "a", "selector": "*", "config": {}})).await;
        let decision = written(&admin, &denied.expect(403)).await;
        let mut since = everything(revision);
        since["from"] = active["updated_at"].clone();
        let ended = replayed(&admin, "rbac", since).await;
        let comparison = &ended["replay"]["comparison"];
        assert!(comparison["asked"].as_u64() > Some(40), "{ended}");
        for nothing in ["differing", "other_fuel", "faults", "unrepeatable"] {
            assert_eq!(comparison[nothing], 0, "{nothing}: {ended}");
        }
        assert_eq!(comparison["decided_fuel"], comparison["candidate_fuel"]);

        let explained = admin.post(&format!("/decisions/{}/explain", decision.id())).await.expect(200);
        assert_eq!((&explained["same"], &explained["decision"]), (&json!(true), decision.json()), "{explained}");
        assert_eq!(explained["again"]["fuel"], decision["fuel"]);
    });
}

#[test]
fn a_replay_tells_whom_a_change_would_have_met() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let operator = server.account(&["operator"]).await;
        for _ in 0..3 {
            let key = kernex_tests::harness::DeviceKey::ed25519();
            let body = json!({"public_key": key.public_pem()});
            operator.client.post("/devices/preauthorize").json(body).await.expect(201);
        }
        let mut settings = server.settings_of("rbac").await;
        settings["roles"]["operator"]["grants"] = json!(["device:list"]);
        let revision = server.revision("rbac", "rbac", "authorization", settings).await;
        let ended = replayed(&admin, "rbac", everything(revision)).await;
        let replay = &ended["replay"];
        assert_eq!(replay["comparison"]["differing"], 3, "{ended}");
        assert_eq!(replay["breakdown"]["subjects"], json!([{"name": operator.id, "count": 3}]));
        assert_eq!(replay["breakdown"]["questions"], json!([{"name": "device:preauthorize", "count": 3}]));
        assert_eq!(replay["differences"].as_array().map(Vec::len), Some(3));
        let printed = printed(&server, &admin, &format!("policy replay rbac {revision}")).await;
        assert!(printed.contains("differing  3") && printed.contains("other fuel "), "{printed}");
        assert_eq!(printed.matches(&format!("  {}  device:preauthorize\n", operator.id)).count(), 3, "{printed}");
        assert_eq!(printed.matches("\n  decided    allow: ").count(), 3, "{printed}");
        assert_eq!(printed.matches("\n  candidate  deny: ").count(), 3, "{printed}");
        // Nothing of it was done.
        assert_eq!(admin.get("/policies/rbac").await.expect(200)["active"]["revision"], 1);

        let none = json!({"revision": revision, "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"});
        assert_eq!(replayed(&admin, "rbac", none).await["replay"]["comparison"]["asked"], 0);
        let backwards = json!({"revision": 1, "from": "2021-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"});
        let refused = async |policy: &str, body: Value, code: &str| {
            admin.post(&format!("/policies/{policy}/replay")).json(body).await.problem(400, code)
        };
        refused("rbac", backwards, "empty-period").await;
        let open = json!({"revision": 1, "from": "2020-01-01T00:00:00Z"});
        assert_eq!(refused("rbac", open, "period-missing").await.pointers(), ["/to"]);
        let about = json!({"revision": 1, "deployment_id": "dep_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D"});
        refused("rbac", about.clone(), "wrong-gate").await;
        refused("guardian", about, "unknown-deployment").await;
    });
}

#[test]
fn verdicts_on_deployments_are_replayed_too() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let bundle = server.bundle("os", "1.0.0", b"content").await;
        let body = json!({"name": "a", "bundle_id": bundle, "selector": "*", "plan": {"soak_s": 0}});
        let deployment = admin.post("/deployments").json(body).await.expect(201).id();
        let command = eventually("a command", async || device.command().await).await;
        let why = json!({"error": {"code": "disk-full", "message": "no space left"}});
        device.report_with(&command, "failed", why).await.expect(200);
        let judged = eventually("a verdict", async || {
            let call = admin.get("/decisions").query("gate", "rollback").query("subject", &deployment);
            let found = call.await.expect(200);
            (!found.items().is_empty()).then_some(found)
        })
        .await;
        let ended = replayed(&admin, "guardian", everything(1)).await;
        let asked = ended["replay"]["comparison"]["asked"].as_u64().expect("a number");
        assert!(asked >= u64::try_from(judged.items().len()).expect("a few"), "{ended}");
        assert_eq!(
            (&ended["replay"]["comparison"]["differing"], &ended["replay"]["comparison"]["other_fuel"]),
            (&json!(0), &json!(0))
        );

        let about = replayed(&admin, "guardian", json!({"revision": 1, "deployment_id": deployment})).await;
        assert_eq!(about["replay"]["deployment_id"], json!(deployment), "{about}");
        let asked = about["replay"]["comparison"]["asked"].as_u64().expect("a number");
        assert!(asked >= u64::try_from(judged.items().len()).expect("a few"), "{about}");

        // Who joins later is decided about as well, and is not kept.
        let late = server.device().await;
        let plans = eventually("it has joined", async || {
            let call = admin.get("/decisions").query("gate", "targeting").query("subject", &deployment);
            let plans = call.await.expect(200).all("id");
            (plans.len() == 2).then_some(plans)
        })
        .await;
        let explained = admin.post(&format!("/decisions/{}/explain", plans[0])).await.expect(200);
        assert!(explained["again"].is_null() && explained["unrepeatable"].is_string(), "{explained} {}", late.id);
        let ended = replayed(&admin, "rings", everything(1)).await;
        let comparison = &ended["replay"]["comparison"];
        assert_eq!((&comparison["asked"], &comparison["unrepeatable"]), (&json!(1), &json!(1)), "{ended}");
        assert_eq!((&comparison["differing"], &comparison["other_fuel"]), (&json!(0), &json!(0)), "{ended}");
    });
}

/// Reads are not kept by default: where they are, a replay tells who would lose them.
#[test]
fn reads_that_are_kept_are_replayed() {
    run(async {
        let server = TestServer::start_with(|settings| settings.decisions.reads_percent = 100).await;
        let admin = server.admin().await;
        let viewer = server.account(&["viewer"]).await;
        viewer.client.get("/devices").await.expect(200);
        let kept = async |question: &str| {
            let listed = admin.get("/decisions").query("limit", 1_000).await.expect(200);
            let about = |decision: &&Value| decision["question"] == question && decision["subject"] == viewer.id;
            listed.items().iter().filter(about).cloned().collect::<Vec<_>>()
        };
        for question in ["device:list", "scope device:list"] {
            let found = eventually("the read is kept", async || {
                let found = kept(question).await;
                (!found.is_empty()).then_some(found)
            })
            .await;
            assert_eq!((found.len(), &found[0]["outcome"]), (1, &json!("allow")), "{found:?}");
        }
        let replay = replayed(&admin, "rbac", everything(stricter(&server).await)).await;
        let subjects = replay["replay"]["breakdown"]["subjects"].as_array().expect("subjects");
        assert!(subjects.iter().any(|subject| subject["name"] == viewer.id), "{replay}");
        let device = server.device().await;
        device.heartbeat(json!({})).await.expect(200);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let heartbeats = admin.get("/decisions").query("limit", 1_000).await.expect(200);
        let beats = heartbeats.items().iter().filter(|decision| decision["question"] == "device:heartbeat").count();
        assert_eq!(beats, 0, "{heartbeats}");
    });
}
