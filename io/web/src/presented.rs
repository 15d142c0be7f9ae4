//! What a request presents of a session: ids, from a header that a trusted proxy sets and from
//! cookies, or a sealed session.

use abide_cookie::values;
use abide_session::{Id, Presented, Seal};
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::carried::CarryOver;
use crate::layer::{Keep, Settings};

/// What a request presents of a session: what its layer looks for, and while sessions move between
/// a store and sealed cookies, both.
#[derive(Debug, Default)]
pub(crate) struct Presentation {
    ids: PresentedIds,
    /// Cookie fields in which there is a sealed one of ours. They are opened when somebody asks.
    sealed: Vec<HeaderValue>,
}

impl Presentation {
    /// Reads what a request of a layer with these settings has, as cheaply as can be.
    pub(crate) fn read(headers: &HeaderMap, settings: &Settings) -> Self {
        let name = settings.cookie.name().as_bytes();
        let ids = || PresentedIds::read(headers, settings.id_header.as_ref(), name);
        match (&settings.keep, &settings.carry_over) {
            (Keep::Stored(_), CarryOver::Sealed(sealing))
            | (Keep::Sealed(sealing), CarryOver::Stored(_)) => {
                let (mut ids, sealed) = (ids(), sealed_fields(headers, &sealing.seal));
                // Either form is malformed as the other.
                ids.malformed &= sealed.is_empty();
                Self { ids, sealed }
            }
            (Keep::Stored(_), _) => Self { ids: ids(), sealed: Vec::new() },
            (Keep::Sealed(sealing), _) => {
                let sealed = sealed_fields(headers, &sealing.seal);
                Self { ids: PresentedIds::default(), sealed }
            }
        }
    }

    /// What is known of the session before anybody looked.
    pub(crate) fn at_first(&self) -> Presented {
        if !self.ids.is_empty() || !self.sealed.is_empty() {
            Presented::Unloaded
        } else if self.ids.malformed {
            // What is no id is known by no session.
            Presented::Unknown
        } else {
            Presented::Nothing
        }
    }

    /// Whether something came that is not an id.
    pub(crate) fn is_malformed(&self) -> bool {
        self.ids.malformed
    }

    /// The ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        self.ids.iter()
    }

    /// The id, if there is no other to be tried.
    pub(crate) fn only_id(&self) -> Option<Id> {
        let mut ids = self.ids();
        ids.next().filter(|_| ids.next().is_none())
    }

    /// The cookie fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.sealed.iter().map(HeaderValue::as_bytes)
    }
}

fn sealed_fields(headers: &HeaderMap, seal: &Seal) -> Vec<HeaderValue> {
    let fields = headers.get_all(COOKIE).iter();
    fields.filter(|field| !seal.parts(&[field.as_bytes()]).is_empty()).cloned().collect()
}

/// How many ids of one request are tried. A browser sends several cookies of one name if they were
/// set for different paths or domains; nobody has more than a few, and each may cost a store call.
pub const MAX_PRESENTED_IDS: usize = 4;

/// The ids of a request, in the order in which they are tried. Kept in place: reading them
/// allocates nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PresentedIds {
    ids: [Option<Id>; MAX_PRESENTED_IDS],
    /// Something came that is not an id.
    pub(crate) malformed: bool,
}

impl PresentedIds {
    /// Reads the header first, if one is trusted, then every cookie of this name.
    pub(crate) fn read(headers: &HeaderMap, trusted: Option<&HeaderName>, cookie: &[u8]) -> Self {
        let mut found = Self::default();
        if let Some(value) = trusted.and_then(|name| headers.get(name)) {
            found.add(value.as_bytes());
        }
        for field in headers.get_all(COOKIE) {
            for value in values(field.as_bytes(), cookie) {
                found.add(value);
            }
        }
        found
    }

    /// The ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Id> + use<> {
        self.ids.into_iter().flatten()
    }

    /// Whether there is no id.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
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

    use super::*;

    fn id(number: u8) -> Id {
        Id::from_random([number; RANDOM_BYTES])
    }

    fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_trusted_header_comes_first_and_each_id_once() {
        let (a, b) = (id(1), id(2));
        let headers = headers(&[
            ("cookie", format!("x=1; abide={}; abide={}", b.text(), a.text())),
            ("x-session-id", a.text().to_string()),
        ]);
        let name = HeaderName::from_static("x-session-id");
        let found = PresentedIds::read(&headers, Some(&name), b"abide");
        assert!(found.iter().eq([a, b]));
        let found = PresentedIds::read(&headers, None, b"abide");
        assert!(found.iter().eq([b, a]));
    }

    #[test]
    fn no_more_than_the_limit_are_tried() {
        let many: Vec<_> = (0..200).map(|n| format!("abide={}", id(n).text())).collect();
        let headers = headers(&[("cookie", many.join("; "))]);
        let found = PresentedIds::read(&headers, None, b"abide");
        assert_eq!(found.iter().count(), MAX_PRESENTED_IDS);
    }

    #[test]
    fn what_is_no_id_is_absent() {
        let headers = headers(&[("cookie", "abide=; abide=guess; other=1".to_owned())]);
        let found = PresentedIds::read(&headers, None, b"abide");
        assert!(found.is_empty() && found.malformed);
        let found = PresentedIds::read(&headers, None, b"nothing");
        assert!(found.is_empty() && !found.malformed);
    }
}
