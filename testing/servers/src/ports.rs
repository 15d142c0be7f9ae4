//! Ports that a server keeps for life.

use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher;
use std::net::TcpListener;

/// Below what kernels give to outgoing connections (32768 and up on Linux), above what services use.
const FIRST: u16 = 12_000;
/// How many there are.
const COUNT: u16 = 20_000;
/// More tries than there can be servers on this machine.
const TRIES: u16 = 2_000;

/// A port of this machine that no other test has while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked; the system opens it when the process ends.
    _lock: File,
}

impl Port {
    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// As an address on the loopback interface.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Takes a port on which nobody listens.
pub fn free_port() -> Port {
    let folder = std::env::temp_dir().join("abide-servers-ports");
    std::fs::create_dir_all(&folder).unwrap();
    let begin = RandomState::new().hash_one("port");
    for step in 0..TRIES {
        let place = begin.wrapping_add(u64::from(step)) % u64::from(COUNT);
        let number = FIRST + u16::try_from(place).unwrap();
        let path = folder.join(number.to_string());
        // A lock of another user is his port.
        let Ok(lock) = OpenOptions::new().create(true).append(true).open(&path) else { continue };
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
            return Port { number, _lock: lock };
        }
    }
    panic!("no free port among {TRIES}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_have_the_same_port() {
        let ports: Vec<_> = (0..50).map(|_| free_port()).collect();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
