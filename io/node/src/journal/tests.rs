use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use abide_replica::{Birth, Call, Config, Contact, Event, Moment, NodeId, Operation};
use abide_session::{Changes, IdHash};
use abide_time::Time;

use super::*;

/// A node of its own that is stepped by hand, and the folder of its journal.
struct Kept {
    folder: tempfile::TempDir,
    counts: Arc<Counts>,
    now: Moment,
    births: u64,
}

impl Kept {
    fn new() -> Self {
        let now = Moment { passed: Duration::ZERO, wall: Time::from_secs(1_800_000_000) };
        let folder = tempfile::tempdir().unwrap();
        Self { folder, counts: Arc::default(), now, births: 0 }
    }

    fn start(&mut self) -> (Node, Journal) {
        let opened = Opened::folder(self.folder.path()).unwrap();
        let (recovered, journal) = opened.go_on(Arc::clone(&self.counts)).unwrap();
        self.births += 1;
        let config = Config::new(Contact::in_order(["a"]), NodeId(0), Birth(self.births));
        let mut node = Node::restored(config, recovered, self.now);
        node.step(self.now, Event::Woken);
        (node, journal)
    }

    fn create(&self, node: &mut Node, number: u64) {
        let mut changes = Changes::default();
        changes.created = Some(self.now.wall);
        changes.idle_timeout = Some(Duration::from_hours(1));
        changes.hard_deadline = Some(self.now.wall.after(Duration::from_hours(2)));
        let operation = Operation::Create(id(number), changes);
        node.step(self.now, Event::Call(number, Call { operation, now: self.now.wall }));
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn id(number: u64) -> IdHash {
    IdHash::of_secret("test", &number.to_le_bytes())
}

/// Goes on until this is so.
fn until(journal: &mut Journal, node: &Node, is_so: impl Fn(&Journal) -> bool) {
    let begun = Instant::now();
    while !is_so(journal) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never was so");
        journal.due = Instant::now();
        journal.go_on(node);
        std::thread::yield_now();
    }
}

#[test]
fn what_was_taken_over_is_there_again_and_a_copy_ends_what_is_older() {
    let mut kept = Kept::new();
    for round in 0..3 {
        let (mut node, mut journal) = kept.start();
        assert_eq!(node.table().sessions(), round * 100);
        for number in 0..100 {
            kept.create(&mut node, u64::try_from(round).unwrap() * 100 + number);
            journal.append(&mut node);
        }
        journal.stop();
    }
    assert_eq!(kept.names(), ["journal-1", "journal-2", "journal-3", "lock"]);
    let (node, mut journal) = kept.start();
    journal.has_gap = true;
    until(&mut journal, &node, |journal| journal.copied_bytes > 0);
    journal.stop();
    assert_eq!(kept.names(), ["copy-5", "journal-5", "lock"]);
    assert_eq!(kept.start().0.table().sessions(), 300);
    assert_eq!(kept.counts.snapshot().journal_copies, 1);
}

#[test]
fn what_is_written_is_asked_to_be_kept_by_itself() {
    let mut kept = Kept::new();
    let (mut node, mut journal) = kept.start();
    kept.create(&mut node, 1);
    journal.append(&mut node);
    let counts = Arc::clone(&kept.counts);
    until(&mut journal, &node, |_| counts.snapshot().journal_syncs > 0);
    assert!(counts.snapshot().journal_bytes > 0 && counts.snapshot().journal_failures == 0);
}

#[test]
fn nobody_else_reads_the_files() {
    let mut kept = Kept::new();
    let _running = kept.start();
    for name in kept.names() {
        assert_eq!(fs::metadata(kept.path(&name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_that_was_cut_anywhere_gives_what_stood_before_the_cut() {
    let mut kept = Kept::new();
    let (mut node, mut journal) = kept.start();
    let mut ends = vec![0];
    for number in 0..10 {
        let counts = Arc::clone(&kept.counts);
        let before = counts.snapshot().journal_bytes;
        kept.create(&mut node, number);
        journal.append(&mut node);
        until(&mut journal, &node, |_| counts.snapshot().journal_bytes > before);
        ends.push(usize::try_from(counts.snapshot().journal_bytes).unwrap());
    }
    journal.stop();
    let whole = fs::read(kept.path("journal-1")).unwrap();
    let head = whole.len() - ends.last().unwrap();
    for cut in (0..whole.len()).step_by(37) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal-1"), &whole[..cut]).unwrap();
        let opened = Opened::folder(folder.path()).unwrap();
        let there = ends.iter().skip(1).filter(|end| head + **end <= cut).count();
        assert_eq!(opened.recovered.len(), there);
    }
}

#[test]
fn a_damaged_block_costs_what_stood_in_it_and_a_copy_is_made() {
    let mut kept = Kept::new();
    let (mut node, mut journal) = kept.start();
    for number in 0..50 {
        kept.create(&mut node, number);
        journal.append(&mut node);
    }
    journal.stop();
    let mut bytes = fs::read(kept.path("journal-1")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(kept.path("journal-1"), bytes).unwrap();
    let (node, mut journal) = kept.start();
    assert_eq!(node.table().sessions(), 49);
    until(&mut journal, &node, |journal| journal.copied_bytes > 0);
}

#[test]
fn a_folder_is_for_one_process_and_for_this_version() {
    let mut kept = Kept::new();
    let running = kept.start();
    let fault = Opened::folder(kept.folder.path()).err().unwrap().to_string();
    assert!(fault.contains("another process uses it"), "{fault}");
    drop(running.0);
    running.1.stop();
    // A frame whose only part is a version, 2, and below it what it holds.
    let mut frames = Vec::new();
    write_frame(&mut frames, &[1, 1, 2]);
    fs::write(kept.path("journal-9"), frames).unwrap();
    let fault = Opened::folder(kept.folder.path()).err().unwrap().to_string();
    assert!(fault.contains("journal-9") && fault.contains("version 2"), "{fault}");
}

#[test]
fn a_disk_that_failed_has_all_again_when_it_takes_something() {
    let mut kept = Kept::new();
    let (mut node, mut journal) = kept.start();
    // The next journal is on a disk that is full.
    symlink("/dev/full", kept.path("journal-2")).unwrap();
    journal.has_gap = true;
    let counts = Arc::clone(&kept.counts);
    until(&mut journal, &node, |_| counts.snapshot().journal_failures > 0);
    kept.create(&mut node, 1);
    journal.append(&mut node);
    until(&mut journal, &node, |_| counts.snapshot().journal_copies > 0);
    journal.stop();
    fs::remove_file(kept.path("journal-2")).unwrap_or_default();
    assert_eq!(kept.start().0.table().sessions(), 1);
}

#[test]
fn what_waits_for_a_disk_that_hangs_is_bounded() {
    let (jobs, waiting) = mpsc::channel();
    let mut journal = Journal {
        jobs,
        state: Arc::default(),
        thread: None,
        number: 1,
        has_gap: false,
        written_bytes: 0,
        copied_bytes: 0,
        copying: None,
        due: Instant::now(),
    };
    let large = vec![0; MAX_WAITING_BYTES / 8];
    let taken = (0..20).filter(|_| journal.give(&large, Job::Append)).count();
    assert_eq!(taken, 7);
    assert!(journal.state.waiting_bytes.load(Ordering::Relaxed) <= MAX_WAITING_BYTES);
    // What does not find room is known to be missing.
    let mut kept = Kept::new();
    let (mut node, running) = kept.start();
    kept.create(&mut node, 1);
    while journal.give(&[0; 4096], Job::Append) {}
    journal.append(&mut node);
    assert!(journal.has_gap);
    drop(waiting);
    running.stop();
}
