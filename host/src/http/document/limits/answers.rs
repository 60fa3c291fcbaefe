//! Owns the limits of what is answered only: what the server, policies and plugins say, tokens, and short lists.

use kernex_model::name::{DeploymentName, PolicyName};
use kernex_store::{MAX_PLUGINS, MAX_POLICIES};
use serde_json::{Value, json};

use super::super::super::page::MAX_CURSOR_BYTES;
use super::super::super::problem::{MAX_DETAIL_BYTES, MAX_INSTANCE_BYTES};
use super::Limit;
use crate::app::identity::access::MAX_TOKEN_BYTES;
use crate::app::identity::secret::{API_KEY_PREFIX, MAX_SECRET_BYTES, REFRESH_PREFIX};
use crate::app::plugins::MAX_BUNDLED;
use crate::app::readiness::PARTS;

/// A sentence for people, in bytes: a plugin's or a fault's, of 1 KiB at most, and what the server says around it.
const MAX_SENTENCE_BYTES: usize = 4 * 1024;
/// A code, a name or a version of a plugin's, in bytes, by the contract (`sdk/wit/v1/policy.wit`); the server's own
/// codes are shorter.
const MAX_CODE_BYTES: usize = 64;
/// A plugin's summary, in bytes, by the contract.
const MAX_SUMMARY_BYTES: usize = 1_024;
/// Reasons to leave devices out in one plan, by the contract.
const MAX_EXCLUSIONS: usize = 64;
/// What something is about, in bytes: the longest is a digest, or the name of a policy.
const MAX_SUBJECT_BYTES: usize = 64;
/// What stands before the code in the type of a problem.
const PROBLEM_TYPE: &str = "urn:kernex:problem:";
/// What stands before the name in `by` of a reason that is a policy's.
const BY_POLICY: &str = "policy:";
/// An IP address as text, in bytes.
const MAX_ADDRESS_BYTES: usize = 45;
/// The path of a bundle's content, in bytes: 31 around an identifier of 30.
const MAX_PATH_BYTES: usize = 61;
/// The name of a plugin's key, in bytes: eight bytes as hexadecimal digits.
const KEY_ID_BYTES: usize = 16;
/// What a plugin imports: three interfaces, each of a few versions.
const MAX_IMPORTS: usize = 16;
/// The full name of an imported interface, in bytes.
const MAX_IMPORT_BYTES: usize = 128;
/// The server's keys for tokens.
const MAX_KEYS: usize = 1;
/// 32 bytes as base64 without padding.
const MAX_KEY_TEXT_BYTES: usize = 43;
/// Pairs of outcomes, of nine.
const MAX_CHANGES: usize = 81;

const SENTENCES: [(&str, &str); 9] = [
    ("Decision", "message"),
    ("DecisionExplanation", "unrepeatable"),
    ("ExclusionCount", "message"),
    ("Explanation", "message"),
    ("Failure", "detail"),
    ("Finding", "message"),
    ("PreviewAnswer", "message"),
    ("StateReason", "message"),
    ("TimelineEntry", "message"),
];

const CODES: [(&str, &str); 14] = [
    ("Decision", "code"),
    ("ExclusionCount", "code"),
    ("Explanation", "code"),
    ("Failure", "code"),
    ("Finding", "code"),
    ("Jwk", "kid"),
    ("Plugin", "version"),
    ("Problem", "code"),
    ("Problem", "title"),
    ("Readiness", "version"),
    ("ServerHealth", "version"),
    ("StateReason", "code"),
    ("TimelineEntry", "code"),
    ("Wave", "name"),
];

const SUBJECTS: [(&str, &str); 7] = [
    ("AuditRecord", "resource_id"),
    ("AuditRecord", "resource_kind"),
    ("Count", "name"),
    ("Decision", "question"),
    ("Decision", "subject"),
    ("Difference", "question"),
    ("Difference", "subject"),
];

/// Texts that are always the same.
const WORDS: [(&str, &str, &str); 8] = [
    ("DeviceTokenAnswer", "token_type", "Bearer"),
    ("Jwk", "alg", "EdDSA"),
    ("Jwk", "crv", "Ed25519"),
    ("Jwk", "kty", "OKP"),
    ("Jwk", "use", "sig"),
    ("Readiness", "status", "ok"),
    ("ServerHealth", "status", "ok"),
    ("TokenAnswer", "token_type", "Bearer"),
];

/// A text of so many bytes at most.
fn text(bytes: usize) -> Value {
    json!({ "maxLength": bytes })
}

