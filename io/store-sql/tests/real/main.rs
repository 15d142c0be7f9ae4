//! The store on real servers, which the tests start themselves.

mod cleaning;
mod connecting;
mod faults;
mod places;
mod schema;
mod suite;
mod traffic;
mod trips;
mod walking;
