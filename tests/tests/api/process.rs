//! The server's process: its exit codes, its signals, and what it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kernex_tests::guests::MISBEHAVING;
use kernex_tests::harness::{ProcessOptions, ServerProcess, run};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

/// How long a server that is still starting may take to end: much less than it waits for its database.
const ENDED: Duration = Duration::from_secs(10);

#[test]
fn sigterm_stops_it_in_order_and_nothing_is_lost() {
    run(async {
        let mut server = ServerProcess::start(ProcessOptions::new()).await;
        let output = server.output();
        assert!(output.contains(&format!("Documentation: {}/docs", server.base())), "{output}");
        let admin = server.admin().await;
        let device = server.device().await;
        device.heartbeat(json!({"facts": {"os": "linux"}})).await.expect(200);
        let status = server.terminate().await;
        assert_eq!(status.code(), Some(0), "{}", server.output());
        assert!(admin.get("/auth/me").send().await.is_err(), "it still answers");

        server.resume().await;
        assert_eq!(server.setup_token(), None);
        let seen = admin.get(&format!("/devices/{}", device.id)).await.expect(200);
        assert_eq!(seen["facts"], json!({"os": "linux"}));
        // A heartbeat's time is flushed when it stops in order.
        assert!(seen["last_seen_at"].is_string(), "{seen}");
        server.signal("INT").await;
        assert_eq!(server.wait().await.code(), Some(0));
    });
}

#[test]
fn a_signal_ends_a_server_that_is_still_starting() {
    run(async {
        // A database that takes the connection and says nothing.
        let database = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = database.local_addr().expect("its address");
        for signal in ["TERM", "INT"] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let starting = Command::new(ServerProcess::program())
                .args(["serve", "--listen", "127.0.0.1:0"])
                .env("KERNEX__STORE__URL", format!("ws://{address}"))
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .expect("the program runs");
            let _connection = database.accept().await.expect("it starts");
            let pid = starting.id().expect("it has not ended");
            let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status().await;
            assert!(sent.is_ok_and(|status| status.success()), "cannot send {signal}");
            let ended = tokio::time::timeout(ENDED, starting.wait_with_output()).await.expect("it ends soon");
            let output = ended.expect("it can be waited for");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert!(said.contains("stopping before it has started") && output.stdout.is_empty(), "{said}");
        }
    });
}

#[test]
fn a_pipe_that_nobody_reads_ends_a_command_quietly() {
    run(async {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let printing = Command::new(ServerProcess::program())
            .args(["completions", "bash"])
            .stdin(Stdio::null())
            .stdout(Stdio::from(writer))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let printed = printing.wait_with_output().await.expect("it can be waited for");
        let said = String::from_utf8_lossy(&printed.stderr);
        assert_eq!((printed.status.code(), &*said), (Some(1), ""));
    });
}

#[test]
fn a_request_that_runs_is_finished_before_it_stops() {
    run(async {
        let mut server = ServerProcess::start(ProcessOptions::new().set("shutdown.grace_s", 20)).await;
        let admin = server.admin().await;
        let parts = futures_util::stream::unfold(0_u8, |n| async move {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            (n < 15).then(|| (Ok::<_, std::io::Error>(vec![n; 10_000]), n + 1))
        });
        let upload =
            admin.post("/bundles").query("name", "x").query("version", "1").bytes(reqwest::Body::wrap_stream(parts));
        let upload = tokio::spawn(upload.into_future());
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        server.signal("TERM").await;
        let made = upload.await.expect("an answer").expect(201);
        assert_eq!(made["size"], 150_000);
        assert_eq!(server.wait().await.code(), Some(0), "{}", server.output());
        server.resume().await;
        assert_eq!(admin.get("/bundles").await.expect(200).all("id"), [made.id()]);
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    run(async {
        let mut server = ServerProcess::start(ProcessOptions::new()).await;
        let admin = server.admin().await;
        let device = server.device().await;
        let bundle = server.bundle("gateway-os", "1.0.0", b"content").await;
        device.heartbeat(json!({"facts": {"os": "linux"}, "bundle_id": bundle})).await.expect(200);
        server.kill().await;
        server.resume().await;
        let seen = admin.get(&format!("/devices/{}", device.id)).await.expect(200);
        assert_eq!((&seen["facts"], &seen["bundle_id"]), (&json!({"os": "linux"}), &json!(bundle)));
        assert_eq!(admin.get(&format!("/bundles/{bundle}/content")).await.expect(200).body, b"content");
        device.heartbeat(json!({})).await.expect(200);
    });
}

/// What lies in a directory of files, by name.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let read = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name of ours");
        (name, std::fs::read(entry.path()).expect("a file"))
    });
    read.collect()
}

