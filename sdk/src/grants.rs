//! Sets of actions, as settings write them: `noun:verb`, `noun:*`, or `*` for everything.

use std::collections::BTreeSet;

use crate::Diagnostic;
use crate::words::{Asked, ByWord};

/// A set of actions, made for asking whether it contains one.
///
/// ```
/// use kernex_sdk::grants::Grants;
/// use kernex_sdk::words::Asked;
///
/// let settings = ["device:*".to_owned(), "bundle:read".to_owned(), "everything".to_owned()];
/// let mut diagnostics = Vec::new();
/// let grants = Grants::parse(&settings, "/grants", &mut diagnostics);
/// assert!(grants.contain(Asked::of("device:retire")));
/// assert!(!grants.contain(Asked::of("bundle:upload")));
/// assert_eq!(diagnostics[0].pointer, "/grants/2");
/// ```
#[derive(Debug, Default)]
pub struct Grants {
    everything: bool,
    nouns: ByWord<()>,
    actions: ByWord<()>,
}

impl Grants {
    /// Parses grants. What is wrong with them is added to the diagnostics, with `pointer` as the
    /// place of the list.
    pub fn parse(grants: &[String], pointer: &str, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let (mut everything, mut nouns, mut actions) = (false, BTreeSet::new(), BTreeSet::new());
        for (index, grant) in grants.iter().enumerate() {
            match grant.split_once(':') {
                None if grant == "*" => everything = true,
                Some((noun, "*")) if is_word(noun) => {
                    nouns.insert(noun.to_owned());
                }
                Some((noun, verb)) if is_word(noun) && is_word(verb) => {
                    actions.insert(grant.clone());
                }
                Some(_) | None => diagnostics.push(Diagnostic::new(
                    format!("{pointer}/{index}"),
                    format!("`{grant}` is no grant: `noun:verb`, `noun:*` and `*` are"),
                )),
            }
        }
        let set = |words: BTreeSet<String>| ByWord::new(words.into_iter().map(|word| (word, ())));
        Self { everything, nouns: set(nouns), actions: set(actions) }
    }

    /// Whether the action is one of them.
    #[must_use]
    pub fn contain(&self, asked: Asked<'_>) -> bool {
        self.everything || self.actions.get(asked.action).is_some() || self.nouns.get(asked.noun).is_some()
    }
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Result<Grants, Vec<Diagnostic>> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let mut diagnostics = Vec::new();
        let grants = Grants::parse(&texts, "/grants", &mut diagnostics);
        if diagnostics.is_empty() { Ok(grants) } else { Err(diagnostics) }
    }

    #[test]
    fn an_action_is_granted_by_its_name_its_noun_or_everything() {
        let contain = |texts: &[&str], action: &str| grants(texts).unwrap().contain(Asked::of(action));
        assert!(contain(&["device:read"], "device:read"));
        assert!(!contain(&["device:read"], "device:retire"));
        assert!(contain(&["bundle:read", "device:*"], "device:retire"));
        assert!(!contain(&["device:*"], "devices:retire"));
        assert!(contain(&["*"], "device:retire"));
        assert!(!contain(&[], "device:read"));
    }

    #[test]
    fn what_is_no_grant_is_pointed_at() {
        for text in ["", "device", "Device:read", "device:", ":read", "*:read", "device:read:all", "device:re ad"] {
            let diagnostics = grants(&["device:read", text]).unwrap_err();
            assert_eq!(diagnostics[0].pointer, "/grants/1", "{text}");
        }
    }
}
