//! The wrongs that are the same for every gate.

use std::hint::black_box;

use serde::Deserialize;

/// Longer than any text of a decision may be, in bytes.
pub(crate) const WORDY_BYTES: usize = 10_000;
/// More than may cross to the host in one call, in bytes.
pub(crate) const GIANT_BYTES: usize = 3 << 20;
/// A buffer to fill again and again, in bytes.
const BULK_BYTES: usize = 4 << 20;
/// A line for the log that keeps the host busy for longer than the plugin, in bytes.
const LINE_BYTES: usize = 64 << 10;

/// The wrong that `describe` does, up to the dots. It is given nothing that a test could say it in: a test writes
/// another name over this one, in the component's bytes.
static IN_DESCRIBE: [u8; 32] = *b"wrong-in-describe:none..........";

/// One kind of wrong.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mischief {
    /// None: decide as a plugin should.
    #[default]
    None,
    /// Panic.
    Panic,
    /// Never return.
    Loop,
    /// Never return, in few instructions: fill memory in bulk.
    Bulk,
    /// Never return, in few instructions: have the host do the work.
    Linger,
    /// Recurse without an end.
    Recurse,
    /// Allocate without an end.
    Allocate,
    /// Leave no memory to whatever comes next, and use none of it.
    Hoard,
    /// Answer with more than may cross.
    Giant,
    /// Answer with a text that is too long.
    Wordy,
    /// Answer with a text that is no UTF-8.
    Garbled,
    /// Answer with something that the contract rules out.
    Nonsense,
    /// Answer with a selector that the contract lets pass and the host cannot apply.
    Unfit,
    /// Write to the log without a measure, and decide as a plugin should.
    Chatty,
    /// Look up what the host has, and say it.
    Curious,
    /// Write one line to the log, and decide as a plugin should.
    Telling,
    /// Remember that it was asked before, and say so.
    Remembering,
    /// Classify devices by their places in the batch.
    Counting,
    /// Allow what a fact would forbid, where the fact is missing.
    Trusting,
    /// Decide for another reason where there is no memory left.
    Makeshift,
}

impl Mischief {
    /// The wrong to do in `describe`.
    pub fn in_describe() -> Self {
        #[expect(unsafe_code, reason = "the compiler must not know what stands there")]
        // SAFETY: whatever a reference points to can be read.
        let text: String =
            IN_DESCRIBE.iter().map(|byte| char::from(unsafe { std::ptr::read_volatile(byte) })).collect();
        let name = text.trim_end_matches('.').rsplit(':').next().unwrap_or_default();
        serde_json::from_value(name.into()).unwrap_or_default()
    }

    /// Does those wrongs that keep an answer from being given.
    pub fn happen(self) {
        match self {
            Self::Panic => panic!("as asked"),
            Self::Loop => {
                let mut count: u64 = 0;
                loop {
                    count = black_box(count.wrapping_add(1));
                }
            }
            Self::Bulk => {
                let mut buffer = vec![0_u8; BULK_BYTES];
                loop {
                    black_box(&mut buffer).fill(black_box(7));
                }
            }
            Self::Linger => {
                let line = "x".repeat(LINE_BYTES);
                loop {
                    kernex_sdk::log::debug(black_box(&line));
                }
            }
            Self::Recurse => {
                black_box(deeper(black_box(1)));
            }
            Self::Allocate => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    kept.push(black_box(Vec::with_capacity(1 << 20)));
                }
            }
            Self::Hoard => hoard(),
            Self::Chatty => {
                for _ in 0..1_000 {
                    kernex_sdk::log::info("a line of some length, written a thousand times over");
                }
            }
            Self::Telling => kernex_sdk::log::warn("as asked"),
            Self::None
            | Self::Giant
            | Self::Wordy
            | Self::Garbled
            | Self::Nonsense
            | Self::Unfit
            | Self::Curious
            | Self::Remembering
            | Self::Counting
            | Self::Trusting
            | Self::Makeshift => {}
        }
    }

    /// A text for an answer: as wrong as asked for.
    pub fn text(self) -> String {
        match self {
            Self::Giant => "x".repeat(GIANT_BYTES),
            Self::Wordy => "x".repeat(WORDY_BYTES),
            #[expect(unsafe_code, reason = "a text that is no UTF-8 is the point")]
            // SAFETY: none. It is never read here; the host must notice.
            Self::Garbled => unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) },
            _ => "as asked".to_owned(),
        }
    }
}

/// Whether some megabytes can be had.
pub(crate) fn has_room() -> bool {
    let mut room: Vec<u8> = Vec::new();
    let granted = room.try_reserve_exact(black_box(BULK_BYTES)).is_ok();
    black_box(&room);
    granted
}

/// Page by page, until the host refuses one.
#[cfg(target_arch = "wasm32")]
fn hoard() {
    while core::arch::wasm32::memory_grow::<0>(1) != usize::MAX {}
}

#[cfg(not(target_arch = "wasm32"))]
fn hoard() {}

#[expect(unconditional_recursion, reason = "to overflow the stack")]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + 1
}
