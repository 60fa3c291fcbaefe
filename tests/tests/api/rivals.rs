//! Several who change a policy at the same moment: nobody undoes what another one did, and nobody has to guess.

use std::sync::Arc;

use kernex_tests::harness::{Answer, Call, Client, TestServer, run};
use serde_json::json;
use tokio::sync::Barrier;

/// Calls that are made at the same moment.
const RIVALS: u64 = 8;

/// Makes them at the same moment; gives what each was answered.
async fn at_once(calls: Vec<Call>) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(calls.len()));
    let begun: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in begun {
        answers.push(call.await.expect("no panic"));
    }
    answers
}

/// How many were done; all others have to be refused like this.
fn done(answers: Vec<Answer>, status: u16, code: &str) -> u64 {
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status.is_success());
    for answer in refused {
        answer.problem(status, code);
    }
    u64::try_from(done.len()).expect("a few")
}

#[test]
fn of_those_who_begin_on_the_same_state_the_others_are_told() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let settings = server.settings_of("rings").await;
        let revision = server.revision("rings", "rings", "targeting", settings.clone()).await;
        let rivals = |step: &str, etag: Option<&str>| -> Vec<Call> {
            let call = |number: u64| {
                let call = admin.post(&format!("/policies/rings/{step}"));
                let call = if step == "activate" {
                    call.json(json!({"revision": if number.is_multiple_of(2) { revision } else { 1 }}))
                } else {
                    call.json(json!({}))
                };
                if let Some(etag) = etag { call.header("if-match", etag) } else { call }
            };
            (0..RIVALS).map(call).collect()
        };
        let state = async || {
            let policy = admin.get("/policies/rings").await.expect(200);
            (policy["revision"].as_u64().expect("a number"), policy.header("etag").expect("an ETag").to_owned())
        };
        let mut refused = 0;
        for _ in 0..5 {
            for step in ["activate", "shadow"] {
                let (before, etag) = state().await;
                assert_eq!(done(at_once(rivals(step, Some(&etag))).await, 412, "stale"), 1, "{step}");
                let (between, _) = state().await;
                assert_eq!(between, before + 1, "{step}: one change");
                // Without having looked a call is refused only where it came before another one's change was made.
                let made = done(at_once(rivals(step, None)).await, 409, "changed-meanwhile");
                let (after, _) = state().await;
                assert!(made > 0 && after == between + made, "{step}: {made} changes from {between} to {after}");
                refused += RIVALS - made;
            }
        }
        assert!(refused > 0, "nobody was told");

        // Revisions that only are written do not get into each other's way, but for their numbers.
        let body = json!({"plugin": server.plugin("rings").await, "gate": "targeting", "settings": settings});
        let puts = (0..RIVALS).map(|_| admin.put("/policies/rings").json(body.clone())).collect();
        let answers = at_once(puts).await;
        let mut numbers: Vec<u64> = answers.iter().filter_map(|answer| answer["revision"].as_u64()).collect();
        numbers.sort_unstable();
        let written = done(answers, 409, "changed-meanwhile");
        assert!(written > 0 && numbers.iter().copied().eq(revision + 1..=revision + written), "{numbers:?}");
    });
}

#[test]
fn whoever_lets_a_new_revision_look_on_has_to_be_allowed_to() {
    run(async {
        let server = TestServer::start().await;
        server.grant_roles(json!({"author": {"grants": ["policy:write"]}})).await;
        let (admin, author) = (server.admin().await, server.user("author").await);
        let settings = server.settings_of("rings").await;
        let put = async |client: &Client, mode: &str| {
            let body = json!({
                "plugin": server.plugin("rings").await, "gate": "targeting", "settings": settings, "mode": mode,
            });
            client.put("/policies/rings").json(body).await
        };
        put(&author, "shadow").await.problem(403, "role-missing");
        assert_eq!(admin.get("/policies/rings/revisions").await.expect(200).items().len(), 1);
        let written = put(&author, "enforce").await.expect(201)["revision"].clone();

        let tenth = json!({"revision": written, "sample_percent": 10});
        admin.post("/policies/rings/shadow").json(tenth).await.expect(200);
        let newer = put(&admin, "shadow").await.expect(201)["revision"].clone();
        let store = server.app().store.clone();
        let name = "rings".parse().expect("a name");
        let found = tokio::spawn(async move { store.policy(&name).await }).await.expect("no panic");
        let policy = found.expect("it can be read").expect("it is there");
        assert_eq!((json!(policy.shadow), policy.shadow_percent), (newer, 100), "all questions, whatever was before");
        let audit = admin.get("/audit").query("action", "policy:write").query("limit", 1).await.expect(200);
        assert_eq!(audit.items()[0]["detail"]["shadow"], true, "{audit}");
    });
}
