//! What a session of five small fields takes in a table, and how long look-ups and merges take.
//!
//! ```text
//! cargo run --release -p abide-replica --example memory -- 1000000
//! cargo run --release -p abide-replica --example memory -- 200000 written
//! cargo run --release -p abide-replica --example memory_mimalloc -- 1000000 subject
//! ```
//!
//! `memory` is with the allocator of the system, `memory_mimalloc` with that of the binary. Bytes are
//! the growth of the process (`VmRSS`) from before the first session to after the last, over their
//! number: what an allocator wastes is in it. Of times of single calls it
//! is the median. Variants: `fresh` sessions as they are made; `long`, with a field of eight characters more; `written`,
//! where three fields were set again, each at a time of its own, and the session was used; `subject`,
//! where each belongs to somebody.
#![expect(clippy::print_stdout, reason = "a program that measures says what it has measured")]

mod measure;

fn main() {
    println!("{}", measure::all("system"));
}
