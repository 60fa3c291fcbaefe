//! The columns and the reasons of a configured plugin, each once.

use kernex_sdk::Reason;
use kernex_sdk::targeting::{ColumnRequest, reals, texts};

/// How many columns the contract allows.
pub(crate) const MAX_COLUMNS: usize = 16;
/// How many reasons the contract allows.
pub(crate) const MAX_REASONS: usize = 64;
/// How long a message may be, in bytes.
const MESSAGE_BYTES: usize = 1_024;

/// The columns: a fact can be asked for in one type only.
#[derive(Debug, Default)]
pub(crate) struct Columns(Vec<ColumnRequest>);

impl Columns {
    /// Asks for a column of texts. False where the fact is asked for as a number already.
    pub(crate) fn add_text(&mut self, fact: &str) -> bool {
        self.add(texts(fact))
    }

    /// Asks for a column of numbers. False where the fact is asked for as a text already.
    pub(crate) fn add_number(&mut self, fact: &str) -> bool {
        self.add(reals(fact))
    }

    fn add(&mut self, request: ColumnRequest) -> bool {
        match self.0.iter().find(|known| known.fact == request.fact) {
            Some(known) => known.type_ == request.type_,
            None => {
                self.0.push(request);
                true
            }
        }
    }

    pub(crate) fn requests(&self) -> Vec<ColumnRequest> {
        self.0.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The number of a reason among the layout's exclusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exclusion(pub(crate) u16);

/// The reasons for leaving devices out.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    /// The number of a reason; a new one where there is none like it yet.
    pub(crate) fn add(&mut self, code: &str, mut message: String) -> Exclusion {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        let known = self.0.iter().position(|reason| reason.code == code && reason.message == message);
        let index = known.unwrap_or_else(|| {
            self.0.push(Reason::new(code, message));
            self.0.len() - 1
        });
        Exclusion(u16::try_from(index).unwrap_or(u16::MAX))
    }

    pub(crate) fn reasons(&self) -> Vec<Reason> {
        self.0.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
