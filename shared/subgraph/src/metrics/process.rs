//! Counters of the process, which all subgraphs in it share.

use prometheus::Registry;

/// Registers them, for the first subgraph of the process alone: a sum over all would count them several times.
#[cfg(target_os = "linux")]
pub(super) fn register(registry: &Registry) -> prometheus::Result<()> {
    use prometheus::process_collector::ProcessCollector;
    use std::sync::atomic::{AtomicBool, Ordering};

    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    registry.register(Box::new(ProcessCollector::for_self()))
}

/// The kernel tells of processes in this way on Linux alone.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same form as on Linux")]
pub(super) fn register(_registry: &Registry) -> prometheus::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::metrics::Metrics;

    #[test]
    fn several_subgraphs_in_a_process_tell_of_it_once() {
        let all = ["one", "other"].map(|name| Metrics::new(name).unwrap().text().unwrap());
        let telling = all.iter().filter(|text| text.contains("process_open_fds{")).count();
        // Another test of this process may have been the first
        assert!(telling < 2, "{all:#?}");
    }
}
