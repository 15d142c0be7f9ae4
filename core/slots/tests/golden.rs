//! The answers in `golden/v1.tsv` never change: balancers, stores and other languages rely on them.
//!
//! `UPDATE=1` writes the file anew. Do that only to add lines.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use abide_slots::{Member, Slot, owners, slot_of_id};

const IDS: [&str; 16] = [
    "",
    "a",
    "000AAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "fffAAAAAAAAAAAAAAAAAAAAAAAAA-_",
    "1a2zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "1A2zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "1a2zzzzzzzzzzzzzzzzzzzzzzzzzz",
    "1a2zzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "1a2zzzzzzzzzzzzzzzzzzzzzzzzzz=",
    "g00zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "5A2F3C9E8B7D6A5F4E3D2C1B0A9F8E7D",
    "s:QvE6yVvVbR0mYc3mQxw1Yx2l8oJ9kX7A.Zm9vYmFyYmF6",
    "rack.session.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "sess_2f9a",
    "caf\u{e9}",
    "01234567890123456789012345678901",
];

/// `name`, or `name*weight`.
const POOLS: [&str; 6] = [
    "a",
    "a b",
    "a b c",
    "a*3 b",
    "web-01 web-02 web-03 web-04 web-05 web-06 web-07 web-08 web-09 web-10",
    "server.with.a.name.of.sixty-four.bytes.which.is.the.longest.one-*100 A_b a_B 10.0.0.1 10.0.0.2*2",
];

#[test]
fn the_answers_are_those_of_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1.tsv");
    let answers = answers();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &answers).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file can be read");
    assert_eq!(golden, answers);
}

/// An implementation that shares no code with this one, in a language of those who will need it.
#[test]
fn python_computes_the_same_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let output = Command::new("python3")
        .arg(folder.join("check.py"))
        .arg(folder.join("v1.tsv"))
        .output()
        .expect("python3 is needed for this test: apt-get install python3");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let lines = answers().lines().filter(|line| !line.starts_with('#')).count();
    let checked = String::from_utf8_lossy(&output.stdout);
    assert_eq!(checked.trim(), format!("{lines} lines agree"));
}

fn answers() -> String {
    let mut text = String::from(
        "# abide slots, version 1. These answers never change.\n\
         # slot <tab> id <tab> slot of the id in hexadecimal\n\
         # owners <tab> slot <tab> members, as name or name*weight <tab> their order for this slot\n",
    );
    for id in IDS {
        let slot = slot_of_id(id.as_bytes());
        writeln!(text, "slot\t{id}\t{slot}").expect("a string takes everything");
    }
    for pool in POOLS {
        let members: Vec<Member<'_>> = pool.split(' ').map(member).collect();
        for number in (0..Slot::COUNT).step_by(61) {
            let slot = Slot::new(number).expect("a number below 4096");
            let order: Vec<&str> =
                owners(slot, &members).into_iter().map(|place| members[place].name()).collect();
            writeln!(text, "owners\t{slot}\t{pool}\t{}", order.join(" "))
                .expect("a string takes everything");
        }
    }
    text
}

fn member(text: &str) -> Member<'_> {
    let (name, weight) = text.split_once('*').unwrap_or((text, "1"));
    Member::new(name, weight.parse().expect("a weight is a number")).expect("a member")
}
