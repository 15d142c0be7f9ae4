//! The three layers, and what every crate owes the map.
//!
//! Core imports nothing of ours but the leaves; io imports core and never another io; bin wires; what is
//! for testing is never linked into a product. The folder of a crate says its layer.

/// Cores that other cores may import. They import nothing of ours.
pub const LEAVES: [&str; 4] = ["abide-time", "abide-cookie", "abide-slots", "abide-keys"];

/// Cores that may import another core which is no leaf, and which that is. A node keeps sessions, and decides as a store
/// does: it is made of the words of `core/session`.
pub const ABOVE: [(&str, &str); 1] = [("abide-replica", "abide-session")];

/// Crates that bring a clock, a socket, randomness or a runtime, so that a core has no use for them.
pub const IMPURE: [&str; 14] = [
    "axum",
    "chrono",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "rand",
    "socket2",
    "time",
    "tokio",
    "tokio-util",
    "tower",
    "tracing",
];

/// A member of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// As in its manifest.
    pub name: String,
    /// From the root of the repository, such as `core/time`.
    pub folder: String,
    /// One line; empty if there is none.
    pub description: String,
    /// What it imports.
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// What the manifest calls it, if that is something else.
    pub alias: Option<String>,
    /// For tests, examples and benches only.
    pub dev: bool,
}

impl Package {
    fn layer(&self) -> &str {
        self.folder.split('/').next().unwrap_or("")
    }
}

/// Every import against the arrows.
pub fn against_the_arrows(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            let reason = match packages.iter().find(|other| other.name == dependency.name) {
                Some(other) => wrong_direction(package, other, dependency.dev),
                None if package.layer() == "core" && !dependency.dev => {
                    IMPURE.contains(&dependency.name.as_str()).then_some(
                        "a core has no clock, socket, randomness or runtime: take a value as an argument",
                    )
                }
                None => None,
            };
            if let Some(reason) = reason {
                let (from, to) = (&package.folder, &dependency.name);
                complaints.push(format!("{from}/Cargo.toml: must not import {to}: {reason}"));
            }
        }
    }
    complaints
}

fn wrong_direction(from: &Package, to: &Package, dev: bool) -> Option<&'static str> {
    let leaf = |package: &Package| LEAVES.contains(&package.name.as_str());
    match (from.layer(), to.layer()) {
        // For its tests a crate may use what is made for tests, and what its layer may import anyway.
        (_, "testing") if dev => None,
        ("core" | "io" | "bin" | "examples", "testing") => {
            Some("what is for testing is never linked into a product: make it a dev-dependency")
        }
        ("core", "core") if leaf(from) => Some("a leaf imports nothing of ours"),
        ("core", "core") if leaf(to) => None,
        ("core", "core") if ABOVE.contains(&(from.name.as_str(), to.name.as_str())) => None,
        ("core", _) => {
            Some("a core imports only the leaves: pass a value, or move the type to a leaf")
        }
        ("io", "core") | ("testing" | "bin" | "examples" | "bench", "core" | "io") => None,
        ("testing", "testing") => None,
        ("io", _) => Some("an io crate imports core and never another io: let bin wire the two"),
        ("testing", _) => Some("test kits know the libraries, not what is made of them"),
        _ => Some("nothing imports a binary or an example"),
    }
}

/// Dependencies that the workspace declares and no member uses.
pub fn unused_dependencies<'a>(
    declared: impl Iterator<Item = &'a str>,
    packages: &[Package],
) -> Vec<String> {
    let used = |name: &str| {
        let mut all = packages.iter().flat_map(|package| &package.dependencies);
        all.any(|used| used.alias.as_ref().unwrap_or(&used.name) == name)
    };
    declared
        .filter(|name| !used(name))
        .map(|name| format!("Cargo.toml: no member uses {name}: remove it from the workspace"))
        .collect()
}

