//! Whatever a Memcached server sends, or somebody else put under our names there: it is read without
//! harm, and what can be read comes back the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    abide_store_memcached::fuzzing::read(bytes);
});
