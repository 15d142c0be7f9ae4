//! A certificate that is renewed while its node runs.
//!
//! The files are looked at every few seconds, by a thread that may wait for a disk. What is new there and right is
//! used for connections that are made from then on; those that stand go on. What is not right changes
//! nothing, and is said once, when it is there for the second time: whoever puts three files in their places
//! does so one after the other.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use abide_time::Time;
use rustls::pki_types::UnixTime;

use crate::certificates::Certificates;
use crate::clock::wall;
use crate::pair::Pair;

/// A certificate, as it was when its files were right last.
pub(crate) struct Renewal {
    certificates: Certificates,
    /// The name of the node.
    name: String,
    pair: RwLock<Arc<Pair>>,
}

/// How often files are looked at: three small ones, so that it costs nothing, and whoever has renewed a certificate need not
/// wait to see it used.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A certificate that is valid for less is spoken of.
const SOON: Duration = Duration::from_hours(14 * 24);
/// And again after so long.
const TOLD_EVERY: Duration = Duration::from_hours(24);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    Same,
    Renewed,
    Fault(String),
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Notice {
    /// There is a new one.
    Renewed,
    /// What is there can not be used; the old one is.
    Kept(String),
    /// So long, and it is over.
    Expires(Duration),
    /// It is over.
    Expired,
}

impl Renewal {
    /// Reads what there is, and says what is wrong with it.
    pub(crate) fn begin(certificates: Certificates, name: &str) -> Result<Self, String> {
        let pair = Pair::of(certificates.read()?, &certificates, name, unix(wall()))?;
        Ok(Self { certificates, name: name.to_owned(), pair: RwLock::new(Arc::new(pair)) })
    }

    /// What connections are made with now.
    pub(crate) fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self, now: Time) -> Look {
        let new = self.certificates.read().and_then(|pem| {
            if pem == self.pair().pem {
                return Ok(None);
            }
            Pair::of(pem, &self.certificates, &self.name, unix(now)).map(Some)
        });
        match new {
            Ok(None) => Look::Same,
            Ok(Some(pair)) => {
                *self.pair.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Look::Renewed
            }
            Err(fault) => Look::Fault(fault),
        }
    }

    /// Looks for ever.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut pace = tokio::time::interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = Said::default();
        loop {
            pace.tick().await;
            let looking = Arc::clone(&self);
            let found = if self.certificates.may_change() {
                let looked = tokio::task::spawn_blocking(move || looking.look(wall())).await;
                looked.unwrap_or(Look::Same)
            } else {
                Look::Same
            };
            for notice in said.hear(found, self.pair().expires, wall()) {
                notice.tell();
            }
        }
    }
}

/// What was said before.
#[derive(Debug, Default)]
struct Said {
    /// The fault of the last look, and whether it was spoken of.
    fault: Option<(String, bool)>,
    /// When the end of the certificate was spoken of.
    end: Option<Time>,
}

impl Said {
    fn hear(&mut self, found: Look, expires: Option<Time>, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        let last = self.fault.take();
        match (found, last) {
            (Look::Same, _) => {}
            (Look::Renewed, _) => {
                self.end = None;
                notices.push(Notice::Renewed);
            }
            (Look::Fault(fault), Some((before, is_told))) if fault == before => {
                if !is_told {
                    notices.push(Notice::Kept(fault.clone()));
                }
                self.fault = Some((fault, true));
            }
            (Look::Fault(fault), _) => self.fault = Some((fault, false)),
        }
        let is_soon = expires.filter(|end| *end < now.after(SOON));
        let is_due = self.end.is_none_or(|told| now >= told.after(TOLD_EVERY));
        if let (Some(end), true) = (is_soon, is_due) {
            self.end = Some(now);
            let left = end.since(now);
            notices.push(if left.is_zero() { Notice::Expired } else { Notice::Expires(left) });
        }
        notices
    }
}

