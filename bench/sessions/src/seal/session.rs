//! Sessions of a web shop, in four sizes. No two are alike, and each comes again with every run.

use serde::{Deserialize, Serialize};

/// A session. Empty parts are left out, in JSON as everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    pub user: Option<User>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cart: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferences: Option<Preferences>,
    pub csrf: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub email: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub address_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub roles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub sku: String,
    pub title: String,
    pub image: String,
    pub quantity: u32,
    pub price_cents: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    pub locale: String,
    pub currency: String,
    pub theme: String,
    pub time_zone: String,
    pub newsletter: bool,
}

/// How large a session is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub name: &'static str,
    lines: u64,
    pages: u64,
    /// Whether the user has an address, roles and preferences.
    full: bool,
    /// Bytes as JSON that count as this shape.
    bytes: (usize, usize),
}

/// The one with the targets.
pub const USUAL: Shape =
    Shape { name: "1 KB", lines: 5, pages: 7, full: true, bytes: (1_000, 1_050) };

pub const OTHERS: [Shape; 3] = [
    Shape { name: "tiny", lines: 0, pages: 0, full: false, bytes: (80, 120) },
    Shape { name: "4 KB", lines: 29, pages: 24, full: true, bytes: (3_800, 4_200) },
    Shape { name: "12 KB", lines: 90, pages: 77, full: true, bytes: (11_500, 12_500) },
];

/// So many sessions of a shape.
pub fn sessions(shape: Shape, count: usize) -> Vec<Session> {
    let mut draw = Draw(0x5eed);
    let mut all = Vec::with_capacity(count);
    for _ in 0..100 * count {
        let session = session(shape, &mut draw);
        let json = serde_json::to_vec(&session).expect("a session is JSON");
        if (shape.bytes.0..=shape.bytes.1).contains(&json.len()) {
            all.push(session);
        }
        if all.len() == count {
            return all;
        }
    }
    panic!("sessions of {} are hardly ever of {:?} bytes", shape.name, shape.bytes);
}

fn session(shape: Shape, draw: &mut Draw) -> Session {
    let first = draw.one_of(FIRST_NAMES);
    let last = draw.one_of(LAST_NAMES);
    let mut user = User {
        id: 100_000 + draw.below(900_000),
        name: format!("{first} {last}"),
        ..User::default()
    };
    if shape.full {
        user.email = format!("{}.{}@example.org", first.to_lowercase(), last.to_lowercase());
        user.address_id = format!("{}-{}-4{}", draw.hex(8), draw.hex(4), draw.hex(11));
        user.roles = vec!["customer".into(), draw.one_of(ROLES).into()];
    }
    Session {
        user: Some(user),
        cart: (0..shape.lines).map(|_| line(draw)).collect(),
        preferences: shape.full.then(|| Preferences {
            locale: draw.one_of(&["de-DE", "en-GB", "en-US", "fr-FR", "pl-PL"]).into(),
            currency: draw.one_of(&["EUR", "GBP", "USD", "PLN"]).into(),
            theme: draw.one_of(&["dark", "light", "system"]).into(),
            time_zone: draw.one_of(&["Europe/Berlin", "Europe/London", "America/Chicago"]).into(),
            newsletter: draw.below(2) == 1,
        }),
        // What a framework makes of 24 random bytes: it can not be compressed.
        csrf: (0..32).map(|_| char::from(BASE64URL[draw.below(64) as usize])).collect(),
        pages: (0..shape.pages).map(|_| page(draw)).collect(),
    }
}

fn line(draw: &mut Draw) -> Line {
    let thing = draw.one_of(THINGS);
    let colour = draw.one_of(COLOURS);
    Line {
        sku: format!(
            "{}-{}-{}",
            &thing[..3].to_uppercase(),
            &colour[..3].to_uppercase(),
            100 + draw.below(900)
        ),
        title: format!("{colour} {thing}"),
        image: format!("/i/{}.webp", draw.hex(8)),
        quantity: 1 + draw.below(3) as u32,
        price_cents: 490 + draw.below(300) as u32 * 50,
    }
}

fn page(draw: &mut Draw) -> String {
    match draw.below(3) {
        0 => format!("/c/{}?page={}", draw.one_of(THINGS).replace(' ', "-"), 1 + draw.below(9)),
        1 => format!("/search?q={}", draw.one_of(COLOURS)),
        _ => format!("/p/{}", 10_000 + draw.below(90_000)),
    }
}

/// Numbers that look random and are the same in every run (SplitMix64, Steele and others 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16) as usize])).collect()
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const FIRST_NAMES: &[&str] =
    &["Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Tony", "Frances"];
const LAST_NAMES: &[&str] =
    &["Lovelace", "Hopper", "Dijkstra", "Liskov", "Turing", "Perlman", "Hoare", "Allen"];
const ROLES: &[&str] = &["reviewer", "wholesale", "staff", "beta"];
const COLOURS: &[&str] = &["black", "white", "navy", "olive", "sand", "burgundy", "grey", "teal"];
const THINGS: &[&str] = &[
    "running shoes",
    "wool socks",
    "rain jacket",
    "linen shirt",
    "denim jeans",
    "leather belt",
    "knit hat",
    "canvas bag",
];
