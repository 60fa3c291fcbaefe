//! How answers are presented over HTTP: links between pages, validators, and content codings.

use kernex_tests::harness::{Answer, Call, DeviceKey, PASSWORD, TestDevice, TestServer, eventually, run};
use poem::endpoint::make;
use poem::middleware::Compression;
use poem::{Endpoint as _, EndpointExt as _, Request, Response};
use reqwest::Method;
use serde_json::{Value, json};

/// Codings that the server offers.
const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];
/// A body that long is compressed, in bytes.
const LONG: usize = 1_024;

/// Where an answer's link of this relation leads.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    let end = format!(">; rel=\"{relation}\"");
    let target = |link: &str| link.strip_prefix('<')?.strip_suffix(&end).map(str::to_owned);
    answer.header("link")?.split(", ").find_map(target)
}

/// The answer's body without its coding, by a decoder that is not ours.
async fn decoded(answer: &Answer) -> Vec<u8> {
    let Some(coding) = answer.header("content-encoding") else { return answer.body.clone() };
    let decoder = make(|mut request: Request| async move {
        Ok::<_, poem::Error>(Response::from(request.take_body().into_bytes().await?))
    });
    let coded = Request::builder().header("content-encoding", coding).body(answer.body.clone());
    let plain = decoder.with(Compression::new()).call(coded).await.expect("a whole body in its coding");
    plain.into_body().into_bytes().await.expect("bytes").to_vec()
}

/// A device whose own answer is longer than what goes out as it is.
async fn long_device(server: &TestServer) -> TestDevice {
    let facts: Value = (0..20).map(|n| (format!("fact-{n}"), Value::from("long ".repeat(20)))).collect();
    server.device_with(DeviceKey::ed25519(), json!({"facts": facts})).await
}

#[test]
fn pages_are_walked_by_their_links_alone() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for n in 0..7 {
            let parity = if n % 2 == 0 { "even" } else { "odd" };
            server.enrol(DeviceKey::ed25519(), json!({"facts": {"parity": parity, "site": "a, b"}})).await;
        }
        for selector in ["*", "fact.parity=even", "fact.parity in (even,odd),!legacy"] {
            let list = || admin.get("/devices").query("selector", selector);
            let whole = list().await.expect(200);
            assert_eq!(whole.header("link"), None, "there is one page only");
            let mut page = list().query("limit", 3).await.expect(200);
            assert_eq!(link(&page, "first"), None, "this is the first");
            let first = page.all("id");
            let mut seen = first.clone();
            while let Some(next) = link(&page, "next") {
                assert!(next.contains("limit=3"), "{next}");
                assert_eq!(next.matches("cursor=").count(), 1, "{next}");
                page = admin.get(&next).await.expect(200);
                assert!(page.items().len() <= 3);
                seen.extend(page.all("id"));
                let back = link(&page, "first").expect("a way back");
                assert_eq!(admin.get(&back).await.expect(200).all("id"), first, "{back}");
            }
            assert_eq!(page["next"], Value::Null);
            assert_eq!(seen, whole.all("id"), "{selector}");
        }
    });
}

