//! Ports for servers that are down now and then.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

use crate::ports::is_free;

/// Above the rows of [`crate::PortRow`].
const FIRST: u16 = 25_000;
/// How many pairs there are to choose from, all below the ports that the system gives to anybody.
const PAIRS: u16 = 3_500;

/// A port that stays its owner's while nothing listens on it: whoever takes one holds the next one, too.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    _claim: TcpListener,
}

impl Port {
    pub(super) fn claim() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Tests in other processes begin elsewhere
        let first = u16::try_from(process::id() % u32::from(PAIRS)).unwrap_or_default();
        let pairs = std::iter::repeat_with(|| (first + NEXT.fetch_add(1, Ordering::Relaxed) % PAIRS) % PAIRS);
        let mut numbers = pairs.take(PAIRS.into()).map(|pair| FIRST + 2 * pair);
        let claimed = numbers.find_map(|number| {
            let claim = TcpListener::bind((Ipv4Addr::LOCALHOST, number + 1)).ok()?;
            is_free(number).then_some(Self { number, _claim: claim })
        });
        claimed.context("no free port")
    }
}
