//! Owns the part of Rust's lexer that counting braces needs: comments and literals become blanks.

/// The text with every comment, string and character literal blanked out; lines stay where they were.
pub(crate) fn scrub(text: &str) -> String {
    let mut rest = text;
    let mut clean = String::with_capacity(text.len());
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let length = if after_word && !matches!(first, '"' | '\'' | '/') { 0 } else { blank_length(rest) };
        if length == 0 {
            clean.push(first);
            after_word = first.is_alphanumeric() || first == '_';
            rest = &rest[first.len_utf8()..];
        } else {
            let (blank, after) = rest.split_at(length);
            clean.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            after_word = false;
            rest = after;
        }
    }
    clean
}

/// Bytes of the comment or literal at the beginning of the text; 0 where there is none.
fn blank_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    if text.len() - unprefixed.len() <= 1 {
        let prefix = text.len() - unprefixed.len();
        if let Some(length) = raw_string(unprefixed) {
            return prefix + length;
        }
        if let Some(inner) = unprefixed.strip_prefix('"') {
            return prefix + 1 + until_quote(inner, '"');
        }
        if let Some(inner) = unprefixed.strip_prefix('\'') {
            return character(inner).map_or(0, |length| prefix + 1 + length);
        }
    }
    0
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let hashed = text.strip_prefix('r')?;
    let inner = hashed.trim_start_matches('#');
    let hashes = hashed.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inner.len();
    Some(inner.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// Bytes up to and with the closing quote.
fn until_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// `None` for a lifetime.
fn character(inner: &str) -> Option<usize> {
    let first = inner.chars().next()?;
    if first == '\\' {
        return Some(until_quote(inner, '\''));
    }
    inner[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 1)
}

#[test]
fn literals_and_comments_vanish() {
    let cases = [
        ("a // {\nb", "a     \nb"),
        ("a /* { /* } */ */ b", "a                 b"),
        (r#"x("{\"}") y"#, "x(      ) y"),
        ("r#\"{\"{\"# y", "         y"),
        ("b\"}\" c", "     c"),
        ("'{' '\\'' 'a b", "         'a b"),
        ("for<'a> &'a T", "for<'a> &'a T"),
        ("number\"{\"", "number   "),
    ];
    for (text, clean) in cases {
        assert_eq!(scrub(text), clean, "{text}");
    }
}
