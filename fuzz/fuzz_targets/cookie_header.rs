//! Any bytes are a Cookie field; what is taken out of it is gone and the rest is as it was.
#![no_main]

use abide_cookie::{Without, pairs, values, without};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|field: &[u8]| {
    let all: Vec<_> = pairs(field).collect();
    let ours = all.iter().filter(|pair| pair.name == b"abide").count();
    assert_eq!(values(field, b"abide").count(), ours);
    let others = |field: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let others = pairs(field).filter(|pair| pair.name != b"abide");
        others.map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect()
    };
    match without(field, b"abide") {
        Without::Unchanged => assert_eq!(ours, 0),
        Without::Empty => assert!(others(field).is_empty()),
        Without::Changed(rest) => {
            assert_eq!(values(&rest, b"abide").count(), 0);
            assert_eq!(others(&rest), others(field));
        }
    }
});