/// Crates that the map does not show, or that do not say what they are.
pub fn missing_from_the_map(
    packages: &[Package],
    architecture: &str,
    manifest: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for Package { folder, description, .. } in packages {
        if !architecture.contains(&format!("`{folder}`")) {
            complaints.push(format!("ARCHITECTURE.md: give `{folder}` a place in the code map"));
        }
        if description.trim().is_empty() {
            complaints.push(format!("{folder}/Cargo.toml: say in `description` what the crate is"));
        }
        let member = format!("\"{folder}\",");
        let reason = manifest
            .lines()
            .find_map(|line| line.trim().strip_prefix(member.as_str()))
            .and_then(|rest| rest.trim().strip_prefix('#'));
        if reason.is_none_or(|reason| reason.trim().is_empty()) {
            complaints
                .push(format!("Cargo.toml: say after `{member}` in a comment why it is a member"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, dependencies: &[(&str, bool)]) -> Package {
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            description: "x".to_owned(),
            dependencies: dependencies
                .iter()
                .map(|&(name, dev)| Dependency { name: name.to_owned(), alias: None, dev })
                .collect(),
        }
    }

    /// Whether crate `from` with this one dependency is complained of, in a world with one of each layer.
    fn refused(from: (&str, &str), to: &str, dev: bool) -> bool {
        let mut world = vec![
            package("abide-time", "core/time", &[]),
            package("abide-session", "core/session", &[]),
            package("abide", "io/web", &[]),
            package("abide-bin", "bin/abide", &[]),
            package("abide-store-suite", "testing/store-suite", &[]),
        ];
        world.retain(|package| package.name != from.0);
        world.push(package(from.0, from.1, &[(to, dev)]));
        !against_the_arrows(&world).is_empty()
    }

    #[test]
    fn arrows_point_down_only() {
        let affinity = ("abide-affinity", "core/affinity");
        let balancer = ("abide-balancer", "io/balancer");
        let table = [
            (affinity, "abide-time", false, false),
            (affinity, "abide-session", false, true),
            (affinity, "abide-session", true, true),
            (affinity, "abide", false, true),
            (affinity, "tokio", false, true),
            (affinity, "memchr", false, false),
            (("abide-cookie", "core/cookie"), "abide-time", false, true),
            (("abide-replica", "core/replica"), "abide-session", false, false),
            (balancer, "abide-session", false, false),
            (balancer, "abide", false, true),
            (balancer, "abide", true, true),
            (balancer, "abide-bin", false, true),
            (balancer, "abide-store-suite", true, false),
            (balancer, "abide-store-suite", false, true),
            (balancer, "tokio", false, false),
            (("abide-other", "bin/other"), "abide", false, false),
            (("abide-other", "bin/other"), "abide-bin", false, true),
            (("abide-other", "bin/other"), "abide-store-suite", false, true),
            (("abide-sim", "testing/sim"), "abide-session", false, false),
            (("abide-sim", "testing/sim"), "abide", false, false),
            (("abide-sim", "testing/sim"), "abide-bin", false, true),
            (("abide-example-counter", "examples/counter"), "abide", false, false),
        ];
        for (from, to, dev, expected) in table {
            assert_eq!(refused(from, to, dev), expected, "{} imports {to}, dev: {dev}", from.1);
        }
    }

    #[test]
    fn a_dependency_that_nobody_uses_is_found() {
        let user = package("abide", "io/web", &[("http", false), ("tower", true)]);
        let declared = ["http", "tower", "libc"].into_iter();
        assert_eq!(unused_dependencies(declared, &[user]).len(), 1);
    }

    #[test]
    fn a_crate_owes_the_map_a_place_a_description_and_a_reason() {
        let mut sample = package("abide-time", "core/time", &[]);
        let manifest = "members = [\n  \"core/time\",  # a point in time\n]\n";
        assert!(missing_from_the_map(&[sample.clone()], "| `core/time` |", manifest).is_empty());
        sample.description.clear();
        let found = missing_from_the_map(&[sample], "core/times", "  \"core/time\",\n");
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
