//! What is made once and used by all later runs: templates of database folders, the Valkey program.

use std::path::{Path, PathBuf};

/// Makes the folder of a template once, by `make` into the given place, however many processes ask.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = std::env::temp_dir().join("abide-servers-cache");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::File::create(folder.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let place = folder.join(name);
    if !place.exists() {
        let unfinished = folder.join(format!("{name}.unfinished"));
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir_all(&unfinished).unwrap();
        make(&unfinished);
        std::fs::rename(&unfinished, &place).unwrap();
    }
    place
}
