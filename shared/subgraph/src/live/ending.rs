//! How a socket ends, and what its peer is told.

use super::protocol::Closing;
use futures_util::{SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use std::{io, time::Duration};
use tokio::time::{sleep, timeout};

/// How long a peer may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a close stays readable for a peer whose frames are not read any more.
const LINGER: Duration = Duration::from_millis(500);

/// How a socket ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// We close it.
    Close(Closing),
    /// We close it, and cannot read any more.
    Broken(Closing),
    /// The client closed it.
    Closed,
    /// It is gone, or does not react.
    Lost,
}

impl Ending {
    /// The end of a socket whose frames could not be read.
    pub fn unreadable(error: &io::Error) -> Self {
        Closing::unreadable(&error.to_string()).map_or(Self::Lost, Self::Broken)
    }

    /// Says goodbye. Neither a peer that takes nothing nor one that goes on talking makes this long.
    pub async fn carry_out(self, mut socket: Box<WebSocketStream>) {
        let _ = timeout(CLOSE_TIMEOUT, async move { self.say(&mut socket).await }).await;
    }

    async fn say(self, socket: &mut WebSocketStream) -> io::Result<()> {
        match self {
            Self::Lost => {}
            // The answer to the client's close is waiting to be written
            Self::Closed => socket.flush().await?,
            Self::Close(closing) => {
                socket.send(close(closing)).await?;
                // Until the client has answered: what it had sent meanwhile would otherwise reset the connection
                while let Some(Ok(_)) = socket.next().await {}
            }
            Self::Broken(closing) => {
                socket.send(close(closing)).await?;
                sleep(LINGER).await;
            }
        }
        Ok(())
    }
}

fn close(closing: Closing) -> Message {
    Message::Close(Some((CloseCode::from(closing.code), closing.reason.into_owned())))
}
