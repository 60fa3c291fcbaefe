//! Owns the identifier of a trace, as W3C Trace Context writes it: 32 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use crate::codec::InvalidText;

/// Length of an identifier, in bytes.
const BYTES: usize = 16;
/// Length of its text, in bytes.
const LENGTH: usize = 2 * BYTES;

/// One trace: what was done for one call, in all systems that took part in it. Never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; BYTES]);

impl TraceId {
    /// The identifier of these bytes; none where all of them are 0, which stands for no trace.
    #[must_use]
    pub fn from_bytes(bytes: [u8; BYTES]) -> Option<Self> {
        (bytes != [0; BYTES]).then_some(Self(bytes))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

const PATTERN: &str = "^[0-9a-f]{32}$";

impl FromStr for TraceId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidText { what: "TraceId", pattern: PATTERN, max_length: LENGTH };
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid);
        }
        let mut bytes = [0; BYTES];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Self::from_bytes(bytes).ok_or(invalid),
            Err(_) => Err(invalid),
        }
    }
}

crate::text_codec!(TraceId { pattern: PATTERN, max_length: LENGTH, example: "0af7651916cd43dd8448eb211c80319c" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_identifier_are_one_to_one() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        let id: TraceId = text.parse().expect("an identifier");
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_value(id).unwrap(), text);
        assert_eq!(serde_json::from_value::<TraceId>(text.into()).unwrap(), id);
        for bad in [&text[..31], &format!("{text}0"), &text.to_uppercase(), "", &"0".repeat(32), &"g".repeat(32)] {
            assert!(bad.parse::<TraceId>().is_err(), "{bad}");
        }
        assert_eq!(TraceId::from_bytes([0; BYTES]), None);
        assert_eq!(TraceId::from_bytes([1; BYTES]).map(|id| id.to_string()), Some("01".repeat(16)));
    }
}