#[test]
fn every_list_with_a_cursor_links_its_pages() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let document = admin.root(Method::GET, "/openapi.json").await.expect(200);
        let mut lists = 0;
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let read = &methods["get"];
            let parameters = read["parameters"].as_array().cloned().unwrap_or_default();
            let paged = parameters.iter().any(|parameter| parameter["name"] == "cursor");
            let linked = read["responses"]["200"]["headers"].get("Link").is_some();
            assert_eq!(paged, linked, "{path}");
            lists += u8::from(paged);
        }
        assert!(lists >= 10, "{lists} lists");
        // One that is no plain list.
        let device = server.device().await;
        let timeline = format!("/devices/{}/timeline", device.id);
        let newest = admin.get(&timeline).query("limit", 1).await.expect(200);
        let next = admin.get(&link(&newest, "next").expect("more than one entry")).await.expect(200);
        assert_ne!(next["items"], newest["items"]);
        // Everything at once has no pages.
        assert_eq!(admin.get("/policies").query("cursor", "x").await.expect(200).header("link"), None);
    });
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.device().await;
        let list = || admin.get("/devices");
        let whole = list().await.expect(200);
        let etag = whole.header("etag").expect("an ETag").to_owned();
        assert!(etag.starts_with("W/\""), "{etag}");
        for header in ["cache-control", "vary"] {
            let expected = if header == "vary" { "Accept-Encoding" } else { "private, no-cache" };
            assert_eq!(whole.header(header), Some(expected));
        }
        for names in [&etag, "*", &format!("\"other\", {etag}"), etag.trim_start_matches("W/")] {
            let known = list().header("if-none-match", names).await.expect(304);
            assert!(known.body.is_empty(), "{names}");
            for header in ["etag", "cache-control", "vary"] {
                assert_eq!(known.header(header), whole.header(header), "{names}");
            }
            assert_eq!(known.header("content-type"), None);
            assert!(known.header("x-request-id").is_some(), "{known}");
        }
        assert_eq!(list().header("if-none-match", "\"other\"").await.expect(200).body, whole.body);
        let head = admin.call(Method::HEAD, "/devices").await.expect(200);
        assert_eq!(head.header("etag"), Some(&*etag));
        assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()));
        admin.call(Method::HEAD, "/devices").header("if-none-match", &etag).await.expect(304);

        server.device().await;
        let changed = list().header("if-none-match", &etag).await.expect(200);
        assert_eq!(changed.items().len(), 2);
        assert_ne!(changed.header("etag"), Some(&*etag));
        list().header("if-none-match", changed.header("etag").expect("an ETag")).await.expect(304);
        // Who may not see it does not learn that it is as it was.
        server.anonymous().get("/devices").header("if-none-match", "*").await.problem(401, "authentication-required");
        admin.get("/users/usr_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D").header("if-none-match", "*").await.problem(404, "not-found");
        // What changes something is done, whatever the client has.
        let key = json!({"name": "a service", "roles": ["viewer"]});
        admin.post("/api-keys").header("if-none-match", "*").json(key).await.expect(201);
    });
}

#[test]
fn a_revision_is_the_validator_where_it_tells_all() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let account = server.account(&["viewer"]).await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        for path in [format!("/users/{}", account.id), format!("/bundles/{bundle}")] {
            let read = admin.get(&path).await.expect(200);
            let etag = format!("\"{}\"", read["revision"]);
            assert_eq!(read.header("etag"), Some(&*etag));
            let known = admin.get(&path).header("if-none-match", &etag).await.expect(304);
            assert_eq!(known.header("etag"), Some(&*etag));
        }
        admin.post(&format!("/bundles/{bundle}/retire")).await.expect(200);
        let retired = admin.get(&format!("/bundles/{bundle}")).header("if-none-match", "\"1\"").await.expect(200);
        assert_eq!((&retired["status"], retired.header("etag")), (&json!("retired"), Some("\"2\"")));
    });
}

#[test]
fn what_moves_without_its_revision_is_answered_whole() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let path = format!("/devices/{}", device.id);
        let before = admin.get(&path).await.expect(200);
        let etag = before.header("etag").expect("an ETag").to_owned();
        assert_eq!(etag, format!("\"{}\"", before["revision"]));
        device.heartbeat(json!({"facts": {"os": "linux"}})).await.expect(200);
        eventually("the fact is there", async || {
            let after = admin.get(&path).header("if-none-match", &etag).await.expect(200);
            assert_eq!(after.header("etag"), Some(&*etag), "the revision is what people edit");
            (after["facts"]["os"] == "linux").then_some(())
        })
        .await;
        // Two accounts, one path, and the same revision.
        let (one, other) = (server.account(&["viewer"]).await, server.account(&["viewer"]).await);
        let mine = one.client.get("/auth/me").await.expect(200);
        let etag = mine.header("etag").expect("an ETag");
        assert_eq!(other.client.get("/auth/me").header("if-none-match", etag).await.expect(200).id(), other.id);
    });
}

