//! Owns pages of lists: their size, and the cursors that lead from one to the next.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernex_model::digest::Digest;

use crate::error::StoreError;

/// Records on one page.
pub const MAX_PAGE: u16 = 1_000;
/// Bytes of a cursor's text.
const MAX_CURSOR_BYTES: usize = 512;
/// Hexadecimal digits of a list's name in its cursors.
const TAG_LENGTH: usize = 8;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Records at most, 1 to [`MAX_PAGE`]; what lies outside is moved to the edge.
    pub limit: u16,
    /// Where the page before it ended; the list's beginning, where absent.
    pub after: Option<Cursor>,
}

impl Page {
    /// The first page.
    #[must_use]
    pub fn first(limit: u16) -> Self {
        Self { limit, after: None }
    }

    pub(crate) fn size(&self) -> usize {
        usize::from(self.limit.clamp(1, MAX_PAGE))
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What stands on the page.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end. A page with a next one may be short, even
    /// empty, where a filter let little through.
    pub next: Option<Cursor>,
}

/// A place in one list. Its text is opaque; another list, or the same with another filter, refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    tag: String,
    sort: String,
}

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that this server gave out")]
pub struct InvalidCursor;

impl Cursor {
    /// A cursor of the list that `list` names in full, with its filters.
    pub(crate) fn new(list: &str, sort: &str) -> Self {
        Self { tag: tag(list), sort: sort.to_owned() }
    }

    /// Where the list goes on.
    pub(crate) fn place(&self, list: &str) -> Result<&str, StoreError> {
        if self.tag == tag(list) { Ok(&self.sort) } else { Err(StoreError::ForeignCursor) }
    }
}

fn tag(list: &str) -> String {
    Digest::of(list.as_bytes()).to_string().chars().take(TAG_LENGTH).collect()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{}{}", self.tag, self.sort)))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_CURSOR_BYTES {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidCursor)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let (tag, sort) = text.split_at_checked(TAG_LENGTH).ok_or(InvalidCursor)?;
        if !plain || sort.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidCursor);
        }
        Ok(Self { tag: tag.to_owned(), sort: sort.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let cursor = Cursor::new("user", "01JD5Z8Q0V3W4X5Y6Z7A8B9C0D");
        let read: Cursor = cursor.to_string().parse().expect("a cursor's own text");
        assert_eq!(read.place("user"), Ok("01JD5Z8Q0V3W4X5Y6Z7A8B9C0D"));
        assert_eq!(read.place("user disabled"), Err(StoreError::ForeignCursor));
    }

    #[test]
    fn what_no_server_gave_out_is_refused() {
        for bad in [
            "",
            "x",
            "AAAA",
            "!!!!",
            &URL_SAFE_NO_PAD.encode("0123abcd"),
            &URL_SAFE_NO_PAD.encode("0123abcd\u{0}x"),
            &"A".repeat(600),
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
