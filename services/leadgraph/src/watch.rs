//! `leadgraph watch`: notifications in a terminal as they come.
//!
//! Whatever happens to the connection, each notification is shown once and in order: it is made again for ever, and
//! goes on after the last one that was shown.

mod follow;
mod login;
mod notification;
mod socket;

use std::time::Duration;

use anyhow::{Error, Result, bail};
use clap::Args;
use subgraph::{Random, stop_signal};
use tokio::time::sleep;

use follow::{Place, follow};
use login::{Login, sign_in};
use notification::Output;
use socket::Socket;

/// The wait before the second attempt to connect, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(20));

/// What `leadgraph watch` can be told.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Where to sign in: GraphQL of the router, or of accounts
    #[arg(long, env = "LEADGRAPH_URL", default_value = "http://127.0.0.1:4000/graphql")]
    pub url: String,
    /// Where notifications are delivered live: ws:// or wss://
    #[arg(long, env = "LEADGRAPH_NOTIFICATIONS_URL", default_value = "ws://127.0.0.1:4006/graphql")]
    pub notifications_url: String,
    /// Who signs in [default: the demo login, on this machine]
    #[arg(long, env = "LEADGRAPH_EMAIL", requires = "password")]
    pub email: Option<String>,
    /// Their password; in the variable, others on this machine do not see it
    #[arg(long, env = "LEADGRAPH_PASSWORD", hide_env_values = true, requires = "email")]
    pub password: Option<String>,
    /// A token, instead of signing in; it ends when the token does
    #[arg(long, env = "LEADGRAPH_TOKEN", hide_env_values = true, conflicts_with_all = ["email", "password"])]
    pub token: Option<String>,
    /// First everything after this sequence [default: only what is new]
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    pub since: Option<i32>,
    /// Print each notification as JSON on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Why a connection ended.
enum Ended {
    /// Nobody reads what is printed any more.
    Unread,
    /// It may work in a moment.
    Passing(Error),
    /// The token counts no longer.
    Refused(Error),
    /// It will not work.
    Lasting(Error),
}

impl Ended {
    fn passing(why: impl Into<String>) -> Self {
        Self::Passing(Error::msg(why.into()))
    }

    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(Error::msg(why.into()))
    }

    fn lasting(why: impl Into<String>) -> Self {
        Self::Lasting(Error::msg(why.into()))
    }
}

/// Shows notifications until Ctrl-C.
///
/// # Errors
/// In words for whoever watches: the login is wrong, the token has ended, or what answers is not the service.
pub async fn watch(args: WatchArgs) -> Result<()> {
    let login = Login::of(&args)?;
    tokio::select! {
        ended = watch_on(&args, &login) => ended,
        signal = stop_signal() => signal,
    }
}

/// Connects again and again.
async fn watch_on(args: &WatchArgs, login: &Login) -> Result<()> {
    let (mut watching, mut said) = (Watching::new(args), String::new());
    loop {
        let why = match watching.connection(args, login).await {
            Ended::Unread => return Ok(()),
            Ended::Lasting(error) => return Err(error),
            Ended::Refused(error) if matches!(login, Login::Token(_)) => {
                bail!("{error:#}: sign in again and pass the new token")
            }
            Ended::Refused(error) => {
                watching.token = None;
                format!("{error:#}; signing in again")
            }
            Ended::Passing(error) => format!("{error:#}; trying again"),
        };
        // Once, however long it lasts
        if watching.connected || why != said {
            eprintln!("leadgraph: {why}");
        }
        said = why;
        sleep(watching.wait()).await;
    }
}

/// What outlives a connection.
struct Watching {
    token: Option<String>,
    place: Place,
    output: Output,
    /// Whether the last connection stood for a while.
    connected: bool,
    failures: u32,
}

impl Watching {
    fn new(args: &WatchArgs) -> Self {
        let output = Output { json: args.json };
        Self { token: None, place: Place::new(args.since), output, connected: false, failures: 0 }
    }

    /// One connection, until it ends.
    async fn connection(&mut self, args: &WatchArgs, login: &Login) -> Ended {
        self.connected = false;
        match self.connected(args, login).await {
            Ok(mut socket) => {
                self.connected = true;
                follow(&mut socket, &mut self.place, &self.output).await
            }
            Err(ended) => ended,
        }
    }

    async fn connected(&mut self, args: &WatchArgs, login: &Login) -> Result<Socket, Ended> {
        let token = match &self.token {
            Some(token) => token,
            None => self.token.insert(sign_in(&args.url, login).await?),
        };
        Socket::connect(&args.notifications_url, token).await
    }

    /// How long to wait before the next attempt: longer each time, and not as long as others do.
    fn wait(&mut self) -> Duration {
        self.failures = if self.connected { 0 } else { self.failures + 1 };
        let longest = BACKOFF.0.saturating_mul(2_u32.saturating_pow(self.failures)).min(BACKOFF.1);
        let [byte] = Random::System.bytes::<1>();
        longest.mul_f64(0.5 + f64::from(byte) / 512.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        watch: WatchArgs,
    }

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_connection() {
        let mut watching = Watching::new(&Cli::parse_from(["watch"]).watch);
        let waits: Vec<_> = (0..40).map(|_| watching.wait()).collect();
        assert!(waits[0] < Duration::from_secs(1), "{waits:?}");
        assert!(waits[20..].iter().all(|wait| (BACKOFF.1 / 2..=BACKOFF.1).contains(wait)), "{waits:?}");
        watching.connected = true;
        assert!(watching.wait() <= BACKOFF.0);
    }

    #[test]
    fn a_login_is_whole_or_a_token() {
        for wrong in [
            &["watch", "--email", "a@example.com"][..],
            &["watch", "--password", "x"],
            &["watch", "--token", "t", "--email", "a@example.com", "--password", "x"],
            &["watch", "--since=-1"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