#[test]
fn every_coding_holds_the_same() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for _ in 0..3 {
            long_device(&server).await;
        }
        let paths = ["/api/v1/devices", "/openapi.json", "/docs", "/.well-known/jwks.json"];
        for path in paths {
            let get = || admin.root(Method::GET, path);
            let plain = get().await.expect(200);
            assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
            for coding in CODINGS {
                let coded = get().header("accept-encoding", coding).await.expect(200);
                let long = plain.body.len() >= LONG;
                assert_eq!(coded.header("content-encoding"), long.then_some(coding), "{path}");
                assert_eq!(coded.header("vary"), Some("Accept-Encoding"));
                assert!(decoded(&coded).await == plain.body, "{path} is another in {coding}");
                assert!(!long || coded.body.len() < plain.body.len() / 2, "{path}: {} bytes", coded.body.len());
                // A weak validator, the same for all of them.
                assert_eq!(coded.header("etag"), plain.header("etag"));
                if let Some(etag) = coded.header("etag") {
                    get().header("accept-encoding", coding).header("if-none-match", etag).await.expect(304);
                }
            }
        }
        let lengths = paths.map(|path| admin.root(Method::GET, path).into_future());
        let lengths = futures_util::future::join_all(lengths).await;
        assert!(lengths.iter().any(|answer| answer.body.len() < LONG), "a short one is among them");
        let refused = admin.get("/devices").header("accept-encoding", "gzip;q=0, *;q=0").await.expect(200);
        assert_eq!(refused.header("content-encoding"), None);
        let head = admin.call(Method::HEAD, "/devices").header("accept-encoding", "gzip").await.expect(200);
        assert_eq!((head.header("content-encoding"), head.body.len()), (Some("gzip"), 0));
    });
}

#[test]
fn a_compressed_answer_can_be_edited() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let path = format!("/devices/{}", long_device(&server).await.id);
        let plain = admin.get(&path).await.expect(200);
        let coded = admin.get(&path).header("accept-encoding", "gzip").await.expect(200);
        assert_eq!(coded.header("content-encoding"), Some("gzip"));
        let etag = coded.header("etag").expect("an ETag");
        assert_eq!(Some(etag), plain.header("etag").map(|strong| format!("W/{strong}")).as_deref());
        let patch = || admin.patch(&path).header("if-match", etag).json(json!({"name": "gate 7"}));
        patch().await.expect(200);
        patch().await.problem(412, "stale");
    });
}

#[test]
fn an_answer_is_kept_plain_and_given_again_in_any_coding() {
    run(async {
        let server = TestServer::start().await;
        let key = DeviceKey::ed25519().public_pem();
        let facts: Value = (0..20).map(|n| (format!("fact-{n}"), Value::from("long ".repeat(20)))).collect();
        let body = json!({"public_key": key, "facts": facts});
        let anybody = server.anonymous();
        let enrol = |coding| {
            let call = anybody.post("/devices").header("idempotency-key", "one").header("accept-encoding", coding);
            call.json(body.clone())
        };
        let first = enrol("gzip").await.expect(201);
        assert_eq!(first.header("content-encoding"), Some("gzip"));
        let plain = decoded(&first).await;
        let device: Value = serde_json::from_slice(&plain).expect("JSON");
        assert_eq!(device["facts"], facts);
        for (coding, shown) in [("identity", None), ("br", Some("br")), ("gzip", Some("gzip"))] {
            let again = enrol(coding).await.expect(201);
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!(again.header("content-encoding"), shown);
            assert_eq!(decoded(&again).await, plain, "{coding}");
        }
    });
}

/// Fails the test unless an answer has nothing of what is in this file.
#[track_caller]
fn untouched(answer: &Answer) {
    for header in ["content-encoding", "vary", "link"] {
        assert_eq!(answer.header(header), None, "{header}\n{answer}");
    }
}

