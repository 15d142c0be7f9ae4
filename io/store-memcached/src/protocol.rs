//! The part of Memcached's text protocol that is spoken here, as bytes in and out.
//!
//! Rules: `doc/protocol.txt` of memcached. It is the classic part (`gets`, `add`, `cas`, `set`,
//! `delete`), which everything speaks that calls itself Memcached. The newer meta commands would
//! tell the new token with the answer to a write, but a meta set that the server has no room for
//! *removes what was there before* (seen with 1.6.18, also if its token does not match), and so loses
//! the session; `cas` leaves it alone. Only the conditional delete is a meta command, because there
//! is no classic one.
//!
//! Invariant: no bytes make it panic, and it takes no more memory than [`VALUE_BYTES_MAX`].

use bytes::{Buf, Bytes, BytesMut};

/// The longest line of an answer. The server's own are below 1,100 bytes (a key of 250, escaped, in
/// a dump).
pub(crate) const LINE_BYTES_MAX: usize = 2048;

/// The largest value that is read: what is stored here is below [`crate::entry::PART_BYTES`], and
/// what somebody else put under a key of ours is looked at up to eight times the usual limit of a
/// server.
pub(crate) const VALUE_BYTES_MAX: usize = 8 << 20;

/// One command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    Get(&'a str),
    Put {
        key: &'a str,
        value: &'a [u8],
        expires: i32,
        when: When,
    },
    Delete(&'a str),
    /// Deletes what was read with this token. Servers before 1.6 do not know it.
    DeleteUnchanged {
        key: &'a str,
        token: u64,
    },
}

/// On what condition a value is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// There is nothing under the key.
    Absent,
    /// What is there is what was read with this token.
    Unchanged(u64),
    Always,
}

/// One answer. After each of them the connection is in step, and can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Value {
        token: u64,
        data: Bytes,
    },
    Done,
    /// There is nothing under the key.
    Missing,
    /// Not put, because something is there.
    Taken,
    /// Not put, because it is not what was read any more.
    Changed,
    /// Not put, because the server has no room.
    Full,
    /// Not put, because the server takes no item of that size.
    TooLarge,
}

/// Bytes that are no answer, or one that says that something is wrong between the two sides. What
/// follows on the connection can not be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server's own words.
    Refused(String),
    /// What came is not the protocol.
    Garbled,
}

/// Appends the bytes of a command.
pub(crate) fn encode(request: Request<'_>, out: &mut Vec<u8>) {
    let mut text =
        |text: &[&str]| text.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    match request {
        Request::Get(key) => text(&["gets ", key, "\r\n"]),
        Request::Delete(key) => text(&["delete ", key, "\r\n"]),
        Request::DeleteUnchanged { key, token } => {
            text(&["md ", key, " C", &token.to_string(), "\r\n"]);
        }
        Request::Put { key, value, expires, when } => {
            let verb = match when {
                When::Absent => "add ",
                When::Unchanged(_) => "cas ",
                When::Always => "set ",
            };
            text(&[verb, key, " 0 ", &expires.to_string(), " ", &value.len().to_string()]);
            if let When::Unchanged(token) = when {
                text(&[" ", &token.to_string()]);
            }
            data(value, out);
        }
    }
}

fn data(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Takes one answer off the front of what was received; none if it is not complete.
pub(crate) fn decode(input: &mut BytesMut) -> Result<Option<Reply>, Fault> {
    let Some(length) = line_length(input)? else { return Ok(None) };
    let line = input.get(..length).unwrap_or_default();
    let words: Vec<&[u8]> =
        line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    let first = *words.first().ok_or(Fault::Garbled)?;
    let header = length.saturating_add(LINE_END.len());
    if first == b"VALUE" {
        let bytes = number(words.get(3)).ok_or(Fault::Garbled)?;
        let token = number(words.get(4)).ok_or(Fault::Garbled)?;
        let data = value(input, header, bytes)?;
        return Ok(data.map(|data| Reply::Value { token, data }));
    }
    let reply = match first {
        b"STORED" | b"DELETED" | b"HD" => Reply::Done,
        b"END" | b"NOT_FOUND" | b"NF" => Reply::Missing,
        b"NOT_STORED" => Reply::Taken,
        b"EXISTS" | b"EX" => Reply::Changed,
        _ => complaint(line)?,
    };
    input.advance(header);
    Ok(Some(reply))
}

/// Takes one line off the front, for commands whose answers are lists of them. In some of these lists
/// lines end without a carriage return.
pub(crate) fn decode_line(input: &mut BytesMut) -> Result<Option<String>, Fault> {
    let searched = input.get(..LINE_BYTES_MAX.min(input.len())).unwrap_or_default();
    let Some(length) = searched.iter().position(|byte| *byte == b'\n') else {
        return if input.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Fault::Garbled) };
    };
    let line = input.split_to(length.saturating_add(1));
    let line = line.get(..length).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match str::from_utf8(line) {
        Ok(line) => Ok(Some(line.to_owned())),
        Err(_) => Err(Fault::Garbled),
    }
}

const LINE_END: &[u8] = b"\r\n";
/// What follows a value.
const VALUE_END: &[u8] = b"\r\nEND\r\n";

/// How long the first line is without its end.
fn line_length(input: &BytesMut) -> Result<Option<usize>, Fault> {
    let searched = input.get(..LINE_BYTES_MAX.min(input.len())).unwrap_or_default();
    let length = searched.windows(LINE_END.len()).position(|window| window == LINE_END);
    if length.is_none() && input.len() >= LINE_BYTES_MAX {
        return Err(Fault::Garbled);
    }
    Ok(length)
}

