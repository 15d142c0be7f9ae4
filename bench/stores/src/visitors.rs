//! Those who visit an app: they have sessions in it, and come again.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "real time, and no runtime to pause it"
)]

use std::time::{Duration, Instant};

use crate::app::App;
use crate::browser::{Answer, Browser};

/// What requests do with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    path: &'static str,
    comes: Comes,
}

/// Who comes with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// One of the visitors who have a session.
    Known,
    /// Somebody without a cookie.
    New,
    /// Somebody who got a session just before, by a request that does not count.
    Once,
}

pub const KINDS: [Kind; 5] = [
    Kind { name: "untouched", path: "/untouched", comes: Comes::Known },
    Kind { name: "read", path: "/read", comes: Comes::Known },
    Kind { name: "write", path: "/write", comes: Comes::Known },
    Kind { name: "create", path: "/create", comes: Comes::New },
    Kind { name: "logout", path: "/logout", comes: Comes::Once },
];

/// What `/read` gives of a small session.
const SMALL_PAGE: &str = "/products/100000";

/// More than a failover takes.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(60);
const RECOVERY_PAUSE: Duration = Duration::from_millis(50);

/// The characters of a field, in the apps of both languages.
const TEXT_CHARACTERS: usize = 500;

/// What some requests took.
#[derive(Debug, Default)]
pub struct Taken {
    pub micros: Vec<f64>,
    pub cpu_ns: u64,
}

/// An app and its visitors.
#[derive(Debug)]
pub struct Visitors {
    app: App,
    browser: Browser,
    cookies: Vec<Option<String>>,
    next: usize,
}

impl Visitors {
    /// So many visitors get a session of 4 KB each; in an app without sessions they get none.
    pub fn new(app: App, sessions: usize) -> Result<Self, String> {
        let browser = Browser::new(app.address()).map_err(|error| error.to_string())?;
        let mut visitors = Self { app, browser, cookies: Vec::new(), next: 0 };
        for _ in 0..sessions.max(1) {
            let cookie = visitors.ask("/create", None)?.cookie;
            visitors.cookies.push(cookie);
        }
        Ok(visitors)
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// Makes sure that the app does what is measured; and that after a logout the old cookie finds
    /// nothing, if it `forgets`.
    pub fn check(&mut self, forgets: bool) -> Result<(), String> {
        let cookie =
            self.ask("/create", None)?.cookie.ok_or("a new session came without a cookie")?;
        let first = self.ask("/read", Some(&cookie))?.body;
        let written = self.ask("/write", Some(&cookie))?;
        // A session in the browser comes back with what was written.
        let cookie = written.cookie.unwrap_or(cookie);
        let changed = self.ask("/read", Some(&cookie))?.body;
        if first.len() != TEXT_CHARACTERS || first == written.body || changed != written.body {
            return Err("a session does not hold what was written to it".to_owned());
        }
        self.ask("/untouched", Some(&cookie))?;
        self.ask("/logout", Some(&cookie))?;
        let left = self.ask("/read", Some(&cookie))?.body;
        if forgets && left == changed {
            return Err("a session is there after the logout".to_owned());
        }
        Ok(())
    }

    /// So many requests of a kind, one after the other.
    pub fn come(&mut self, kind: Kind, requests: usize) -> Result<Taken, String> {
        let cookies = self.cookies_for(kind, requests)?;
        self.send(kind, &cookies)
    }

    /// The cookies of those who come with so many requests of a kind.
    pub fn cookies_for(
        &mut self,
        kind: Kind,
        requests: usize,
    ) -> Result<Vec<Option<String>>, String> {
        match kind.comes {
            Comes::New => Ok(vec![None; requests]),
            Comes::Known => {
                let first = self.next;
                self.next += requests;
                Ok((first..self.next).map(|place| self.known(place)).collect())
            }
            Comes::Once => (0..requests).map(|_| Ok(self.ask("/create", None)?.cookie)).collect(),
        }
    }

    /// A request of a kind with each of these cookies.
    pub fn send(&mut self, kind: Kind, cookies: &[Option<String>]) -> Result<Taken, String> {
        let mut taken = Taken { micros: Vec::with_capacity(cookies.len()), cpu_ns: 0 };
        let before = self.app.cpu_ns();
        for cookie in cookies {
            let answer = self.ask(kind.path, cookie.as_deref())?;
            taken.micros.push(micros(answer.took));
        }
        taken.cpu_ns = self.app.cpu_ns().saturating_sub(before);
        Ok(taken)
    }

    /// Makes so many sessions of five small fields, and gives the cookies.
    pub fn make_small(&mut self, sessions: usize) -> Result<Vec<Option<String>>, String> {
        (0..sessions).map(|_| Ok(self.ask("/small", None)?.cookie)).collect()
    }

    /// How many of these cookies find the session that [`Visitors::make_small`] made. Errors are no
    /// answer: it asks again until there is one.
    pub fn count_small(&mut self, cookies: &[Option<String>]) -> Result<usize, String> {
        let deadline = Instant::now() + RECOVERY_PATIENCE;
        let mut found = 0;
        for cookie in cookies {
            let body = loop {
                match self.ask("/read", cookie.as_deref()) {
                    Ok(answer) => break answer.body,
                    Err(error) if Instant::now() > deadline => return Err(error),
                    Err(_) => std::thread::sleep(RECOVERY_PAUSE),
                }
                self.browser =
                    Browser::new(self.app.address()).map_err(|error| error.to_string())?;
            };
            found += usize::from(body == SMALL_PAGE);
        }
        Ok(found)
    }

    fn known(&self, place: usize) -> Option<String> {
        self.cookies[place % self.cookies.len()].clone()
    }

    fn ask(&mut self, path: &str, cookie: Option<&str>) -> Result<Answer, String> {
        let answer = self.browser.ask(path, cookie).map_err(|error| format!("{path}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{path} was answered {}: {}", answer.status, answer.body));
        }
        Ok(answer)
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
