//! Nodes that have certificates in place of a secret.

mod authority;
mod stranger;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use abide_keys::Key;
use abide_node::{Certificates, Config, NodeStore, join};
use abide_servers::{Port, free_port};
use tempfile::TempDir;

use self::authority::{Authority, DAY, Issued, Wanted, all};
use self::stranger::{Caller, Learned, impersonate, shows_one_of};
use super::{all_there, create, until, until_ready};

/// A node, and those that it is told of.
fn node(name: &str, list: &[(&str, &Port)]) -> Config {
    Config::new(name, list.iter().map(|(name, port)| (*name, port.address())))
}

/// The files of a node.
struct Files(TempDir);

impl Files {
    fn new(issued: &Issued, roots: &[&Authority]) -> Self {
        let files = Self(TempDir::new().unwrap());
        files.show(issued);
        files.trust(roots);
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Puts one in place, as tools do: written beside it, then renamed.
    fn put(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    fn show(&self, issued: &Issued) {
        self.put("node.pem", &issued.chain);
        self.put("node.key", &issued.key);
    }

    fn trust(&self, roots: &[&Authority]) {
        self.put("ca.pem", &all(roots));
    }

    fn certificates(&self) -> Certificates {
        let [chain, key, roots] = ["node.pem", "node.key", "ca.pem"].map(|name| self.path(name));
        Certificates::files(chain, key, roots)
    }
}

#[tokio::test]
async fn nodes_with_certificates_are_a_cluster_and_whoever_has_one_may_join() {
    let ports = [free_port(), free_port(), free_port()];
    let [at_a, at_b, at_c] = &ports;
    let authority = Authority::new();
    let below = authority.below();
    let config = |name: &str, list: &[(&str, &Port)], issued: Issued| {
        node(name, list).certificates(issued.trusting(&[&authority]))
    };
    let first = [("a", at_a), ("b.nodes.example", at_b)];
    let plain = authority.issue(&Wanted { key: "ed25519", ..Wanted::of(&["a"]) });
    // One that has another name as well, of an authority between.
    let longer = below.issue(&Wanted::of(&["www.example", "B.nodes.example"])).behind(&below);
    let (a, b) = tokio::join!(
        join(config("a", &first, plain)),
        join(config("b.nodes.example", &first, longer))
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..50).await;
    create(&b, 50..100).await;
    let third = authority.issue(&Wanted { key: "rsa:2048", ..Wanted::of(&["c"]) });
    let c = join(config("c", &[("c", at_c), ("a", at_a)], third)).await.unwrap();
    until_ready(&[&a, &b, &c]).await;
    a.stop().await;
    until_ready(&[&b, &c]).await;
    all_there(&c, 0..100).await;
    assert_eq!(b.names(), ["a", "b.nodes.example", "c"]);
    let ninety_days = u128::try_from(90 * DAY * 1000).unwrap();
    let left = c.certificate_expiry().unwrap().since(super::now()).as_millis();
    assert!((ninety_days - 600_000..=ninety_days).contains(&left), "{left}");
}

/// A alone, in a cluster with b, which does not run.
async fn alone(authority: &Authority, ports: &[Port; 2]) -> NodeStore {
    let list = [("a", &ports[0]), ("b", &ports[1])];
    let own = authority.issue(&Wanted::of(&["a"]));
    join(node("a", &list).certificates(own.trusting(&[authority]))).await.unwrap()
}

#[tokio::test]
async fn who_has_no_certificate_of_its_name_learns_nothing_and_changes_nothing() {
    let ports = [free_port(), free_port()];
    let [authority, other] = [Authority::new(), Authority::new()];
    let a = alone(&authority, &ports).await;
    let good = Wanted::of(&["b"]);
    let issue = |authority: &Authority, wanted| Some(authority.issue(&wanted));
    let strangers = [
        ("of another authority", issue(&other, good)),
        ("expired", issue(&authority, Wanted { valid: (-2 * DAY, -DAY), ..good })),
        ("of tomorrow", issue(&authority, Wanted { valid: (DAY, 2 * DAY), ..good })),
        ("for servers only", issue(&authority, Wanted { usage: "serverAuth", ..good })),
        ("none", None),
    ];
    let call = async |shown: Option<&Issued>, from| {
        Caller { authority: &authority, shown, from, to: "a" }.call(&ports[0]).await
    };
    for (which, shown) in &strangers {
        assert_eq!(call(shown.as_ref(), "b").await, Learned::Nothing, "{which}");
    }
    // Of the right authority, and in somebody else's name: told that much, and nothing of this cluster.
    let stolen = authority.issue(&Wanted::of(&["a"]));
    let pattern = authority.issue(&Wanted::of(&["*.nodes", "*"]));
    let upper = authority.issue(&good);
    for (shown, from) in [
        (&stolen, "b"),
        (&pattern, "b.nodes"),
        (&pattern, "*.nodes"),
        (&upper, "B"),
        (&upper, "b."),
    ] {
        let told =
            format!("the certificate of the node that calls itself {from:?} has other names");
        assert_eq!(call(Some(shown), from).await, Learned::Refusal(told));
    }
    // Somebody with the secret of another cluster.
    let list = [("a", &ports[0]), ("b", &ports[1])];
    let secret = node("b", &list).secret(Key::new([7; Key::BYTES]));
    let stranger = join(secret).await.unwrap();
    assert_eq!(stranger.counters().letters_received, 0);
    stranger.stop().await;
    create(&a, 0..20).await;
    assert_eq!((a.counters().letters_received, a.names()), (0, vec!["a".into(), "b".into()]));
    // And it is for what they show, and for nothing else, that they were refused.
    assert_eq!(call(Some(&authority.issue(&good)), "b").await, Learned::Everything);
}

#[tokio::test]
async fn a_node_says_nothing_to_who_has_not_the_name_that_it_dials() {
    let ports = [free_port(), free_port()];
    let [authority, other] = [Authority::new(), Authority::new()];
    let list = [("a", &ports[0]), ("b.nodes.example", &ports[1])];
    let own = authority.issue(&Wanted::of(&["a"]));
    let config = node("a", &list).certificates(own.trusting(&[&authority]));
    let good = Wanted::of(&["b.nodes.example"]);
    let joining = tokio::spawn(join(config));
    for shown in [
        authority.issue(&Wanted::of(&["a"])),
        authority.issue(&Wanted::of(&["*.nodes.example"])),
        authority.issue(&Wanted { valid: (-2 * DAY, -DAY), ..good }),
        authority.issue(&Wanted { usage: "clientAuth", ..good }),
        other.issue(&good),
    ] {
        let said = impersonate(&ports[1], &shown, 2).await;
        assert_eq!(String::from_utf8_lossy(&said), "");
    }
    // The right one is spoken to.
    let said = impersonate(&ports[1], &authority.issue(&good), 1).await;
    assert!(String::from_utf8_lossy(&said).contains("abide node"), "{said:?}");
    let a = joining.await.unwrap().unwrap();
    assert_eq!(a.counters().letters_received, 0);
}

#[tokio::test]
async fn a_certificate_that_expires_cuts_nothing_and_one_that_is_renewed_opens_again() {
    let ports = [free_port(), free_port()];
    let list = [("a", &ports[0]), ("b", &ports[1])];
    let authority = Authority::new();
    let brief = authority.issue(&Wanted { valid: (-DAY, 4), ..Wanted::of(&["a"]) });
    let files = Files::new(&brief, &[&authority]);
    let of_b = authority.issue(&Wanted::of(&["b"])).trusting(&[&authority]);
    let config_b = || node("b", &list).certificates(of_b.clone());
    let (a, b) =
        tokio::join!(join(node("a", &list).certificates(files.certificates())), join(config_b()));
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..20).await;
    until("an end", async || !shows_one_of(&ports[0], "a", &authority).await).await;
    let expiry = a.certificate_expiry().unwrap();
    assert!(expiry <= super::now(), "{expiry:?}");
    // The connection of before is there.
    create(&a, 20..40).await;
    let before = a.counters().letters_received;
    until("a letter", async || a.counters().letters_received > before).await;
    // There is no other.
    b.stop().await;
    let b = join(config_b()).await.unwrap();
    assert_eq!(b.counters().letters_received, 0);
    all_there(&a, 0..40).await;
    let new = authority.issue(&Wanted::of(&["a"]));
    files.put("node.pem", &new.chain);
    files.put("node.key", &new.key);
    until_ready(&[&a, &b]).await;
    assert!(a.certificate_expiry().unwrap() > expiry);
    a.stop().await;
    all_there(&b, 0..40).await;
}

#[tokio::test]
async fn an_authority_is_replaced_while_nodes_run() {
    let ports = [free_port(), free_port()];
    let list = [("a", &ports[0]), ("b", &ports[1])];
    let [old, new] = [Authority::new(), Authority::new()];
    let files = ["a", "b"].map(|name| Files::new(&old.issue(&Wanted::of(&[name])), &[&old]));
    let config = |place: usize, name| node(name, &list).certificates(files[place].certificates());
    let (a, b) = tokio::join!(join(config(0, "a")), join(config(1, "b")));
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..30).await;
    // First all trust both, then each shows one of the new, then nobody trusts the old.
    for files in &files {
        files.trust(&[&old, &new]);
    }
    for (place, name) in ["a", "b"].into_iter().enumerate() {
        files[place].show(&new.issue(&Wanted::of(&[name])));
        until("a new one", async || shows_one_of(&ports[place], name, &new).await).await;
        assert!(!shows_one_of(&ports[place], name, &old).await);
    }
    for files in &files {
        files.trust(&[&new]);
    }
    let stranger = old.issue(&Wanted::of(&["b"]));
    let caller = Caller { authority: &new, shown: Some(&stranger), from: "b", to: "a" };
    assert_eq!(a.counters().deaths, 0);
    b.stop().await;
    until("an end of trust", async || caller.call(&ports[0]).await == Learned::Nothing).await;
    let b = join(config(1, "b")).await.unwrap();
    until_ready(&[&a, &b]).await;
    a.stop().await;
    all_there(&b, 0..30).await;
}