/// The value that follows a line, in memory of its own: what is kept of it must not keep a whole
/// buffer.
fn value(input: &mut BytesMut, header: usize, bytes: u64) -> Result<Option<Bytes>, Fault> {
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= VALUE_BYTES_MAX);
    let bytes = bytes.ok_or(Fault::Garbled)?;
    let data_end = header.saturating_add(bytes);
    let total = data_end.saturating_add(VALUE_END.len());
    if input.len() < total {
        input.reserve(total.saturating_sub(input.len()));
        return Ok(None);
    }
    if input.get(data_end..total) != Some(VALUE_END) {
        return Err(Fault::Garbled);
    }
    let data = Bytes::copy_from_slice(input.get(header..data_end).unwrap_or_default());
    input.advance(total);
    Ok(Some(data))
}

fn complaint(line: &[u8]) -> Result<Reply, Fault> {
    let text = String::from_utf8_lossy(line).into_owned();
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("server_error") && lower.contains("out of memory") {
        Ok(Reply::Full)
    } else if lower.starts_with("server_error") && lower.contains("too large") {
        Ok(Reply::TooLarge)
    } else if ["server_error", "client_error", "error"].iter().any(|word| lower.starts_with(word)) {
        Err(Fault::Refused(text))
    } else {
        Err(Fault::Garbled)
    }
}

fn number(word: Option<&&[u8]>) -> Option<u64> {
    str::from_utf8(word?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Option<Reply>, Fault> {
        decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn commands_are_as_the_protocol_says() {
        let put = |when| Request::Put { key: "k", value: b"hi", expires: 60, when };
        for (request, bytes) in [
            (Request::Get("k"), "gets k\r\n"),
            (Request::Delete("k"), "delete k\r\n"),
            (Request::DeleteUnchanged { key: "k", token: 7 }, "md k C7\r\n"),
            (put(When::Absent), "add k 0 60 2\r\nhi\r\n"),
            (put(When::Unchanged(7)), "cas k 0 60 2 7\r\nhi\r\n"),
            (put(When::Always), "set k 0 60 2\r\nhi\r\n"),
        ] {
            let mut out = Vec::new();
            encode(request, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), bytes);
        }
    }

    #[test]
    fn answers_are_told_apart_by_their_first_word() {
        let value = |data| Reply::Value { token: 5, data: Bytes::from_static(data) };
        for (bytes, reply) in [
            (&b"VALUE k 0 3 5\r\na\r\n\r\nEND\r\n"[..], value(b"a\r\n")),
            (b"VALUE k 0 0 5\r\n\r\nEND\r\n", value(b"")),
            (b"STORED\r\n", Reply::Done),
            (b"DELETED\r\n", Reply::Done),
            (b"HD\r\n", Reply::Done),
            (b"END\r\n", Reply::Missing),
            (b"NOT_FOUND\r\n", Reply::Missing),
            (b"NF\r\n", Reply::Missing),
            (b"NOT_STORED\r\n", Reply::Taken),
            (b"EXISTS\r\n", Reply::Changed),
            (b"EX\r\n", Reply::Changed),
            (b"SERVER_ERROR out of memory storing object\r\n", Reply::Full),
            (b"SERVER_ERROR object too large for cache\r\n", Reply::TooLarge),
        ] {
            assert_eq!(decoded(bytes), Ok(Some(reply)));
            for length in 0..bytes.len() {
                assert_eq!(decoded(&bytes[..length]), Ok(None), "{length} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        for bytes in [
            &b"hello\r\n"[..],
            b"\r\n",
            b"VALUE k 0 x 5\r\n\r\nEND\r\n",
            b"VALUE k 0 1\r\na\r\nEND\r\n",
            b"VALUE k 0 1 5\r\nab\r\nEND\r\n",
            b"VALUE k 0 99999999999 5\r\n",
        ] {
            assert_eq!(decoded(bytes), Err(Fault::Garbled), "{bytes:?}");
        }
        assert_eq!(decoded(&[b'a'; LINE_BYTES_MAX]), Err(Fault::Garbled));
        let over = format!("VALUE k 0 {} 5\r\n", VALUE_BYTES_MAX + 1);
        assert_eq!(decoded(over.as_bytes()), Err(Fault::Garbled));
        let refused = Fault::Refused("CLIENT_ERROR unauthenticated".to_owned());
        assert_eq!(decoded(b"CLIENT_ERROR unauthenticated\r\n"), Err(refused));
    }

    #[test]
    fn lines_may_end_without_a_carriage_return() {
        let mut input = BytesMut::from(&b"key=a exp=1\nEND\r\nrest"[..]);
        assert_eq!(decode_line(&mut input), Ok(Some("key=a exp=1".to_owned())));
        assert_eq!(decode_line(&mut input), Ok(Some("END".to_owned())));
        assert_eq!(decode_line(&mut input), Ok(None));
        let mut long = BytesMut::from(&[b'a'; LINE_BYTES_MAX][..]);
        assert_eq!(decode_line(&mut long), Err(Fault::Garbled));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut input) {}
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode_line(&mut input) {}
        }

        #[test]
        fn any_value_comes_back(data: Vec<u8>, token: u64) {
            let header = format!("VALUE k 0 {} {token}\r\n", data.len());
            let mut input = BytesMut::from(header.as_bytes());
            input.extend_from_slice(&data);
            input.extend_from_slice(b"\r\nEND\r\nEND\r\n");
            let value = Reply::Value { token, data: data.into() };
            prop_assert_eq!(decode(&mut input), Ok(Some(value)));
            prop_assert_eq!(decode(&mut input), Ok(Some(Reply::Missing)));
        }
    }
}
