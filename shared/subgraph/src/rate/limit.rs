//! A limit as it is configured: `50/s:200`, or `off`.

use crate::config::{Config, Environment};
use governor::Quota;
use std::{num::NonZeroU32, str::FromStr};

/// Tokens of an operation, so that something can cost less than one.
pub(super) const TOKENS: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
/// Operations per second, and at once, at most: beyond that nobody means a limit.
const MAX: u32 = 1_000_000;

/// For each user in production. A page of a rich front end asks each service a dozen times, and nobody opens four pages
/// a second for long.
const USER: RateLimit = RateLimit::at_most(50, 200);
/// For each address in production: an office has one.
const ADDRESS: RateLimit = RateLimit::at_most(100, 400);

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// As often as they like.
    Off,
    /// So often on the average.
    PerSecond {
        /// Operations per second.
        rate: NonZeroU32,
        /// Operations at once after a pause.
        burst: NonZeroU32,
    },
}

impl RateLimit {
    const fn at_most(rate: u32, burst: u32) -> Self {
        let (rate, burst) = (NonZeroU32::new(rate), NonZeroU32::new(burst));
        Self::PerSecond { rate: rate.expect("it is not zero"), burst: burst.expect("it is not zero") }
    }

    /// In tokens.
    pub(super) fn quota(self) -> Option<Quota> {
        match self {
            Self::Off => None,
            Self::PerSecond { rate, burst } => {
                Some(Quota::per_second(rate.saturating_mul(TOKENS)).allow_burst(burst.saturating_mul(TOKENS)))
            }
        }
    }
}

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let number = |text: &str| text.parse().ok().filter(|number: &NonZeroU32| number.get() <= MAX);
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let rate = rate.strip_suffix("/s").and_then(number);
        match (rate, burst.map(number)) {
            (Some(rate), None) => Ok(Self::PerSecond { rate, burst: rate }),
            (Some(rate), Some(Some(burst))) => Ok(Self::PerSecond { rate, burst }),
            _ => Err(format!("{text} is neither `off` nor of the form 50/s or 50/s:200")),
        }
    }
}

impl Config {
    /// The limits of each user and of each address.
    pub(super) fn rate_limits(&self) -> (RateLimit, RateLimit) {
        let usual = match self.environment {
            Environment::Development => (RateLimit::Off, RateLimit::Off),
            Environment::Production => (USER, ADDRESS),
        };
        (self.rate_limit_user.unwrap_or(usual.0), self.rate_limit_address.unwrap_or(usual.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_rate_and_what_may_come_at_once() {
        assert_eq!("50/s:200".parse(), Ok(USER));
        assert_eq!(" 7/s ".parse(), Ok(RateLimit::at_most(7, 7)));
        assert_eq!("OFF".parse(), Ok(RateLimit::Off));
        for bad in ["", "7", "0/s", "7/s:0", "7/s:", "-1/s", "7/m", "1.5/s", "7/s:1000001", "on"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }
}
