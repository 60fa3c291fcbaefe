//! The freezes, as stretches of time.

use kernex_sdk::Diagnostic;

use crate::instants;
use crate::settings::Period;

/// How many freezes there may be.
const MAX_FREEZES: usize = 256;
/// How long a freeze's name may be, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The freezes, those that end last first.
#[derive(Debug)]
pub(crate) struct Freezes(Vec<Freeze>);

/// A stretch of time in milliseconds since the Unix epoch: at least `from_ms`, less than `to_ms`.
#[derive(Debug)]
pub(crate) struct Freeze {
    pub(crate) name: String,
    pub(crate) to_ms: i64,
    from_ms: i64,
}

impl Freezes {
    pub(crate) fn parse(periods: Vec<Period>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        if periods.len() > MAX_FREEZES {
            diagnostics.push(Diagnostic::new("/freezes", format!("there are at most {MAX_FREEZES} freezes")));
        }
        let mut parsed = Vec::new();
        for (index, period) in periods.into_iter().enumerate() {
            match stretch(period) {
                Ok(freeze) => parsed.push(freeze),
                Err((field, message)) => {
                    diagnostics.push(Diagnostic::new(format!("/freezes/{index}{field}"), message));
                }
            }
        }
        parsed.sort_by_key(|freeze| std::cmp::Reverse(freeze.to_ms));
        Self(parsed)
    }

    /// The freeze that it is; of several, the one that ends last.
    pub(crate) fn at(&self, now_ms: i64) -> Option<&Freeze> {
        self.0.iter().take_while(|freeze| now_ms < freeze.to_ms).find(|freeze| freeze.from_ms <= now_ms)
    }
}

/// Otherwise the pointer within the freeze, and what is wrong there.
fn stretch(period: Period) -> Result<Freeze, (&'static str, String)> {
    let Period { name, from, to } = period;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(("/name", format!("a freeze has a name of at most {MAX_NAME_BYTES} bytes")));
    }
    let moment = |field, text: &str| {
        let wrong = |error| (field, format!("`{text}` is no moment as in RFC 3339: {error}"));
        instants::parse(text).map_err(wrong)
    };
    let (from_ms, to_ms) = (moment("/from", &from)?, moment("/to", &to)?);
    if from_ms >= to_ms {
        return Err(("/to", "a freeze ends after it begins".to_owned()));
    }
    Ok(Freeze { name, to_ms, from_ms })
}
