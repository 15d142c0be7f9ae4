//! What a file may be called, how long it may be, and what must not stand in it.

use crate::lexer::{Kind, Piece, pieces};
use crate::{SourceFile, has_word};

/// A file with more lines than this holds more than one thing.
pub const LINES_MAX: usize = 800;

/// Names that say nothing of what is inside, so that everything ends up there.
pub const EMPTY_NAMES: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "misc", "shared", "types", "stuff", "tools"];

/// How every core begins: without the standard library, and with nothing in it that can panic or wrap.
pub const STRICT_HEADER: &str = "\
#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]
";

/// Words that mean that something was put off. In halves, so that this file does not hold them.
const PUT_OFF: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Names of package registries and folders of one machine, in halves for the same reason.
const OF_ONE_MACHINE: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("registry.npm", "js.org"),
    concat!("deb.deb", "ian.org"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("bash_", "jobs"),
];

/// Written by tools, in forms that are theirs.
fn is_generated(file: &SourceFile) -> bool {
    matches!(file.name(), "Cargo.lock" | "package-lock.json")
        || file.extension() == "proptest-regressions"
}

fn is_program(file: &SourceFile) -> bool {
    matches!(file.extension(), "rs" | "py" | "js" | "mjs" | "ts" | "css" | "html" | "sh")
        || file.text.starts_with("#!")
}

/// Files of code that are too long.
pub fn too_long(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| is_program(file))
        .map(|file| (file, file.text.lines().count()))
        .filter(|&(_, lines)| lines > LINES_MAX)
        .map(|(file, lines)| {
            format!("{}: {lines} lines; split it by its nouns, {LINES_MAX} is the most", file.path)
        })
        .collect()
}

/// Files and folders of code whose name says nothing.
pub fn empty_names(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| is_program(file))
        .filter_map(|file| {
            let mut parts = file.path.split('/');
            let part = parts.find(|part| {
                EMPTY_NAMES.contains(&part.rsplit_once('.').map_or(*part, |(stem, _)| stem))
            })?;
            Some(format!("{}: `{part}` says nothing: name it after what it does", file.path))
        })
        .collect()
}

/// Cores whose `lib.rs` does not begin with the strict header.
pub fn lax_cores(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.starts_with("core/") && file.path.ends_with("/src/lib.rs"))
        .filter(|file| !file.text.contains(STRICT_HEADER))
        .map(|file| {
            format!("{}: copy the header from `#![no_std]` on from core/time/src/lib.rs", file.path)
        })
        .collect()
}

/// Rust that is not ASCII outside of comments.
pub fn not_ascii(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for piece in pieces(&file.text).iter().filter(|piece| piece.kind != Kind::Comment) {
            if let Some((index, character)) = piece.text.char_indices().find(|(_, c)| !c.is_ascii())
            {
                let line = line_of(piece, index);
                let escape = character.escape_unicode();
                complaints.push(format!("{}:{line}: write `{escape}` here", file.path));
            }
        }
    }
    complaints
}

/// Work that was put off, in any text file. That no macro puts it off either is clippy's to judge.
pub fn put_off(files: &[SourceFile]) -> Vec<String> {
    let words = |line: &str| PUT_OFF.iter().any(|word| has_word(line, word));
    lines_where(files, words, "do it now, or file an issue and remove the mark")
}

/// What is true on one machine only, in any text file.
pub fn of_one_machine(files: &[SourceFile]) -> Vec<String> {
    let words = |line: &str| OF_ONE_MACHINE.iter().any(|word| line.contains(word));
    lines_where(files, words, "name no package registry and no folder of one machine")
}

fn lines_where(
    files: &[SourceFile],
    is_bad: impl Fn(&str) -> bool,
    what_to_do: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !is_generated(file)) {
        for (index, line) in file.text.lines().enumerate().filter(|(_, line)| is_bad(line)) {
            let line = line.trim();
            complaints.push(format!("{}:{}: {what_to_do}: {line}", file.path, index + 1));
        }
    }
    complaints
}

/// Tests that are switched off without a reason.
pub fn ignored_without_reason(files: &[SourceFile]) -> Vec<String> {
    code_where(files, |_| true, |code| code.match_indices("#[ignore]").map(|(at, _)| at).collect())
        .into_iter()
        .map(|place| format!("{place}: write `#[ignore = \"why\"]`, or better: let it run"))
        .collect()
}

/// Tests that sleep: they are slow where nothing is wrong, and fail where the machine is slow. With a
/// paused clock (`start_paused`) a sleep of tokio takes no time, and is allowed.
pub fn sleeping_tests(files: &[SourceFile]) -> Vec<String> {
    let real_clock = |file: &SourceFile| !file.test_text().contains("start_paused");
    let find = |code: &str| {
        code.match_indices("sleep(")
            .map(|(at, _)| at)
            .filter(|&at| code[..at].ends_with("time::") || code[..at].ends_with("thread::"))
            .collect()
    };
    code_where(files, real_clock, find)
        .into_iter()
        .map(|place| format!("{place}: wait for the condition with a deadline, or pause the clock"))
        .collect()
}

