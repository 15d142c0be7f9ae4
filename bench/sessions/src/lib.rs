//! What the benches of sessions share: taking turns, and saying what came of it.

pub mod report;
pub mod turns;
