//! Owns what is asked of addresses in the settings: that none holds a password, because they are printed and errors
//! repeat them, and how the other side is spoken to.

use reqwest::Url;

/// Schemes in which a container stands before the `@`: `abfss://container@account…`.
const CONTAINER_FIRST: [&str; 2] = ["abfs", "abfss"];

/// Whether a user or a password stands in an address.
pub(super) fn names_a_user(address: &str) -> bool {
    match Url::parse(address) {
        Ok(url) if CONTAINER_FIRST.contains(&url.scheme()) => url.password().is_some(),
        Ok(url) if url.has_authority() => !url.username().is_empty() || url.password().is_some(),
        // `user:password@host` has a scheme, as far as a parser can tell, and a password with a `/` ends the host.
        Ok(_) | Err(_) => address.contains('@'),
    }
}

/// How an address begins, in lower case; none where no host follows.
pub(super) fn scheme(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(Url::has_host)?;
    Some(url.scheme().to_owned())
}

#[test]
fn users_and_passwords_are_found() {
    for address in [
        "http://user:secret@collector:4317",
        "http://user@collector:4317",
        "http://:secret@collector:4317",
        "https://user:se/cret@collector",
        "user:secret@collector:4317",
        "s3://AKIA:secret@bucket/prefix",
        "s3://AKIA:sec/ret@bucket/prefix",
        "abfss://container:secret@account.dfs.core.windows.net/",
    ] {
        assert!(names_a_user(address), "{address}");
    }
    for address in [
        "http://127.0.0.1:4317",
        "collector:4317",
        "https://collector/v1/@here?a=b@c",
        "file:///var/lib/kernex@site/bundles",
        "s3://bucket/of@us",
        "az://container",
        "abfss://container@account.dfs.core.windows.net/",
    ] {
        assert!(!names_a_user(address), "{address}");
    }
}
