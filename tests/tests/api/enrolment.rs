//! Enrolment: every kind of key, one device per key, and what an admission rule lets in.

use kernex::config::AdmissionRule;
use kernex_tests::harness::{DeviceKey, TestServer, run};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};

#[test]
fn every_kind_of_key_enrols_and_gets_a_token() {
    run(async {
        let server = TestServer::start().await;
        for key in [DeviceKey::ed25519(), DeviceKey::p256(), DeviceKey::rsa()] {
            let kind = key.algorithm();
            let body =
                json!({"name": format!("gate {kind}"), "model": "gw-200", "facts": {"os": "linux"}, "key_id": "k1"});
            let device = server.device_with(key, body).await;
            let seen = server.admin().await.get(&format!("/devices/{}", device.id)).await.expect(200);
            assert_eq!((&seen["status"], &seen["model"]), (&json!("active"), &json!("gw-200")), "{kind}");
            assert_eq!((&seen["name"], &seen["facts"]), (&json!(format!("gate {kind}")), &json!({"os": "linux"})));
            assert_eq!(seen["labels"], json!({}));
            device.heartbeat(json!({})).await.expect(200);
        }
    });
}

#[test]
fn the_same_key_is_the_same_device() {
    run(async {
        let server = TestServer::start().await;
        let key = DeviceKey::p256();
        let (first, answer) = server.enrol(key.clone(), json!({"name": "gate 7"})).await;
        assert_eq!((answer.status.as_u16(), &answer["status"]), (201, &json!("pending")));
        assert_eq!(answer.header("location"), Some(&*format!("/api/v1/devices/{}", first.id)));
        let (second, again) = server.enrol(key.clone(), json!({"name": "gate 8"})).await;
        assert_eq!((again.status.as_u16(), &second.id), (200, &first.id));

        // Windows line ends and blanks around it make no other key, and many at once no second device.
        let bent = format!("  {}\r\n", key.public_pem().replace('\n', "\r\n"));
        server.anonymous().post("/devices").json(json!({"public_key": bent})).await.expect(200);
        let other = DeviceKey::ed25519();
        let calls = (0..8).map(|_| server.enrol(other.clone(), json!({})));
        let ids: Vec<String> =
            futures_util::future::join_all(calls).await.into_iter().map(|(device, _)| device.id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");

        let listed = server.admin().await.get("/devices").await.expect(200);
        assert_eq!(listed.all("id"), [first.id, ids[0].clone()]);
        assert_eq!(listed.items()[0]["name"], "gate 7");
    });
}

#[test]
fn what_is_no_good_key_enrols_nothing() {
    run(async {
        let server = TestServer::start().await;
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let short = DeviceKey::rsa_of(1_024).to_public_key().to_public_key_pem(LineEnding::LF).expect("a PEM form");
        let p384 = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n-----END PUBLIC KEY-----\n";
        let good = DeviceKey::ed25519().public_pem();
        let cut = &good[..good.len() / 2];
        for key in ["", "hunter2", private, &short, p384, cut, &format!("{good}{good}"), &"x".repeat(5_000)] {
            let answer = server.anonymous().post("/devices").json(json!({"public_key": key})).await.expect(400);
            answer.check_problem();
            assert_eq!(answer.pointers(), ["/public_key"], "{answer}");
            if let Some(line) = key.lines().nth(1) {
                answer.never_says(line);
            }
        }
        for body in [json!({}), json!({"public_key": 7}), json!({"public_key": good, "status": "active"})] {
            server.anonymous().post("/devices").json(body).await.expect(400).check_problem();
        }
        assert!(server.admin().await.get("/devices").await.expect(200).items().is_empty());
    });
}

#[test]
fn facts_have_limits() {
    run(async {
        let server = TestServer::start().await;
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("fact-{n}"), json!(n))).collect();
        for facts in
            [json!(many), json!({"os": "x".repeat(257)}), json!({"os": {"deep": 1}}), json!({"": "x"}), json!([1])]
        {
            let body = json!({"public_key": DeviceKey::ed25519().public_pem(), "facts": facts});
            let answer = server.anonymous().post("/devices").json(body).await.expect(400);
            answer.check_problem();
            assert!(answer.pointers().iter().all(|pointer| pointer.starts_with("/facts")), "{answer}");
        }
        let kinds = json!({"text": "x", "whole": 3, "real": 1.5, "yes": true, "texts": ["a", "b"]});
        let (_, answer) = server.enrol(DeviceKey::ed25519(), json!({"facts": kinds})).await;
        assert_eq!(answer["facts"], kinds);
        assert_eq!(server.admin().await.get("/devices").await.expect(200).items().len(), 1);
    });
}

