//! Scores of the running service: they follow from what happened, live and by recalculation, on both databases.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod at_once;
mod beside;
mod chance;
mod failing;
mod formulas;
mod live;
mod progress;
mod stage;
mod stored;
mod top_leads;
mod upgrade;
