//! Whatever another node sends as an entry: it is refused, or it is the one form of an entry, which a
//! table takes, finds again and makes no more of when it comes a second time.
#![no_main]

use abide_replica::{Merged, Table, pack, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok((id, entry)) = unpack(bytes) else { return };
    assert_eq!(pack(id, &entry), bytes);
    let mut table = Table::new(usize::MAX);
    assert_eq!(table.merge(id, entry.clone()), Ok(Merged::New));
    assert_eq!(table.get(id).as_ref(), Some(&entry));
    assert_eq!(table.packed(id).map(|packed| packed.bytes()), Some(bytes));
    assert_eq!(table.merge(id, entry), Ok(Merged::Same));
});
