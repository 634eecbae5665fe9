//! Buckets with a clock of their own.

use super::*;
use governor::clock::FakeRelativeClock;

fn buckets<K: Hash + Eq + Send + Sync + 'static>(
    limit: &str,
) -> (Buckets<K, FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let limit: RateLimit = limit.parse().unwrap();
    (Buckets::new(limit.quota().unwrap(), clock.clone()), clock)
}

fn retry_after(taken: Result<()>) -> Option<u64> {
    taken.err().and_then(|error| error.retry_after())
}

#[test]
fn a_bucket_empties_and_fills_again() {
    let (buckets, clock) = buckets::<u8>("2/s:3");
    for _ in 0..3 {
        assert_eq!(buckets.take(1, Weight::Operation), Ok(()));
    }
    assert_eq!(retry_after(buckets.take(1, Weight::Operation)), Some(1));
    assert_eq!(buckets.take(2, Weight::Operation), Ok(()), "another one's is full");
    clock.advance(Duration::from_millis(500));
    assert_eq!(buckets.take(1, Weight::Operation), Ok(()));
    assert_eq!(retry_after(buckets.take(1, Weight::Operation)), Some(1));
}

#[test]
fn entities_cost_a_tenth() {
    let (buckets, _) = buckets::<u8>("1/s:2");
    for _ in 0..10 {
        assert_eq!(buckets.take(1, Weight::Entities), Ok(()));
    }
    assert_eq!(buckets.take(1, Weight::Operation), Ok(()));
    assert_eq!(retry_after(buckets.take(1, Weight::Entities)), Some(1));
}

#[test]
fn a_hundred_thousand_addresses_are_not_all_remembered() {
    let (buckets, _) = buckets::<IpAddr>("100/s");
    for n in 0..100_000_u32 {
        assert_eq!(buckets.take(std::net::Ipv4Addr::from_bits(n).into(), Weight::Operation), Ok(()));
    }
    buckets.kept.run_pending_tasks();
    assert!(buckets.kept.entry_count() <= MAX_BUCKETS, "{}", buckets.kept.entry_count());
}

#[test]
fn who_asks_all_the_time_is_not_forgotten_for_those_who_ask_once() {
    let (buckets, _) = buckets::<u32>("1/s:1");
    let refused = |buckets: &Buckets<_, _>| buckets.take(0, Weight::Operation).is_err();
    assert!(!refused(&buckets));
    for n in 1..100_000 {
        assert_eq!(buckets.take(n, Weight::Operation), Ok(()));
        assert!(n % 100 != 0 || refused(&buckets), "forgotten after {n}");
    }
}

#[test]
fn an_ipv6_customer_is_one() {
    let household = |text: &str| household(text.parse().unwrap());
    assert_eq!(household("2001:db8:1:2:3:4:5:6"), household("2001:db8:1:2:ffff::1"));
    assert_ne!(household("2001:db8:1:2::1"), household("2001:db8:1:3::1"));
    assert_ne!(household("192.0.2.1"), household("192.0.2.2"));
}
