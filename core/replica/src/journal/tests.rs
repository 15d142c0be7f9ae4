use alloc::string::ToString as _;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::entry::Entry;
use crate::packed::pack;
use crate::samples::{entries, id, ids};
use crate::view::Status;

fn content_of(entries: &[(abide_session::IdHash, Entry)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (id, entry) in entries {
        write_entry(&mut content, &pack(*id, entry));
    }
    content
}

fn digests(table: &Table) -> Vec<u64> {
    (0..9).map(|number| table.digest(id(number).slot())).collect()
}

/// All content that is found in these bytes when they come in pieces of this size.
fn found(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, (u64, u64)) {
    let mut frames = Frames::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        frames.push(piece);
        while let Some(content) = frames.next_content(false) {
            found.push(content.to_vec());
        }
    }
    while let Some(content) = frames.next_content(true) {
        found.push(content.to_vec());
    }
    (found, frames.skipped_bytes())
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

proptest! {
    #[test]
    fn what_a_table_took_over_is_there_again_in_any_order_and_taken_twice(
        taken in prop::collection::vec((ids(), entries()), 0..20), swap: bool
    ) {
        let mut table = Table::new(usize::MAX);
        table.note_news();
        let mut news = Vec::new();
        for (id, entry) in &taken {
            table.merge(*id, entry.clone()).unwrap();
            news.push(table.take_news().unwrap());
        }
        if swap {
            news.reverse();
        }
        let mut recovered = Recovered::default();
        for content in news.iter().chain(&news) {
            recovered.take(content).unwrap();
        }
        prop_assert_eq!(digests(&recovered.table), digests(&table));
        prop_assert_eq!(recovered.unread_bytes(), 0);
    }

    #[test]
    fn any_content_is_taken_or_left_out(content: Vec<u8>) {
        let _ = Recovered::default().take(&content);
    }

    #[test]
    fn a_file_gives_its_frames_in_whatever_pieces_it_is_read(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        piece in 1_usize..100
    ) {
        let mut bytes = Vec::new();
        for content in &contents {
            write_frame(&mut bytes, content);
        }
        prop_assert_eq!(found(&bytes, piece), (contents, (0, 0)));
    }

    #[test]
    fn a_damaged_file_gives_all_frames_that_are_whole(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
        at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index
    ) {
        let mut bytes = Vec::new();
        let mut ends = vec![];
        for content in &contents {
            write_frame(&mut bytes, content);
            ends.push(bytes.len());
        }
        // One byte is another.
        let at = at.index(bytes.len());
        let mut damaged = bytes.clone();
        damaged[at] ^= flip;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let mut whole = contents.clone();
        whole.remove(hit);
        prop_assert_eq!(found(&damaged, 7).0, whole);
        // The end is not there.
        let cut = cut.index(bytes.len());
        let kept = ends.iter().filter(|end| **end <= cut).count();
        let (read, (skipped, tail)) = found(&bytes[..cut], 16);
        prop_assert_eq!(&read[..], &contents[..kept]);
        let last = kept.checked_sub(1).map_or(0, |last| ends[last]);
        let torn = count(&bytes[last..cut]);
        prop_assert_eq!((skipped, tail), (torn, torn));
    }

    #[test]
    fn any_bytes_are_a_file(bytes: Vec<u8>, piece in 1_usize..20) {
        let mut tempting = MAGIC.to_vec();
        tempting.extend(&bytes);
        let (_, (skipped, _)) = found(&tempting, piece);
        prop_assert!(skipped <= count(&tempting));
    }
}

#[test]
fn what_a_later_version_wrote_is_not_half_read() {
    let mut content = Vec::new();
    write_part(&mut content, FORMAT, &[2]);
    let mut recovered = Recovered::default();
    assert_eq!(recovered.take(&content), Err(LaterVersion(2)));
    assert!(LaterVersion(2).to_string().contains("version 2"));
    let mut frames = Vec::new();
    write_version(&mut frames);
    let (contents, _) = found(&frames, 64);
    assert_eq!(recovered.take(&contents[0]), Ok(()));
}

#[test]
fn a_length_that_no_frame_has_is_not_waited_for() {
    for (length, is_waited_for) in [(MAX_CONTENT_BYTES, true), (MAX_CONTENT_BYTES + 1, false)] {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend([0; size_of::<u64>()]);
        let mut frames = Frames::default();
        frames.push(&bytes);
        assert_eq!(frames.next_content(false), None);
        assert_eq!(frames.skipped_bytes().0 == 0, is_waited_for);
    }
}

#[test]
fn a_part_that_is_none_costs_no_other() {
    let entry = Entry::Ended { hard_deadline: abide_session::Time::from_secs(7) };
    let mut content = Vec::new();
    write_part(&mut content, 99, b"of a later day");
    write_part(&mut content, ENTRY, b"no entry");
    content.extend(content_of(&[(id(1), entry.clone())]));
    let mut recovered = Recovered::default();
    recovered.take(&content).unwrap();
    assert_eq!(recovered.table.get(id(1)), Some(entry));
    assert_eq!(recovered.unread_bytes(), 14 + 8);
}

#[test]
fn of_a_process_the_last_that_was_known_counts() {
    let mut content = Vec::new();
    let known = |birth, status| Known { birth: Birth(birth), status };
    write_node(&mut content, "b", known(5, Status::Dead), "b:1");
    write_node(&mut content, "c", known(5, Status::Up), "c:1");
    write_node(&mut content, "b", known(4, Status::Up), "b:0");
    write_node(&mut content, "a", known(3, Status::Leaving), "a:1");
    let mut recovered = Recovered::default();
    recovered.take(&content).unwrap();
    assert_eq!((recovered.missed("b"), recovered.missed("c")), (None, Some(Birth(5))));
    assert_eq!((recovered.birth("a"), recovered.missed("x")), (Some(Birth(3)), None));
    let living: Vec<String> = recovered.living().map(|contact| contact.address).collect();
    assert_eq!(living, ["a:1", "c:1"]);
}
