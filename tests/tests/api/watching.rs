//! Owns watching a deployment from a program: what is printed, through a restart of the server, and how it ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kernex_tests::harness::{Client, ServerProcess, TestServer, eventually, run};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// A command that goes on, with what it printed so far.
struct Watch {
    child: Child,
    printed: PathBuf,
    noted: PathBuf,
}

impl Watch {
    fn start(server: &TestServer, admin: &Client, name: &str, words: &str) -> Self {
        let file = |end: &str| server.directory().join(format!("{name}.{end}"));
        let (printed, noted) = (file("out"), file("err"));
        let open = |path: &Path| Stdio::from(std::fs::File::create(path).expect("a file for what it prints"));
        let mut command = Command::new(ServerProcess::program());
        command.args(words.split(' ')).env("KERNEX_SERVER", server.base()).env("KERNEX_TOKEN", admin.token());
        command.stdin(Stdio::null()).stdout(open(&printed)).stderr(open(&noted)).kill_on_drop(true);
        let child = command.spawn().expect("the program runs");
        Self { child, printed, noted }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).expect("what it printed")
    }

    fn noted(&self) -> String {
        std::fs::read_to_string(&self.noted).expect("what it noted")
    }

    /// Waits until it has printed or noted this.
    async fn says(&self, words: &str) {
        let look = async || (self.printed() + &self.noted()).contains(words).then_some(());
        eventually(&format!("{words} in {}", self.printed.display()), look).await;
    }

    async fn ends_with(&mut self, code: i32) {
        let ended = eventually("it ends", async || self.child.try_wait().expect("a child of ours")).await;
        assert_eq!(ended.code(), Some(code), "{}\n{}", self.printed(), self.noted());
    }
}

/// For a device that never comes: what it is offered is withdrawn soon.
fn order(bundle: &str) -> String {
    format!("deployment create --bundle {bundle} --selector * --attempt-timeout-s 2 --watch")
}

#[test]
fn a_watch_goes_on_through_a_restart_and_prints_every_change() {
    run(async {
        let mut server = TestServer::durable().await;
        let admin = server.admin().await;
        server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let mut objects = Watch::start(&server, &admin, "objects", &format!("{} --output json", order(&bundle)));
        objects.says("\"state\":\"running\"").await;
        let first: Value = serde_json::from_str(objects.printed().lines().next().expect("a line")).expect("JSON");
        let deployment = first["id"].as_str().expect("an identifier").to_owned();
        let mut lines = Watch::start(&server, &admin, "lines", &format!("deployment watch {deployment}"));
        lines.says("wave").await;

        server.stop().await;
        objects.says("cannot reach the server").await;
        lines.says("trying again").await;
        let listen = server.base().trim_start_matches("http://").parse().expect("an address");
        server.restart_with(|settings| settings.http.listen = listen).await;
        objects.says("the server answers again").await;
        lines.says("the server answers again").await;

        let cancel = format!("/deployments/{deployment}/cancel");
        admin.post(&cancel).json(json!({ "reason": "it is enough" })).await.expect(200);
        objects.ends_with(6).await;
        lines.ends_with(6).await;
        assert!(lines.noted().contains(&format!("kernex: {deployment} is cancelled")), "{}", lines.noted());
        let printed = objects.printed();
        let seen: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "an object for each change\n{printed}");
        assert!(seen.iter().all(|object| object["id"] == deployment.as_str()), "{printed}");
        let last = seen.last().expect("an object");
        assert_eq!((&last["state"], &last["settled"]), (&json!("cancelled"), &json!(true)), "{printed}");
        assert_eq!(seen.iter().filter(|object| object["settled"] == true).count(), 1, "{printed}");
        let printed = lines.printed();
        assert!(printed.contains("cancelled because it is enough"), "{printed}");
        assert!(!printed.contains('\u{1b}'), "nothing is drawn where no terminal is\n{printed}");
    });
}

#[test]
fn ctrl_c_ends_the_watching_and_not_the_deployment() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let mut watch = Watch::start(&server, &admin, "watch", &order(&bundle));
        watch.says("running").await;
        let pid = watch.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().await.expect("a signal is sent");
        assert!(sent.success());
        watch.ends_with(130).await;
        let printed = watch.printed();
        let deployment = printed.split_whitespace().next().expect("an identifier");
        let noted = watch.noted();
        assert!(noted.contains(&format!("kernex deployment watch {deployment} --server {}", server.base())), "{noted}");
        let now = admin.get(&format!("/deployments/{deployment}")).await.expect(200);
        assert_eq!(now["state"], "running");
    });
}

#[test]
fn what_waits_for_approval_is_watched_until_it_ends() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.grant_roles(json!({"planner": {"grants": ["deployment:create"]}})).await;
        let planner = server.user("planner").await;
        server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let order = json!({"name": "by a planner", "bundle_id": bundle, "selector": "*"});
        let deployment = planner.post("/deployments").json(order).await.expect(201).id();
        let watch = |name: &str, more: &str| {
            Watch::start(&server, &admin, name, &format!("deployment watch {deployment}{more}"))
        };
        let (mut lines, mut objects) = (watch("lines", ""), watch("objects", " --output json"));
        lines.says("awaiting_approval").await;
        objects.says("\"state\":\"awaiting_approval\"").await;
        let path = format!("/deployments/{deployment}");
        admin.post(&format!("{path}/approve")).json(json!({})).await.expect(200);
        objects.says("\"approved_by\":[\"usr_").await;
        admin.post(&format!("{path}/cancel")).json(json!({"reason": "it is enough"})).await.expect(200);
        lines.ends_with(6).await;
        objects.ends_with(6).await;
        assert!(lines.printed().contains("cancelled because it is enough"), "{}", lines.printed());
    });
}
