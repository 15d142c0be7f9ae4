//! What must be written down: limits, metrics, dependencies, cases of a corpus; and links that lead somewhere.

use std::collections::BTreeSet;

use crate::lexer::{Kind, pieces};
use crate::{SourceFile, has_word};

/// Limits (`MAX_…` or `…_MAX`) that others can see and that neither a test nor a page of `docs/operate` names. A limit that
/// nobody ran into is a guess.
pub fn untried_limits(files: &[SourceFile]) -> Vec<String> {
    let proofs: Vec<&str> = files
        .iter()
        .filter(|file| file.is_rust() || file.path.starts_with("docs/operate/"))
        .map(|file| if file.is_rust() { file.test_text() } else { &file.text })
        .collect();
    let mut complaints = Vec::new();
    // What only measures has no limits to keep.
    for file in files.iter().filter(|file| file.is_rust() && !file.path.starts_with("bench/")) {
        for limit in file.product_text().lines().filter_map(limit_declared) {
            if !proofs.iter().any(|proof| has_word(proof, limit)) {
                complaints.push(format!(
                    "{}: no test goes up to and past `{limit}`: write one that names it, or say in docs/operate what happens there",
                    file.path
                ));
            }
        }
    }
    complaints
}

fn limit_declared(line: &str) -> Option<&str> {
    let declared = line.trim_start();
    let declared = declared
        .strip_prefix("pub const ")
        .or_else(|| declared.strip_prefix("pub(crate) const "))?;
    let name = declared.split(':').next()?.trim();
    (name.starts_with("MAX_") || name.ends_with("_MAX")).then_some(name)
}

/// Metrics that the sources name and the page does not, and the other way round.
pub fn undocumented_metrics(files: &[SourceFile], page: &SourceFile) -> Vec<String> {
    let mut named = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.path.starts_with("testing/")) {
        for piece in pieces(file.product_text()) {
            if piece.kind == Kind::Text {
                named.extend(metrics_in(piece.text));
            }
        }
    }
    let documented: BTreeSet<_> = metrics_in(&page.text).collect();
    let missing = named
        .difference(&documented)
        .map(|name| format!("{}: explain `{name}`: what it counts, and when to worry", page.path));
    let stale = documented
        .difference(&named)
        .map(|name| format!("{}: no source names `{name}` any more: remove it", page.path));
    missing.chain(stale).collect()
}

/// Names of the form `abide_<part>_<what>…`, without the endings that a histogram adds.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let outside = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(outside)
        .filter(|word| word.starts_with("abide_") && word.matches('_').count() >= 2)
        .filter(|word| !word.ends_with('_'))
        .map(|word| {
            let cut = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            cut.unwrap_or(word)
        })
}

/// Keys of the configuration that `page` does not explain or `example` does not show. A key is declared on a
/// line of its own, `name: "KEY",`, in the one table that flags and file are made from.
pub fn undocumented_keys(table: &str, page: &SourceFile, example: &SourceFile) -> Vec<String> {
    let mut complaints = Vec::new();
    for key in keys_in(table) {
        if !page.text.contains(&format!("`{key}`")) {
            complaints.push(format!("{}: explain `{key}`: unit, default, limit", page.path));
        }
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        if !example.text.lines().any(shown) {
            complaints.push(format!("{}: show `{key} = ...`, with a comment", example.path));
        }
    }
    complaints
}

/// The keys that the table declares.
pub fn keys_in(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
}

/// Dependencies of the workspace without a line of reason under the heading "Dependencies", and reasons
/// for what is no dependency any more.
pub fn unexplained_dependencies(manifest: &str, decisions: &SourceFile) -> Vec<String> {
    let declared: BTreeSet<&str> = dependencies_in(manifest).collect();
    let explained: BTreeSet<&str> = decisions
        .text
        .lines()
        .skip_while(|line| *line != "## Dependencies")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let path = &decisions.path;
    let missing = declared
        .difference(&explained)
        .map(|name| format!("{path}: say under \"Dependencies\" what `{name}` is for"));
    let stale = explained
        .difference(&declared)
        .map(|name| format!("{path}: `{name}` is no dependency any more: remove its line"));
    missing.chain(stale).collect()
}

/// The dependencies that the workspace's manifest declares, without our own crates.
pub fn dependencies_in(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#') && !line.contains("path = "))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
}

/// Files of a corpus without a row in its manifest, and rows without a file. The manifest names files
/// from its own folder.
pub fn unlisted_cases(paths: &[String], manifest: &SourceFile) -> Vec<String> {
    let folder = manifest.path.trim_end_matches("MANIFEST.md");
    let present: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| path.strip_prefix(folder))
        .filter(|path| path.contains('/'))
        .collect();
    let listed: BTreeSet<&str> = manifest
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let missing = present
        .difference(&listed)
        .map(|name| format!("{}: give {name} a row: rule, expected, why", manifest.path));
    let stale = listed
        .difference(&present)
        .map(|name| format!("{}: there is no file {name}: remove its row", manifest.path));
    missing.chain(stale).collect()
}

/// Links from page to page that lead nowhere.
pub fn dead_links(files: &[SourceFile], paths: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    // Pages in a `src` are part of the documentation of their crate, whose links rustdoc follows.
    let pages =
        files.iter().filter(|file| file.extension() == "md" && !file.path.contains("/src/"));
    for page in pages {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let wanted = resolved(folder, file);
            let inside = format!("{wanted}/");
            if !paths.iter().any(|path| *path == wanted || path.starts_with(&inside)) {
                complaints.push(format!("{}: the link to {target} leads nowhere", page.path));
            }
        }
    }
    complaints
}

