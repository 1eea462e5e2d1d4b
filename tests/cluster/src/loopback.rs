//! Loopback addresses that no other test uses: each process claims networks of its own out of 127/8, so that equal ports never meet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// Whoever holds this UDP port on a network's last address has claimed the network.
const CLAIM_PORT: u16 = 20_127;
/// Addresses .1 to .250 of each network are given out.
const HOSTS: u8 = 250;
/// 127.1/16 to 127.240/16: none of the addresses that people use by hand.
const NETWORKS: u32 = 240 * 256;

struct Claim {
    network: u32,
    next_host: u8,
    /// Held, never read: its being bound is the claim.
    _socket: UdpSocket,
}

/// Networks are never given back, since something might still listen there: only the newest has addresses left.
static CLAIMS: Mutex<Vec<Claim>> = Mutex::new(Vec::new());

/// An address that nobody else has.
///
/// # Panics
/// When all networks are taken.
pub fn address() -> Ipv4Addr {
    let mut claims = CLAIMS.lock().expect("no holder panics");
    if claims.last().is_none_or(|claim| claim.next_host > HOSTS) {
        claims.push(claim());
    }
    let claim = claims.last_mut().expect("one was made above");
    let host = claim.next_host;
    claim.next_host += 1;
    in_network(claim.network, host)
}

fn in_network(network: u32, host: u8) -> Ipv4Addr {
    let [_, _, third, fourth] = network.to_be_bytes();
    Ipv4Addr::new(127, third + 1, fourth, host)
}

fn claim() -> Claim {
    // Processes that start together begin their search in different places.
    let first = std::process::id().wrapping_mul(2_654_435_761) % NETWORKS;
    (0..NETWORKS)
        .map(|offset| (first + offset) % NETWORKS)
        .find_map(|network| {
            let socket = UdpSocket::bind((in_network(network, 254), CLAIM_PORT)).ok()?;
            Some(Claim { network, next_host: 1, _socket: socket })
        })
        .expect("fewer than 61440 test processes run at once")
}

/// A TCP port of an address of ours where nobody listens.
///
/// # Panics
/// When the address has no free port.
pub fn port(address: impl Into<IpAddr>) -> SocketAddr {
    let address = address.into();
    let listener = TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("{address} has no free port: {error}"));
    listener.local_addr().expect("a bound socket has an address")
}

#[cfg(test)]
mod tests {
    use super::address;
    use std::collections::HashSet;

    #[test]
    fn every_address_is_given_once() {
        let given: HashSet<_> = (0..600).map(|_| address()).collect();
        assert_eq!(given.len(), 600);
        assert!(given.iter().all(|address| address.is_loopback() && address.octets()[1] > 0));
    }
}
