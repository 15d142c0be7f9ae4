//! The chunked transfer coding (RFC 9112 section 7.1), read to the letter.
//!
//! Parsers are lenient here in different ways: white space around the size, a bare LF, anything at
//! all in an extension. This reader takes hexadecimal digits, an optional extension of printable
//! characters, CR LF, the data, CR LF; and a trailer section of well-formed lines.

use crate::Fault;

/// More digits than a 64-bit size has.
const SIZE_DIGITS_MAX: u8 = 16;
/// Extensions carry nothing that anyone uses; this is room for a signature.
const EXTENSION_BYTES_MAX: u16 = 1024;
/// Trailers of one message: checksums and status codes fit many times over.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// The position inside one chunked content.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
}

#[derive(Debug)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, bytes: u16, part: ExtensionPart },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { part: TrailerPart, bytes: u16 },
    Over,
}

/// Where in an extension the next byte stands (RFC 9112 section 7.1.1).
#[derive(Clone, Copy, Debug)]
enum ExtensionPart {
    Plain,
    Quoted,
    /// After a backslash in quotes.
    Escaped,
}

/// Where in a trailer line the next byte stands.
#[derive(Clone, Copy, Debug)]
enum TrailerPart {
    Start,
    Name,
    Value,
    /// After the CR of a field line.
    Lf,
    /// After the CR of the empty line that ends it all.
    LastLf,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunked {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes what belongs to this content; returns how many bytes that is.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match &mut self.state {
                State::Over => break,
                State::Data { left } => {
                    let taken = crate::consume_length(left, rest);
                    rest = rest.get(taken..).unwrap_or_default();
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                }
                _ => {
                    self.byte(byte)?;
                    rest = after;
                }
            }
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Fault> {
        self.state = match (&self.state, byte) {
            (State::Size { digits: 1.., size }, b'\r') => State::SizeLf { size: *size },
            (State::Size { digits: 1.., size }, b';') => {
                State::Extension { size: *size, bytes: 0, part: ExtensionPart::Plain }
            }
            (State::Size { size, digits }, _) => size_digit(*size, *digits, byte)?,
            (State::Extension { size, part: ExtensionPart::Plain, .. }, b'\r') => {
                State::SizeLf { size: *size }
            }
            (State::Extension { size, bytes, part }, _) if *bytes < EXTENSION_BYTES_MAX => {
                let part = extension_byte(*part, byte).ok_or(Fault::ChunkInvalid)?;
                State::Extension { size: *size, bytes: bytes.saturating_add(1), part }
            }
            (State::SizeLf { size: 0 }, b'\n') => {
                State::Trailer { part: TrailerPart::Start, bytes: 0 }
            }
            (State::SizeLf { size }, b'\n') => State::Data { left: *size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::default(),
            (State::Trailer { part: TrailerPart::LastLf, .. }, b'\n') => State::Over,
            (State::Trailer { part, bytes }, _) if *bytes < TRAILER_BYTES_MAX => State::Trailer {
                part: trailer_byte(*part, byte).ok_or(Fault::TrailerInvalid)?,
                bytes: bytes.saturating_add(1),
            },
            (State::Trailer { .. }, _) => return Err(Fault::TrailerInvalid),
            _ => return Err(Fault::ChunkInvalid),
        };
        Ok(())
    }
}

fn size_digit(size: u64, digits: u8, byte: u8) -> Result<State, Fault> {
    let digit = char::from(byte).to_digit(16).ok_or(Fault::ChunkInvalid)?;
    if digits >= SIZE_DIGITS_MAX {
        return Err(Fault::ChunkInvalid);
    }
    let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
    Ok(State::Size { size: size.ok_or(Fault::ChunkInvalid)?, digits: digits.saturating_add(1) })
}

/// `None` where an extension can not go on with this byte. The line does not end inside of quotes: a
/// reader who minds them must not look for its end elsewhere than one who does not.
fn extension_byte(part: ExtensionPart, byte: u8) -> Option<ExtensionPart> {
    Some(match (part, byte) {
        (ExtensionPart::Plain, b'"') => ExtensionPart::Quoted,
        (ExtensionPart::Quoted, b'"') => ExtensionPart::Plain,
        (ExtensionPart::Quoted, b'\\') => ExtensionPart::Escaped,
        (ExtensionPart::Escaped, b'\t' | b' '..=b'~') => ExtensionPart::Quoted,
        (_, b'\t' | b' '..=b'~') => part,
        _ => return None,
    })
}

/// `None` where a well-formed field line can not go on with this byte.
fn trailer_byte(part: TrailerPart, byte: u8) -> Option<TrailerPart> {
    Some(match (part, byte) {
        (TrailerPart::Start, b'\r') => TrailerPart::LastLf,
        (TrailerPart::Name, b':') | (TrailerPart::Value, b'\t' | b' '..=b'~' | 0x80..) => {
            TrailerPart::Value
        }
        (TrailerPart::Start | TrailerPart::Name, _) if is_token(byte) => TrailerPart::Name,
        (TrailerPart::Value, b'\r') => TrailerPart::Lf,
        (TrailerPart::Lf, b'\n') => TrailerPart::Start,
        _ => return None,
    })
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
