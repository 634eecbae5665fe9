//! The connection to NATS: made in the background, again and again, and never waited for longer than a moment.

use anyhow::Context as _;
use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use percent_encoding::percent_decode_str;
use std::{
    fmt,
    future::ready,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether there is a connection by now.
const POLL: Duration = Duration::from_millis(20);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest wait between two attempts to connect.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// How often the server has to give a sign of life; without two of them, the connection is given up.
const PING: Duration = Duration::from_secs(5);

/// Why there is no connection, as far as is known.
type Trouble = Arc<Mutex<Option<String>>>;

#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    jetstream: Context,
    /// Where NATS is, for people; without credentials.
    servers: Arc<str>,
    trouble: Trouble,
}

impl Connection {
    /// Starts to connect.
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let (servers, options) = parse(url)?;
        let names: Vec<_> = servers.iter().map(|it| format!("{}:{}", it.host(), it.port())).collect();
        let trouble = Trouble::default();
        let told = trouble.clone();
        let options = options
            .name("leadgraph")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT)
            .ping_interval(PING)
            .request_timeout(Some(PATIENCE))
            .reconnect_delay_callback(backoff)
            .event_callback(move |event| {
                note(&told, event);
                ready(())
            });
        let client = options.connect(servers).await.context("NATS cannot be used")?;
        let jetstream = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client.clone());
        Ok(Self { client, jetstream, servers: names.join(", ").into(), trouble })
    }

    /// JetStream, as soon as there is a connection. What is sent without one would be sent later, when nobody
    /// waits for it any longer.
    pub(super) async fn ready(&self) -> anyhow::Result<&Context> {
        let connected = async {
            while self.client.connection_state() != State::Connected {
                sleep(POLL).await;
            }
        };
        timeout(PATIENCE, connected).await.map_err(|_| self.away())?;
        Ok(&self.jetstream)
    }

    /// The outcome of a request, or an error after a while.
    pub(super) async fn within<T>(
        &self,
        request: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        timeout(PATIENCE, self.unless_lost(request)).await.map_err(|_| self.away())?
    }

    /// The outcome of requests, or an error as soon as the connection is lost, and their answers with it.
    pub(super) async fn unless_lost<T>(
        &self,
        requests: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let number = self.number();
        let lost = async {
            while number.is_some() && self.number() == number {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            outcome = requests => outcome,
            () = lost => Err(anyhow::anyhow!("the connection to NATS at {} was lost", self.servers)),
        }
    }

    /// Which connection this is: another number after each loss, nothing while there is none.
    pub(super) fn number(&self) -> Option<u64> {
        let connected = self.client.connection_state() == State::Connected;
        connected.then(|| self.client.statistics().connects.load(Ordering::Relaxed))
    }

    /// The largest message the server takes.
    pub(super) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// The error of a server that does not answer.
    pub(super) fn away(&self) -> anyhow::Error {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = trouble.map(|it| format!(" ({it})")).unwrap_or_default();
        anyhow::anyhow!("NATS at {} does not answer{reason}", self.servers)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Connection").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// The servers, without the credentials, which go into the options: the client logs addresses as they are.
fn parse(url: &str) -> anyhow::Result<(Vec<ServerAddr>, ConnectOptions)> {
    let (mut servers, mut options) = (Vec::new(), ConnectOptions::new());
    for part in url.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        // The error does not show the address, which may hold a password
        let mut url = part.parse::<ServerAddr>().context("NATS_URL holds no address of NATS")?.into_inner();
        let user = decoded(url.username())?;
        match url.password().map(decoded).transpose()? {
            Some(password) => options = options.user_and_password(user, password),
            None if !user.is_empty() => options = options.token(user),
            None => {}
        }
        let stripped = url.set_username("").and_then(|()| url.set_password(None));
        stripped.ok().filter(|()| url.has_host()).context("NATS_URL names no server")?;
        servers.push(ServerAddr::from_url(url)?);
    }
    anyhow::ensure!(!servers.is_empty(), "NATS_URL names no server");
    Ok((servers, options))
}

fn decoded(text: &str) -> anyhow::Result<String> {
    let text = percent_decode_str(text).decode_utf8().context("the credentials in NATS_URL are no text")?;
    Ok(text.into_owned())
}

fn backoff(attempts: usize) -> Duration {
    let factor = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(50).saturating_mul(factor).min(MAX_BACKOFF)
}

fn note(trouble: &Trouble, event: Event) {
    let news = match event {
        Event::Connected => None,
        Event::ClientError(error) => Some(error.to_string().trim_start_matches("nats: ").to_owned()),
        Event::ServerError(error) => Some(error.to_string()),
        _ => return,
    };
    *trouble.lock().unwrap_or_else(PoisonError::into_inner) = news;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_lose_their_credentials() {
        let (servers, _) = parse("nats://me:s%40cret@one:4333, tls://two").unwrap();
        let urls: Vec<_> = servers.iter().map(ServerAddr::as_url_str).collect();
        assert_eq!(urls, ["nats://one:4333", "tls://two"]);
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for url in ["", " , ", "http://me:secret@one", "nats://me:secret@:4222", "nats://me:secret@one:port"]
        {
            let error = format!("{:#}", parse(url).map(|(servers, _)| servers).unwrap_err());
            assert!(error.contains("NATS_URL") && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn attempts_slow_down_to_one_a_second() {
        assert_eq!(backoff(1), Duration::ZERO);
        assert_eq!(backoff(3), Duration::from_millis(100));
        assert_eq!(backoff(usize::MAX), MAX_BACKOFF);
    }
}
