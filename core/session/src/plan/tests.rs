//! The whole policy as one table: what was presented across, what was recorded down.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::record::{FieldName, Subject};
use crate::stamp::{Stamp, Stamped};

/// `.` nothing, `L` load, `C` create, `K` commit, `t` touch only, `E` end; `F`, `Z`, `X` rename so
/// that the old id follows, freezes or ends. `+` sets the cookie, `-` removes it.
///
/// nobody's: a live session without a subject; alices: one of alice's. `due`: a touch is due. old,
/// frozen: found by an id that was renewed. All of them hold `a`.
const TABLE: &str = "
                none  unloaded unknown expired ended  nobodys alices due  old  olddue frozen frozendue
nothing         .     .        .       .       .      .       .      t    .    t      .      .
set             C+    K        C+      C+      C+     K       K      K    K    K      K      K
set-as-it-is    C+    K        C+      C+      C+     .       .      t    .    t      .      .
set-remove      .     L        .       .       .      .       .      t    .    t      .      .
remove          .     L        .       .       .      K       K      K    K    K      K      K
remove-other    .     L        .       .       .      .       .      t    .    t      .      .
update          C+    L        C+      C+      C+     K       K      K    K    K      K      K
update-to-same  C+    L        C+      C+      C+     .       .      t    .    t      .      .
count           C+    K        C+      C+      C+     K       K      K    K    K      K      K
count-nothing   C+    K        C+      C+      C+     .       .      t    .    t      .      .
join            C+    K        C+      C+      C+     K       K      K    K    K      K      K
leave           .     L        .       .       .      .       .      t    .    t      .      .
live-longer     .     L        .       .       .      K+      K+     K+   K    K      K      K
live-as-it-does .     L        .       .       .      .       .      t    .    t      .      .
clear           .     L        .       .       .      K       K      K    K    K      K      K
clear-set       C+    L        C+      C+      C+     K       K      K    K    K      K      K
set-clear       .     L        .       .       .      K       K      K    K    K      K      K
touch           .     L        .       .       .      t       t      t    t    t      .      .
renew           .     L        .       .       .      F+      F+     F+   .    t      .      .
renew-set       C+    L        C+      C+      C+     F+      F+     F+   K    K      K      K
bind-alice      C+    L        C+      C+      C+     Z+      .      Z+   Z+   Z+     C+     C+
bind-bob        C+    L        C+      C+      C+     Z+      X+     Z+   Z+   Z+     C+     C+
bind-nobody     .     L        .       .       .      .       X+     t    .    t      .      .
bind-set        C+    L        C+      C+      C+     Z+      K      Z+   Z+   Z+     C+     C+
bind-renew      C+    L        C+      C+      C+     Z+      F+     Z+   Z+   Z+     C+     C+
end             .     E-       .-      .-      .-     E-      E-     E-   E-   E-     E-     E-
set-end         .     E-       .-      .-      .-     E-      E-     E-   E-   E-     E-     E-
end-set         .     E-       .-      .-      .-     E-      E-     E-   E-   E-     E-     E-
bind-end        .     E-       .-      .-      .-     E-      E-     E-   E-   E-     E-     E-
renew-end       .     E-       .-      .-      .-     E-      E-     E-   E-   E-     E-     E-
";

