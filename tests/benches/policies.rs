//! Many policies: how much a batch saves, whether two threads decide more than one, what fifty policies weigh and how
//! much longer a start takes with them, what a call costs while another revision looks on, and how fast recorded decisions
//! are replayed.
//!
//! `cargo bench --profile dev --bench policies -- [recorded decisions]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use kernex_engine::{Engine, Limits, Policy};
use kernex_model::digest::Digest;
use kernex_model::id::{DecisionId, Ulid};
use kernex_model::policy::{AuthorizationRequest, Fact, Gate, PolicyPrincipal, PrincipalKind, Resource};
use kernex_model::record::{Decision, DecisionGate, DecisionOutcome};
use kernex_store::{Store, StoreOptions};
use kernex_tests::harness::{Client, ProcessOptions, ServerProcess, eventually_within, run};
use poem_openapi::types::Any;
use serde_json::json;

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Questions of one batch.
const BATCH: usize = 64;
/// Rounds of which the median counts; what is compared takes turns in each.
const ROUNDS: usize = 21;
/// Questions of one thread in one round.
const QUESTIONS: usize = 4_000;
/// Policies beside those of the program.
const POLICIES: u64 = 50;
/// Recorded decisions, where nothing else is asked for.
const RECORDED: u64 = 100_000;
/// Calls of one round while nobody looks on, or one does.
const CALLS: usize = 500;
/// Decisions written in one transaction.
const CHUNK: u64 = 1_000;
/// 2026-11-21T15:00:00Z, in milliseconds since the Unix epoch.
const NOON: u64 = 1_795_273_200_000;
/// How long a replay may take before this gives up.
const PATIENCE: Duration = Duration::from_secs(300);

fn policy() -> Policy {
    let settings = json!({ "roles": {
        "viewer": { "grants": ["device:read", "device:list"] }, "operator": { "grants": ["deployment:*", "bundle:*"] },
    } });
    let engine = Engine::new(Limits::default()).expect("this machine runs the engine");
    let policy = engine.prepare(kernex_plugins::RBAC.bytes, Gate::Authorization, &settings.to_string());
    policy.expect("the settings are right")
}

fn request(number: usize) -> AuthorizationRequest {
    AuthorizationRequest {
        principal: PolicyPrincipal {
            kind: PrincipalKind::User,
            id: format!("usr_{number:026}"),
            roles: vec!["viewer".into(), "operator".into()],
            facts: Vec::new(),
        },
        action: "deployment:create".into(),
        resource: Resource { kind: "deployment".into(), id: None, facts: Vec::new() },
        context: vec![Fact::text("address", "10.0.0.1")],
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn batches(policy: &Policy) {
    let requests: Vec<AuthorizationRequest> = (0..BATCH).map(request).collect();
    let together = || assert!(policy.check(black_box(&requests), &[]).outcome.is_ok());
    let singly = || {
        for request in &requests {
            assert!(policy.check(std::slice::from_ref(black_box(request)), &[]).outcome.is_ok());
        }
    };
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (seconds(together), seconds(singly))).collect();
    let (together, singly) =
        (median(rounds.iter().map(|r| r.0).collect()), median(rounds.iter().map(|r| r.1).collect()));
    println!("{BATCH} questions: {:.0} µs in one batch, {:.0} µs one by one", together * 1e6, singly * 1e6);
    println!("  {:.2} of the single calls (goal: at most 0.35)", together / singly);
}

/// Does something on so many threads at once, each as often as the others.
fn on(threads: usize, work: &(impl Fn() + Sync)) -> f64 {
    seconds(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..QUESTIONS).for_each(|_| work()));
            }
        });
    })
}

fn threads(policy: &Policy) {
    let question = request(1);
    let ask = || assert!(policy.check(std::slice::from_ref(black_box(&question)), &[]).outcome.is_ok());
    // What shares nothing but the processor.
    let spin = || {
        black_box(
            (0..2_000_u64)
                .fold(1_u64, |sum, number| sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(black_box(number))),
        );
    };
    let rounds: Vec<[f64; 4]> = (0..ROUNDS).map(|_| [on(1, &ask), on(2, &ask), on(1, &spin), on(2, &spin)]).collect();
    let at = |place: usize| median(rounds.iter().map(|round| round[place]).collect());
    println!("two threads: {:.2} times as many decisions as one (goal: at least 1.7)", 2.0 * at(0) / at(1));
    println!("  the machine itself: {:.2} times", 2.0 * at(2) / at(3));
}

async fn fifty() {
    let mut server = ServerProcess::start(ProcessOptions::new()).await;
    let admin = server.admin().await;
    admin.get("/plugins").await.expect(200);
    server.terminate().await;
    let (without_s, without_mib) = warm_start(&mut server).await;
    for number in 0..POLICIES {
        let settings = json!({ "waves": [{ "name": format!("wave-{number}") }] });
        let revision = server.revision(&format!("p-{number}"), "rings", "targeting", settings).await;
        server.activate(&format!("p-{number}"), revision).await;
    }
    server.terminate().await;
    let (with_s, with_mib) = warm_start(&mut server).await;
    println!("{POLICIES} policies more: {} MiB more (goal: at most 250)", with_mib.saturating_sub(without_mib));
    println!("  a start from the warm cache takes {:.2} s longer (goal: at most 1)", with_s - without_s);
}

