//! The key-value store by which ranks find each other: c10d's TCPStore.

use crate::bridge::ffi;
use crate::error::Error;
use cxx::UniquePtr;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A connection to a TCPStore, which one process hosts for all ranks.
///
/// Calls on one connection run one after another, so a [`Store::wait`] holds back the others: a thread that waits long takes a
/// connection of its own with [`Store::reconnect`]. A call whose deadline is not a parameter is answered at once by a live
/// store, and fails as [`Error::PeerLost`] when the host has died.
pub struct Store {
    client: UniquePtr<ffi::StoreClient>,
    host: String,
    port: u16,
}

// SAFETY: TCPStore's methods take its own lock, and a PrefixStore only adds an immutable prefix. The timeout, which no lock
// protects, is set before the connection is shared.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Hosts a store on every interface of this machine and connects to it. Port 0 lets the system choose; see [`Store::port`].
    ///
    /// The store serves as long as this value or a [`Store::prefix`] of it lives.
    pub fn host(port: u16, timeout: Duration) -> Result<Self, Error> {
        Self::open("127.0.0.1", port, true, timeout).map_err(|error| match error {
            Error::PeerLost { reason, .. } if reason.contains("EADDRINUSE") => Error::PortInUse { port },
            other => other,
        })
    }

    /// Connects to the store at a host name or address, trying again until `timeout` has passed.
    ///
    /// A name that does not resolve yet is tried again too: in a cluster it appears with the host's pod.
    pub fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self, Error> {
        await_listener(host, port, timeout)?;
        Self::open(host, port, false, timeout)
    }

    fn open(host: &str, port: u16, is_server: bool, timeout: Duration) -> Result<Self, Error> {
        let what = || match is_server {
            true => format!("hosting the store on port {port}"),
            false => format!("connecting to the store at {host}:{port}"),
        };
        let mut actual_port = 0;
        let client = ffi::open_store(host, port, is_server, milliseconds(timeout), &mut actual_port)
            .map_err(|exception| Error::from_exception(what(), timeout, &exception))?;
        Ok(Self { client, host: host.to_owned(), port: actual_port })
    }

    /// The port on which the store listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host by which this process reaches the store.
    pub(crate) fn host_name(&self) -> &str {
        &self.host
    }

    /// Sets a key, replacing what it held.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.client.set(key, value).map_err(|exception| local("setting", key, &exception))
    }

    /// A key's value, waiting for some rank to set it.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, Error> {
        let outcome = self.client.get(key, milliseconds(timeout));
        outcome.map_err(|exception| Error::from_exception(format!("waiting for the store's key {key}"), timeout, &exception))
    }

    /// Adds to a counter, which starts from 0, and returns its new value. Atomic among all ranks.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        self.client.add(key, amount).map_err(|exception| local("adding to", key, &exception))
    }

    /// Whether a key is set now.
    pub fn contains(&self, key: &str) -> Result<bool, Error> {
        self.client.contains(key).map_err(|exception| local("looking up", key, &exception))
    }

    /// Waits until all keys are set.
    pub fn wait(&self, keys: &[&str], timeout: Duration) -> Result<(), Error> {
        let outcome = self.client.wait_for_keys(keys, milliseconds(timeout));
        let what = || format!("waiting for the store's keys {}", keys.join(", "));
        outcome.map_err(|exception| Error::from_exception(what(), timeout, &exception))
    }

    /// Sets a key to `desired` if it holds `expected`, atomically; an `expected` of no bytes also fits a key not set.
    ///
    /// Returns what the key holds afterwards (for a key still not set: `expected`).
    pub fn compare_set(&self, key: &str, expected: &[u8], desired: &[u8]) -> Result<Vec<u8>, Error> {
        self.client.compare_set(key, expected, desired).map_err(|exception| local("comparing", key, &exception))
    }

    /// Deletes a key; false if it was not set.
    pub fn delete_key(&self, key: &str) -> Result<bool, Error> {
        self.client.delete_key(key).map_err(|exception| local("deleting", key, &exception))
    }

    /// The number of keys in the whole store, other prefixes' and c10d's own included.
    pub fn num_keys(&self) -> Result<usize, Error> {
        let count =
            self.client.num_keys().map_err(|exception| Error::from_exception("counting the store's keys", Duration::ZERO, &exception))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The same connection, seeing only keys that start with `prefix/`. Separates one generation of ranks from the next.
    pub fn prefix(&self, prefix: &str) -> Result<Self, Error> {
        let client = self.client.prefixed(prefix).map_err(|exception| local("prefixing with", prefix, &exception))?;
        Ok(Self { client, host: self.host.clone(), port: self.port })
    }

    /// A connection of its own to the same store, with the same prefix.
    pub fn reconnect(&self, timeout: Duration) -> Result<Self, Error> {
        let what = || format!("connecting to the store at {}:{}", self.host, self.port);
        let client =
            self.client.reconnect(milliseconds(timeout)).map_err(|exception| Error::from_exception(what(), timeout, &exception))?;
        Ok(Self { client, host: self.host.clone(), port: self.port })
    }

    pub(crate) fn client(&self) -> &ffi::StoreClient {
        &self.client
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Waits until something listens at `host:port`. TCPStore's own attempts overrun their deadline and tell no reason.
fn await_listener(host: &str, port: u16, timeout: Duration) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(50);
    let began = Instant::now();
    let attempt = || {
        let mut outcome = Err(std::io::Error::other("the name has no address"));
        for address in (host, port).to_socket_addrs()? {
            let left = timeout.saturating_sub(began.elapsed()).max(PAUSE);
            outcome = TcpStream::connect_timeout(&address, left).map(drop);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    };
    while let Err(reason) = attempt() {
        if began.elapsed() + PAUSE > timeout {
            return Err(Error::Timeout { what: format!("connecting to the store at {host}:{port} ({reason})"), after: timeout });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn local(verb: &str, key: &str, exception: &cxx::Exception) -> Error {
    Error::from_exception(format!("{verb} the store's key {key}"), Duration::ZERO, exception)
}

/// Whole milliseconds for c10d, rounded up and at least 1: to c10d, 0 means for ever.
pub(crate) fn milliseconds(timeout: Duration) -> i64 {
    // A year is for ever enough, and cannot overflow when c10d adds it to its clock.
    let year = Duration::from_secs(365 * 24 * 3600);
    let rounded = timeout.min(year).as_nanos().div_ceil(1_000_000).max(1);
    i64::try_from(rounded).expect("a year in milliseconds fits in 63 bits")
}
