//! The recipes of `docs/operate/rotate-keys.md`, step by step, as an operator follows them.

use std::net::SocketAddr;

use serde_json::Value;

use crate::harness::origin::keygen;
use crate::harness::{Client, Folder, Process};

/// Two shops that seal sessions, and a balancer before them, each with its keys in a file.
struct Site {
    folder: Folder,
    shops: Vec<Option<Process>>,
    addresses: Vec<SocketAddr>,
    balancer: Option<Process>,
    front: SocketAddr,
}

const SESSION_KEYS: &str = "session-keys";
const STICKY_KEYS: &str = "sticky-keys";

impl Site {
    fn start(name: &str, session_keys: &[&str], sticky_keys: &[&str]) -> Self {
        let folder = Folder::new(name);
        let front = SocketAddr::from(([127, 0, 0, 1], 0));
        let (shops, addresses) = (vec![None, None], vec![front; 2]);
        let mut site = Self { folder, shops, addresses, balancer: None, front };
        site.write(session_keys, sticky_keys);
        for place in 0..2 {
            site.start_shop(place);
        }
        site.start_balancer();
        site
    }

    fn write(&self, session_keys: &[&str], sticky_keys: &[&str]) {
        self.folder.write(SESSION_KEYS, &(session_keys.join("\n") + "\n"));
        self.folder.write(STICKY_KEYS, &(sticky_keys.join("\n") + "\n"));
    }

    /// At the address that it had before, if there was one.
    fn start_shop(&mut self, place: usize) {
        let keys = self.folder.path().join(SESSION_KEYS);
        let shop = Process::start(&format!(
            "app --listen {} --name {} --keep cookie --keys-file {}",
            self.addresses[place],
            ["a", "b"][place],
            keys.display()
        ));
        self.addresses[place] = shop.listen();
        self.shops[place] = Some(shop);
    }

    fn start_balancer(&mut self) {
        let keys = self.folder.path().join(STICKY_KEYS);
        let balancer = Process::start(&format!(
            "balance --listen {} --verdict-header --server a={} --server b={} --keys-file {}",
            self.front,
            self.addresses[0],
            self.addresses[1],
            keys.display()
        ));
        self.front = balancer.listen();
        self.balancer = Some(balancer);
    }

    /// Everywhere the same new keys, and one process after the other started again, while `check`
    /// sees a site of which one part is out, or new, and the rest is old.
    fn roll(
        &mut self,
        session_keys: &[&str],
        sticky_keys: &[&str],
        mut check: impl FnMut(&Self, &[usize]),
    ) {
        self.write(session_keys, sticky_keys);
        for place in 0..2 {
            self.shops[place].take().unwrap().stop();
            check(self, &[1 - place]);
            self.start_shop(place);
            check(self, &[0, 1]);
        }
        self.balancer.take().unwrap().stop();
        self.start_balancer();
        check(self, &[0, 1]);
    }
}

/// Asks through the balancer, and each of these shops directly, who is signed in.
fn users(site: &Site, visitor: &mut Client, shops: &[usize]) -> Vec<Value> {
    let doors = shops.iter().map(|place| site.addresses[*place]);
    let doors: Vec<SocketAddr> = [site.front].into_iter().chain(doors).collect();
    let mut users = Vec::new();
    for door in doors {
        visitor.go_to(door);
        let answer = visitor.get("/api/me");
        assert_eq!(answer.status, 200);
        users.push(answer.json()["user"].clone());
    }
    users
}

fn signed_in(site: &Site, user: &str) -> Client {
    let mut visitor = Client::new(site.front);
    assert_eq!(visitor.post(&format!("/api/login?user={user}")).status, 200);
    visitor
}

#[test]
fn a_key_is_changed_in_three_steps_and_nobody_is_signed_out() {
    let ([old, new], [old_sticky, new_sticky]) = ([keygen(), keygen()], [keygen(), keygen()]);
    let mut site = Site::start("rotation", &[&old], &[&old_sticky]);
    // One who changes his session all the time, at every server, and one who only looks.
    let mut busy = signed_in(&site, "ada");
    let mut quiet = signed_in(&site, "bob");
    let old_cookies = quiet.cookies.clone();
    let mut changes = 0;
    let mut check = |site: &Site, shops: &[usize]| {
        for place in shops {
            assert!(users(site, &mut busy, shops).iter().all(|user| user == "ada"));
            busy.go_to(site.addresses[*place]);
            changes += 1;
            assert_eq!(busy.post("/api/incr?k=changes").json()["value"], changes);
        }
        assert!(users(site, &mut busy, shops).iter().all(|user| user == "ada"));
        assert!(users(site, &mut quiet, shops).iter().all(|user| user == "bob"));
    };

    // 1. The new key second, everywhere. 2. The new key first, everywhere.
    check(&site, &[0, 1]);
    site.roll(&[&old, &new], &[&old_sticky, &new_sticky], &mut check);
    site.roll(&[&new, &old], &[&new_sticky, &old_sticky], &mut check);
    assert_ne!(quiet.cookies["abide"], old_cookies["abide"], "sealed anew when it was read");

    // 3. The old key dropped.
    let mut check = |site: &Site, shops: &[usize]| {
        assert!(users(site, &mut busy, shops).iter().all(|user| user == "ada"));
        assert!(users(site, &mut quiet, shops).iter().all(|user| user == "bob"));
    };
    site.roll(&[&new], &[&new_sticky], &mut check);

    let mut copied = Client::new(site.front);
    copied.cookies = old_cookies;
    assert_eq!(copied.get("/api/me").verdict().1, "forged", "the balancer's own cookie too");
    assert!(users(&site, &mut copied, &[0, 1]).iter().all(Value::is_null));
}

#[test]
fn a_key_that_leaked_is_dropped_at_once_and_everybody_signs_in_again() {
    let (leaked, new) = (keygen(), keygen());
    let (sticky, new_sticky) = (keygen(), keygen());
    let mut site = Site::start("leak", &[&leaked], &[&sticky]);
    let mut visitor = signed_in(&site, "ada");
    site.roll(&[&new], &[&new_sticky], |_, _| {});
    assert!(users(&site, &mut visitor, &[0, 1]).iter().all(Value::is_null));
    visitor.go_to(site.front);
    assert_eq!(visitor.post("/api/login?user=ada").status, 200);
    assert!(users(&site, &mut visitor, &[0, 1]).iter().all(|user| user == "ada"));
}
