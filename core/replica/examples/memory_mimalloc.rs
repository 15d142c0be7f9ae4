//! The same as the example `memory`, with the allocator of the binary.
#![expect(clippy::print_stdout, reason = "a program that measures says what it has measured")]

#[path = "memory/measure.rs"]
mod measure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!("{}", measure::all("mimalloc"));
}
