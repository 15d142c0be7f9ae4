use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

/// The only caller of the interface under test: the answer for the whole stream in one call.
fn judge(stream: &[u8]) -> Result<Phase, Fault> {
    let mut framing = Framing::new();
    framing.advance(stream).map_err(|violation| violation.fault)?;
    Ok(framing.phase())
}

fn post(fields: &str, content: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}")
}

#[test]
fn requests_follow_each_other() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let sized = post("Content-Length: 5\r\n", "hello");
    let chunked = post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
    let stream = format!("{get}\r\n{sized}{chunked}{get}");
    assert_eq!(judge(stream.as_bytes()), Ok(Phase::Idle));
}

#[test]
fn the_phase_says_what_is_awaited() {
    for (stream, phase) in [
        ("", Phase::Idle),
        ("\r\n", Phase::Idle),
        ("GET", Phase::Head),
        ("GET / HTTP/1.1\r\nHo", Phase::Head),
        (&post("Content-Length: 5\r\n", "hell"), Phase::Content),
        (&post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"), Phase::Content),
    ] {
        assert_eq!(judge(stream.as_bytes()), Ok(phase), "{stream:?}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for (fields, fault) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Fault::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Fault::LengthAndCoding),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Fault::LengthRepeated),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Fault::LengthRepeated),
        ("Content-Length: 5, 5\r\n", Fault::LengthInvalid),
        ("Content-Length: +5\r\n", Fault::LengthInvalid),
        ("Content-Length:\r\n", Fault::LengthInvalid),
        ("Content-Length: 0x5\r\n", Fault::LengthInvalid),
        ("Content-Length: 99999999999999999999\r\n", Fault::LengthInvalid),
        ("Transfer-Encoding: chunked, chunked\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding: gzip, chunked\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding: ,chunked\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding: \x0bchunked\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding: identity\r\n", Fault::CodingInvalid),
        ("Transfer-Encoding : chunked\r\n", Fault::SpaceBeforeColon),
        ("X: a\r\n b\r\n", Fault::FoldedField),
        ("X: a\rb\r\n", Fault::BareCarriageReturn),
        ("X a\r\n", Fault::FieldWithoutColon),
        ("Host: b\r\n", Fault::HostInvalid),
    ] {
        assert_eq!(judge(post(fields, "").as_bytes()), Err(fault), "{fields:?}");
    }
}

#[test]
fn a_request_line_has_three_parts_and_two_spaces() {
    for line in [
        "GET /#a HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/2.0",
    ] {
        let stream = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(judge(stream.as_bytes()), Err(Fault::RequestLineInvalid), "{line:?}");
    }
}

#[test]
fn an_old_version_knows_no_coding_and_needs_no_host() {
    let coding = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(judge(coding.as_bytes()), Err(Fault::CodingInOldVersion));
    assert_eq!(judge(b"GET / HTTP/1.0\r\n\r\n"), Ok(Phase::Idle));
    assert_eq!(judge(b"GET / HTTP/1.1\r\n\r\n"), Err(Fault::HostInvalid));
}

#[test]
fn a_host_is_a_name_or_an_address_and_a_numeric_port() {
    let with_host =
        |host: &str| judge(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    for good in ["", "a", "a:80", "a:", "192.0.2.7", "[2001:db8::1]", "[::1]:80", "xn--a_b.c"] {
        assert_eq!(with_host(good), Ok(Phase::Idle), "{good}");
    }
    for bad in
        ["a:b", "[", "[]", "[::1", "[::1]a", "[a]b:80", "a b", "a,b", "a/b", "u@a", "a:80:80"]
    {
        assert_eq!(with_host(bad), Err(Fault::HostInvalid), "{bad}");
    }
}

#[test]
fn chunks_are_read_to_the_letter() {
    for content in [
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhello\n",
        "5\r\nhelloX",
        "-5\r\n",
        "0x5\r\n",
        "\r\n",
        "00000000000000005\r\n",
        "5;a\nb\r\n",
        "5;\x01\r\n",
        "5;a=\"\r\n",
        "5;a=\"\\\"\r\n",
    ] {
        let stream = post("Transfer-Encoding: chunked\r\n", content);
        assert_eq!(judge(stream.as_bytes()), Err(Fault::ChunkInvalid), "{content:?}");
    }
    for trailer in ["X\r\n", "X : a\r\n", ": a\r\n", " a: b\r\n", "X: a\n\r\n"] {
        let stream = post("Transfer-Encoding: chunked\r\n", &format!("0\r\n{trailer}"));
        assert_eq!(judge(stream.as_bytes()), Err(Fault::TrailerInvalid), "{trailer:?}");
    }
    let whole = "5;name=\"value\"\r\nhello\r\n000\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(judge(post("transfer-encoding: Chunked\r\n", whole).as_bytes()), Ok(Phase::Idle));
}

#[test]
fn nothing_is_accepted_after_a_fault() {
    let mut framing = Framing::new();
    let violation = framing.advance(b"GET / HTTP/1.1\r\n folded\r\n").unwrap_err();
    assert_eq!(violation, Violation { at: 16, fault: Fault::FoldedField });
    let again = framing.advance(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err();
    assert_eq!(again, Violation { at: 0, fault: Fault::FoldedField });
}

#[test]
fn a_line_without_an_end_is_bounded_by_line_bytes_max() {
    let mut framing = Framing::new();
    let part = [b'a'; 1024];
    let refused_after = (0..1000_usize).find(|_| framing.advance(&part).is_err());
    assert_eq!(refused_after, Some(LINE_BYTES_MAX / part.len()));
}

#[test]
fn a_head_without_an_end_is_bounded_by_head_bytes_max() {
    let mut framing = Framing::new();
    framing.advance(b"GET / HTTP/1.1\r\n").unwrap();
    let field = format!("X: {}\r\n", "a".repeat(1021));
    let refused = (0..1000_usize).find_map(|number| {
        let violation = framing.advance(field.as_bytes()).err()?;
        Some((number, violation.fault))
    });
    assert_eq!(refused, Some((HEAD_BYTES_MAX / 1024 - 1, Fault::HeadTooLong)));
}

#[test]
fn a_tunnel_is_not_judged() {
    let mut framing = Framing::new();
    framing.tunnel();
    assert_eq!(framing.advance(b"\0\r\n\r\n"), Ok(()));
    assert_eq!(framing.phase(), Phase::Tunnel);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\n"),
        Just("POST /a HTTP/1.0\r\n"),
        Just("Host: a\r\n"),
        Just("Content-Length: 3\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just("abc"),
        Just("3\r\nabc\r\n"),
        Just("0\r\n\r\n"),
        Just("X: y\r\n"),
        Just("\r"),
        Just(" "),
        Just("\0"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_how_the_bytes_are_cut(
        stream in stream(),
        cuts in prop::collection::vec(1_usize..9, 0..64),
    ) {
        let whole = judge(&stream);
        let mut framing = Framing::new();
        let mut rest = stream.as_slice();
        let mut cut = cuts.into_iter().chain(core::iter::repeat(7));
        let mut parts = Ok(());
        while !rest.is_empty() && parts.is_ok() {
            let (part, after) = rest.split_at(cut.next().unwrap().min(rest.len()));
            parts = framing.advance(part).map_err(|violation| violation.fault);
            rest = after;
        }
        prop_assert_eq!(parts.map(|()| framing.phase()), whole);
    }

    #[test]
    fn any_bytes_are_taken_without_panic(stream in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = judge(&stream);
    }
}
