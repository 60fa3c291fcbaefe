//! Owns the command line as an operator uses it: the real program against a real server.

use std::path::Path;
use std::process::Output;

use kernex_tests::harness::{DeviceKey, ServerProcess, TestServer, eventually, run};
use serde_json::{Value, json};
use tokio::process::Command;

/// The book's chapter on settings.
const SETTINGS_CHAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/settings.md");

/// Runs `kernex` with these words, as somebody at a server.
async fn kernex(server: &str, token: &str, words: &str) -> Output {
    Command::new(ServerProcess::program())
        .args(words.split(' '))
        .env("KERNEX_SERVER", server)
        .env("KERNEX_TOKEN", token)
        .output()
        .await
        .expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_operator_runs_the_fleet_from_the_terminal() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let terminal = async |words: &str| kernex(&server.base(), admin.token(), words).await;
        let mut waiting = Vec::new();
        for name in ["north", "south"] {
            let (device, _) = server.enrol(DeviceKey::ed25519(), json!({ "name": name })).await;
            waiting.push(device.id);
        }
        let table = done(terminal("device list --status pending").await);
        assert!(table.starts_with("ID") || table.trim_start().starts_with("ID"), "{table}");
        assert!(waiting.iter().all(|id| table.contains(id)) && table.contains("north"), "{table}");
        let listed: Vec<Value> =
            serde_json::from_str(&done(terminal("device list --limit 1 --output json").await)).expect("JSON");
        assert_eq!(listed.len(), 1, "no more than was asked for");
        assert_eq!(listed[0]["id"], waiting[0].as_str());

        let admitted = done(terminal(&format!("device admit {} {}", waiting[0], waiting[1])).await);
        assert_eq!(admitted.matches("is active").count(), 2, "{admitted}");
        assert!(done(terminal("device list --status active").await).contains(&waiting[1]));
        let shown: Value =
            serde_json::from_str(&done(terminal(&format!("device show {}", waiting[0])).await)).expect("JSON");
        assert_eq!(shown["status"], "active");
        assert!(done(terminal(&format!("device timeline {}", waiting[0])).await).contains("admitted"));
        let why = done(terminal(&format!("device explain {}", waiting[0])).await);
        assert!(why.contains("no deployment under way"), "{why}");
        let audit = done(terminal("audit list --action device:admit").await);
        assert_eq!(audit.matches("device:admit").count(), 2, "{audit}");
        assert!(done(terminal("policy list").await).contains("guardian"));

        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        assert!(done(terminal("bundle list").await).contains(&bundle));
        let created = done(terminal(&format!("deployment create --bundle {bundle} --selector site=nowhere")).await);
        let deployment = created.split_whitespace().next().expect("an identifier").to_owned();
        let cancelled = done(terminal(&format!("deployment cancel {deployment} --reason enough")).await);
        assert!(cancelled.contains("cancelled") && cancelled.contains("enough"), "{cancelled}");
        assert!(done(terminal("deployment list").await).contains(&deployment));
    });
}

#[test]
fn a_device_and_a_bundle_are_changed_from_the_terminal() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let device = server.device().await;
        let id = device.id.as_str();
        let terminal = async |words: &str| done(kernex(&server.base(), admin.token(), words).await);
        let parsed = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        let table = terminal(&format!("device label {id} site=berlin legacy=yes")).await;
        assert!(table.contains("site=berlin") && table.contains("legacy=yes") && table.contains(id), "{table}");
        let labelled = parsed(terminal(&format!("device label {id} legacy= --output json")).await);
        assert_eq!(labelled["labels"], json!({"site": "berlin"}));
        let wrong = kernex(&server.base(), admin.token(), &format!("device label {id} site")).await;
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        let back = kernex(&server.base(), admin.token(), &format!("device rollback {id}")).await;
        assert_eq!(back.status.code(), Some(1));
        assert!(said(&back).contains("nothing-to-go-back-to"), "{}", said(&back));

        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        for level in ["info", "debug"] {
            std::fs::write(file.path(), json!({"log_level": level}).to_string()).expect("a config");
            let put = terminal(&format!("device config put {id} {}", file.path().display())).await;
            assert!(put.contains(&format!("log_level={level}")), "{put}");
        }
        let config = parsed(terminal(&format!("device config get {id} --output json")).await);
        assert_eq!((&config["version"], &config["document"]), (&json!(2), &json!({"log_level": "debug"})));
        let history = terminal(&format!("device config history {id}")).await;
        let at =
            |level: &str| history.find(&format!("log_level={level}")).unwrap_or_else(|| panic!("{level}: {history}"));
        assert!(at("debug") < at("info"), "the newest first\n{history}");
        std::fs::write(file.path(), "{").expect("no config");
        let words = format!("device config put {id} {}", file.path().display());
        let broken = kernex(&server.base(), admin.token(), &words).await;
        assert_eq!(broken.status.code(), Some(1), "{}", said(&broken));

        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        assert_eq!(parsed(terminal(&format!("bundle show {bundle} --output json")).await)["status"], "available");
        let retired = terminal(&format!("bundle retire {bundle}")).await;
        assert!(retired.contains(&bundle) && retired.contains("retired"), "{retired}");
        assert!(terminal(&format!("bundle show {bundle}")).await.contains("retired"));
    });
}