/// The places in the code of tests that `find` gives, in files that `looked_at` picks.
fn code_where(
    files: &[SourceFile],
    looked_at: impl Fn(&SourceFile) -> bool,
    find: impl Fn(&str) -> Vec<usize>,
) -> Vec<String> {
    let mut places = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && looked_at(file)) {
        let before = file.product_text().lines().count();
        for piece in pieces(file.test_text()).iter().filter(|piece| piece.kind == Kind::Code) {
            for index in find(piece.text) {
                places.push(format!("{}:{}", file.path, before + line_of(piece, index)));
            }
        }
    }
    places
}

fn line_of(piece: &Piece<'_>, index: usize) -> usize {
    piece.line + piece.text[..index].matches('\n').count()
}

/// Scenario files that do not tell their story first.
pub fn scenarios_without_story(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.contains("/scenarios/") && file.extension() == "txt")
        .filter(|file| !file.text.starts_with("# "))
        .map(|file| format!("{}: begin with `# ` and the story of the scenario", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(law: fn(&[SourceFile]) -> Vec<String>, path: &str, text: &str) -> usize {
        law(&[SourceFile::new(path, text)]).len()
    }

    #[test]
    fn a_long_file_is_found() {
        let long = "// a\n".repeat(LINES_MAX + 1);
        assert_eq!(one(too_long, "io/web/src/a.rs", &long), 1);
        assert_eq!(one(too_long, "io/web/src/a.rs", &long[5..]), 0);
        assert_eq!(one(too_long, "docs/a.md", &long), 0);
        assert_eq!(one(too_long, "bench/run", &format!("#!/bin/sh\n{long}")), 1);
    }

    #[test]
    fn an_empty_name_is_found_in_files_and_folders() {
        assert_eq!(one(empty_names, "io/web/src/utils.rs", ""), 1);
        assert_eq!(one(empty_names, "io/web/tests/common/mod.rs", ""), 1);
        assert_eq!(one(empty_names, "io/web/src/utilization.rs", ""), 0);
    }

    #[test]
    fn a_lax_core_is_found() {
        let strict = format!("//! A.\n\n{STRICT_HEADER}\nuse core::fmt;\n");
        assert_eq!(one(lax_cores, "core/time/src/lib.rs", &strict), 0);
        let lax = strict.replace("    clippy::panic,\n", "");
        assert_eq!(one(lax_cores, "core/time/src/lib.rs", &lax), 1);
        assert_eq!(one(lax_cores, "io/web/src/lib.rs", &lax), 0);
    }

    #[test]
    fn a_character_that_is_not_ascii_is_found_outside_of_comments() {
        let found = not_ascii(&[SourceFile::new("a.rs", "// \u{2192}\nlet a = \"\n\u{e9}\";\n")]);
        assert_eq!(found, ["a.rs:3: write `\\u{e9}` here"]);
    }

    #[test]
    fn what_was_put_off_is_found() {
        for mark in PUT_OFF {
            assert_eq!(one(put_off, "docs/a.md", &format!("a {mark}: b")), 1, "{mark}");
            assert_eq!(one(put_off, "docs/a.md", &format!("a{mark}{mark}")), 0, "{mark}");
        }
    }

    #[test]
    fn what_is_of_one_machine_is_found() {
        for word in OF_ONE_MACHINE {
            assert_eq!(one(of_one_machine, "docs/a.md", &format!("see {word}x")), 1, "{word}");
            assert_eq!(one(of_one_machine, "Cargo.lock", word), 0, "{word}");
        }
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        let found = ignored_without_reason(&[SourceFile::new(
            "io/web/tests/a.rs",
            "#[ignore = \"needs a cluster\"]\nfn a() {}\n\n#[ignore]\nfn b() {}\n// #[ignore]\n",
        )]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("io/web/tests/a.rs:4: "), "{found:?}");
    }

    #[test]
    fn a_sleeping_test_is_found() {
        let sleeps = "fn a() {\n    std::thread::sleep(b);\n}\n";
        assert_eq!(one(sleeping_tests, "io/web/tests/a.rs", sleeps), 1);
        assert_eq!(one(sleeping_tests, "io/web/src/a.rs", sleeps), 0, "clippy's to judge");
        let inline = format!("fn b() {{}}\n#[cfg(test)]\nmod tests {{\n{sleeps}}}\n");
        let found = sleeping_tests(&[SourceFile::new("io/web/src/a.rs", &inline)]);
        assert!(found[0].starts_with("io/web/src/a.rs:5: "), "{found:?}");
        let paused = "#[tokio::test(start_paused = true)]\nasync fn a() { tokio::time::sleep(b) }";
        assert_eq!(one(sleeping_tests, "io/web/tests/a.rs", paused), 0);
    }

    #[test]
    fn a_scenario_without_a_story_is_found() {
        let path = "core/affinity/tests/scenarios/a_server_dies.txt";
        assert_eq!(one(scenarios_without_story, path, "servers a b\n"), 1);
        assert_eq!(one(scenarios_without_story, path, "# A server dies.\nservers a b\n"), 0);
    }
}
