//! The client against a provider that answers well, badly, slowly or not at all.

// Helpers are tests too, which clippy knows by this
#![cfg(test)]

mod asker;
mod breaker;
mod content;
mod request;
mod secrets;
mod service;
mod status;
mod together;
mod wire;
