//! A million devices classified by the plugin `rings`, beside the same loop in native Rust over the same columns.
//!
//! The columns are there before anything is measured. As by the server, each batch is asked of a fresh sandbox.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use kernex_engine::{Engine, Limits, Policy};
use kernex_model::digest::Digest;
use kernex_model::policy::{ABSENT, Batch, Column, Fact, Gate, TargetingDeployment, TargetingPlan};

/// The server's allocator, for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEVICES: u64 = 1_000_000;
/// Devices of a batch: the server reads pages of 1,000 until it has 8,192 or more.
const BATCH: usize = 9_000;
/// How often each classifies all devices for the ratio. They take turns, so that a busy machine is busy for both.
const ROUNDS: usize = 25;
/// The plugin may take this many times as long as the native loop.
const GOAL: f64 = 3.0;

const SETTINGS: &str = r#"{
    "waves": [
        {"name": "canary"},
        {"name": "early", "percent": 10},
        {"name": "beta", "selector": "channel in (beta,edge)"},
        {"name": "all", "selector": "channel!=held"}
    ],
    "intermediate_versions": {"os": ["1.2.0"]}
}"#;
/// What the plugin asks for with these settings, in its order.
const COLUMNS: [&str; 4] = ["bundle.name", "bundle.version", "model", "channel"];
/// The classes: the waves, then the plugin's exclusions. All of `early` may be canaries.
const CLASSES: u16 = 10;
const CANARY: u16 = 0;
const EARLY: u16 = 1;
const BETA: u16 = 2;
const ALL: u16 = 3;
const ALREADY_RUNNING: u16 = 4;
const DOWNGRADE: u16 = 5;
const VERSION_UNCLEAR: u16 = 6;
const INTERMEDIATE_REQUIRED: u16 = 7;
const INCOMPATIBLE_MODEL: u16 = 8;
const NO_WAVE: u16 = 9;

const BUNDLE: &str = "os";
const VERSION: &str = "2.0.0";
const MODELS: [&str; 2] = ["a1", "a2"];

fn main() {
    let batches = batches();
    let plugin = Plugin::new();
    check(&plugin, &batches);
    let native = || batches.iter().for_each(|batch| drop(black_box(native(black_box(batch)))));
    let plugin = || batches.iter().for_each(|batch| drop(black_box(plugin.classes(black_box(batch)))));

    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    criterion.bench_function("classify/native Rust", |bench| bench.iter(native));
    criterion.bench_function("classify/kernex, fresh sandboxes", |bench| bench.iter(plugin));
    criterion.final_summary();

    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (milliseconds(native), milliseconds(plugin))).collect();
    let native = median(rounds.iter().map(|(native, _)| *native));
    let plugin = median(rounds.iter().map(|(_, plugin)| *plugin));
    println!("{DEVICES} devices, {} columns: natively {native:.1} ms, by the plugin {plugin:.1} ms", COLUMNS.len());
    println!("  {:.2} times as long (goal: at most {GOAL})", plugin / native);
}

/// Both give the same classes, and every class that can be there is.
fn check(plugin: &Plugin, batches: &[Batch]) {
    let mut counts = [0_usize; CLASSES as usize];
    for batch in batches {
        let classes = native(batch);
        assert_eq!(plugin.classes(batch), classes);
        classes.iter().for_each(|class| counts[usize::from(*class)] += 1);
    }
    for (class, count) in (0..).zip(counts) {
        assert_eq!(count == 0, class == EARLY, "{count} devices are of class {class}");
    }
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

struct Plugin {
    policy: Policy,
    deployment: TargetingDeployment,
    plan: TargetingPlan,
}

impl Plugin {
    fn new() -> Self {
        let engine = Engine::new(Limits::default()).expect("this machine runs the engine");
        let policy = engine.prepare(kernex_plugins::RINGS.bytes, Gate::Targeting, SETTINGS);
        let policy = policy.expect("the settings are right");
        let facts = vec![
            Fact::text("bundle.name", BUNDLE),
            Fact::text("bundle.version", VERSION),
            Fact::texts("bundle.models", MODELS.map(str::to_owned).into()),
        ];
        let deployment = TargetingDeployment { id: "dpl_1".into(), facts, created_at_ms: 0 };
        let plan = policy.survey(&deployment, &[]).outcome.expect("no fault").expect("it can be targeted");
        assert!(plan.columns.iter().map(|column| column.fact.as_str()).eq(COLUMNS));
        Self { policy, deployment, plan }
    }

    fn classes(&self, batch: &Batch) -> Vec<u16> {
        self.policy.classify(&self.deployment, &self.plan, batch, &[]).outcome.expect("no fault")
    }
}

/// What a text of the dictionary means in each of the columns.
struct Meaning {
    is_bundle: bool,
    standing: Option<u16>,
    fits: bool,
    is_beta: bool,
    is_held: bool,
}

impl Meaning {
    fn of(text: &String) -> Self {
        Self {
            is_bundle: text == BUNDLE,
            standing: standing(text),
            fits: MODELS.contains(&text.as_str()),
            is_beta: text == "beta" || text == "edge",
            is_held: text == "held",
        }
    }
}

/// A device's hash and its cells in the order of [`COLUMNS`].
type Cells<'a> = ((((&'a u64, &'a u32), &'a u32), &'a u32), &'a u32);

