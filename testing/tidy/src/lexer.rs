//! Tells code, text and comments of Rust apart, which is all that the laws need of a lexer.
//!
//! A forbidden word in a comment is not code, and a metric's name is only one inside a string. The
//! lexer knows line and nested block comments, strings with escapes, raw strings, and that `'a` may be
//! a lifetime. It never fails: what is not closed runs to the end of the file.

/// What a piece of a source file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything else.
    Code,
    /// What stands between the quotes of a string or character.
    Text,
    /// A comment with its marks.
    Comment,
}

/// A stretch of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it stands in the file.
    pub text: &'a str,
    /// Line of its first character, from 1.
    pub line: usize,
}

/// Cuts `source` into pieces, in order; only quotes belong to none of them.
pub fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut code_start, mut at, mut line, mut counted) = (0, 0, 1, 0);
    let mut push = |kind, start: usize, end: usize| {
        line += source[counted..start].matches('\n').count();
        counted = start;
        if start < end {
            found.push(Piece { kind, text: &source[start..end], line });
        }
    };
    while at < source.len() {
        let Some((kind, skip, length, after)) = special(source, at) else {
            at += source[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        push(Kind::Code, code_start, at);
        push(kind, at + skip, at + skip + length);
        at += skip + length + after;
        code_start = at;
    }
    push(Kind::Code, code_start, source.len());
    found
}

/// A comment or text that starts at `at`: its kind, the length of its opening mark if that is not part of
/// it, its own length, and that of the closing mark.
fn special(source: &str, at: usize) -> Option<(Kind, usize, usize, usize)> {
    let rest = &source[at..];
    if rest.starts_with("//") {
        return Some((Kind::Comment, 0, rest.find('\n').unwrap_or(rest.len()), 0));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, 0, block_comment(rest), 0));
    }
    if let Some(body) = rest.strip_prefix('"') {
        let length = escaped_until(body, '"');
        return Some((Kind::Text, 1, length, usize::from(length < body.len())));
    }
    if rest.starts_with("r\"") || rest.starts_with("r#") {
        let inside_a_name = source[..at]
            .trim_end_matches(['b', 'c'])
            .ends_with(|c: char| c.is_alphanumeric() || c == '_');
        return if inside_a_name { None } else { raw_string(rest) };
    }
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.chars();
    let (first, second) = (characters.next()?, characters.next()?);
    if first == '\\' {
        let length = escaped_until(body, '\'');
        return Some((Kind::Text, 1, length, usize::from(length < body.len())));
    }
    (second == '\'').then(|| (Kind::Text, 1, first.len_utf8(), 1))
}

/// Length of the text up to the first `end` that no backslash stands before.
fn escaped_until(body: &str, end: char) -> usize {
    let mut escaped = false;
    for (index, character) in body.char_indices() {
        if character == end && !escaped {
            return index;
        }
        escaped = character == '\\' && !escaped;
    }
    body.len()
}

fn raw_string(rest: &str) -> Option<(Kind, usize, usize, usize)> {
    let marks = rest[1..].chars().take_while(|&c| c == '#').count();
    let body = rest[1 + marks..].strip_prefix('"')?; // else a raw identifier
    let close = format!("\"{}", "#".repeat(marks));
    let length = body.find(&close).unwrap_or(body.len());
    Some((Kind::Text, marks + 2, length, close.len().min(body.len() - length)))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, source: &str) -> Vec<&str> {
        pieces(source).into_iter().filter(|piece| piece.kind == kind).map(|p| p.text).collect()
    }

    #[test]
    fn code_text_and_comments_are_told_apart() {
        let source = r##"let a = "x // no"; // yes "no"
            let b = r#"raw " quote"#; let c = '"'; let d: &'static str = b"\"esc"; /* a /* b */ c */ end"##;
        assert_eq!(of(Kind::Text, source), ["x // no", "raw \" quote", "\"", "\\\"esc"]);
        assert_eq!(of(Kind::Comment, source), ["// yes \"no\"", "/* a /* b */ c */"]);
        assert!(of(Kind::Code, source).concat().contains("&'static str"));
    }

    #[test]
    fn a_raw_identifier_and_a_name_that_ends_in_r_are_code() {
        assert_eq!(of(Kind::Text, "r#type; for\"x\""), ["x"]);
    }

    #[test]
    fn what_is_not_closed_runs_to_the_end() {
        for source in ["\"a", "'\\", "/* a", "r#\"a", "//", "'", "\"\\"] {
            let _ = pieces(source);
        }
        assert_eq!(of(Kind::Comment, "/* a"), ["/* a"]);
    }

    #[test]
    fn lines_are_counted() {
        let lines: Vec<_> =
            pieces("a\n\"b\n\"\n// c\n").into_iter().map(|p| (p.kind, p.line)).collect();
        assert_eq!(
            lines,
            [
                (Kind::Code, 1),
                (Kind::Text, 2),
                (Kind::Code, 3),
                (Kind::Comment, 4),
                (Kind::Code, 4)
            ]
        );
    }
}
