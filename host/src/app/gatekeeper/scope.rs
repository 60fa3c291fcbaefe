//! Owns what part of a list a caller is shown.

use kernex_model::selector::Selector;

/// Which resources of a kind a caller may see.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that match.
    Matching(Selector),
    /// None: the list is empty.
    Nothing,
}

impl Scope {
    /// The selector that narrows a list; `None` for all. Call after [`Scope::is_nothing`].
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Matching(selector) => Some(selector),
            Self::All | Self::Nothing => None,
        }
    }

    /// Whether nothing may be seen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}