#[test]
fn what_waits_is_approved_from_the_terminal() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        server.grant_roles(json!({"planner": {"grants": ["deployment:create"]}})).await;
        let planner = server.user("planner").await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"one").await;
        let create = format!("deployment create --bundle {bundle} --selector site=nowhere");
        let created = done(kernex(&server.base(), planner.token(), &create).await);
        let deployment = created.split_whitespace().next().expect("an identifier").to_owned();
        let terminal = async |words: &str| done(kernex(&server.base(), admin.token(), words).await);
        let table = eventually("it waits", async || {
            let table = terminal("deployment list").await;
            table.contains("awaiting_approval").then_some(table)
        })
        .await;
        assert!(table.contains("no role of the caller grants `deployment:start`"), "{table}");
        let shown = terminal(&format!("deployment show {deployment}")).await;
        assert!(shown.contains("awaiting_approval") && shown.contains("policy:rbac"), "{shown}");
        let approved = terminal(&format!("deployment approve {deployment} --reason seen")).await;
        assert!(approved.contains("because seen (approved, by usr_"), "{approved}");
        let again = kernex(&server.base(), admin.token(), &format!("deployment approve {deployment}")).await;
        assert_eq!(again.status.code(), Some(1));
        assert!(said(&again).contains("has approved this deployment before"), "{}", said(&again));
    });
}

#[test]
fn what_goes_wrong_is_said_and_is_in_the_exit_code() {
    run(async {
        let server = TestServer::start().await;
        let viewer = server.user("viewer").await;
        let nobody = "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
        let denied = kernex(&server.base(), viewer.token(), &format!("device retire {nobody}")).await;
        assert_eq!(denied.status.code(), Some(1), "{}", said(&denied));
        let wrong = kernex(&server.base(), viewer.token(), "device list --status asleep").await;
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        let expired = kernex(&server.base(), "hunter2", "device list").await;
        assert_eq!(expired.status.code(), Some(1));
        assert!(!said(&expired).contains("hunter2"), "{}", said(&expired));
    });
}

async fn doctor(directory: &Path) -> Output {
    let mut command = Command::new(ServerProcess::program());
    command.args(["doctor", "--data-dir", "data"]).current_dir(directory);
    command.env("KERNEX__HTTP__LISTEN", "127.0.0.1:0").output().await.expect("the program runs")
}

#[test]
fn the_doctor_says_what_is_wrong() {
    run(async {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let fresh = done(doctor(directory.path()).await);
        assert!(fresh.contains("the first start makes it"), "{fresh}");

        let mut server = TestServer::durable().await;
        let running = doctor(server.directory()).await;
        assert!(done(running).contains("a running server has it open"));
        server.stop().await;
        let well = done(doctor(server.directory()).await);
        assert!(well.contains("the schema is up to date") && well.contains("3 are ready"), "{well}");

        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(server.directory().join("data"), open).expect("it is ours");
        let ill = doctor(server.directory()).await;
        assert_eq!(ill.status.code(), Some(1));
        assert!(said(&ill).contains("chmod 700"), "{}", said(&ill));
    });
}

#[test]
fn the_chapter_on_settings_is_what_the_program_prints() {
    run(async {
        let mut command = Command::new(ServerProcess::program());
        // Wrong settings do not keep anybody from looking them up.
        command.args(["config", "reference"]).env("KERNEX__HTTP__COLOUR", "red");
        let printed = done(command.output().await.expect("the program runs"));
        let chapter = std::fs::read_to_string(SETTINGS_CHAPTER).expect("docs/src/settings.md is checked in");
        let differs = printed.lines().zip(chapter.lines()).find(|(printed, chapter)| printed != chapter);
        assert!(printed == chapter, "docs/src/settings.md has fallen behind: `make openapi`; {differs:#?}");
    });
}

#[test]
fn shells_can_complete_the_commands() {
    run(async {
        for shell in ["bash", "zsh", "fish"] {
            let script = done(kernex("", "", &format!("completions {shell}")).await);
            assert!(script.contains("kernex") && script.contains("simulate"), "{shell}: {script}");
        }
    });
}
