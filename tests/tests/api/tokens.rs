//! Access tokens: what is not signed by the server's own key for this is nobody's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use kernex_tests::harness::{DeviceKey, TestServer, run};
use reqwest::Method;
use serde_json::{Value, json};

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn forged_tokens_are_refused() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let good = admin.token().to_owned();
        let (header, claims) = (part(&good, 0), part(&good, 1));
        let signature = good.rsplit('.').next().expect("three parts").to_owned();
        let altered = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            format!("{}.{}.{signature}", encode(&header), encode(&claims))
        };
        let unsigned = |alg: &str| {
            let mut header = header.clone();
            header["alg"] = alg.into();
            format!("{}.{}.", encode(&header), encode(&claims))
        };
        let stranger = DeviceKey::ed25519().sign_with(&header, &claims);
        let p256 = DeviceKey::p256();
        let mut foreign = header.clone();
        foreign["alg"] = "ES256".into();
        for forged in [
            altered("exp", json!(9_999_999_999_i64)),
            altered("sub", json!("usr_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D")),
            unsigned("none"),
            unsigned("None"),
            unsigned("EdDSA"),
            stranger,
            p256.sign_with(&foreign, &claims),
            good[..good.len() - 4].to_owned(),
            format!("{good}."),
            format!("x{good}"),
            "x".repeat(5_000),
            String::from("null"),
        ] {
            let refused = admin.with_token(&*forged).get("/auth/me").await.expect(401);
            refused.check_problem();
            assert!(refused.header("www-authenticate").is_some_and(|text| text.starts_with("Bearer")), "{refused}");
            refused.never_says(&forged);
        }
        admin.get("/auth/me").await.expect(200);
    });
}

#[test]
fn a_token_of_another_server_is_refused() {
    run(async {
        let (one, two) = tokio::join!(TestServer::start(), TestServer::start());
        let (admin, _) = tokio::join!(one.admin(), two.admin());
        two.anonymous().with_token(admin.token()).get("/auth/me").await.expect(401);
    });
}

#[test]
fn the_published_key_verifies_a_token() {
    run(async {
        let server = TestServer::start().await;
        let token = server.admin().await.token().to_owned();
        let jwks = server.anonymous().root(Method::GET, "/.well-known/jwks.json").await.expect(200);
        let keys = jwks["keys"].as_array().expect("a list of keys");
        let key = keys.iter().find(|key| key["kid"] == part(&token, 0)["kid"]).expect("the key that signed the token");
        assert!(keys.iter().all(|key| key.get("d").is_none()), "a private key is published");
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));

        let public: [u8; 32] =
            URL_SAFE_NO_PAD.decode(key["x"].as_str().expect("text")).expect("base64url").try_into().expect("32 bytes");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let signature =
            Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).expect("base64url")).expect("64 bytes");
        let public = VerifyingKey::from_bytes(&public).expect("a point on the curve");
        public.verify_strict(signed.as_bytes(), &signature).expect("signed by the published key");

        let claims = part(&token, 1);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("kernex"), &json!("kernex")));
        let life = claims["exp"].as_i64().expect("a number") - claims["iat"].as_i64().expect("a number");
        assert_eq!(life, 3_600);
    });
}

#[test]
fn credentials_go_into_the_header_and_nowhere_else() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let nobody = server.anonymous();
        let missing = nobody.get("/users").await.problem(401, "authentication-required");
        assert!(missing.header("www-authenticate").is_some(), "{missing}");
        nobody.get("/users").query("access_token", admin.token()).await.expect(401).never_says(admin.token());
        nobody.get("/users").header("authorization", &format!("Basic {}", admin.token())).await.expect(401);
        nobody.get("/users").header("authorization", "Bearer").await.expect(401);
        nobody.get("/users").header("authorization", &format!("bearer {}", admin.token())).await.expect(200);
    });
}
