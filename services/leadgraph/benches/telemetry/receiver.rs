//! A receiver of OpenTelemetry's protocol that takes everything and keeps nothing.

use anyhow::Result;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, sink},
    net::{TcpListener, TcpStream},
};

/// A running receiver, which lasts as long as the program.
pub struct Receiver {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    traces: AtomicUsize,
    metrics: AtomicUsize,
}

impl Receiver {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, counts) = (listener.local_addr()?, Arc::new(Counts::default()));
        let of_all = counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // It ends with the sender
                tokio::spawn(serve(stream, of_all.clone()));
            }
        });
        Ok(Self { address, counts })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was sent traces and metrics.
    pub fn received(&self) -> (usize, usize) {
        let Counts { traces, metrics } = &*self.counts;
        (traces.load(Ordering::Relaxed), metrics.load(Ordering::Relaxed))
    }
}

/// Answers the requests of one connection, whose bodies all say how long they are.
async fn serve(stream: TcpStream, counts: Arc<Counts>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let count = if line.contains("/v1/traces") { &counts.traces } else { &counts.metrics };
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line).await?;
            if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse()?;
            }
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut sink()).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}