/// A list of so many items at most.
fn list(items: usize) -> Value {
    json!({ "maxItems": items })
}

/// Texts of so many bytes at most, each of a schema and a property.
fn texts(names: &'static [(&'static str, &'static str)], bytes: usize) -> impl Iterator<Item = Limit> {
    names.iter().map(move |(schema, property)| (*schema, *property, text(bytes)))
}

/// Limits of what is answered only.
pub(super) fn of_answers() -> Vec<Limit> {
    let words = WORDS.into_iter().map(|(schema, property, word)| {
        (schema, property, json!({ "maxLength": word.len(), "pattern": format!("^{word}$") }))
    });
    let mut all = particular();
    all.extend(texts(&SENTENCES, MAX_SENTENCE_BYTES));
    all.extend(texts(&CODES, MAX_CODE_BYTES));
    all.extend(texts(&SUBJECTS, MAX_SUBJECT_BYTES));
    all.extend(words);
    all
}

fn particular() -> Vec<Limit> {
    let secret = |prefix: &str| text(prefix.len() + MAX_SECRET_BYTES);
    let imports = json!({ "maxItems": MAX_IMPORTS, "items": { "type": "string", "maxLength": MAX_IMPORT_BYTES } });
    let part = json!({ "maxLength": MAX_CODE_BYTES, "pattern": format!("^({})$", PARTS.join("|")) });
    vec![
        ("ApiKeyAnswer", "key", secret(API_KEY_PREFIX)),
        ("AuditRecord", "address", text(MAX_ADDRESS_BYTES)),
        ("Breakdown", "changes", list(MAX_CHANGES)),
        ("CommandBundle", "download_path", text(MAX_PATH_BYTES)),
        ("Deployment", "exclusions", list(MAX_EXCLUSIONS)),
        ("DeviceTokenAnswer", "access_token", text(MAX_TOKEN_BYTES)),
        ("Explanation", "name", text(DeploymentName::MAX_LENGTH)),
        ("FieldProblem", "detail", text(MAX_DETAIL_BYTES)),
        ("FieldProblem", "pointer", text(MAX_DETAIL_BYTES)),
        ("InvitationAnswer", "invitation", text(MAX_TOKEN_BYTES)),
        ("Jwk", "x", text(MAX_KEY_TEXT_BYTES)),
        ("Jwks", "keys", list(MAX_KEYS)),
        ("Listing_Plugin", "items", list(MAX_PLUGINS + MAX_BUNDLED)),
        ("Listing_Plugin", "next", text(MAX_CURSOR_BYTES)),
        ("Listing_PolicyAnswer", "items", list(MAX_POLICIES)),
        ("Listing_PolicyAnswer", "next", text(MAX_CURSOR_BYTES)),
        ("PartHealth", "name", part),
        ("Plugin", "imports", imports),
        ("Plugin", "signed_by", text(KEY_ID_BYTES)),
        ("Plugin", "summary", text(MAX_SUMMARY_BYTES)),
        ("PreviewAnswer", "exclusions", list(MAX_EXCLUSIONS)),
        ("Problem", "checks", list(PARTS.len())),
        ("Problem", "detail", text(MAX_DETAIL_BYTES)),
        ("Problem", "instance", text(MAX_INSTANCE_BYTES)),
        ("Problem", "type", text(PROBLEM_TYPE.len() + MAX_CODE_BYTES)),
        ("Readiness", "checks", list(PARTS.len())),
        ("SessionAnswer", "address", text(MAX_ADDRESS_BYTES)),
        ("StateReason", "by", text(BY_POLICY.len() + PolicyName::MAX_LENGTH)),
        ("TokenAnswer", "access_token", text(MAX_TOKEN_BYTES)),
        ("TokenAnswer", "refresh_token", secret(REFRESH_PREFIX)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::checks::checked_in;
    use super::*;

    #[test]
    fn outcomes_can_change_in_so_many_ways() {
        let document = checked_in();
        let outcomes = document["components"]["schemas"]["DecisionOutcome"]["enum"].as_array().expect("outcomes");
        assert_eq!(outcomes.len() * outcomes.len(), MAX_CHANGES);
    }

    #[test]
    fn a_bundles_path_is_as_long_as_it_is_said_to_be() {
        let path = "/api/v1/device/bundles/bun_01M7Z8SGG0138GGB68V1D0GCYT/content";
        assert_eq!(path.len(), MAX_PATH_BYTES);
    }
}
