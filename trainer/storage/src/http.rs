//! The HTTP client under both the object stores and the hub, and the addresses it does not go to.

use crate::error::{Error, Result};
use crate::settings::Settings;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A client that follows no redirects by itself, waits for nothing without end, and speaks plain HTTP only if told so.
pub(crate) fn client(settings: &Settings, allow_http: bool, resolver: Option<Arc<dyn Resolve>>) -> reqwest::Result<reqwest::Client> {
    // The process may have installed a provider already; both speak the same TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("temper/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .https_only(!allow_http);
    match resolver {
        Some(resolver) => builder.dns_resolver(resolver).build(),
        None => builder.build(),
    }
}

/// Reads an address that somebody configured. It may be plain HTTP, since it was chosen; it may not be a cloud's metadata server, which
/// hands out the machine's own credentials.
pub(crate) fn endpoint(text: &str, what: &str) -> Result<Url> {
    let next_step = "give the server's address: https://HOST, or http://HOST:PORT inside a cluster";
    let url =
        Url::parse(text.trim_end_matches('/')).map_err(|error| Error::invalid(what, format!("not an address: {error}"), next_step))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::invalid(what, "not an http or https address", next_step));
    }
    if ip(&url).is_some_and(is_forbidden) {
        return Err(Error::invalid(what, "it is a link-local address, where clouds keep their metadata servers", next_step));
    }
    Ok(url)
}

/// The host, where it is written as an address.
pub(crate) fn ip(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether the address is one that only this machine, or its cloud's metadata server, answers at.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast() || address.is_multicast(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_forbidden(IpAddr::V4(mapped)),
            // fd00:ec2::/32 is where AWS keeps its metadata server.
            None => {
                let start = [address.segments()[0], address.segments()[1]];
                address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() || start == [0xfd00, 0x0ec2]
            }
        },
    }
}

/// Resolves names, and leaves out the addresses that a server on the internet has no business sending anybody to.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    /// Loopback addresses are for a server that is on loopback itself.
    pub(crate) allow_loopback: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| !is_forbidden(address.ip()) && (allow_loopback || !address.ip().is_loopback()))
                .collect();
            if allowed.is_empty() {
                return Err("it resolves only to addresses of this machine or of its metadata server".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The innermost cause of an error: what the operating system or the TLS library said.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::{endpoint, is_forbidden};

    #[test]
    fn metadata_servers_are_forbidden() {
        for address in ["169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0"] {
            assert!(is_forbidden(address.parse().expect("an address")), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "52.1.2.3", "2600::1", "fd00:1::1"] {
            assert!(!is_forbidden(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_of_a_server() {
        assert!(endpoint("http://minio.storage:9000/", "endpoint").is_ok());
        for bad in ["minio:9000", "ftp://a", "http://169.254.169.254", "http://[fe80::1]/"] {
            let error = endpoint(bad, "the Secret's endpoint").expect_err(bad);
            assert!(error.to_string().starts_with("the Secret's endpoint: "), "{error}");
        }
    }
}
