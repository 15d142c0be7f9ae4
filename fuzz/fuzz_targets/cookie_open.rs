//! Nothing opens that was not sealed; and whatever was sealed, by whoever has the key, is read without
//! harm and comes back the same when it is sealed again.
//!
//! The second half makes the envelope by itself, as the documentation of the format says, so that the
//! decoder behind the authentication is reached.
#![no_main]

use abide_cookie::{Attributes, CookieName};
use abide_keys::{Key, KeyRing, base64url};
use abide_session::{Opened, Parts, Seal, Time};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

const NAME: &str = "s";
const NONCE: [u8; Seal::NONCE_BYTES] = [5; Seal::NONCE_BYTES];

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new([1; Key::BYTES]));
static SEAL: LazyLock<Seal> = LazyLock::new(|| {
    let ring = KeyRing::new(vec![KEY.clone(), Key::new([2; Key::BYTES])]).unwrap();
    let name = CookieName::new(NAME).unwrap();
    Seal::new(ring, name, &Attributes::for_scheme(true)).unwrap()
});
static BOUND_TO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pieces = [&b"abide sealed session"[..], &[1], NAME.as_bytes()];
    let pieces = pieces.map(|piece| [&(piece.len() as u64).to_le_bytes(), piece].concat());
    pieces.concat()
});

/// Content up to the number of fields: no subject, no epoch, an id, and good for ever.
const HEAD: [u8; 36] = {
    let mut head = [0; 36];
    // No flags, an id of zeros, made and seen at the epoch, the longest idle time-out and lifetime.
    let mut place = 25;
    while place < 34 {
        head[place] = 0xff;
        place += 1;
    }
    head[34] = 1;
    head[35] = 1;
    head
};

/// Fields by their names: bytes, and how long they claim to become if they are a block.
type Fields = BTreeMap<String, (Vec<u8>, Option<u16>)>;

fuzz_target!(|input: (Vec<Vec<u8>>, Option<Fields>, Vec<u8>, u64)| {
    let (cookies, fields, mut content, now) = input;
    if let Some(fields) = fields {
        content.splice(..0, well_formed(&fields));
    }
    let now = Time::from_millis(now);

    let cookies: Vec<&[u8]> = cookies.iter().map(Vec::as_slice).collect();
    let (opened, parts) = SEAL.open(&cookies, now);
    assert!(!matches!(opened, Opened::Open { .. } | Opened::Expired));
    assert_eq!(parts, SEAL.parts(&cookies));

    let field = envelope(content);
    if let (Opened::Open { sealed, with_old_key }, parts) = SEAL.open(&[field.as_bytes()], now) {
        assert!(!with_old_key);
        let values: usize = sealed.record.iter().map(|(_, value)| value.len()).sum();
        assert!(values <= Seal::VALUES_BYTES_MAX);
        // What LZ4 does not shrink as well as the input did may need more cookies than there are.
        let Ok(texts) = SEAL.seal(&sealed, parts, NONCE, now) else { return };
        let again = texts.iter().map(|text| text.split_once(';').unwrap().0.as_bytes());
        let (opened, _) = SEAL.open(&again.collect::<Vec<_>>(), now);
        assert!(matches!(opened, Opened::Open { sealed: again, .. } if again == sealed));
        assert_eq!(SEAL.removals(Parts::default()).len(), 1);
    }
});

/// Content with these fields in the right form, whatever is in them.
fn well_formed(fields: &Fields) -> Vec<u8> {
    let mut content = HEAD.to_vec();
    number(&mut content, fields.len());
    for (name, (bytes, length)) in fields {
        number(&mut content, name.len());
        content.extend_from_slice(name.as_bytes());
        number(&mut content, bytes.len() * 2 + usize::from(length.is_some()));
        if let Some(length) = length {
            number(&mut content, usize::from(*length));
        }
        content.extend_from_slice(bytes);
    }
    content
}

fn number(content: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        content.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    content.push(number.to_le_bytes()[0]);
}

/// The `Cookie` field that holds this content.
fn envelope(mut content: Vec<u8>) -> String {
    let tag = KEY.seal(&NONCE, &BOUND_TO, &mut content);
    let text = base64url::encode(&[&[1, KEY.id()], &NONCE[..], &content, &tag].concat());
    let parts: Vec<_> = text.as_bytes().chunks(3000).collect();
    let mut field = String::new();
    for (number, part) in (1..).zip(&parts) {
        let part = str::from_utf8(part).unwrap();
        _ = match number {
            1 => write!(field, "{NAME}={}{part}", parts.len()),
            _ => write!(field, "; {NAME}.{number}={part}"),
        };
    }
    field
}
