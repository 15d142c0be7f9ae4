//! Whatever another node sends as a letter or a greeting: it is refused, or it is one, and written again it
//! says the same.
#![no_main]

use abide_replica::wire::{First, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(first) = First::read(bytes) {
        assert_eq!(First::read(&first.write()), Some(first));
    }
    let Ok(letter) = read(bytes) else { return };
    let mut again = Vec::new();
    write(&letter, &mut again);
    let same = read(&again).map(|letter| format!("{letter:?}"));
    assert_eq!(same, Ok(format!("{letter:?}")));
});
