//! Owns an author's desk: a folder, the program, npm, and a cargo that knows nothing of the one that runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kernex_tests::harness::{ServerProcess, tool};
use serde_json::Value;
use tempfile::TempDir;

/// What is built once for all tests: the SDK and what it is made of.
const SHARED_TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/plugins");
/// What of the environment authors have, too.
const KEPT: [&str; 6] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_NET_OFFLINE"];

/// A folder to work in.
pub(super) struct Desk {
    folder: TempDir,
    /// Variables that name a server, and who calls it.
    login: Vec<(&'static str, String)>,
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary directory"), login: Vec::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there.
    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Lets `kernex` call this server with this token from here on.
    pub(super) fn log_in(&mut self, server: &str, token: &str) {
        self.login = vec![("KERNEX_SERVER", server.to_owned()), ("KERNEX_TOKEN", token.to_owned())];
    }

    /// `kernex` with these words.
    pub(super) fn kernex(&self, words: &[&str]) -> Ended {
        self.kernex_in(".", words)
    }

    /// The same, in a folder of the desk.
    pub(super) fn kernex_in(&self, folder: &str, words: &[&str]) -> Ended {
        let mut command = clean(&ServerProcess::program(), &self.path(folder));
        ended(command.envs(self.login.iter().map(|(name, value)| (name, value))).args(words).output())
    }

    /// `kernex plugin test` of a component over these cases; its JSON, and its code.
    pub(super) fn tested(&self, component: &str, cases: &str) -> (Value, Option<i32>) {
        self.put("tested.yaml", cases);
        let words = ["plugin", "test", component, "--cases", "tested.yaml", "--output", "json"];
        let Ended { code, out, err } = self.kernex(&words);
        let json = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\n{out}\n{err}"));
        (json, code)
    }

    /// `cargo` with these words, in a folder of the desk.
    pub(super) fn cargo(&self, folder: &str, words: &[&str]) -> Ended {
        ended(clean(Path::new("cargo"), &self.path(folder)).args(words).output())
    }

    /// `npm` with these words, in a folder of the desk; `componentize-qjs` is found, as after `npm ci`.
    pub(super) fn npm(&self, folder: &str, words: &[&str]) -> Ended {
        let tools = tool("componentize-qjs").parent().expect("a tool is in a folder").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path))).expect("a path");
        ended(clean(Path::new("npm"), &self.path(folder)).env("PATH", path).args(words).output())
    }
}

impl Ended {
    /// What it printed, where it ended well.
    #[track_caller]
    pub(super) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// What it complained about, where it failed.
    #[track_caller]
    pub(super) fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        self.out + &self.err
    }
}

fn clean(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    let kept = KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).env("CARGO_TARGET_DIR", SHARED_TARGET).current_dir(folder);
    command
}

fn ended(output: std::io::Result<Output>) -> Ended {
    let output = output.expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
