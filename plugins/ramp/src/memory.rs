//! What is remembered from one look to the next, as bytes.

use crate::abort::Failures;
use crate::meter::Meter;

/// What the state begins with: whose it is, and how the rest is to be read.
const TAG: [u8; 5] = *b"ramp\x01";

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) meter: Meter,
    /// What a person has accepted by resuming after a pause.
    pub(crate) accepted: Failures,
}

impl Memory {
    /// None where the bytes are of another policy, another version, or cut off.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&TAG)?;
        let meter = Meter { due_us: u64::from_le_bytes(take(&mut rest)?), notified: number(&mut rest)? };
        let accepted = Failures {
            all: number(&mut rest)?,
            failed: number(&mut rest)?,
            timed_out: number(&mut rest)?,
            rejected: number(&mut rest)?,
        };
        rest.is_empty().then_some(Self { meter, accepted })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let Self { meter, accepted } = self;
        let mut bytes = TAG.to_vec();
        bytes.extend_from_slice(&meter.due_us.to_le_bytes());
        for count in [meter.notified, accepted.all, accepted.failed, accepted.timed_out, accepted.rejected] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let accepted = Failures { all: 10, failed: 6, timed_out: 4, rejected: u32::MAX };
        Memory { meter: Meter { due_us: 1_766_491_200_000_000, notified: 77 }, accepted }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = memory().write();
        assert_eq!(bytes.len(), 33);
        assert_eq!(Memory::read(&bytes), Some(memory()));
    }

    #[test]
    fn nothing_else_is_read() {
        let bytes = memory().write();
        for length in 0..bytes.len() {
            assert_eq!(Memory::read(&bytes[..length]), None, "cut off after {length} bytes");
        }
        assert_eq!(Memory::read(&[bytes.as_slice(), &[0]].concat()), None, "one byte too many");
        assert_eq!(Memory::read(&[b"ramp\x02", &bytes[5..]].concat()), None, "another version");
        assert_eq!(Memory::read(&[1, 2, 0, 0, 0]), None, "the state of `guardian`");
    }
}
