//! Owns the rule that nothing which lets somebody in is checked in: private keys, tokens and access keys.

use regex::Regex;

use super::tree::Source;

/// Files that may hold what looks like a secret: the path, what is found there, and why it is none.
pub(crate) const ALLOWED: [(&str, &str, &str); 1] = [(
    "tests/tests/api/enrolment.rs",
    "a private key",
    "made for the test that enrolling with a private key is refused; it opens nothing",
)];

/// What is looked for, by name. The forms of Kernex' own are those of `host/src/app/identity/secret.rs`.
const FORMS: [(&str, &str); 6] = [
    // A body of 32 characters makes the difference to a text about keys; before it a few headers may stand.
    (
        "a private key",
        r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[^-]){0,100}?[A-Za-z0-9+/]{32}",
    ),
    ("a key or token of Kernex", r"\bkx[rs]?_[0-9A-HJKMNP-TV-Z]{26}_[A-Za-z0-9_-]{43}"),
    ("a JSON Web Token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,}"),
    ("an access key of AWS", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("a secret access key of AWS", r#"(?i)\baws_?secret_?(?:access_?)?key\b["' ]*[=:]["' ]*[a-z0-9/+]{40}"#),
    ("a token of GitHub", r"\b(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})"),
];

/// Looks for secrets in texts.
pub(crate) struct Finder(Vec<(&'static str, Regex)>);

impl Finder {
    /// Knows every form.
    pub(crate) fn new() -> Self {
        let form = |(what, form): (&'static str, &str)| (what, Regex::new(form).expect("a regular expression"));
        Self(FORMS.into_iter().map(form).collect())
    }

    /// What in a file looks like a secret, and in which line. The secret is not repeated: this goes to a log.
    pub(crate) fn find(&self, source: &Source) -> Vec<(&'static str, usize)> {
        let of = |(what, form): &(&'static str, Regex)| {
            let line = |at: usize| source.text[..at].matches('\n').count() + 1;
            form.find_iter(&source.text).map(|found| (*what, line(found.start()))).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// Sentences about everything that is checked in and must not be, and about what is allowed for nothing.
pub(crate) fn complaints(sources: &[Source]) -> Vec<String> {
    let finder = Finder::new();
    let mut complaints = Vec::new();
    let mut used = [false; ALLOWED.len()];
    for source in sources {
        for (what, line) in finder.find(source) {
            match ALLOWED.iter().position(|(path, kind, _)| *path == source.path && *kind == what) {
                Some(allowed) => used[allowed] = true,
                None => complaints.push(format!("{}:{line}: {what}; take it out, and revoke it", source.path)),
            }
        }
    }
    for ((path, what, _), used) in ALLOWED.into_iter().zip(used) {
        if !used {
            complaints.push(format!("tests/tests/tidy/secrets.rs allows {what} in {path}, where there is none"));
        }
    }
    complaints
}

#[cfg(test)]
mod shown_bad_text {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize)> {
        Finder::new().find(&Source::made_up("a.txt", text))
    }

    /// Put together here, so that this file holds none.
    fn armoured(kind: &str, between: &str) -> String {
        let dashes = "-".repeat(5);
        let body = "MC4CAQAw".repeat(8);
        format!("\nkey = {dashes}BEGIN {kind}{dashes}{between}{body}\n{dashes}END {kind}{dashes}\n")
    }

    #[test]
    fn private_keys() {
        let headers = "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n";
        for (kind, between) in [
            ("PRIVATE KEY", "\n"),
            ("RSA PRIVATE KEY", headers),
            ("EC PRIVATE KEY", "\\n"),
            ("OPENSSH PRIVATE KEY", "\",\n    \""),
            ("PGP PRIVATE KEY BLOCK", "\n\n"),
        ] {
            assert_eq!(found(&armoured(kind, between)), [("a private key", 2)], "{kind}");
        }
        assert!(found(&armoured("PUBLIC KEY", "\n")).is_empty());
        let dashes = "-".repeat(5);
        let about = format!("{dashes}BEGIN PRIVATE KEY{dashes} is how it begins, {}", "and more ".repeat(50));
        assert!(found(&about).is_empty());
    }

    #[test]
    fn tokens() {
        let ulid = "01JD5Z8Q0V3W4X5Y6Z7A8B9C0D";
        for prefix in ["kx", "kxr", "kxs"] {
            let token = format!("curl -H 'authorization: Bearer {prefix}_{ulid}_{}'\n", "a-_Z".repeat(11));
            assert_eq!(found(&token), [("a key or token of Kernex", 1)], "{prefix}");
        }
        assert!(found(&format!("kx_{ulid}_short kx_…")).is_empty());
        let jwt = ["eyJhbGciOiJFZERTQSJ9", "eyJpc3MiOiJrZXJuZXgifQ", "zSvWq6cHyCsYzSvWq6cHyCsY"].join(".");
        assert_eq!(found(&format!("first\ntoken: \"{jwt}\"")), [("a JSON Web Token", 2)]);
        assert!(found(&jwt.replace("zSvWq6cHyCsY", "zSvW…")).is_empty(), "an example that is cut short");
        assert_eq!(found(&format!("ghp_{}", "a1".repeat(18))), [("a token of GitHub", 1)]);
    }

    #[test]
    fn keys_of_a_cloud() {
        for kind in ["AKIA", "ASIA"] {
            assert_eq!(found(&format!("id = {kind}IOSFODNN7EXAMPLE")), [("an access key of AWS", 1)]);
            assert!(found(&format!("{kind}IOSFODNN7")).is_empty());
        }
        let secret = format!("AWS_SECRET_ACCESS_KEY={}", "wJalr/+Utn".repeat(4));
        assert_eq!(found(&secret), [("a secret access key of AWS", 1)]);
    }

    #[test]
    fn what_is_allowed_is_named_with_its_file() {
        let (path, what, reason) = ALLOWED[0];
        assert!(!reason.is_empty());
        let text = armoured("PRIVATE KEY", "\n");
        let allowed = Source::made_up(path, &text);
        assert_eq!(complaints(std::slice::from_ref(&allowed)), [""; 0]);
        let elsewhere = complaints(&[allowed, Source::made_up("key.pem", &text)]);
        assert_eq!(elsewhere, ["key.pem:2: a private key; take it out, and revoke it"]);
        assert_eq!(complaints(&[]).len(), ALLOWED.len(), "{what} is allowed for nothing");
    }
}
