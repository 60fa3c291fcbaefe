//! The walk of the README, through the real program: a fleet updates itself, and a bad bundle takes itself back.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kernex_tests::harness::{Client, PASSWORD, ProcessOptions, ServerProcess, eventually_within, run};
use regex::Regex;
use serde_json::Value;
use tokio::process::{Child, Command};

const DEVICES: usize = 100;
const CANARIES: usize = 10;
/// The whole walk must fit into the five minutes that the README promises.
const PATIENCE: Duration = Duration::from_secs(120);

/// A terminal: commands with a home of their own.
struct Terminal<'a> {
    server: &'a ServerProcess,
    home: &'a Path,
}

impl Terminal<'_> {
    fn command(&self, line: &str) -> Command {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = self.server.command(&words);
        command.current_dir(self.home).env("XDG_CONFIG_HOME", self.home).env("KERNEX_PASSWORD", PASSWORD);
        command
    }

    /// Runs a command to its end, which is a good one; gives what it printed.
    async fn run(&self, line: &str) -> String {
        self.run_to(line, 0).await
    }

    /// Runs a command to this end; gives what it printed.
    async fn run_to(&self, line: &str, code: i32) -> String {
        let output = tokio::time::timeout(PATIENCE, self.command(line).output()).await;
        let output = output.unwrap_or_else(|_| panic!("`kernex {line}` does not end")).expect("the program runs");
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let ended = output.status;
        assert_eq!(ended.code(), Some(code), "`kernex {line}` ended with {ended}\n{printed}\n{errors}");
        printed.into_owned()
    }

    /// Starts a command that goes on.
    fn start(&self, line: &str) -> Child {
        let log = std::fs::File::create(self.home.join("fleet.log")).expect("a file for what it prints");
        let errors = log.try_clone().expect("a second handle");
        self.command(line).stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn().expect("the program runs")
    }

    /// What a person sees with the login that the program keeps.
    fn client(&self) -> Client {
        let kept = std::fs::read(self.home.join("kernex/credentials.json")).expect("the program keeps the login");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        self.server.anonymous().with_token(kept["access_token"].as_str().expect("an access token"))
    }
}

/// The first identifier with this prefix in a text.
fn identifier(prefix: &str, text: &str) -> String {
    let pattern = Regex::new(&format!("{prefix}_[0-9A-Z]{{26}}")).expect("a pattern");
    pattern.find(text).unwrap_or_else(|| panic!("no {prefix}_… in\n{text}")).as_str().to_owned()
}

/// How many devices match.
async fn devices(client: &Client, selector: &str) -> usize {
    client.get("/devices").query("selector", selector).query("limit", 1_000).await.expect(200).items().len()
}

async fn upload(terminal: &Terminal<'_>, version: &str) -> String {
    let file = terminal.home.join(format!("{version}.img"));
    std::fs::write(&file, version.repeat(20_000)).expect("a file");
    let line = format!("bundle upload {} --name gateway-os --version {version}", file.display());
    identifier("bun", &terminal.run(&line).await)
}

fn order(bundle: &str, more: &str) -> String {
    format!(
        "deployment create --bundle {bundle} --selector simulated=true --canary {CANARIES} --soak-s 2 --max-in-flight 100{more} --watch"
    )
}

#[test]
fn the_walk_of_the_readme() {
    run(async {
        let server = ServerProcess::start(ProcessOptions::new()).await;
        let home = tempfile::tempdir().expect("a temporary directory");
        let terminal = Terminal { server: &server, home: home.path() };
        let token = server.setup_token().expect("the first start prints a set-up token");
        let register = format!("register --server {} --username ada --email ada@example.org", server.base());
        terminal.run(&format!("{register} --setup-token {token}")).await;
        let client = terminal.client();

        let fleet = format!("fleet simulate --devices {DEVICES} --poll 0.5 --fail-rate 0.6 --fail-version 2.0.0");
        let _fleet = terminal.start(&fleet);
        let enrolled = async || (devices(&client, "simulated=true").await == DEVICES).then_some(());
        eventually_within(PATIENCE, "the fleet is there", enrolled).await;

        let good = upload(&terminal, "1.0.0").await;
        let printed = terminal.run(&order(&good, "")).await;
        assert!(printed.contains("completed"), "{printed}");
        assert_eq!(devices(&client, "bundle.version=1.0.0").await, DEVICES, "everybody runs it\n{printed}");

        let bad = upload(&terminal, "2.0.0").await;
        let printed = terminal.run_to(&order(&bad, " --max-attempts 1"), 6).await;
        assert!(printed.contains("rolled_back"), "{printed}");
        assert!(printed.contains("policy:guardian"), "who decided it is said\n{printed}");
        assert_eq!(devices(&client, "bundle.version=1.0.0").await, DEVICES, "everybody is back\n{printed}");
        let deployment = identifier("dep", &printed);
        exposed_few(&client, &deployment).await;
        the_log_says_why(&terminal, &deployment).await;
        let bundle = client.get(&format!("/bundles/{bad}")).await.expect(200);
        assert_eq!(bundle["status"], "bad");
    });
}

/// No more than the canaries ever heard of it, and each of them can be asked why.
async fn exposed_few(client: &Client, deployment: &str) {
    let path = format!("/deployments/{deployment}/assignments");
    let assignments = client.get(&path).query("limit", 1_000).await.expect(200);
    let told: Vec<&Value> = assignments.items().iter().filter(|found| found["attempt"] != 0).collect();
    assert!((1..=CANARIES).contains(&told.len()), "{} devices were told to install it", told.len());
    let failed = told.iter().find(|found| found["state"] == "rolled_back").expect("somebody was sent back");
    let device = failed["device_id"].as_str().expect("an identifier");
    let timeline = client.get(&format!("/devices/{device}/timeline")).await.expect(200);
    let codes = timeline.all("code");
    assert!(
        codes.contains(&"rollback.queued".to_owned()) && codes.contains(&"report.installed".to_owned()),
        "{timeline}"
    );
}

async fn the_log_says_why(terminal: &Terminal<'_>, deployment: &str) {
    let list = terminal.run(&format!("decision list --gate rollback --subject {deployment}")).await;
    let line =
        list.lines().find(|line| line.contains("roll_back")).unwrap_or_else(|| panic!("no roll_back in\n{list}"));
    assert!(line.contains("guardian") && line.contains("failure-share-exceeded"), "{line}");
    let shown = terminal.run(&format!("decision show {}", identifier("dec", line))).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["outcome"], "roll_back");
    assert_eq!(shown["input"]["window"]["failures"][0]["code"], "boot-failed", "{shown:#}");
    let shown = terminal.run(&format!("deployment show {deployment}")).await;
    assert!(shown.contains("rolled_back") && shown.contains("failed: more than"), "{shown}");
}
