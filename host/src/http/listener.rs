//! Owns the limits of connections: how many there are, and that nobody keeps one open by sending a byte now and then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at the same time; more wait until one ends.
pub const MAX_CONNECTIONS: usize = 50_000;
/// A connection on which nothing moves for so long is closed.
pub const IDLE: Duration = Duration::from_secs(120);
/// How long a request may come slowly.
pub const SLOW_START: Duration = Duration::from_secs(30);
/// After that, bytes that must have come in a second, on average.
pub const MIN_BYTES_PER_S: u64 = 128;

/// An acceptor whose connections are limited.
#[derive(Debug)]
pub struct Limited<A> {
    inner: A,
    room: Arc<Semaphore>,
}

impl<A> Limited<A> {
    /// At most [`MAX_CONNECTIONS`].
    #[must_use]
    pub fn new(inner: A) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl<A: Acceptor> Acceptor for Limited<A> {
    type Io = Connection<A::Io>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let permit = self.room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (io, local, remote, scheme) = self.inner.accept().await?;
        Ok((
            Connection { io, pace: Pace::default(), quiet: Quiet::new(), _permit: Some(permit) },
            local,
            remote,
            scheme,
        ))
    }
}

/// How fast a request comes.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// Whether `bytes` more at `now` are enough.
    fn came(&mut self, bytes: usize, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let spent = now.saturating_duration_since(since);
        spent < SLOW_START || self.bytes >= spent.as_secs().saturating_mul(MIN_BYTES_PER_S)
    }

    /// An answer goes out: what comes next is another request.
    fn answered(&mut self) {
        *self = Self::default();
    }
}

/// Notices that nothing moves. Its timer is set once in [`IDLE`], not with every byte.
#[derive(Debug)]
struct Quiet {
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Quiet {
    fn new() -> Self {
        Self { since: Instant::now(), alarm: Box::pin(tokio::time::sleep(IDLE)) }
    }

    /// Whether nothing has moved for too long; else the task is woken when that may be so.
    fn too_long(&mut self, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let end = self.since + IDLE;
            if Instant::now() >= end {
                return true;
            }
            self.alarm.as_mut().reset(end.into());
        }
        false
    }
}

fn too_quiet() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing moves on the connection")
}

/// A connection that counts, and that ends where its requests come too slowly or nothing moves.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    pace: Pace,
    quiet: Quiet,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_pending() {
            return if self.quiet.too_long(cx) { Poll::Ready(Err(too_quiet())) } else { polled };
        }
        let came = buf.filled().len() - before;
        if came > 0 {
            let now = Instant::now();
            self.quiet.since = now;
            if !self.pace.came(came, now) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request comes too slowly")));
            }
        }
        polled
    }
}

impl<T> Connection<T> {
    /// A client that does not read what it asked for is as idle as one that asks for nothing.
    fn wrote(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if polled.is_pending() {
            return if self.quiet.too_long(cx) { Poll::Ready(Err(too_quiet())) } else { polled };
        }
        self.quiet.since = Instant::now();
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pace.answered();
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pace.answered();
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_not_a_request() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::default();
        assert!(pace.came(1, at(0)) && pace.came(1, at(29)));
        assert!(!pace.came(1, at(30)));
    }

    #[test]
    fn a_long_upload_and_a_long_pause_are_fine() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut upload = Pace::default();
        assert!((0..7_200).all(|secs| upload.came(256, at(secs))));
        let mut kept_alive = Pace::default();
        assert!(kept_alive.came(400, at(0)));
        kept_alive.answered();
        assert!(kept_alive.came(400, at(90)));
        kept_alive.answered();
        assert!(kept_alive.came(1, at(3_600)));
    }

    #[tokio::test]
    async fn what_goes_through_is_unchanged() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Connection { io: server, pace: Pace::default(), quiet: Quiet::new(), _permit: None };
        client.write_all(b"ping").await.expect("written");
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).await.expect("read");
        server.write_all(b"pong").await.expect("written");
        client.read_exact(&mut bytes).await.expect("read");
        assert_eq!(&bytes, b"pong");
    }
}
