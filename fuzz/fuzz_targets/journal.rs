//! Whatever stands in a file of a node's journal: what is whole is read, and nothing else.
#![no_main]

use abide_replica::journal::{Frames, Recovered, write_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut recovered = Recovered::default();
    let mut frames = Frames::default();
    for piece in bytes.chunks(61) {
        frames.push(piece);
        while let Some(content) = frames.next_content(false) {
            let _ = recovered.take(content);
        }
    }
    while let Some(content) = frames.next_content(true) {
        let _ = recovered.take(content);
    }
    // The same as the content of a frame.
    let mut frame = Vec::new();
    write_frame(&mut frame, bytes);
    let mut frames = Frames::default();
    frames.push(&frame);
    let content = frames.next_content(true).map(<[u8]>::to_vec);
    assert_eq!(content.as_deref(), Some(bytes));
    let _ = recovered.take(bytes);
});
