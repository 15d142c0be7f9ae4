//! What a configuration needs of the machine: files, the environment, random bytes.
//!
//! All of it is looked at here, so that everything else in this folder is tested with values.

use std::io::{self, BufRead, Read};
use std::num::NonZeroUsize;
use std::path::Path;

use abide_keys::Key;

use super::file::FILE_BYTES_MAX;
use super::{Problem, Problems};

/// The variable that may hold the keys instead of a file.
pub(crate) const KEYS_VARIABLE: &str = "ABIDE_KEYS";
/// The most that is read of keys on standard input: eight take 400 bytes.
const KEYS_BYTES_MAX: u64 = 4096;

/// What a configuration needs of the machine; values in tests.
pub(crate) struct Surroundings<'a> {
    /// The keys that were handed over other than by a file: what [`KEYS_VARIABLE`] holds.
    pub(crate) keys: Option<String>,
    /// Reads a file.
    pub(crate) read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Thirty-two random bytes, for a key.
    pub(crate) random: [u8; Key::BYTES],
    /// How many cores there are.
    pub(crate) cores: NonZeroUsize,
}

impl Surroundings<'static> {
    /// The real ones. With `keys_from_stdin` the keys stand on standard input instead of in the
    /// environment, up to an empty line: a parent hands them over so, and no listing of processes
    /// shows them.
    pub(crate) fn real(keys_from_stdin: bool) -> Result<Self, Problems> {
        let mut random = [0; Key::BYTES];
        if getrandom::fill(&mut random).is_err() {
            let fault = "the system gives no random bytes";
            let problem = Problem::of_all(fault, "see whether /dev/urandom can be read");
            return Err(Problems::one(problem));
        }
        let keys = if keys_from_stdin {
            let keys = up_to_empty_line(io::stdin().lock()).map_err(|error| {
                let fault = format!("can not read keys from standard input: {error}");
                Problems::one(Problem::of_all(&fault, "write them there, then an empty line"))
            })?;
            Some(keys)
        } else {
            std::env::var(KEYS_VARIABLE).ok()
        };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self { keys, read: &read_file, random, cores })
    }
}

/// What comes after the empty line is left for whoever watches standard input.
fn up_to_empty_line(input: impl BufRead) -> io::Result<String> {
    let mut input = input.take(KEYS_BYTES_MAX);
    let mut text = String::new();
    while input.read_line(&mut text)? > "\n".len() {}
    Ok(text)
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_an_empty_line_and_what_follows_stays_unread() {
        let mut input = &b"k1.a\nk1.b\n\nmore"[..];
        assert_eq!(up_to_empty_line(&mut input).unwrap(), "k1.a\nk1.b\n\n");
        assert_eq!(input, b"more");
        assert_eq!(up_to_empty_line(&b"k1.a"[..]).unwrap(), "k1.a");
        let endless = vec![b'k'; 10_000];
        assert_eq!(up_to_empty_line(&endless[..]).unwrap().len(), 4096);
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_before_it_is_read_to_its_end() {
        let path = std::env::temp_dir().join(format!("abide-long-{}.toml", std::process::id()));
        let limit = usize::try_from(FILE_BYTES_MAX).unwrap();
        std::fs::write(&path, "#".repeat(limit)).unwrap();
        let longest = read_file(&path);
        std::fs::write(&path, "#".repeat(limit + 1)).unwrap();
        let longer = read_file(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(longest.unwrap().len(), limit);
        assert_eq!(longer.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
