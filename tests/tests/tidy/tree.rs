//! Owns finding the files that the rules are about.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file.
pub(crate) struct Source {
    /// Its path below the root, with `/` between the parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// A file that exists only in a test.
    #[cfg(test)]
    pub(crate) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below `folders` whose names end in `.extension`, in order; build output is passed over.
pub(crate) fn sources(folders: &[&str], extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), folder, extension, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// All files that are checked in, whatever they are; what is no text is read as far as it is one.
pub(crate) fn tracked() -> Vec<Source> {
    // The checkout may be another user's than the one who runs the tests.
    let arguments = ["-c", "safe.directory=*", "ls-files", "-z"];
    let list = Command::new("git").args(arguments).current_dir(root()).output().expect("git is there");
    assert!(list.status.success(), "git ls-files: {}", String::from_utf8_lossy(&list.stderr));
    let names = String::from_utf8(list.stdout).expect("paths are UTF-8");
    let read = |path: &str| match std::fs::read(root().join(path)) {
        Ok(bytes) => Some(Source { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() }),
        // Somebody is about to check in that it is gone.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{path}: {error}"),
    };
    names.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect()
}

fn walk(directory: &Path, path: &str, extension: &str, found: &mut Vec<Source>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a directory");
        let name = entry.file_name().to_string_lossy().into_owned();
        let (below, path) = (entry.path(), format!("{path}/{name}"));
        if below.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&below, &path, extension, found);
            }
        } else if below.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&below).unwrap_or_else(|error| panic!("{path}: {error}"));
            found.push(Source { path, text });
        }
    }
}
