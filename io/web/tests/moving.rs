//! Sessions that move while they are used: under traffic; and two operations on a session that moves, in every order in which the calls of one can be cut in two
//! by the other; and the same if the server that began the first dies there.

#![expect(clippy::unwrap_used, reason = "what these tests share panics as they do")]

mod moving {
    mod careless;
    mod cut;
    mod played;
    mod room;
    mod traffic;
}