#[test]
fn content_probes_and_heartbeats_are_left_alone() {
    run(async {
        const CONTENT: &[u8] = &[b'a'; 5_000];
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let upload = |kind: &'static str, version: &str| {
            let call = admin.post("/bundles").query("name", "text").query("version", version);
            call.text(kind, CONTENT.to_vec())
        };
        for (kind, version) in [("text/plain", "1"), ("application/json", "2"), ("text/event-stream", "3")] {
            let id = upload(kind, version).await.expect(201).id();
            let path = format!("/bundles/{id}/content");
            let whole = admin.get(&path).header("accept-encoding", "gzip").await.expect(200);
            assert_eq!((whole.header("content-type"), whole.body.as_slice()), (Some(kind), CONTENT));
            assert_eq!(whole.header("cache-control"), Some("private, no-transform"));
            assert_eq!(whole.header("content-length"), Some("5000"));
            untouched(&whole);
            let part = admin.get(&path).header("accept-encoding", "gzip").header("range", "bytes=0-1999").await;
            assert_eq!(part.expect(206).body, &CONTENT[..2_000]);
        }
        for probe in ["/health/live", "/health/ready", "/metrics"] {
            let get = || admin.root(Method::GET, probe).header("if-none-match", "*");
            let answer = get().await.expect(200);
            assert_eq!((answer.header("etag"), answer.header("cache-control")), (None, None), "{probe}");
        }
        let device = server.device().await;
        let beat = device.heartbeat(json!({})).header("accept-encoding", "gzip").await.expect(200);
        assert_eq!((beat.header("etag"), beat.header("cache-control")), (None, None));
        untouched(&beat);
    });
}

#[test]
fn secrets_are_neither_kept_nor_compressed() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let account = server.account(&["viewer"]).await;
        let login = |path: &str, body: Value| server.anonymous().post(path).json(body);
        let credentials = json!({"username": account.username, "password": PASSWORD});
        let refresh = json!({"refresh_token": account.tokens.text("refresh_token")});
        let calls: [(Call, u16); 5] = [
            (login("/auth/login", credentials), 200),
            (login("/auth/refresh", refresh), 200),
            (device.ask_token(&device.assertion()), 200),
            (admin.post("/api-keys").json(json!({"name": "a service", "roles": ["viewer"]})), 201),
            (admin.post("/users/invitations").json(json!({"email": "ada@example.org"})), 201),
        ];
        for (call, status) in calls {
            let answer = call.header("accept-encoding", "gzip").await.expect(status);
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
            assert_eq!(answer.header("etag"), None);
            untouched(&answer);
        }
    });
}

#[test]
fn coded_requests_are_refused() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let body = || json!({"name": "a service", "roles": ["viewer"]});
        let refused = async |call: Call, coding: &str| {
            let answer = call.header("content-encoding", coding).await.problem(415, "unsupported-content-coding");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        };
        for coding in ["gzip", "br", "zstd", "deflate", "unheard-of", "gzip, identity"] {
            refused(admin.post("/api-keys").json(body()), coding).await;
        }
        // Neither are they decompressed, nor taken for what they are not.
        refused(admin.post("/api-keys").text("application/json", gzipped().await), "gzip").await;
        refused(device.heartbeat(json!({})), "gzip").await;
        refused(admin.post("/bundles?name=a&version=1").bytes("content"), "gzip").await;
        assert!(admin.get("/bundles").await.expect(200).items().is_empty());
        admin.post("/api-keys").header("content-encoding", "identity").json(body()).await.expect(201);
    });
}

/// A body for an API key, as gzip.
async fn gzipped() -> Vec<u8> {
    let body = json!({"name": "a service", "roles": ["viewer"]}).to_string();
    let answer = make(move |_| {
        let body = body.clone();
        async move { body }
    });
    let asked = Request::builder().header("accept-encoding", "gzip").finish();
    let coded = answer.with(Compression::new()).call(asked).await.expect("an answer");
    coded.into_body().into_bytes().await.expect("bytes").to_vec()
}