/// Starts twice, so that everything that a start leaves behind is there; how long the second start took, and what the
/// server weighs then.
async fn warm_start(server: &mut ServerProcess) -> (f64, u64) {
    server.resume().await;
    server.terminate().await;
    let began = Instant::now();
    server.resume().await;
    (began.elapsed().as_secs_f64(), server.resident_kib() / 1_024)
}

async fn look_on(admin: &Client, revision: Option<u64>) {
    admin.post("/policies/rbac/shadow").json(json!({ "revision": revision })).await.expect(200);
}

/// How long a call takes that is asked about, one after the other.
async fn calls(admin: &Client) -> f64 {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        admin.get("/devices").query("limit", 1).await.expect(200);
        took.push(began.elapsed().as_secs_f64());
    }
    median(took)
}

async fn looking_on() {
    let server = ServerProcess::start(ProcessOptions::new()).await;
    let admin = server.admin().await;
    let settings = server.settings_of("rbac").await;
    let revision = server.revision("rbac", "rbac", "authorization", settings).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        look_on(&admin, None).await;
        let alone = calls(&admin).await;
        look_on(&admin, Some(revision)).await;
        rounds.push((alone, calls(&admin).await));
    }
    let ratio = median(rounds.iter().map(|(alone, seen)| seen / alone).collect());
    let alone = median(rounds.iter().map(|(alone, _)| *alone).collect());
    eventually_within(PATIENCE, "it was asked", async || {
        let shadow = admin.get("/policies/rbac/shadow").await.expect(200);
        (shadow["comparison"]["asked"].as_u64() > Some(0)).then_some(())
    })
    .await;
    println!(
        "a call that another revision looks on at takes {ratio:.2} of one alone, which takes {:.0} µs",
        alone * 1e6
    );
}

fn decision(number: u64, plugin: Digest, settings: Digest) -> Decision {
    let request = request(usize::try_from(number % 1_000).expect("a small number"));
    Decision {
        id: DecisionId(Ulid::from_parts(NOON + number, u128::from(number))),
        at: kernex_model::time::Timestamp::from_millis(i64::try_from(NOON + number).expect("a moment")),
        gate: DecisionGate::Authorization,
        policy: "rbac".parse().expect("a name"),
        plugin_digest: plugin,
        settings_digest: settings,
        subject: request.principal.id.clone(),
        question: request.action.clone(),
        outcome: DecisionOutcome::Allow,
        code: "allowed".to_owned(),
        message: "the policy allows it".to_owned(),
        input: Any(serde_json::to_value(&request).expect("our own form")),
        output: Some(Any(json!("allow"))),
        facts_read: Any(json!([])),
        redacted: false,
        log: Vec::new(),
        log_truncated: false,
        fuel: 0,
        duration_us: 10,
        request_id: None,
        trace_id: None,
    }
}

async fn replay(recorded: u64) {
    let mut server = ServerProcess::start(ProcessOptions::new()).await;
    let admin = server.admin().await;
    let active = admin.get("/policies/rbac").await.expect(200)["active"].clone();
    let digest = |name: &str| active[name].as_str().expect("a digest").parse::<Digest>().expect("a digest");
    let (plugin, settings) = (digest("plugin_digest"), digest("settings_digest"));
    server.terminate().await;
    let url = format!("rocksdb://{}", server.data_dir().join("store").display()).parse().expect("a store's address");
    let store = Store::open(&url, StoreOptions::default()).await.expect("the server has stopped");
    for first in (0..recorded).step_by(usize::try_from(CHUNK).expect("a small number")) {
        let decisions: Vec<Decision> =
            (first..recorded.min(first + CHUNK)).map(|number| decision(number, plugin, settings)).collect();
        store.append_decisions(&decisions).await.expect("decisions are written");
    }
    store.close().await.expect("the store closes");
    server.resume().await;
    let body = json!({ "revision": 1, "from": "2026-11-21T14:00:00Z", "to": "2027-11-21T00:00:00Z" });
    let began = Instant::now();
    let begun = admin.post("/policies/rbac/replay").json(body).await.expect(202).id();
    let ended = eventually_within(PATIENCE, "the replay's end", async || {
        let operation = admin.get(&format!("/operations/{begun}")).await.expect(200);
        (operation["state"] != "running").then_some(operation)
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    let asked = ended["replay"]["comparison"]["asked"].as_u64().unwrap_or_default();
    assert!(asked >= recorded, "{ended}");
    println!("{asked} recorded decisions replayed in {took:.2} s (goal for 100,000: under 5 s)");
}

fn main() {
    // `cargo bench` says that it is one; `cargo test --benches` only wants to know that this starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let recorded = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(RECORDED);
    let policy = policy();
    batches(&policy);
    threads(&policy);
    run(async move {
        fifty().await;
        looking_on().await;
        replay(recorded).await;
    });
}
