//! The laws of this repository, applied to it. Each test is one law; what it says when it fails is what to do.

use std::fmt::Write as _;
use std::path::Path;

use abide_tidy::layers::{
    Dependency, Package, against_the_arrows, missing_from_the_map, unused_dependencies,
};
use abide_tidy::repository::{paths, root, text_files, text_of};
use abide_tidy::{SourceFile, documents, sources};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Where every key of the configuration is declared.
const KEYS: &str = "bin/abide/src/configuration/keys.rs";
const CORPUS: &str = "io/balancer/tests/corpus/MANIFEST.md";

#[track_caller]
fn hold(complaints: &[String]) {
    if complaints.is_empty() {
        return;
    }
    let mut message = format!("{} to put right:\n", complaints.len());
    for complaint in complaints {
        writeln!(message, "  {complaint}").expect("a string takes every line");
    }
    panic!("{message}");
}

fn page(path: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text_of(path) }
}

/// What cargo itself says of this workspace.
fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().expect("cargo knows this workspace")
}

/// The members of the workspace.
fn packages() -> Vec<Package> {
    let packages: Vec<Package> = metadata()
        .packages
        .into_iter()
        .map(|package| Package {
            folder: folder_of(package.manifest_path.as_std_path()),
            name: package.name.to_string(),
            description: package.description.unwrap_or_default(),
            dependencies: package
                .dependencies
                .into_iter()
                .map(|dependency| Dependency {
                    dev: dependency.kind == DependencyKind::Development,
                    name: dependency.name,
                    alias: dependency.rename,
                })
                .collect(),
        })
        .collect();
    assert!(packages.iter().any(|package| package.folder == "core/time"), "no members were found");
    packages
}

fn folder_of(manifest: &Path) -> String {
    let folder = manifest.parent().expect("a manifest lies in a folder");
    let folder = folder.canonicalize().expect("the folder exists");
    folder.strip_prefix(root()).expect("members lie in the checkout").display().to_string()
}

#[test]
fn imports_follow_the_arrows() {
    hold(&against_the_arrows(&packages()));
}

#[test]
fn every_crate_has_a_place_a_description_and_a_reason() {
    let manifest = text_of("Cargo.toml");
    hold(&missing_from_the_map(&packages(), &text_of("ARCHITECTURE.md"), &manifest));
}

#[test]
fn every_file_on_the_map_exists() {
    hold(&documents::stale_map(&page("ARCHITECTURE.md"), &paths()));
}

#[test]
fn every_core_has_the_strict_header() {
    hold(&sources::lax_cores(&text_files()));
}

#[test]
fn no_file_is_too_long() {
    hold(&sources::too_long(&text_files()));
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    hold(&sources::empty_names(&text_files()));
}

#[test]
fn source_is_ascii_outside_of_comments() {
    hold(&sources::not_ascii(&text_files()));
}

#[test]
fn nothing_is_put_off() {
    hold(&sources::put_off(&text_files()));
}

#[test]
fn nothing_is_of_one_machine() {
    hold(&sources::of_one_machine(&text_files()));
}

#[test]
fn ignored_tests_have_a_reason() {
    hold(&sources::ignored_without_reason(&text_files()));
}

#[test]
fn no_test_sleeps() {
    hold(&sources::sleeping_tests(&text_files()));
}

#[test]
fn every_scenario_tells_its_story_first() {
    hold(&sources::scenarios_without_story(&text_files()));
}

#[test]
fn every_limit_is_tried_or_explained() {
    hold(&documents::untried_limits(&text_files()));
}

#[test]
fn every_metric_is_explained() {
    hold(&documents::undocumented_metrics(&text_files(), &page("docs/operate/metrics.md")));
}

#[test]
fn every_configuration_key_is_explained_and_shown() {
    let keys = text_of(KEYS);
    assert!(documents::keys_in(&keys).any(|key| key == "listen"), "{KEYS} declares no keys");
    let page = page("docs/operate/configure.md");
    let example = SourceFile::new("examples/abide.toml", &text_of("examples/abide.toml"));
    hold(&documents::undocumented_keys(&keys, &page, &example));
}

#[test]
fn every_dependency_is_used() {
    let manifest = text_of("Cargo.toml");
    hold(&unused_dependencies(documents::dependencies_in(&manifest), &packages()));
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = text_of("Cargo.toml");
    hold(&documents::unexplained_dependencies(&manifest, &page("docs/design/decisions.md")));
}

#[test]
fn every_case_of_the_corpus_has_a_row() {
    hold(&documents::unlisted_cases(&paths(), &page(CORPUS)));
}

#[test]
fn every_link_leads_somewhere() {
    hold(&documents::dead_links(&text_files(), &paths()));
}

#[test]
fn cargo_run_starts_abide_and_nothing_else() {
    let metadata = metadata();
    let programs: Vec<String> = metadata
        .workspace_default_packages()
        .into_iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.clone())
        .collect();
    assert_eq!(programs, ["abide"], "the first command of the README needs one: default-members");
}
