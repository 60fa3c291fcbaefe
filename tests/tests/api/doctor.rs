//! Owns what `kernex doctor` says to do: things are broken one after the other.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use kernex_tests::harness::{ServerProcess, TestServer, eventually, run};
use tokio::process::Command;

fn command(directory: &Path) -> Command {
    let mut command = Command::new(ServerProcess::program());
    command.args(["doctor", "--data-dir", "data"]).current_dir(directory);
    command.env("KERNEX__HTTP__LISTEN", "127.0.0.1:0");
    command
}

/// What it says with these settings, and its exit code.
async fn doctor(directory: &Path, settings: &[(&str, &str)]) -> (String, Option<i32>) {
    let output = command(directory).envs(settings.iter().copied()).output().await.expect("the program runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

/// That a part is wrong, why, and what is said to do, which is the line after it.
async fn wrong(directory: &Path, settings: &[(&str, &str)], part: &str, why: &str, remedy: &str) {
    let (text, code) = doctor(directory, settings).await;
    let mut lines = text.lines().skip_while(|line| !(line.contains(part) && line.contains("WRONG")));
    let found = lines.next().unwrap_or_else(|| panic!("{part} is not wrong\n{text}"));
    assert!(found.contains(why), "{text}");
    let next = lines.next().unwrap_or_default();
    assert!(next.contains("to do: ") && next.contains(remedy), "{text}");
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn whatever_is_wrong_has_a_remedy() {
    run(async {
        let made = tempfile::tempdir().expect("a temporary directory");
        let directory = made.path();
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("its address");
        let listen = address.to_string();
        let port = format!("sport = :{}", address.port());
        wrong(directory, &[("KERNEX__HTTP__LISTEN", &listen)], "listen", "not by a server with this data", &port).await;
        let elsewhere = [("KERNEX__HTTP__LISTEN", "192.0.2.1:8080")];
        wrong(directory, &elsewhere, "listen", "192.0.2.1:8080", "an address of this machine").await;

        std::fs::write(directory.join("data"), "x").expect("a file");
        wrong(directory, &[], "data_dir", "is no directory", "move it away").await;
        std::fs::remove_file(directory.join("data")).expect("it is ours");
        std::fs::create_dir(directory.join("data")).expect("a directory");
        let mode = |mode| std::fs::set_permissions(directory.join("data"), std::fs::Permissions::from_mode(mode));
        mode(0o750).expect("it is ours");
        wrong(directory, &[], "data_dir", "others may read", "chmod 700 data").await;
        mode(0o700).expect("it is ours");

        let nobody = [("KERNEX__STORE__URL", "ws://127.0.0.1:1")];
        wrong(directory, &nobody, "store", "cannot be reached", "start the database server").await;
        std::fs::write(directory.join("file"), "x").expect("a file");
        let no_directory = [("KERNEX__STORE__URL", "rocksdb://file")];
        wrong(directory, &no_directory, "store", "damaged or", "set `store.url`").await;

        let (well, code) = doctor(directory, &[]).await;
        assert_eq!(code, Some(0), "{well}");
    });
}

#[test]
fn disk_clock_and_the_place_for_bundles_are_looked_at() {
    run(async {
        let made = tempfile::tempdir().expect("a temporary directory");
        let directory = made.path();
        std::fs::write(directory.join("file"), "x").expect("a file");
        let at = format!("file://{}", directory.join("file").display());
        wrong(directory, &[("KERNEX__BUNDLES__URL", &at)], "bundles", "is no directory", "set `bundles.url`").await;
        let nowhere = [("KERNEX__BUNDLES__URL", "ftp://nowhere")];
        wrong(directory, &nowhere, "bundles", "cannot use `ftp://nowhere`", "`bundles.url`").await;

        let mut private = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.create(directory.join("data")).expect("a directory");
        let ahead = std::fs::File::create(directory.join("data/ahead")).expect("a file");
        ahead.set_modified(SystemTime::now() + Duration::from_secs(24 * 3_600)).expect("it is ours");
        wrong(directory, &[], "clock", "data/ahead is of ", "timedatectl").await;
        std::fs::remove_file(directory.join("data/ahead")).expect("it is ours");

        let migrated = Command::new(ServerProcess::program())
            .args(["migrate", "up", "--data-dir", "data"])
            .current_dir(directory)
            .output()
            .await
            .expect("the program runs");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let (well, code) = doctor(directory, &[]).await;
        assert!(well.contains("the first start installs the bundled ones"), "{well}");
        assert_eq!(code, Some(0), "{well}");

        // A file system without any room, on every Linux.
        std::fs::remove_dir_all(directory.join("data")).expect("it is ours");
        std::os::unix::fs::symlink("/proc", directory.join("data")).expect("a link");
        wrong(directory, &[], "disk", "0 MiB are free", "make room").await;
    });
}

#[test]
fn a_port_that_the_server_has_is_not_wrong() {
    run(async {
        let server = TestServer::durable().await;
        let listen = server.base().trim_start_matches("http://").to_owned();
        let (text, code) = doctor(server.directory(), &[("KERNEX__HTTP__LISTEN", &listen)]).await;
        assert!(text.contains(&format!("{listen} is taken, it seems by the running server")), "{text}");
        assert_eq!(code, Some(0), "{text}");
    });
}

/// Whether a process with this argument runs that this other one has started.
fn has_started(parent: u32, argument: &str) -> bool {
    let mut processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.any(|process| {
        let status = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        // The name stands in brackets; the parent's number is the second word after it.
        let after_name = status.rsplit_once(')').map_or("", |(_, rest)| rest);
        let number: Option<u32> = after_name.split_whitespace().nth(1).and_then(|number| number.parse().ok());
        let arguments = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        number == Some(parent) && arguments.split('\0').any(|found| found == argument)
    })
}

#[test]
fn plugins_are_compiled_in_processes_of_their_own() {
    run(async {
        let mut server = TestServer::durable().await;
        server.stop().await;
        let doctor = command(server.directory()).stdout(Stdio::piped()).spawn().expect("the program runs");
        let number = doctor.id().expect("it has not ended");
        eventually("a compiler", async || has_started(number, kernex::host::COMPILE).then_some(())).await;
        let output = doctor.wait_with_output().await.expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("3 are ready"), "{text}");
    });
}