/// The plugin's loop by hand, for these settings: what depends on a text is computed once in a batch.
fn native(batch: &Batch) -> Vec<u16> {
    let [Column::Texts(names), Column::Texts(versions), Column::Texts(models), Column::Texts(channels)] =
        batch.columns.as_slice()
    else {
        panic!("four columns of texts");
    };
    let meanings: Vec<Meaning> = batch.dictionary.iter().map(Meaning::of).collect();
    let meaning = |cell: &u32| meanings.get(*cell as usize);
    let device = batch.device_hashes.iter().zip(names).zip(versions).zip(models).zip(channels);
    let class = |((((hash, name), version), model), channel): Cells<'_>| {
        if !meaning(model).is_some_and(|model| model.fits) {
            return INCOMPATIBLE_MODEL;
        }
        let runs = meaning(name).is_some_and(|name| name.is_bundle);
        if runs && let Some(exclusion) = meaning(version).and_then(|version| version.standing) {
            return exclusion;
        }
        match hash % 10_000 {
            ..1_000 => CANARY,
            _ if meaning(channel).is_some_and(|channel| channel.is_beta) => BETA,
            _ if meaning(channel).is_some_and(|channel| channel.is_held) => NO_WAVE,
            _ => ALL,
        }
    };
    device.map(class).collect()
}

/// Why a device that runs this version of the bundle is left out, where it is.
fn standing(running: &str) -> Option<u16> {
    let parts: Option<Vec<u32>> = running.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        _ if running == VERSION => Some(ALREADY_RUNNING),
        None => Some(VERSION_UNCLEAR),
        Some(old) if old > [2, 0, 0].as_slice() => Some(DOWNGRADE),
        Some(old) if old < [1, 2, 0].as_slice() => Some(INTERMEDIATE_REQUIRED),
        Some(_) => None,
    }
}

/// The fleet as the server shows it to the plugin.
fn batches() -> Vec<Batch> {
    let devices: Vec<u64> = (0..DEVICES).collect();
    devices.chunks(BATCH).map(batch).collect()
}

fn batch(devices: &[u64]) -> Batch {
    let mut dictionary = Vec::new();
    let mut numbers = HashMap::new();
    let mut number = |text: &'static str| {
        *numbers.entry(text).or_insert_with(|| {
            dictionary.push(text.to_owned());
            u32::try_from(dictionary.len() - 1).expect("a few texts")
        })
    };
    let columns = [0, 1, 2, 3].map(|column: usize| {
        Column::Texts(devices.iter().map(|device| texts(*device)[column].map_or(ABSENT, &mut number)).collect())
    });
    let device_hashes = devices.iter().map(|device| hash(*device, "device")).collect();
    Batch { device_hashes, dictionary, columns: columns.into() }
}

/// The texts of a device in the order of [`COLUMNS`], in no order that a processor could learn.
fn texts(device: u64) -> [Option<&'static str>; 4] {
    let one_of = |what: &str, texts: &[&'static str]| {
        let index = hash(device, what) % (texts.len() as u64 + 1);
        texts.get(usize::try_from(index).expect("a few texts")).copied()
    };
    [
        one_of("name", &[BUNDLE, BUNDLE, BUNDLE, BUNDLE, "app"]),
        one_of("version", &["1.2.0", "1.3.0", "1.4.0", "1.9.0", "1.1.0", VERSION, "2.1.0", "old"]),
        one_of("model", &["a1", "a1", "a2", "a2", "b7"]),
        one_of("channel", &["stable", "stable", "stable", "beta", "held"]),
    ]
}

fn hash(device: u64, what: &str) -> u64 {
    Digest::of_parts(&[&device.to_be_bytes(), what.as_bytes()]).prefix()
}
