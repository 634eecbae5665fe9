//! Docker's DNS, as far as HAProxy needs it: the addresses of all replicas that run, under the service's name.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// How long an answer may be kept: not at all.
const TTL: [u8; 4] = [0; 4];
/// A question for an IPv4 address in the internet's class.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// Who is where.
type Known = Arc<Mutex<BTreeMap<String, Vec<Ipv4Addr>>>>;

/// A name server; it ends when this is dropped.
#[derive(Debug)]
pub struct Names {
    known: Known,
    task: JoinHandle<()>,
}

impl Names {
    pub async fn start(at: SocketAddr) -> Self {
        let socket = UdpSocket::bind(at).await.expect("an address of the test's own");
        let known = Known::default();
        let task = tokio::spawn(serve(socket, known.clone()));
        Self { known, task }
    }

    /// A container of this service runs.
    pub fn add(&self, service: &str, address: Ipv4Addr) {
        self.remove(service, address);
        self.change(service, |addresses| addresses.push(address));
    }

    /// It runs no longer.
    pub fn remove(&self, service: &str, address: Ipv4Addr) {
        self.change(service, |addresses| addresses.retain(|it| *it != address));
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Vec<Ipv4Addr>)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(known.entry(service.to_owned()).or_default());
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, known: Known) {
    let mut packet = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let answer = answer(&packet[..length], &known.lock().unwrap_or_else(PoisonError::into_inner));
        // Who asked may be gone
        let _ = socket.send_to(&answer.unwrap_or_default(), from).await;
    }
}

/// The answer to a question of RFC 1035; nothing for what is none.
fn answer(question: &[u8], known: &BTreeMap<String, Vec<Ipv4Addr>>) -> Option<Vec<u8>> {
    let (header, rest) = question.split_at_checked(12)?;
    let (mut labels, mut at) = (Vec::new(), 0);
    while *rest.get(at)? > 0 {
        let label = rest.get(at + 1..)?.get(..usize::from(rest[at]))?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += 1 + label.len();
    }
    let asked = rest.get(..at + 5)?;
    let found = known.get(&labels.join(".")).filter(|addresses| !addresses.is_empty());
    let addresses = found.filter(|_| asked.ends_with(&A_IN)).map(Vec::as_slice).unwrap_or_default();
    // An answer, recursion available; 3: there is no such name
    let status = [0x81, if found.is_some() { 0x80 } else { 0x83 }];
    let counts = [0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0];
    let mut packet = [&header[..2], &status, &counts, asked].concat();
    for address in addresses {
        // The name is the one at offset 12; four bytes of address
        packet.extend([&[0xc0, 12][..], &A_IN, &TTL, &[0, 4], &address.octets()].concat());
    }
    Some(packet)
}
