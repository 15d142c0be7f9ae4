//! Why a request was refused.

use core::fmt;

/// Where a stream of bytes stopped being acceptable, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// How many bytes of the call may still go to the parser.
    pub at: usize,
    /// What is wrong with what follows.
    pub fault: Fault,
}

/// What two readers could read differently. Each is a metric label: [`Fault::as_str`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// `Content-Length` and `Transfer-Encoding` in one request (RFC 9112 section 6.3, item 3).
    LengthAndCoding,
    /// More than one `Content-Length`, even if they agree: a sender that repeats it is broken or
    /// probing, and readers differ on which one counts (RFC 9112 section 6.3, item 5).
    LengthRepeated,
    /// A `Content-Length` that is not a plain decimal number (RFC 9110 section 8.6).
    LengthInvalid,
    /// A `Transfer-Encoding` other than exactly one `chunked` (RFC 9112 section 6.1).
    CodingInvalid,
    /// `Transfer-Encoding` in HTTP/1.0, which does not know it (RFC 9112 section 6.1).
    CodingInOldVersion,
    /// No `Host` in HTTP/1.1, more than one, or one that is no host (RFC 9112 section 3.2).
    HostInvalid,
    /// A field line that begins with white space: folding is obsolete (RFC 9112 section 5.2).
    FoldedField,
    /// White space between a field's name and its colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A line of a head without a colon.
    FieldWithoutColon,
    /// A CR that no LF follows (RFC 9112 section 2.2).
    BareCarriageReturn,
    /// A request line other than method, one space, target, one space, version (RFC 9112 section 3).
    RequestLineInvalid,
    /// A line above [`crate::LINE_BYTES_MAX`].
    LineTooLong,
    /// A head above [`crate::HEAD_BYTES_MAX`].
    HeadTooLong,
    /// A chunk that does not follow RFC 9112 section 7.1 to the letter.
    ChunkInvalid,
    /// A trailer section that is malformed or too long (RFC 9112 section 7.1.2).
    TrailerInvalid,
}

impl Fault {
    /// Every fault there is, for tables of counters.
    pub const ALL: [Self; 15] = [
        Self::LengthAndCoding,
        Self::LengthRepeated,
        Self::LengthInvalid,
        Self::CodingInvalid,
        Self::CodingInOldVersion,
        Self::HostInvalid,
        Self::FoldedField,
        Self::SpaceBeforeColon,
        Self::FieldWithoutColon,
        Self::BareCarriageReturn,
        Self::RequestLineInvalid,
        Self::LineTooLong,
        Self::HeadTooLong,
        Self::ChunkInvalid,
        Self::TrailerInvalid,
    ];

    /// One word for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LengthAndCoding => "length_and_coding",
            Self::LengthRepeated => "length_repeated",
            Self::LengthInvalid => "length_invalid",
            Self::CodingInvalid => "coding_invalid",
            Self::CodingInOldVersion => "coding_in_old_version",
            Self::HostInvalid => "host_invalid",
            Self::FoldedField => "folded_field",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::FieldWithoutColon => "field_without_colon",
            Self::BareCarriageReturn => "bare_carriage_return",
            Self::RequestLineInvalid => "request_line_invalid",
            Self::LineTooLong => "line_too_long",
            Self::HeadTooLong => "head_too_long",
            Self::ChunkInvalid => "chunk_invalid",
            Self::TrailerInvalid => "trailer_invalid",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
