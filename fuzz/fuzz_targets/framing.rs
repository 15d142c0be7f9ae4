//! However a stream is cut, the answer is the same; and nothing panics.
#![no_main]

use abide_framing::Framing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, stream) = input;
    let mut whole = Framing::new();
    let expected = whole.advance(&stream);
    let mut parts = Framing::new();
    let mut rest = stream.as_slice();
    let mut taken = 0;
    let mut found = Ok(());
    for cut in cuts.into_iter().chain(std::iter::repeat(255)) {
        let (part, after) = rest.split_at(usize::from(cut).min(rest.len()));
        if let Err(violation) = parts.advance(part) {
            found = Err((taken + violation.at, violation.fault));
            break;
        }
        taken += part.len();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    // Only the fault must agree: a line that came in parts was let through up to the last of them.
    assert_eq!(found.map_err(|(_, fault)| fault), expected.map_err(|violation| violation.fault));
    if found.is_ok() {
        assert_eq!(parts.phase(), whole.phase());
    }
});
