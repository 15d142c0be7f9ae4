//! Runs the stories in `tests/scenarios/*.txt`.
//!
//! A story is a list of commands. What a command answers stands below it, on lines that begin with
//! `->`; `UPDATE=1` writes the answers anew. Comments begin with `#`. Times are written `90s`, `5m`
//! or `24h`.
//!
//! ```text
//! balancer NAME             go on with another balancer; a new one is like the first at the beginning
//! pool NAME                 the pool's name
//! strict                    sessions do not move
//! servers a b*3 c           the list of servers, with weights
//! server a down             one server's state: up, down, ready, draining 5m, maintenance
//! sources sticky query:sid  where affinity comes from
//! keys 2 1                  the key ring, the sealing key first
//! lifetime 1h 24h           the longest time away, and in all
//! advance 5m                for all balancers
//! skew 5m ahead             this balancer's clock is wrong from now on; also `behind`
//! give ann TEXT             sets a visitor's sticky cookie
//! copy ann bob              gives bob ann's sticky cookie
//! cut ann 10                takes characters off the end of it
//! request ann [target=/] [cookie="a=1"] [header=id] [address=192.0.2.1] [failing=a,b] [times=3]
//! seen ann cookie="a=1"     what the application sees of these and the sticky cookie
//! ```

mod runner;

use std::path::{Path, PathBuf};

#[test]
fn every_story_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut stories: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of stories can be read")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    stories.sort();
    assert!(stories.len() >= 12, "stories are missing");
    let update = std::env::var_os("UPDATE").is_some();
    let failed: Vec<String> = stories.iter().filter_map(|path| check(path, update)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What differs, if anything.
fn check(path: &Path, update: bool) -> Option<String> {
    let story = std::fs::read_to_string(path).expect("a story can be read");
    assert!(story.starts_with("# "), "{}: begin with the story in a comment", path.display());
    let told = runner::run(&story);
    if update {
        std::fs::write(path, &told).expect("a story can be written");
        return None;
    }
    let differs = |(number, (written, told)): (usize, (&str, &str))| {
        let line = number + 1;
        (written != told)
            .then(|| format!("{}:{line}\n  written: {written}\n  happens: {told}", path.display()))
    };
    let lengths_differ = format!("{}: an answer is missing or too much", path.display());
    (story != told).then(|| {
        story.lines().zip(told.lines()).enumerate().find_map(differs).unwrap_or(lengths_differ)
    })
}
