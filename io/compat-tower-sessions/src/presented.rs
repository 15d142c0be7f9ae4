//! Which ids a request presents.

use abide_cookie::values;
use abide_session::Id;
use http::HeaderMap;
use http::header::COOKIE;

/// How many ids of one request are tried. A browser sends several cookies of one name if they were
/// set for different paths or domains; nobody has more than a few, and each may cost a store call.
pub const MAX_PRESENTED_IDS: usize = 4;

/// The ids of a request, in the order in which they are tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PresentedIds {
    ids: [Option<Id>; MAX_PRESENTED_IDS],
    /// Something came that is not an id.
    pub(crate) malformed: bool,
}

impl PresentedIds {
    /// Reads every cookie of this name.
    pub(crate) fn read(headers: &HeaderMap, cookie: &[u8]) -> Self {
        let mut found = Self::default();
        for field in headers.get_all(COOKIE) {
            for value in values(field.as_bytes(), cookie) {
                found.add(value);
            }
        }
        found
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Id> + use<> {
        self.ids.into_iter().flatten()
    }

    fn add(&mut self, text: &[u8]) {
        match Id::parse(text) {
            None => self.malformed = true,
            Some(id) if self.iter().any(|known| known == id) => {}
            Some(id) => {
                if let Some(free) = self.ids.iter_mut().find(|place| place.is_none()) {
                    *free = Some(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use abide_session::RANDOM_BYTES;
    use http::HeaderValue;

    use super::*;

    fn read(cookies: &str) -> PresentedIds {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(cookies).unwrap());
        PresentedIds::read(&headers, b"id")
    }

    #[test]
    fn no_more_than_the_limit_are_tried_and_each_once() {
        let id = |n| Id::from_random([n; RANDOM_BYTES]).text();
        let many: Vec<_> = (0..50).map(|n| format!("id={0}; id={0}", id(n))).collect();
        let found = read(&many.join("; "));
        assert!(found.iter().map(|id| id.text()).eq((0..4).map(id)));
        assert_eq!(found.iter().count(), MAX_PRESENTED_IDS);
    }

    #[test]
    fn an_id_of_tower_sessions_is_none_of_ours() {
        let found = read("id=AAAAAAAAAAAAAAAAAAAAAA");
        assert!(found.iter().next().is_none() && found.malformed);
        let found = read("other=AAAAAAAAAAAAAAAAAAAAAA");
        assert!(found.iter().next().is_none() && !found.malformed);
    }
}
