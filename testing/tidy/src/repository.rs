//! Reads the repository: the only part of this crate that touches the disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::SourceFile;

/// Folders that hold what was built or fetched, not written.
const NOT_OURS: [&str; 4] = [".git", "node_modules", "__pycache__", "artifacts"];

/// The root of the checkout that this crate was built in.
///
/// # Panics
///
/// If the checkout was moved since the build.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout exists")
}

/// Every text file that is ours, in the order of their paths. What is not UTF-8 is left out.
pub fn text_files() -> Vec<SourceFile> {
    paths()
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(root().join(&path)).ok()?;
            Some(SourceFile { path, text })
        })
        .collect()
}

/// The path of every file that is ours, text or not, from the root and in order.
///
/// # Panics
///
/// If the system does not tell what an entry of a folder is.
pub fn paths() -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue; // it vanished meanwhile: tests that run beside this one have their own folders
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("an entry has a type");
            if kind.is_dir() {
                let built = name == "target" || name.starts_with("target-");
                if !built && !NOT_OURS.contains(&name.as_str()) {
                    folders.push(entry.path());
                }
            } else if kind.is_file() {
                let path = entry.path();
                let relative = path.strip_prefix(&root).expect("it was found below the root");
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// One file that must exist.
///
/// # Panics
///
/// If it does not, or is not text.
pub fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_without_what_was_built() {
        let paths = paths();
        assert!(paths.contains(&"testing/tidy/src/repository.rs".to_owned()));
        assert!(
            paths.iter().all(|path| !path.contains("node_modules/") && !path.contains("target/"))
        );
        assert!(text_of("Cargo.toml").contains("[workspace]"));
    }
}
