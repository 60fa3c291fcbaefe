//! Owns the short texts that people and devices give to things, each with its rule and limit.

fn word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn slug(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn line(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.trim() == text
}

const LINE: &str = r"^[^\s\x00-\x1f](.*[^\s\x00-\x1f])?$";
const WORD: &str = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";
/// As [`WORD`], of two letters at least.
const LONGER_WORD: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$";

text!(/// A user's short name; unique without regard to case (see [`Username::folded`]).
    Username { pattern: LONGER_WORD, max_length: 64, example: "ada", rule: |t| word(t) && t.len() >= 2 });

text!(/// A user's e-mail address; unique without regard to case.
    Email { pattern: r"^[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]+\.[^\s@\x00-\x1f]+$", max_length: 254, example: "ada@example.org", rule: email });

text!(/// A role that the authorization policy grants actions to.
    RoleName { pattern: "^[a-z][a-z0-9-]*$", max_length: 64, example: "operator", rule: slug });

text!(/// A policy's name, also that of its document.
    PolicyName { pattern: "^[a-z][a-z0-9-]*$", max_length: 64, example: "guardian", rule: slug });

text!(/// A device's name for people.
    DeviceName { pattern: LINE, max_length: 128, example: "gate 7, north", rule: line });

text!(/// A device's hardware model.
    ModelName { pattern: LINE, max_length: 64, example: "gw-200", rule: line });

text!(/// A bundle's name.
    BundleName { pattern: WORD, max_length: 128, example: "gateway-os", rule: word });

text!(/// A bundle's version; semantic versions are compared as such, others only for equality.
    BundleVersion { pattern: r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$", max_length: 64, example: "1.4.2", rule: |t| {
        t.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'_' | b'-'))
    } });

text!(/// A media type, as in `Content-Type`.
    MediaType { pattern: r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(;.*)?$", max_length: 128, example: "application/octet-stream", rule: |t| {
        t.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()) && t.bytes().all(|b| (0x20..0x7f).contains(&b))
    } });

text!(/// A deployment's name for people.
    DeploymentName { pattern: LINE, max_length: 128, example: "gateway-os 1.4.2 to stable", rule: line });

text!(/// An API key's name for people.
    ApiKeyName { pattern: LINE, max_length: 128, example: "ci", rule: line });

text!(/// Why a person did something.
    Remark { pattern: LINE, max_length: 512, example: "customer reported a boot loop", rule: line });

fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && local.len() <= 64
        && !local.contains('@')
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

impl Username {
    /// The form that uniqueness compares.
    #[must_use]
    pub fn folded(&self) -> String {
        self.as_str().to_lowercase()
    }
}

impl Email {
    /// The form that uniqueness compares.
    #[must_use]
    pub fn folded(&self) -> String {
        self.as_str().to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold() {
        for good in ["ada", "a.b-c_d", "A1"] {
            assert!(good.parse::<Username>().is_ok(), "{good}");
        }
        for bad in ["", "a", "-ada", "ada ", "a b", "ä", &"a".repeat(65)] {
            assert!(bad.parse::<Username>().is_err(), "{bad}");
        }
        for bad in ["ada", "@x.y", "a@b", "a@@b.c", "a b@c.d", "a@.c", "a@b..c"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
        assert!("ada@example.org".parse::<Email>().is_ok());
        assert!("two\nlines".parse::<Remark>().is_err());
        assert!("1.0.0+build.5".parse::<BundleVersion>().is_ok());
        assert!("../../etc".parse::<BundleName>().is_err());
    }
}
