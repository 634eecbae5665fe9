//! Live delivery to the clients that people use: socket.io-client and graphql-ws, from npm.

mod graphql_ws;
mod socket_io;
mod socket_io_raw;
mod stage;