#[test]
fn every_combination_is_decided_as_the_table_says() {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut decided = 0;
    let mut wrong = String::new();
    for line in lines {
        let mut cells = line.split_whitespace();
        let row = cells.next().unwrap();
        let expected: Vec<&str> = cells.collect();
        assert_eq!(expected.len(), columns.len(), "{row}");
        for (column, expected) in columns.iter().zip(expected) {
            let presented = presented(column);
            let operations = operations(row, presented.record());
            let plan = plan(&presented, &operations, NOW, &Policy::default());
            let found = cell(&plan);
            if found != expected {
                writeln!(wrong, "{row} on {column}: {found}, not {expected}").unwrap();
            }
            decided += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(decided, 30 * 12);
}

#[test]
fn a_new_session_says_when_it_was_made_and_ends() {
    let plan = plan(&Presented::Unknown, &operations("set", None), NOW, &Policy::default());
    let Action::Create(changes) = plan.action else { panic!("{plan:?}") };
    let policy = Policy::default();
    assert_eq!(changes.created, Some(NOW));
    assert_eq!(changes.seen, Some(NOW));
    assert_eq!(changes.idle_timeout, Some(policy.idle_timeout));
    assert_eq!(changes.hard_deadline, Some(NOW.after(policy.absolute_timeout)));
    assert_eq!(plan.cookie, CookieAction::Set(NOW.after(policy.absolute_timeout)));
}

#[test]
fn a_sign_in_starts_the_absolute_timeout_again_and_a_renewal_does_not() {
    let policy = Policy::default();
    let hard_deadline = record(None, RECENTLY).hard_deadline;
    for (row, expected) in
        [("bind-alice", NOW.after(policy.absolute_timeout)), ("renew", hard_deadline)]
    {
        let presented = presented("nobodys");
        let plan = plan(&presented, &operations(row, presented.record()), NOW, &policy);
        assert_eq!(plan.cookie, CookieAction::Set(expected), "{row}");
    }
}

#[test]
fn a_second_sign_in_takes_along_what_the_session_held() {
    let presented = presented("frozen");
    let operations = operations("bind-set", presented.record());
    let plan = plan(&presented, &operations, NOW, &Policy::default());
    let Action::Create(changes) = plan.action else { panic!("{plan:?}") };
    let names: Vec<&str> = changes.fields.keys().map(FieldName::as_str).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(changes.subject, Some(Some(Subject::new("alice").unwrap())));
}

#[test]
fn an_update_expects_what_it_was_computed_from() {
    let presented = presented("nobodys");
    let mut operations = operations("update", presented.record());
    operations.set(name("b"), value("2"));
    operations.update(name("b"), Some(value("3")), presented.record());
    operations.update(name("new"), Some(value("1")), presented.record());
    operations.update(name("new"), Some(value("2")), presented.record());
    let plan = plan(&presented, &operations, NOW, &Policy::default());
    let Action::Commit(changes) = plan.action else { panic!("{plan:?}") };
    use crate::changes::Expected;
    assert_eq!(changes.fields["a"].expected, Expected::Written(WRITTEN));
    assert_eq!(changes.fields["b"].expected, Expected::Anything, "based on our own write");
    assert_eq!(changes.fields["new"].expected, Expected::Absent);
}

#[test]
fn a_lifetime_of_its_own_goes_before_the_policy() {
    let policy = Policy::default();
    let own = lifetime(50 * 24 * 3600);
    let until = NOW.after(own.absolute_timeout);
    for (row, column) in [("set", "none"), ("bind-alice", "nobodys"), ("nothing", "nobodys")] {
        let presented = presented(column);
        let mut operations = operations(row, presented.record());
        operations.set_lifetime(own);
        let plan = plan(&presented, &operations, NOW, &policy);
        let (Action::Create(changes) | Action::Commit(changes) | Action::Rename(changes, _)) =
            plan.action
        else {
            panic!("{row}");
        };
        assert_eq!(changes.hard_deadline, Some(until), "{row}");
        assert_eq!(plan.cookie, CookieAction::Set(until), "{row}");
        let is_new = column == "none";
        assert_eq!(changes.idle_timeout, is_new.then_some(own.idle_timeout), "{row}");
    }
}

#[test]
fn a_second_sign_in_counts_on_from_what_the_session_held() {
    let presented = presented("frozen");
    let mut operations = operations("bind-alice", presented.record());
    operations.relate(name("a"), Write::Add(1)).unwrap();
    let plan = plan(&presented, &operations, NOW, &Policy::default());
    let Action::Create(changes) = plan.action else { panic!("{plan:?}") };
    // "1" is 49 in MessagePack.
    assert_eq!(changes.fields["a"], FieldChange::blind(Some(value("2"))));
}

#[test]
fn an_update_after_a_count_is_based_on_what_was_loaded() {
    let presented = presented("nobodys");
    let mut operations = operations("count", presented.record());
    operations.update(name("a"), Some(value("9")), presented.record());
    let plan = plan(&presented, &operations, NOW, &Policy::default());
    let Action::Commit(changes) = plan.action else { panic!("{plan:?}") };
    use crate::changes::Expected;
    assert_eq!(changes.fields["a"].expected, Expected::Written(WRITTEN));
}

#[test]
fn whatever_is_written_counts_as_use() {
    for (row, column) in [("set", "nobodys"), ("renew", "nobodys"), ("nothing", "due")] {
        let presented = presented(column);
        let plan = plan(&presented, &operations(row, presented.record()), NOW, &Policy::default());
        let (Action::Commit(changes) | Action::Rename(changes, _)) = plan.action else {
            panic!("{row}");
        };
        assert_eq!(changes.seen, Some(NOW), "{row}");
    }
}

const NOW: Time = Time::from_secs(1_000_000);
/// A second short of a tenth of the idle time-out ago.
const RECENTLY: u64 = 999_901;
const A_TENTH_AGO: u64 = 999_900;
const WRITTEN: Stamp = Stamp::new(5, 0);

fn name(text: &'static str) -> FieldName {
    FieldName::new(text).unwrap()
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn member(is_in: bool) -> Write {
    Write::Members([(value("x"), is_in)].into())
}

fn lifetime(absolute_secs: u64) -> Lifetime {
    let absolute_timeout = Duration::from_secs(absolute_secs);
    Lifetime { idle_timeout: Duration::from_secs(1000), absolute_timeout }
}

fn record(subject: Option<&str>, seen_secs: u64) -> Arc<Record> {
    let subject = subject.map(|subject| Subject::new(subject).unwrap());
    let idle_timeout = Duration::from_secs(1000);
    let mut record = Record {
        created: Time::from_secs(1),
        seen: Time::from_secs(seen_secs),
        hard_deadline: Time::from_secs(1_001_000),
        idle_timeout: Stamped::new(WRITTEN, idle_timeout),
        subject: Stamped::new(WRITTEN, subject),
        ..Record::default()
    };
    record.fields.insert(name("a"), Stamped::new(WRITTEN, Some(value("1"))));
    Arc::new(record)
}

fn presented(column: &str) -> Presented {
    let (record, standing) = match column {
        "none" => return Presented::Nothing,
        "unloaded" => return Presented::Unloaded,
        "unknown" => return Presented::Unknown,
        "expired" => return Presented::Expired,
        "ended" => return Presented::Ended,
        "nobodys" => (record(None, RECENTLY), Standing::Current),
        "alices" => (record(Some("alice"), RECENTLY), Standing::Current),
        "due" => (record(None, A_TENTH_AGO), Standing::Current),
        "old" => (record(None, RECENTLY), Standing::Old),
        "olddue" => (record(None, A_TENTH_AGO), Standing::Old),
        "frozen" => (record(None, RECENTLY), Standing::Frozen),
        "frozendue" => (record(None, A_TENTH_AGO), Standing::Frozen),
        other => panic!("no column {other}"),
    };
    Presented::Live { record, standing }
}

fn operations(row: &str, loaded: Option<&Record>) -> Operations {
    let mut operations = Operations::default();
    let bind = |operations: &mut Operations, who: &str| {
        operations.set_subject(Some(Subject::new(who).unwrap()));
    };
    match row {
        "nothing" => {}
        "set-as-it-is" => operations.set(name("a"), value("1")),
        "set-remove" => {
            operations.set(name("b"), value("2"));
            operations.remove(name("b"));
        }
        "remove" => operations.remove(name("a")),
        "remove-other" => operations.remove(name("b")),
        "update" => operations.update(name("a"), Some(value("2")), loaded),
        "update-to-same" => operations.update(name("a"), Some(value("1")), loaded),
        "count" => operations.relate(name("a"), Write::Add(1)).unwrap(),
        "count-nothing" => operations.relate(name("a"), Write::Add(0)).unwrap(),
        "join" => operations.relate(name("b"), member(true)).unwrap(),
        "leave" => operations.relate(name("b"), member(false)).unwrap(),
        "live-longer" => operations.set_lifetime(lifetime(1001)),
        "live-as-it-does" => operations.set_lifetime(lifetime(1000)),
        "bind-alice" => bind(&mut operations, "alice"),
        "bind-bob" => bind(&mut operations, "bob"),
        "bind-nobody" => operations.set_subject(None),
        steps => {
            for step in steps.split('-') {
                match step {
                    "set" => operations.set(name("b"), value("2")),
                    "clear" => operations.clear(),
                    "touch" => operations.touch(),
                    "renew" => operations.renew(),
                    "end" => operations.end(),
                    "bind" => bind(&mut operations, "alice"),
                    other => panic!("no row {other}"),
                }
            }
        }
    }
    operations
}

fn cell(plan: &Plan) -> String {
    let action = match &plan.action {
        Action::Nothing => ".",
        Action::Load => "L",
        Action::Create(_) => "C",
        Action::Commit(changes) if changes.is_only_touch() => "t",
        Action::Commit(_) => "K",
        Action::Rename(_, OldId::Follows) => "F",
        Action::Rename(_, OldId::Freezes) => "Z",
        Action::Rename(_, OldId::Ends) => "X",
        Action::End => "E",
    };
    let cookie = match plan.cookie {
        CookieAction::None => "",
        CookieAction::Set(_) => "+",
        CookieAction::Remove => "-",
    };
    alloc::format!("{action}{cookie}")
}
