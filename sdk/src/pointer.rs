//! JSON pointers (RFC 6901): from a position in a JSON text to the pointer of the value there.

/// What the scanner is inside of.
enum Frame {
    Object { key: Option<String> },
    Array { index: usize },
}

/// A name in an object as one step of a pointer, without the slash.
///
/// ```
/// use kernex_sdk::pointer;
///
/// assert_eq!(format!("/roles/{}/grants", pointer::escaped("a/b~c")), "/roles/a~1b~0c/grants");
/// ```
#[must_use]
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The pointer of the value that ends at, or contains, the 1-based `line` and `column` (in bytes).
/// The text must be well-formed up to there; where it is not, the pointer is that of the last value
/// understood.
pub(crate) fn at(text: &str, line: usize, column: usize) -> String {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = (before + column).min(text.len());
    let bytes = &text.as_bytes()[..end];
    let mut frames: Vec<Frame> = Vec::new();
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'{' => frames.push(Frame::Object { key: None }),
            b'[' => frames.push(Frame::Array { index: 0 }),
            b'}' | b']' => {
                frames.pop();
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object { key }) => *key = None,
                Some(Frame::Array { index }) => *index += 1,
                None => {}
            },
            b'"' => {
                let close = string_end(bytes, position);
                if let Some(Frame::Object { key: key @ None }) = frames.last_mut() {
                    *key = serde_json::from_slice(&bytes[position..close]).ok();
                }
                position = close;
                continue;
            }
            _ => {}
        }
        position += 1;
    }
    frames.iter().filter_map(step).collect()
}

/// One step of the pointer, escaped; none for an object whose key is not known yet.
fn step(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Object { key } => key.as_ref().map(|key| format!("/{}", escaped(key))),
        Frame::Array { index } => Some(format!("/{index}")),
    }
}

/// The position after the string that starts at `start`, or the end.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            b'"' => return position + 1,
            _ => position += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::at;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it parses matters")]
    struct Settings {
        roles: BTreeMap<String, Vec<u32>>,
        #[serde(default)]
        name: String,
    }

    fn pointer_of(text: &str) -> String {
        let error = serde_json::from_str::<Settings>(text).unwrap_err();
        at(text, error.line(), error.column())
    }

    #[test]
    fn a_wrong_value_is_pointed_at() {
        assert_eq!(pointer_of(r#"{"roles": {"a/b": [1, "x"]}}"#), "/roles/a~1b/1");
        assert_eq!(pointer_of("{\n  \"roles\": {},\n  \"name\": 5\n}"), "/name");
        assert_eq!(pointer_of(r#"{"roles": {"tilde~": 7}, "name": "x"}"#), "/roles/tilde~0");
    }

    #[test]
    fn a_missing_field_is_pointed_at_by_its_object() {
        assert_eq!(pointer_of(r#"{"name": "\"}{"}"#), "");
    }

    #[test]
    fn an_unknown_field_is_pointed_at() {
        assert_eq!(pointer_of(r#"{"roles": {}, "rolse": {"x": 1}}"#), "/rolse");
    }

    #[test]
    fn a_text_that_is_no_json_has_a_pointer_too() {
        assert_eq!(pointer_of("{"), "");
        assert_eq!(pointer_of(""), "");
        assert_eq!(pointer_of(r#"{"roles": {"a": [1, "#), "/roles/a/1");
    }
}