impl Notice {
    fn tell(self) {
        match self {
            Self::Renewed => {
                tracing::info!("a new certificate is used for connections from now on");
            }
            Self::Kept(fault) => {
                tracing::warn!(%fault, "a new certificate can not be used; the old one is");
            }
            Self::Expires(left) => {
                let days = left.as_secs().div_euclid(24 * 60 * 60);
                tracing::warn!(
                    days,
                    "the certificate of this node, or one behind it, expires soon; have it renewed"
                );
            }
            Self::Expired => tracing::error!(
                "the certificate of this node, or one behind it, has expired: no other node takes a \
                 new connection; have it renewed"
            ),
        }
    }
}

fn unix(time: Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(time.as_millis()))
}

#[cfg(test)]
mod tests {
    use abide_servers::Certificates as Issued;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Time = Time::from_secs(1_000_000_000);

    fn fault(text: &str) -> Look {
        Look::Fault(text.to_owned())
    }

    #[test]
    fn what_does_not_fit_changes_nothing_until_all_of_it_is_there() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [here, next] = folders.each_ref().map(|folder| Issued::make(folder.path()));
        let files = Certificates::files(&here.certificate, &here.key, &here.authority);
        let renewal = Renewal::begin(files, "localhost").unwrap();
        let first = renewal.pair();
        assert_eq!(renewal.look(wall()), Look::Same);
        let fault = |told: &str| {
            let Look::Fault(fault) = renewal.look(wall()) else { panic!("{told}") };
            assert!(fault.contains(told) && Arc::ptr_eq(&first, &renewal.pair()), "{fault}");
        };
        std::fs::copy(&next.key, &here.key).unwrap();
        fault("is not that of the first certificate");
        std::fs::copy(&next.certificate, &here.certificate).unwrap();
        fault("does not lead to an authority that is trusted");
        std::fs::remove_file(&here.authority).unwrap();
        fault("can not read");
        std::fs::copy(&next.authority, &here.authority).unwrap();
        assert_eq!(renewal.look(wall()), Look::Renewed);
        assert!(!Arc::ptr_eq(&first, &renewal.pair()));
        assert_eq!(renewal.look(wall()), Look::Same);
    }

    #[test]
    fn a_fault_is_said_once_when_it_is_seen_again_and_anew_when_it_was_gone() {
        let mut said = Said::default();
        let mut hear = |look| said.hear(look, None, NOW);
        assert_eq!(hear(fault("one")), []);
        assert_eq!(hear(fault("one")), [Notice::Kept("one".to_owned())]);
        assert_eq!(hear(fault("one")), []);
        assert_eq!(hear(fault("other")), []);
        assert_eq!(hear(fault("other")), [Notice::Kept("other".to_owned())]);
        assert_eq!(hear(Look::Renewed), [Notice::Renewed]);
        assert_eq!(hear(fault("other")), []);
        assert_eq!(hear(Look::Same), []);
        assert_eq!(hear(fault("other")), []);
        assert_eq!(hear(fault("other")), [Notice::Kept("other".to_owned())]);
    }

    #[test]
    fn the_end_of_a_certificate_is_said_once_a_day_for_two_weeks() {
        let mut said = Said::default();
        let end = NOW.after(15 * DAY);
        let mut notices = Vec::new();
        for hour in 0..17 * 24 {
            let now = NOW.after(Duration::from_hours(hour));
            notices.extend(said.hear(Look::Same, Some(end), now).into_iter().map(|it| (hour, it)));
        }
        let hours: Vec<u64> = notices.iter().map(|(hour, _)| *hour).collect();
        assert_eq!(hours[..3], [25, 49, 73]);
        assert_eq!(notices.len(), 16, "{notices:?}");
        assert!(matches!(notices[0].1, Notice::Expires(left) if left < 14 * DAY));
        assert_eq!(notices.last().unwrap().1, Notice::Expired);
        // A new one is spoken of when its own end comes near.
        assert_eq!(said.hear(Look::Renewed, Some(NOW.after(90 * DAY)), end), [Notice::Renewed]);
        assert_eq!(said.hear(Look::Same, None, end), []);
    }
}
