//! Owns the login that the command line keeps: commands at once, what is wrong with it, simulated devices without it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kernex_tests::harness::{Account, PASSWORD, ServerProcess, TestServer, eventually, run};
use serde_json::{Value, json};
use tokio::process::Command;

/// Commands that find the login expired at the same time.
const COMMANDS: usize = 6;

/// A person's home, with the login that the program keeps there.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("kernex/credentials.json")
    }

    /// Keeps a login whose access token is about to expire.
    fn expired(&self, server: &str, account: &Account) {
        let login = json!({
            "server": server, "access_token": account.tokens.text("access_token"), "expires_at": 0,
            "refresh_token": account.tokens.text("refresh_token"),
        });
        std::fs::create_dir_all(self.path().join("kernex")).expect("a directory");
        std::fs::write(self.file(), login.to_string()).expect("a login");
    }

    fn login(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).expect("the login is kept")).expect("JSON")
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(ServerProcess::program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KERNEX")) {
            command.env_remove(name);
        }
        command.args(words.split(' ')).current_dir(self.path()).env("XDG_CONFIG_HOME", self.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, words: &str) -> Output {
        self.command(words).output().await.expect("the program runs")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn commands_at_once_do_not_end_the_login() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let home = Home::new();
        // Kept with a slash at its end, and asked for without.
        home.expired(&format!("{}/", server.base()), &account);
        let words = format!("device list --server {}", server.base());
        for output in futures_util::future::join_all((0..COMMANDS).map(|_| home.run(&words))).await {
            assert!(output.status.success(), "{}", said(&output));
        }
        let renewed = home.login();
        assert_ne!(renewed["refresh_token"], account.tokens.text("refresh_token"));
        // The session goes on: the next one renews it, too.
        let mut next = renewed.clone();
        next["expires_at"] = json!(0);
        std::fs::write(home.file(), next.to_string()).expect("a login");
        let output = home.run("device list").await;
        assert!(output.status.success(), "{}", said(&output));
        let last = home.login();
        assert_ne!(last["refresh_token"], renewed["refresh_token"]);
        let token = last["access_token"].as_str().expect("an access token");
        let sessions = server.anonymous().with_token(token).get("/auth/sessions").await.expect(200);
        assert_eq!(sessions.items().len(), 1, "{sessions}");
    });
}

#[test]
fn what_is_wrong_with_a_login_is_said() {
    run(async {
        let home = Home::new();
        let nobody = home.run("device list").await;
        assert_eq!(nobody.status.code(), Some(1));
        assert!(said(&nobody).contains("use `kernex login --username NAME`"), "{}", said(&nobody));
        std::fs::create_dir_all(home.path().join("kernex")).expect("a directory");
        std::fs::write(home.file(), r#"{"refresh_token": "hunter2"#).expect("half a login");
        let damaged = home.run("device list").await;
        assert_eq!(damaged.status.code(), Some(1));
        assert!(said(&damaged).contains("credentials.json holds no login"), "{}", said(&damaged));
        assert!(!said(&damaged).contains("hunter2"), "{}", said(&damaged));
    });
}

#[test]
fn a_setup_token_need_not_be_an_argument() {
    run(async {
        let server = TestServer::start().await;
        let token = server.setup_token().expect("printed while there is no account");
        let home = Home::new();
        let words = format!("register --server {}/ --username ada --email ada@example.org", server.base());
        let mut register = home.command(&words);
        register.env("KERNEX_SETUP_TOKEN", &token).env("KERNEX_PASSWORD", PASSWORD);
        let output = register.output().await.expect("the program runs");
        assert!(output.status.success() && said(&output).contains("Logged in at"), "{}", said(&output));
        let output = home.run("device list").await;
        assert!(output.status.success(), "{}", said(&output));
        let mut help = home.command("register --help");
        let output = help.env("KERNEX_SETUP_TOKEN", &token).output().await.expect("the program runs");
        assert!(said(&output).contains("KERNEX_SETUP_TOKEN") && !said(&output).contains(&token), "{}", said(&output));
    });
}

#[test]
fn devices_enrol_although_their_operator_may_not_admit_them() {
    run(async {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let viewer = server.user("viewer").await;
        let home = Home::new();
        for (number, token) in ["hunter2", viewer.token()].into_iter().enumerate() {
            let words = format!("fleet simulate --devices 2 --poll 0.5 --for 60 --state-dir fleet-{number}");
            let mut fleet = home.command(&words);
            fleet.env("KERNEX_SERVER", server.base()).env("KERNEX_TOKEN", token);
            let mut fleet = fleet.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program runs");
            eventually("they wait for somebody who may", async || {
                let waiting = admin.get("/devices").query("status", "pending").await.expect(200);
                (waiting.items().len() == 2 * (number + 1)).then_some(())
            })
            .await;
            fleet.kill().await.expect("a process of ours can be killed");
        }
    });
}

#[test]
fn a_login_that_has_ended_ends_the_simulation() {
    run(async {
        let server = TestServer::start().await;
        let account = server.admin_account().await.clone();
        let home = Home::new();
        home.expired(&server.base(), &account);
        account.client.post("/auth/logout").await.expect(204);
        let ended = home.run("fleet simulate --devices 2 --for 1").await;
        assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
        assert!(said(&ended).contains("has ended") && said(&ended).contains("--no-admit"), "{}", said(&ended));
        let without = home.run("fleet simulate --devices 2 --for 1 --no-admit").await;
        assert!(without.status.success(), "{}", said(&without));
    });
}
