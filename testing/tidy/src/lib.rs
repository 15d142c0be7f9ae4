//! This repository's own laws, as tests.
//!
//! What clippy can not see is checked here: which crate may import which, what a file may be called and
//! how long it may be, what must be documented, what must not be left behind. `tests/laws.rs` reads the
//! repository and applies the laws to it; it is the list of them. The functions here only judge values
//! that they are given, so that beside each of them stands a test with a bad sample that it must find.
//!
//! Invariant: every complaint starts with the place it is about and says what to do.

pub mod documents;
pub mod layers;
pub mod lexer;
pub mod repository;
pub mod sources;

/// One text file of the repository.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// From the root of the repository, with `/` on every system.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file as a value, for samples.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// What the name ends in after the last dot; empty if it has none.
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The name without its folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Written in Rust.
    pub fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }

    /// Holds nothing but tests: a file below `tests` or one named `tests.rs`.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.name() == "tests.rs"
    }

    /// The part of a file of Rust that only tests see: all of a test file, else what follows the
    /// first `#[cfg(test)]`, which by custom is the end of the file.
    pub fn test_text(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        self.text.find("#[cfg(test)]").map_or("", |start| &self.text[start..])
    }

    /// The part that ends up in the product.
    pub fn product_text(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.find("#[cfg(test)]").map_or(&self.text, |end| &self.text[..end])
    }
}

/// Finds `word` in `text` where no letter, digit or underscore touches it.
pub fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, found)| {
        !text[..start].ends_with(part_of_word)
            && !text[start + found.len()..].starts_with(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(has_word("a MAX_ONE b", "MAX_ONE"));
        assert!(!has_word("a MAX_ONE_MORE", "MAX_ONE"));
        assert!(!has_word("CLIMAX_ONE", "MAX_ONE"));
        assert!(has_word("XONE ONE", "ONE"));
    }

    #[test]
    fn the_test_part_is_told_from_the_product() {
        let file =
            SourceFile::new("io/web/src/layer.rs", "fn a() {}\n#[cfg(test)]\nmod tests {}\n");
        assert_eq!(file.product_text(), "fn a() {}\n");
        assert_eq!(file.test_text(), "#[cfg(test)]\nmod tests {}\n");
        let beside = SourceFile::new("io/web/src/layer/tests.rs", "fn a() {}\n");
        assert_eq!(beside.product_text(), "");
        assert_eq!(beside.test_text(), "fn a() {}\n");
    }
}
