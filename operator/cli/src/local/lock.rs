//! Locks between processes: `flock` on a file, which the kernel drops when the last holder of the open file is gone, however it went.

use crate::local::disk;
use anyhow::Result;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a wait for a lock looks again. `flock` has no wait with a deadline.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A lock that is held as long as this value, or a file cloned from it, is open.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// What an attempt to take a lock found.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Taken(Lock),
    /// Another process holds it: its process id, if it could be read.
    Held(Option<u32>),
}

impl Lock {
    /// Takes the lock if nobody holds it.
    pub fn try_take(path: &Path) -> Result<Attempt> {
        let open = || -> std::io::Result<File> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::options().read(true).write(true).create(true).truncate(false).open(path)
        };
        let mut file = open().map_err(disk::refused(|| format!("cannot open the lock {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {
                let mut record = || -> std::io::Result<()> {
                    file.set_len(0)?;
                    file.rewind()?;
                    write!(file, "{}", std::process::id())?;
                    file.flush()
                };
                record().map_err(disk::refused(|| format!("cannot write the lock {}", path.display())))?;
                Ok(Attempt::Taken(Self { file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                Ok(Attempt::Held(holder))
            }
            Err(TryLockError::Error(error)) => Err(disk::refused(|| format!("cannot lock {}", path.display()))(error)),
        }
    }

    /// Takes the lock, waiting for its holder until the deadline; `None` if it was still held then.
    pub fn take_before(path: &Path, deadline: Instant) -> Result<Option<Self>> {
        loop {
            if let Attempt::Taken(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The open file behind the lock, for a child: while the child keeps it open the lock stays held, even if this process dies.
    pub fn share(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Lock};
    use std::time::{Duration, Instant};

    #[test]
    fn a_held_lock_names_its_holder_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("locks/a");
        let Attempt::Taken(lock) = Lock::try_take(&path).expect("possible") else { panic!("held by nobody") };
        let Attempt::Held(holder) = Lock::try_take(&path).expect("possible") else { panic!("taken twice") };
        assert_eq!(holder, Some(std::process::id()));
        let shared = lock.share().expect("cloned");
        drop(lock);
        assert!(matches!(Lock::try_take(&path).expect("possible"), Attempt::Held(_)), "a shared file keeps the lock");
        drop(shared);
        assert!(matches!(Lock::try_take(&path).expect("possible"), Attempt::Taken(_)));
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let held = Lock::try_take(&path).expect("possible");
        assert!(Lock::take_before(&path, Instant::now()).expect("possible").is_none());
        drop(held);
        assert!(Lock::take_before(&path, Instant::now() + Duration::from_secs(5)).expect("possible").is_some());
    }
}