/// Files that the map names and that do not exist. In it a heading ``### `core/time` `` opens the section of a
/// folder, and a name in backticks that ends in `.rs` is a file in its `src`.
pub fn stale_map(map: &SourceFile, paths: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut folder = "";
    for (index, line) in map.text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("##") {
            folder = heading.split('`').nth(1).unwrap_or("");
        }
        let named = line.split('`').skip(1).step_by(2).filter(|name| has_rust_ending(name));
        for name in named.filter(|_| !folder.is_empty()) {
            let inside = format!("{folder}/src/{name}");
            if !paths.iter().any(|path| *path == inside || path == name) {
                let place = format!("{}:{}", map.path, index + 1);
                complaints.push(format!("{place}: there is no {inside} any more"));
            }
        }
    }
    complaints
}

fn has_rust_ending(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending == "rs")
}

fn resolved(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_needs_a_test_or_a_page() {
        let limit = SourceFile::new("io/web/src/a.rs", "/// Why.\npub const MAX_VISITS: u8 = 9;\n");
        let other =
            SourceFile::new("io/web/src/b.rs", "fn b() { MAX_VISITS; }\nconst VISITS: u8 = 1;");
        let test = SourceFile::new("io/web/tests/a.rs", "assert_eq!(visit(), MAX_VISITS);\n");
        let page = SourceFile::new("docs/operate/a.md", "at `MAX_VISITS` visits it refuses\n");
        assert_eq!(untried_limits(&[limit.clone(), other]).len(), 1);
        assert!(untried_limits(&[limit.clone(), test]).is_empty());
        assert!(untried_limits(&[limit, page]).is_empty());
    }

    #[test]
    fn metrics_and_their_page_agree() {
        let source = SourceFile::new(
            "io/balancer/src/a.rs",
            "use abide_web_of::lies;\n\
             const A: &str = \"abide_balancer_requests_total{code=\";\n\
             const B: &str = \"abide_balancer_wait_seconds_bucket\";\n\
             const LOG: &str = \"abide_balancer=debug\";\n",
        );
        let page = |text: &str| SourceFile::new("docs/operate/metrics.md", text);
        let whole = "| `abide_balancer_requests_total` | `abide_balancer_wait_seconds` |";
        assert!(undocumented_metrics(std::slice::from_ref(&source), &page(whole)).is_empty());
        let found =
            undocumented_metrics(&[source], &page("`abide_balancer_requests_total` `abide_x_y`"));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_key_needs_an_explanation_and_an_example() {
        let table = "    Key {\n        name: \"listen\",\n        shape: Shape::Text,\n    },\n";
        let page = |text: &str| SourceFile::new("docs/operate/configure.md", text);
        let example = |text: &str| SourceFile::new("examples/abide.toml", text);
        let complaints = |p: &str, e: &str| undocumented_keys(table, &page(p), &example(e)).len();
        assert_eq!(complaints("| `listen` | x |", "# listen = \"a\"\n"), 0);
        assert_eq!(complaints("| `listener` | x |", "listen = \"a\"\n"), 1);
        assert_eq!(complaints("", "listen-more = 1\n# listen\n"), 2);
    }

    #[test]
    fn dependencies_and_their_reasons_agree() {
        let manifest = "[workspace.dependencies]\n# ours\nabide = { path = \"io/web\" }\nhttp = \"1\"\ntokio = { version = \"1\" }\n\n[profile.dev]\nx = 1\n";
        let decisions = |text: &str| SourceFile::new("docs/design/decisions.md", text);
        let whole = "## Dependencies\n\n| `http` | a |\n| `tokio` | b |\n\n## Next\n| `x` | y |\n";
        assert!(unexplained_dependencies(manifest, &decisions(whole)).is_empty());
        let found = unexplained_dependencies(
            manifest,
            &decisions("| `tokio` | b |\n## Dependencies\n| `http` | a |\n| `left` | b |\n"),
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_corpus_and_its_manifest_agree() {
        let manifest = SourceFile::new(
            "io/b/corpus/MANIFEST.md",
            "| `a/one.http` | x |\n| `a/two.http` | x |\n",
        );
        let paths =
            |names: &[&str]| names.iter().map(|n| format!("io/b/corpus/{n}")).collect::<Vec<_>>();
        let whole = paths(&["MANIFEST.md", "a/one.http", "a/two.http"]);
        assert!(unlisted_cases(&whole, &manifest).is_empty());
        assert_eq!(unlisted_cases(&paths(&["a/one.http", "a/three.http"]), &manifest).len(), 2);
    }

    #[test]
    fn a_file_that_the_map_names_must_exist() {
        let map = SourceFile::new(
            "ARCHITECTURE.md",
            "`gone.rs`\n### `core/time`\n`lib.rs` and\n`clock.rs`, see\n`io/web/src/lib.rs`\n## Next\n`gone.rs`\n",
        );
        let paths = vec!["core/time/src/lib.rs".to_owned(), "io/web/src/lib.rs".to_owned()];
        let found = stale_map(&map, &paths);
        assert_eq!(found, ["ARCHITECTURE.md:4: there is no core/time/src/clock.rs any more"]);
    }

    #[test]
    fn a_dead_link_is_found() {
        let page = SourceFile::new(
            "docs/operate/a.md",
            "[a](../design/b.md#c) [f](../design) [u](https://example.org/x) [h](#here) [d](c.md)",
        );
        let paths = vec!["docs/design/b.md".to_owned(), "docs/operate/a.md".to_owned()];
        assert_eq!(
            dead_links(&[page], &paths),
            ["docs/operate/a.md: the link to c.md leads nowhere"]
        );
    }
}
