//! Live delivery to the clients that people use: socket.io-client and graphql-ws, from npm.

// Clippy knows by this that its helpers belong to tests too
#![cfg(test)]

mod graphql_ws;
mod socket_io;
mod socket_io_raw;
mod stage;