#[test]
fn compiled_plugins_that_are_damaged_or_gone_are_compiled_again() {
    run(async {
        let mut server = ServerProcess::start(ProcessOptions::new().set("plugins.allow_unsigned", true)).await;
        let admin = server.admin().await;
        let plugin = admin.post("/plugins").bytes(MISBEHAVING).await.expect(201).text("digest");
        let revision = json!({"plugin": plugin, "gate": "authorization", "settings": {}, "actions": ["bundle:list"]});
        admin.put("/policies/mine").json(revision).await.expect(201);
        admin.post("/policies/mine/activate").json(json!({"revision": 1})).await.expect(200);
        let decides = async || {
            // What the uploaded plugin says, and what the bundled one does.
            admin.get("/bundles").await.problem(403, "as-asked");
            admin.get("/devices").await.expect(200);
        };
        decides().await;

        let directory = server.data_dir().join("native-code");
        assert_eq!(server.terminate().await.code(), Some(0), "{}", server.output());
        let whole = files(&directory);
        assert_eq!(whole.len(), 4, "three bundled policies, and one more: {:?}", whole.keys());
        for (number, (name, content)) in whole.iter().enumerate() {
            let mut damaged = content.clone();
            let middle = damaged.len() / 2;
            if number == 0 {
                damaged.truncate(middle);
            } else {
                damaged[middle] ^= 0xff;
            }
            std::fs::write(directory.join(name), damaged).expect("a file of ours");
        }
        let damaged = files(&directory);
        server.resume().await;
        decides().await;
        let mended = files(&directory);
        assert!(mended.keys().eq(whole.keys()), "{:?}", mended.keys());
        assert!(mended.iter().all(|(name, content)| damaged[name] != *content), "what was damaged was written anew");

        assert_eq!(server.terminate().await.code(), Some(0), "{}", server.output());
        server.resume().await;
        decides().await;
        assert!(files(&directory) == mended, "and is taken as it is");

        assert_eq!(server.terminate().await.code(), Some(0), "{}", server.output());
        std::fs::remove_dir_all(&directory).expect("a directory of ours");
        server.resume().await;
        decides().await;
        assert!(files(&directory).keys().eq(whole.keys()), "what was gone is there again");
    });
}

#[test]
fn exit_codes_tell_what_is_wrong() {
    run(async {
        let server = ServerProcess::start(ProcessOptions::new()).await;
        let fails = async |command: &mut Command| {
            let output =
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the program runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, said) = fails(server.command(&["serve", "--colour", "red"]).stdin(Stdio::null())).await;
        assert_eq!(code, Some(2), "{said}");
        let (code, said) = fails(server.command(&["serve"]).env("KERNEX__HEARTBEAT__POLL_S", "0")).await;
        assert_eq!((code, said.contains("heartbeat.poll_s")), (Some(3), true), "{said}");
        let (code, said) = fails(server.command(&["serve"]).env("KERNEX__HTTP__COLOUR", "red")).await;
        assert_eq!((code, said.contains("http.colour")), (Some(3), true), "{said}");
        let (code, said) = fails(server.command(&["serve"]).env("KERNEX__LOG__FILTER", "kernex=loud")).await;
        assert_eq!((code, said.contains("log.filter")), (Some(3), true), "{said}");
        let taken = server.base().replace("http://", "");
        let (code, said) = fails(&mut server.command(&["serve", "--listen", &taken])).await;
        assert_eq!((code, said.contains("address is in use")), (Some(4), true), "{said}");
        let (code, said) = fails(&mut server.command(&["serve", "--listen", "127.0.0.1:0"])).await;
        assert_eq!(code, Some(5), "the data directory belongs to one process: {said}");
        server.anonymous().root(Method::GET, "/health/ready").await.expect(200);
    });
}

#[test]
fn secrets_are_neither_printed_nor_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    run(async {
        let server = ServerProcess::start(
            ProcessOptions::new().set("log.filter", "info,kernex=trace,kernex_store=trace,poem=trace,surrealdb=debug"),
        )
        .await;
        let admin = server.admin_account().await.clone();
        let refresh = admin.tokens.text("refresh_token");
        server
            .anonymous()
            .post("/auth/login")
            .json(json!({"username": "ada", "password": "hunter2-hunter2"}))
            .await
            .expect(401);
        server.anonymous().post("/auth/refresh").json(json!({"refresh_token": refresh})).await.expect(200);
        let key = server.api_key(&["viewer"]).await;
        key.get("/devices").await.expect(200);
        let output = server.output();
        for secret in ["hunter2", kernex_tests::harness::PASSWORD, admin.client.token(), key.token(), &refresh] {
            assert!(!output.contains(secret), "the log has `{secret}`");
        }
        let mode = std::fs::metadata(server.data_dir()).expect("a directory").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    });
}

/// The way back in for whoever is locked out: on the machine itself, with the server stopped.
#[test]
fn a_restored_authorization_policy_decides_alone_and_keeps_what_was_secret() {
    run(async {
        let mut server = ServerProcess::start(ProcessOptions::new()).await;
        let admin = server.admin().await;
        let settings = server.settings_of("rbac").await;
        let body = json!({
            "plugin": server.plugin("rbac").await, "gate": "authorization", "settings": settings,
            "secret_facts": ["context.address"],
        });
        let secretive = admin.put("/policies/rbac").json(body).await.expect(201);
        let secretive = secretive["revision"].as_u64().expect("a number");
        server.activate("rbac", secretive).await;
        let narrow = json!({"narrowed_roles": ["viewer"]});
        let sites = server.revision("by-site", "sites", "authorization", narrow).await;
        server.activate("by-site", sites).await;

        server.terminate().await;
        let restored = server.command(&["policy", "restore"]).output().await.expect("the program runs");
        let said = String::from_utf8_lossy(&restored.stdout).into_owned();
        assert_eq!(said, format!("rbac revision {} is active\n", secretive + 1));
        server.resume().await;
        let rbac = admin.get("/policies/rbac").await.expect(200);
        assert_eq!(rbac["active"]["revision"], secretive + 1, "{rbac}");
        assert_eq!(rbac["active"]["secret_facts"], json!(["context.address"]), "{rbac}");
        let retired = admin.get("/policies/by-site").await.expect(200);
        assert_eq!(retired["active"], serde_json::Value::Null, "{retired}");
        // What was there before can be had again.
        server.activate("by-site", sites).await;
    });
}
