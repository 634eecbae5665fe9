//! What is written to a socket.

use super::protocol;
use crate::telemetry::Delivery;
use poem::web::websocket::Message;
use std::sync::Arc;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A result of a subscription, whose payload many clients share.
    Next {
        /// The operation's id, quoted.
        id: Arc<str>,
        /// The result.
        payload: Arc<str>,
        /// Whom to tell when it has been written.
        trace: Option<Delivery>,
    },
    /// Any other message.
    Text(Box<str>),
    /// Asks the peer whether it is there.
    Ping,
}

impl Frame {
    /// How much of a queue it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Next { payload, .. } => payload.len(),
            Self::Text(text) => text.len(),
            Self::Ping => 0,
        }
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Next { id, payload, .. } => Self::Text(protocol::next(&id, &payload)),
            Frame::Text(text) => Self::Text(text.into()),
            Frame::Ping => Self::Ping(Vec::new()),
        }
    }
}