/// What a node of this name says that can not start with these files.
async fn refused(name: &str, certificates: Certificates) -> String {
    let port = free_port();
    let config = Config::new(name, [(name, port.address())]).certificates(certificates);
    join(config).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_node_looks_at_its_own_certificate_first_and_says_what_to_do() {
    let [authority, other] = [Authority::new(), Authority::new()];
    let good = Wanted::of(&["a"]);
    let of = |wanted| authority.issue(&wanted).trusting(&[&authority]);
    let issued = authority.issue(&good);
    let root = authority.root();
    let pem = |chain: &str, key: &str, roots: &str| Certificates::pem(chain, key, roots);
    let below = authority.below();
    for (certificates, told) in [
        (of(Wanted { valid: (-2 * DAY, -DAY), ..good }), "has expired, or one behind it"),
        (of(Wanted { valid: (DAY, 2 * DAY), ..good }), "is not valid yet"),
        (of(Wanted { usage: "serverAuth", ..good }), "lacks clientAuth"),
        (of(Wanted { usage: "clientAuth", ..good }), "lacks serverAuth"),
        (of(Wanted::of(&["b", "c"])), "needs the dNSName a in subjectAltName, and has b, c"),
        (of(Wanted::of(&[])), "needs the dNSName a in subjectAltName, and has none"),
        (issued.trusting(&[&other]), "does not lead to an authority that is trusted"),
        (
            below.issue(&good).trusting(&[&authority]),
            "does not lead to an authority that is trusted",
        ),
        (
            pem(&issued.chain, &authority.issue(&good).key, &root),
            "is not that of the first certificate",
        ),
        (pem("", &issued.key, &root), "the chain: there is no certificate in PEM form"),
        (pem(&issued.key, &issued.key, &root), "the chain: there is no certificate"),
        (pem(&issued.chain, &issued.chain, &root), "the key: there is no key in PEM form"),
        (pem(&issued.chain, &issued.key, "ca"), "the authorities: there is no certificate"),
        (pem(&root, &authority.root_key(), &root), "is that of an authority"),
        (pem(&root, &issued.key, &root), "is not that of the first certificate"),
        (Certificates::files("/none", "/none", "/none"), "can not read /none"),
    ] {
        let text = refused("a", certificates).await;
        assert!(text.contains(told) && !text.contains('\n'), "{text}");
    }
    let key = "-----BEGIN PRIVATE KEY-----\nSECRET*WORDS\n-----END PRIVATE KEY-----\n";
    let text = refused("a", pem(&issued.chain, key, &root)).await;
    assert!(text.contains("there is no key") && !text.contains("SECRET"), "{text}");
    for name in ["A", "10.0.0.1", "a."] {
        let text = refused(name, of(Wanted::of(&["a"]))).await;
        assert!(text.contains("no certificate can name the node"), "{text}");
    }
    // One between the root and the node is an authority too.
    let port = free_port();
    let config = Config::new("a", [("a", port.address())]);
    join(config.certificates(below.issue(&good).trusting(&[&below]))).await.unwrap();
    let port = free_port();
    let both = Config::new("a", [("a", port.address())]).secret(Key::new([7; Key::BYTES]));
    let text = join(both.certificates(of(good))).await.unwrap_err().to_string();
    assert!(text.contains("give one of both"), "{text}");
}

#[tokio::test]
async fn a_key_that_every_user_can_read_starts_nothing() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&Wanted::of(&["a"])), &[&authority]);
    let at = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    at(&files.path("node.key"), 0o644);
    let text = refused("a", files.certificates()).await;
    assert!(text.contains("node.key") && text.contains("chmod 600"), "{text}");
    at(&files.path("node.key"), 0o640);
    at(&files.path("node.pem"), 0o644);
    let port = free_port();
    let config = Config::new("a", [("a", port.address())]);
    let node = join(config.certificates(files.certificates())).await.unwrap();
    node.health().await.unwrap();
}
