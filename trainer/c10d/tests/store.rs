//! The store between threads of one process, each with a connection of its own.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::TcpListener;
use std::time::{Duration, Instant};
use temper_c10d::{Error, Store};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn keys_set_by_one_rank_are_seen_by_another() {
    let host = Store::host(0, LONG).unwrap();
    assert_ne!(host.port(), 0);
    let peer = Store::connect("127.0.0.1", host.port(), LONG).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| peer.get("greeting", LONG).unwrap());
        host.set("greeting", b"hello\0world").unwrap();
        assert_eq!(waiting.join().unwrap(), b"hello\0world");
    });
    assert_eq!(host.add("count", 2).unwrap(), 2);
    assert_eq!(peer.add("count", 3).unwrap(), 5);
    peer.wait(&["greeting", "count"], LONG).unwrap();
    assert!(peer.contains("greeting").unwrap());
    let keys = host.num_keys().unwrap();
    assert!(peer.delete_key("greeting").unwrap());
    assert!(!peer.delete_key("greeting").unwrap());
    assert!(!peer.contains("greeting").unwrap());
    assert_eq!(host.num_keys().unwrap(), keys - 1);
}

#[test]
fn compare_set_lets_one_rank_win() {
    let host = Store::host(0, LONG).unwrap();
    assert_eq!(host.compare_set("leader", b"", b"rank 0").unwrap(), b"rank 0");
    assert_eq!(host.compare_set("leader", b"", b"rank 1").unwrap(), b"rank 0");
    assert_eq!(host.compare_set("leader", b"rank 0", b"rank 2").unwrap(), b"rank 2");
}

#[test]
fn prefixes_separate_generations_and_survive_reconnecting() {
    let host = Store::host(0, LONG).unwrap();
    let first = host.prefix("generation-0").unwrap();
    let second = host.prefix("generation-1").unwrap().reconnect(LONG).unwrap();
    first.set("ready", b"0").unwrap();
    assert!(!second.contains("ready").unwrap());
    second.set("ready", b"1").unwrap();
    assert_eq!(first.get("ready", LONG).unwrap(), b"0");
    assert_eq!(host.get("generation-1/ready", LONG).unwrap(), b"1");
}

#[test]
fn a_key_nobody_sets_times_out() {
    let host = Store::host(0, LONG).unwrap();
    let began = Instant::now();
    let error = host.get("never", SHORT).unwrap_err();
    assert_eq!(error, Error::Timeout { what: "waiting for the store's key never".into(), after: SHORT });
    assert!(matches!(host.wait(&["never", "ever"], SHORT), Err(Error::Timeout { .. })));
    assert!(began.elapsed() >= SHORT * 2 && began.elapsed() < LONG / 2);
    host.set("after", b"the connection still works").unwrap();
}

#[test]
fn connecting_to_nobody_times_out() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Store::connect("127.0.0.1", unused, SHORT).unwrap_err();
    assert!(matches!(&error, Error::Timeout { what, .. } if what.contains(&unused.to_string())), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let error = Store::connect("no-such-host.invalid", 1, SHORT).unwrap_err();
    assert!(matches!(&error, Error::Timeout { what, .. } if what.contains("no-such-host.invalid:1")), "{error:?}");
}

#[test]
fn a_rank_may_start_before_the_host() {
    let port = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let early = scope.spawn(move || Store::connect("localhost", port, LONG)?.get("hello", LONG));
        let host = match Store::host(port, LONG) {
            Err(Error::PortInUse { .. }) => return, // the system gave the port to another test meanwhile: nothing to learn
            other => other.unwrap(),
        };
        host.set("hello", b"late").unwrap();
        assert_eq!(early.join().unwrap(), Ok(b"late".to_vec()));
    });
}

#[test]
fn the_host_listens_on_every_interface_and_in_both_families() {
    let host = Store::host(0, LONG).unwrap();
    // A machine without IPv6 has nothing to listen on there.
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    for address in ["127.0.0.1", "127.0.0.2", "::1"].into_iter().filter(|address| has_ipv6 || !address.contains(':')) {
        let peer = Store::connect(address, host.port(), LONG).unwrap();
        peer.set(address, b"here").unwrap();
        assert!(host.contains(address).unwrap());
    }
}

#[test]
fn a_port_in_use_is_named() {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(Store::host(port, LONG).unwrap_err(), Error::PortInUse { port });
}

#[test]
fn a_store_whose_host_is_gone_is_an_error() {
    let host = Store::host(0, LONG).unwrap();
    let peer = Store::connect("127.0.0.1", host.port(), LONG).unwrap();
    drop(host);
    let error = peer.get("anything", LONG).unwrap_err();
    assert!(matches!(error, Error::PeerLost { .. }), "{error:?}");
    assert!(peer.set("anything", b"").is_err());
}
