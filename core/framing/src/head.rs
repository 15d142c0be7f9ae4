//! The fields of a request head that decide where its content ends, and those that two readers
//! could tell apart differently.

use crate::{Fault, HEAD_BYTES_MAX};
use memchr::{memchr, memchr2};

/// What has been seen of one request head.
#[derive(Debug)]
pub(crate) struct Head {
    /// Of all lines so far.
    bytes: usize,
    version: Version,
    hosts: Hosts,
    /// The value of the one `Content-Length`.
    length: Option<u64>,
    chunked: bool,
}

/// How the content of a request is delimited (RFC 9112 section 6.3).
pub(crate) enum Content {
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Http10,
    Http11,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hosts {
    None,
    One,
}

impl Head {
    /// RFC 9112 section 3: `method SP request-target SP HTTP-version`, and nothing else. The parser
    /// would also take more than one space.
    pub(crate) fn after_request_line(line: &[u8]) -> Result<Self, Fault> {
        if memchr(b'\r', line).is_some() {
            return Err(Fault::BareCarriageReturn);
        }
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::RequestLineInvalid);
        };
        // A fragment never leaves the browser (RFC 9110 section 4.2.5); parsers cut it off in silence.
        if method.is_empty() || target.is_empty() || memchr2(b'\t', b'#', line).is_some() {
            return Err(Fault::RequestLineInvalid);
        }
        let version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => return Err(Fault::RequestLineInvalid),
        };
        Ok(Self { bytes: line.len(), version, hosts: Hosts::None, length: None, chunked: false })
    }

    /// One field line, without its line end.
    pub(crate) fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes > HEAD_BYTES_MAX {
            return Err(Fault::HeadTooLong);
        }
        if memchr(b'\r', line).is_some() {
            return Err(Fault::BareCarriageReturn);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::FoldedField);
        }
        let Some(colon) = memchr(b':', line) else {
            return Err(Fault::FieldWithoutColon);
        };
        let Some((name, value)) = line.split_at_checked(colon) else {
            return Ok(());
        };
        if memchr2(b' ', b'\t', name).is_some() {
            return Err(Fault::SpaceBeforeColon);
        }
        // The length sorts out nearly every name before a byte of it is compared.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(content_of(value)),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.content_length(content_of(value))
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding(content_of(value))
            }
            _ => Ok(()),
        }
    }

    /// At the empty line that ends the head.
    pub(crate) fn content(&self) -> Result<Content, Fault> {
        if self.version == Version::Http11 && self.hosts == Hosts::None {
            return Err(Fault::HostInvalid);
        }
        Ok(if self.chunked { Content::Chunked } else { Content::Length(self.length.unwrap_or(0)) })
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.hosts == Hosts::One || !is_host(value) {
            return Err(Fault::HostInvalid);
        }
        self.hosts = Hosts::One;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.chunked {
            return Err(Fault::LengthAndCoding);
        }
        if self.length.is_some() {
            return Err(Fault::LengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(Fault::LengthInvalid)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.version == Version::Http10 {
            return Err(Fault::CodingInOldVersion);
        }
        if self.length.is_some() {
            return Err(Fault::LengthAndCoding);
        }
        // RFC 9112 section 6.1 lets other codings stand before a final `chunked`. Nobody sends them,
        // servers differ in what they make of them, and a second field would be such a list.
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::CodingInvalid);
        }
        self.chunked = true;
        Ok(())
    }
}

/// A field's value: what follows the colon, without the white space around it. Only SP and HTAB are
/// white space here (RFC 9110 section 5.6.3); a vertical tab is part of the value, and an error.
fn content_of(colon_and_value: &[u8]) -> &[u8] {
    let mut value = colon_and_value.strip_prefix(b":").unwrap_or(colon_and_value);
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 section 8.6: `1*DIGIT`, no sign, no list. `None` also if it does not fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// RFC 9110 section 7.2: `uri-host [ ":" port ]`, or empty for a target without an authority. The
/// host is an address in brackets or made of the characters that a name can have; there is no user
/// information, no list, no path, no white space, and a port is a number.
fn is_host(value: &[u8]) -> bool {
    let (host, after) = match value.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = memchr(b']', literal) else { return false };
            let (address, after) = literal.split_at_checked(end).unwrap_or_default();
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if address.is_empty() || !address.iter().all(is_address) {
                return false;
            }
            (&b""[..], after.get(1..).unwrap_or_default())
        }
        None => {
            value.split_at_checked(memchr(b':', value).unwrap_or(value.len())).unwrap_or_default()
        }
    };
    let is_port = match after.split_first() {
        None => true,
        Some((b':', port)) => port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    is_port && host.iter().all(|byte| is_name_byte(*byte))
}

/// RFC 3986 section 3.2.2: unreserved, percent-encoded and sub-delims, but no comma, which joins two
/// fields into one.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}
