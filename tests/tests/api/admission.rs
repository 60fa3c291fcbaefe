//! A device's standing: every step that is possible, every one that is not, and what a token is worth after it.

use kernex_tests::harness::{DeviceKey, TestServer, run};
use serde_json::json;

/// Steps that lead from `pending` to each standing.
const WAYS: [(&str, &[&str]); 4] =
    [("pending", &[]), ("active", &["admit"]), ("blocked", &["admit", "block"]), ("retired", &["retire"])];

/// Where a step leads; `None` where it is refused.
fn after(status: &str, step: &str) -> Option<&'static str> {
    match (status, step) {
        ("pending" | "active", "admit") | ("blocked" | "active", "unblock") => Some("active"),
        ("active" | "blocked", "block") => Some("blocked"),
        (_, "retire") => Some("retired"),
        _ => None,
    }
}

#[test]
fn every_step_from_every_standing() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for (status, way) in WAYS {
            for step in ["admit", "block", "unblock", "retire"] {
                let (device, _) = server.enrol(DeviceKey::ed25519(), json!({})).await;
                let path = format!("/devices/{}", device.id);
                for before in way {
                    admin.post(&format!("{path}/{before}")).await.expect(200);
                }
                let answer = admin.post(&format!("{path}/{step}")).await;
                let now = match after(status, step) {
                    Some(next) => {
                        assert_eq!(
                            (answer.status.as_u16(), &answer["status"]),
                            (200, &json!(next)),
                            "{status} {step}\n{answer}"
                        );
                        next
                    }
                    None => {
                        answer.problem(409, "wrong-status");
                        status
                    }
                };
                assert_eq!(admin.get(&path).await.expect(200)["status"], now, "{status} {step}");
            }
        }
        admin.post("/devices/dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D/admit").await.problem(404, "not-found");
    });
}

#[test]
fn only_an_active_device_gets_a_token() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let (mut device, _) = server.enrol(DeviceKey::ed25519(), json!({})).await;
        let step = async |step: &str| drop(admin.post(&format!("/devices/{}/{step}", device.id)).await.expect(200));
        let ask = || device.ask_token(&device.assertion()).into_future();

        ask().await.problem(403, "device-pending");
        step("admit").await;
        ask().await.expect(200);
        step("block").await;
        ask().await.problem(403, "device-blocked");
        step("unblock").await;
        ask().await.expect(200);
        step("retire").await;
        ask().await.problem(403, "device-retired");
        // A retired key does not come back by enrolling again.
        let (again, answer) = server.enrol(device.key.clone(), json!({})).await;
        assert_eq!((answer.status.as_u16(), &answer["status"], &again.id), (200, &json!("retired"), &device.id));
        device.client = again.client;
    });
}

#[test]
fn a_blocked_devices_token_stops_at_once_and_works_again_after() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        device.heartbeat(json!({})).await.expect(200);
        admin.post(&format!("{path}/block")).await.expect(200);
        let seen = admin.get(&path).await.expect(200)["last_seen_at"].clone();
        let refused = device.heartbeat(json!({"facts": {"os": "other"}})).await;
        assert!([401, 403].contains(&refused.status.as_u16()), "{refused}");
        refused.check_problem();
        let after = admin.get(&path).await.expect(200);
        assert_eq!((&after["last_seen_at"], &after["facts"]), (&seen, &json!({})));

        admin.post(&format!("{path}/unblock")).await.expect(200);
        device.heartbeat(json!({})).await.expect(200);
        admin.post(&format!("{path}/retire")).await.expect(200);
        assert!([401, 403].contains(&device.heartbeat(json!({})).await.status.as_u16()));
    });
}

#[test]
fn a_viewer_changes_no_standing() {
    run(async {
        let server = TestServer::start().await;
        let (device, _) = server.enrol(DeviceKey::ed25519(), json!({})).await;
        let viewer = server.user("viewer").await;
        for step in ["admit", "block", "unblock", "retire"] {
            viewer.post(&format!("/devices/{}/{step}", device.id)).await.expect(403);
        }
        assert_eq!(viewer.get(&format!("/devices/{}", device.id)).await.expect(200)["status"], "pending");
        let timeline = viewer.get(&format!("/devices/{}/timeline", device.id)).await.expect(200);
        assert_eq!(timeline.all("code"), ["enrolled"]);
    });
}

#[test]
fn the_timeline_tells_what_operators_did() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let (device, _) = server.enrol(DeviceKey::ed25519(), json!({})).await;
        for step in ["admit", "block", "block", "unblock", "retire"] {
            account.client.post(&format!("/devices/{}/{step}", device.id)).await.expect(200);
        }
        let timeline = account.client.get(&format!("/devices/{}/timeline", device.id)).await.expect(200);
        assert_eq!(timeline.all("code"), ["retired", "unblocked", "blocked", "admitted", "enrolled"]);
        assert!(timeline.all("message")[0].contains(&account.id), "{timeline}");
        assert!(timeline.items().iter().all(|entry| entry["device_id"] == device.id), "{timeline}");
    });
}
