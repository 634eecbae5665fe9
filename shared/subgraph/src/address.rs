//! The address of who asks: the connection's, or what a trusted proxy says about it.
//!
//! `X-Forwarded-For` is a list to which each proxy adds who it was asked by. Whoever asks first can write anything into
//! it, so only the end counts: read from there, the first address that is no trusted proxy's is the client's. Other
//! headers are not read: one that the proxy does not write is the client's own invention.

use crate::config::Config;
use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// Who was asked by whom, added to by each proxy.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Over what the first proxy was asked.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who sent a request. It is in the data of every request, poem's and others'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The client's address; nothing when it is this machine, or behind a trusted proxy that does not say.
    pub address: Option<IpAddr>,
    /// Whether a trusted proxy was asked over TLS.
    pub over_tls: bool,
}

/// Whose word counts.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    listen: IpAddr,
}

impl Proxies {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        Self { trusted: config.trusted_proxies.clone(), listen: config.listen_addr.to_canonical() }
    }

    /// Nobody.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { trusted: Vec::new(), listen: std::net::Ipv4Addr::LOCALHOST.into() }
    }

    /// Who sent a request that came over a connection from `remote`.
    pub fn sender(&self, remote: IpAddr, headers: &HeaderMap) -> Sender {
        let remote = remote.to_canonical();
        if self.trust(remote) {
            let over_tls = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
            return Sender { address: self.forwarded_for(remote, headers), over_tls };
        }
        // On this machine there are the router and the operator: for whom they ask is unknown
        let here = remote.is_loopback() || remote == self.listen;
        Sender { address: (!here).then_some(remote), over_tls: false }
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The last address in the list that is no proxy's; the first when all are. A list that cannot be read stands for
    /// the proxy that handed it on.
    fn forwarded_for(&self, proxy: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut first = None;
        for hop in headers.get_all(FORWARDED_FOR).iter().rev().flat_map(hops) {
            match hop {
                Some(hop) if self.trust(hop) => first = Some(hop),
                client => return client.or(Some(proxy)),
            }
        }
        first
    }
}

/// The addresses of one header from its end on; nothing for what is none.
fn hops(value: &HeaderValue) -> impl Iterator<Item = Option<IpAddr>> {
    value.to_str().unwrap_or_default().rsplit(',').map(|hop| address(hop.trim()))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// One value of `TRUSTED_PROXIES`.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let network = alone.or_else(|_| text.parse().map(|network: IpNet| network.trunc()));
    network.map_err(|_| format!("{text} is neither an address nor a network such as 10.0.0.0/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "203.0.113.7";

    fn sender(remote: &str, headers: &[(HeaderName, &str)]) -> Sender {
        let trusted = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"].map(|text| network(text).unwrap()).into();
        let proxies = Proxies { trusted, listen: "198.51.100.2".parse().unwrap() };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        proxies.sender(remote.parse().unwrap(), &headers)
    }

    fn forwarded(remote: &str, list: &str) -> Option<String> {
        sender(remote, &[(FORWARDED_FOR, list)]).address.map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(forwarded("198.51.100.9", CLIENT).as_deref(), Some("198.51.100.9"));
        for proxy in ["10.1.2.3", "192.0.2.1", "fd00::1", "::ffff:10.1.2.3"] {
            assert_eq!(forwarded(proxy, CLIENT).as_deref(), Some(CLIENT), "{proxy}");
        }
        let tls = [(FORWARDED_PROTO, "https")];
        assert!(sender("10.0.0.1", &tls).over_tls && !sender("198.51.100.9", &tls).over_tls);
        assert!(!sender("10.0.0.1", &[(FORWARDED_PROTO, "http")]).over_tls);
    }

    #[test]
    fn what_a_client_writes_itself_does_not_count() {
        for list in [
            "6.6.6.6, 203.0.113.7",
            "nonsense, 203.0.113.7 , 10.0.0.2",
            "10.9.9.9,203.0.113.7,10.0.0.3,10.0.0.2",
            "6.6.6.6,[::ffff:203.0.113.7]:4711",
            "6.6.6.6,203.0.113.7:80",
        ] {
            assert_eq!(forwarded("10.0.0.1", list).as_deref(), Some(CLIENT), "{list}");
        }
        let two = [(FORWARDED_FOR, "6.6.6.6"), (FORWARDED_FOR, CLIENT)];
        assert_eq!(sender("10.0.0.1", &two).address, Some(CLIENT.parse().unwrap()));
        assert_eq!(forwarded("10.0.0.1", "[2001:db8::1]").as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn a_list_that_cannot_be_read_stands_for_the_proxy() {
        for list in ["", "unknown", "203.0.113.7,", "203.0.113.7, _hidden", "203.0.113", "::1::"] {
            assert_eq!(forwarded("10.0.0.1", list).as_deref(), Some("10.0.0.1"), "{list}");
        }
        assert_eq!(forwarded("10.0.0.1", "10.0.0.9, 10.0.0.2").as_deref(), Some("10.0.0.9"));
    }

    #[test]
    fn who_asks_from_this_machine_or_behind_a_silent_proxy_is_unknown() {
        for remote in ["10.0.0.1", "127.0.0.1", "::1", "198.51.100.2"] {
            assert_eq!(sender(remote, &[]).address, None, "{remote}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        for (text, read) in [(" 10.1.2.3/8 ", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("::1", "::1/128")]
        {
            assert_eq!(network(text).unwrap().to_string(), read);
        }
        for bad in ["", "10.0.0", "10.0.0.0/33", "proxy.example.com", "*"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