#[test]
fn automatic_admission_lets_everybody_in() {
    run(async {
        let server = TestServer::start_with(|settings| settings.admission = AdmissionRule::Automatic).await;
        let (mut device, answer) = server.enrol(DeviceKey::ed25519(), json!({})).await;
        assert_eq!(answer["status"], "active");
        device.log_in().await;
        device.heartbeat(json!({})).await.expect(200);
    });
}

#[test]
fn preauthorized_admission_lets_in_whom_an_operator_named() {
    run(async {
        let server = TestServer::start_with(|settings| settings.admission = AdmissionRule::Preauthorized).await;
        let operator = server.user("operator").await;
        let (known, stranger) = (DeviceKey::p256(), DeviceKey::ed25519());
        let body = json!({"public_key": known.public_pem(), "labels": {"site": "berlin"}, "name": "gate 7"});
        server.user("viewer").await.post("/devices/preauthorize").json(body.clone()).await.expect(403);
        let made = operator.post("/devices/preauthorize").json(body).await.expect(201);
        assert_eq!((&made["status"], &made["labels"]), (&json!("active"), &json!({"site": "berlin"})));

        let body = json!({"public_key": stranger.public_pem()});
        server.anonymous().post("/devices").json(body).await.problem(403, "not-preauthorized");
        let (mut device, answer) = server.enrol(known, json!({"model": "gw-200", "facts": {"os": "linux"}})).await;
        assert_eq!((answer.status.as_u16(), &device.id), (200, &made.id()));
        device.log_in().await;
        device.heartbeat(json!({})).await.expect(200);

        let listed = operator.get("/devices").await.expect(200);
        assert_eq!(listed.all("id"), [made.id()]);
        assert_eq!((&listed.items()[0]["model"], &listed.items()[0]["name"]), (&json!("gw-200"), &json!("gate 7")));
    });
}

#[test]
fn preauthorizing_a_key_that_waits_admits_its_device() {
    run(async {
        let server = TestServer::start().await;
        let key = DeviceKey::ed25519();
        let (mut device, _) = server.enrol(key.clone(), json!({})).await;
        let body = json!({"public_key": key.public_pem(), "labels": {"site": "paris"}});
        let admitted = server.admin().await.post("/devices/preauthorize").json(body.clone()).await.expect(200);
        assert_eq!((&admitted["status"], &admitted["labels"]), (&json!("active"), &json!({"site": "paris"})));
        device.log_in().await;
        server.admin().await.post(&format!("/devices/{}/block", device.id)).await.expect(200);
        server.admin().await.post("/devices/preauthorize").json(body).await.problem(409, "device-not-pending");
    });
}

#[test]
fn enrolling_is_slowed_down() {
    run(async {
        let server = TestServer::start_with(|settings| settings.limits.enrolments_per_address = 3).await;
        for _ in 0..3 {
            server.enrol(DeviceKey::ed25519(), json!({})).await;
        }
        let body = json!({"public_key": DeviceKey::ed25519().public_pem()});
        let refused = server.anonymous().post("/devices").json(body).await.problem(429, "too-many-requests");
        assert!(refused.header("retry-after").is_some(), "{refused}");
        assert_eq!(server.admin().await.get("/devices").await.expect(200).items().len(), 3);
    });
}
