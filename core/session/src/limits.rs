//! Every bound of a session, with its reason.
//!
//! All of them are checked twice: where the application hands in the value, so that it learns at
//! once, and by the store, which trusts nobody.

/// Fields of one session, markers of removed ones included. A session is a handful of facts about a
/// visitor; a table belongs into a database. The bound also limits what one record costs to merge.
pub const MAX_FIELDS: usize = 256;

/// Bytes of a field's name. Names travel with every delta.
pub const MAX_FIELD_NAME_BYTES: usize = 128;

/// Bytes of one encoded value: 1 MiB, enough for a long cart and small enough to move in one
/// message.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Bytes of a whole record as [`crate::Record::size`] counts them: 4 MiB, four of the largest
/// values. It bounds what one visitor can make a server hold.
pub const MAX_RECORD_BYTES: usize = 4 << 20;

/// Bytes of a subject: room for an e-mail address (254 by RFC 5321) or any key of a user table.
pub const MAX_SUBJECT_BYTES: usize = 255;

/// How many old ids in a row are followed to the session they were renewed into. A client that
/// renews more often than this within one grace has its oldest ids treated as ended.
pub const MAX_RENEWALS_IN_GRACE: usize = 4;

/// Sessions that one call to [`crate::Store::list`] returns; the ones last seen come first.
pub const MAX_LISTED: usize = 1000;
