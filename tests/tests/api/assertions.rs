//! Tokens for signed assertions (RFC 7523): what is good, is good once; everything else is refused.

use std::time::Duration;

use kernex_tests::harness::{Assertion, DeviceKey, JWT_BEARER, TestServer, run};
use serde_json::{Value, json};

#[test]
fn an_assertion_is_good_once() {
    run(async {
        let server = TestServer::start().await;
        for key in [DeviceKey::ed25519(), DeviceKey::p256(), DeviceKey::rsa()] {
            let device = server.device_with(key, json!({})).await;
            let assertion = device.assertion();
            let answer = device.ask_token(&assertion).await.expect(200);
            assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3_600)));
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
            device.ask_token(&assertion).await.problem(401, "assertion-replayed").never_says(&assertion.text());
            // The identifier counts, not the text: the same one with another life is the same assertion.
            device.ask_token(&assertion.expires_in(200)).await.problem(401, "assertion-replayed");
            device.ask_token(&device.assertion()).await.expect(200);
        }
    });
}

#[test]
fn an_assertion_that_was_used_stays_used_over_a_restart() {
    run(async {
        let mut server = TestServer::durable().await;
        let device = server.device().await;
        let assertion = device.assertion();
        device.ask_token(&assertion).await.expect(200);
        server.restart().await;
        device.ask_token(&assertion).await.problem(401, "assertion-replayed");
        device.ask_token(&device.assertion()).await.expect(200);
    });
}

#[test]
fn of_the_same_assertion_at_once_one_is_taken() {
    run(async {
        let server = TestServer::start().await;
        let device = server.device().await;
        let assertion = device.assertion();
        let calls = (0..16).map(|_| device.ask_token(&assertion).into_future());
        let answers = futures_util::future::join_all(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:#?}");
    });
}

#[test]
fn what_an_assertion_says_must_be_right() {
    run(async {
        let server = TestServer::start().await;
        let device = server.device().await;
        let other = server.device().await;
        let good = || device.assertion();
        let cases: Vec<(&str, Assertion, &str)> = vec![
            ("another audience", good().claim("aud", "other"), "invalid-assertion"),
            ("no audience", good().claim("aud", Value::Null), "invalid-assertion"),
            ("another subject", good().claim("sub", other.id.clone()), "invalid-assertion"),
            ("another issuer", good().claim("iss", other.id.clone()), "invalid-assertion"),
            ("no issuer", good().claim("iss", Value::Null), "invalid-assertion"),
            ("no device", good().claim("sub", "hunter2").claim("iss", "hunter2"), "invalid-assertion"),
            ("an unknown device", unknown(good()), "invalid-assertion"),
            ("no end", good().claim("exp", Value::Null), "invalid-assertion"),
            ("too long a life", good().expires_in(3_600), "assertion-time"),
            ("expired", good().expires_in(-60), "assertion-time"),
            ("not yet good", good().claim("nbf", 9_999_999_999_i64), "assertion-time"),
            ("no name", good().claim("jti", Value::Null), "assertion-unnamed"),
            ("an empty name", good().claim("jti", ""), "assertion-unnamed"),
        ];
        for (what, assertion, code) in cases {
            let answer = device.ask_token(&assertion).await;
            assert_eq!((answer.status.as_u16(), answer["code"].as_str()), (401, Some(code)), "{what}\n{answer}");
            answer.never_says(&assertion.text());
        }
        device.ask_token(&good()).await.expect(200);
    });
}

fn unknown(assertion: Assertion) -> Assertion {
    let id = "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
    assertion.claim("sub", id).claim("iss", id)
}

#[test]
fn an_assertion_must_be_signed_with_the_devices_own_key() {
    run(async {
        let server = TestServer::start().await;
        let keys = [DeviceKey::ed25519(), DeviceKey::p256(), DeviceKey::rsa()];
        for key in &keys {
            let device = server.device_with(key.clone(), json!({})).await;
            let good = || device.assertion();
            for stranger in [DeviceKey::ed25519(), DeviceKey::p256()] {
                device.ask_token(&good().signed_by(&stranger)).await.problem(401, "invalid-assertion");
            }
            // The header names another algorithm than the key has, with the key's own signature or another's.
            for algorithm in ["none", "HS256", "RS256", "RS512", "ES256", "ES384", "EdDSA"]
                .into_iter()
                .filter(|name| *name != key.algorithm())
            {
                device.ask_token(&good().header("alg", algorithm)).await.problem(401, "invalid-assertion");
                for other in &keys {
                    if other.algorithm() != key.algorithm() {
                        device
                            .ask_token(&good().header("alg", algorithm).signed_by(other))
                            .await
                            .problem(401, "invalid-assertion");
                    }
                }
            }
            let text = good().text();
            let unsigned = format!("{}.", &text[..text.rfind('.').expect("three parts")]);
            for forged in
                [unsigned, text[..text.len() - 3].to_owned(), String::new(), "a.b.c".to_owned(), "x".repeat(4_000)]
            {
                let body = json!({"grant_type": JWT_BEARER, "assertion": forged});
                server.anonymous().post("/device/token").json(body).await.problem(401, "invalid-assertion");
            }
            device.ask_token(&good()).await.expect(200);
        }
    });
}

#[test]
fn another_grant_is_refused() {
    run(async {
        let server = TestServer::start().await;
        let device = server.device().await;
        let mut body = device.assertion().body();
        body["grant_type"] = "password".into();
        let answer = server.anonymous().post("/device/token").json(body).await.problem(400, "unsupported-grant-type");
        assert_eq!(answer.pointers(), ["/grant_type"]);
    });
}

#[test]
fn the_audience_is_the_servers_name() {
    run(async {
        let server = TestServer::start_with(|settings| settings.server.name = "fleet.example.org".to_owned()).await;
        let device = server.device().await;
        device.heartbeat(json!({})).await.expect(200);
        device.ask_token(&device.assertion().claim("aud", "kernex")).await.problem(401, "invalid-assertion");
        let many = device.assertion().claim("aud", json!(["other", "fleet.example.org"]));
        device.ask_token(&many).await.expect(200);
    });
}

#[test]
fn an_assertion_expires() {
    run(async {
        let server = TestServer::start().await;
        let device = server.device().await;
        let assertion = device.assertion().expires_in(1);
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        device.ask_token(&assertion).await.problem(401, "assertion-time");
    });
}
