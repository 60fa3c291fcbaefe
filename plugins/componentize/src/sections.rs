//! Removing the sections of a core module that say how it was built rather than what it does.

/// Custom sections that go: names of functions depend on where the sources lie.
const REMOVED: [&[u8]; 3] = [b"name", b"producers", b"target_features"];
/// Magic number and version, in bytes.
const HEADER_BYTES: usize = 8;

/// The module without the custom sections that do not matter to a host.
pub(crate) fn without_names(module: &[u8]) -> Result<Vec<u8>, String> {
    let header = module.get(..HEADER_BYTES).ok_or("shorter than a module's header")?;
    let mut kept = header.to_vec();
    let mut rest = &module[HEADER_BYTES..];
    while let Some((id, after)) = rest.split_first() {
        let (length, body) = number(after).ok_or("a section without a length")?;
        let content = body.get(..length).ok_or("a section that is cut off")?;
        let end = 1 + (after.len() - body.len()) + length;
        if *id != 0 || !custom_name(content).is_some_and(|name| REMOVED.contains(&name)) {
            kept.extend_from_slice(&rest[..end]);
        }
        rest = &rest[end..];
    }
    Ok(kept)
}

fn custom_name(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(content)?;
    rest.get(..length)
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value: usize = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";

    #[test]
    fn names_go_and_the_rest_stays() {
        let mut module = HEADER.to_vec();
        module.extend_from_slice(b"\x01\x01\x00");
        module.extend_from_slice(b"\x00\x07\x04nameXX");
        module.extend_from_slice(b"\x00\x05\x04keep");
        let mut wanted = HEADER.to_vec();
        wanted.extend_from_slice(b"\x01\x01\x00");
        wanted.extend_from_slice(b"\x00\x05\x04keep");
        assert_eq!(without_names(&module), Ok(wanted));
    }

    #[test]
    fn a_cut_off_module_is_an_error() {
        assert!(without_names(b"\0asm").is_err());
        let mut module = HEADER.to_vec();
        module.extend_from_slice(b"\x01\x09\x00");
        assert!(without_names(&module).is_err());
        module.truncate(9);
        assert!(without_names(&module).is_err());
    }
}
