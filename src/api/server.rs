//! The listener: one thread, a bounded number of connections, each for one request and a bounded
//! time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::routes::{Shared, router};

/// Connections at once: a few scrapers and a person, and no descriptors that logs need. More wait
/// in the system's queue.
const CONNECTIONS_MAX: usize = 16;
/// From the connection to the last byte of the answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// From the connection to the end of the request's head.
const HEAD_TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Lines of it.
const HEAD_LINES_MAX: usize = 64;
/// After an error of the system, such as no free descriptors, the next try.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A listener that nobody serves yet.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
}

impl Server {
    /// Listens at `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(addr))?;
        Ok(Self { runtime, listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until the other end of `stop` is gone.
    pub fn serve(self, shared: Arc<Shared>, stop: oneshot::Receiver<()>) {
        let Self { runtime, listener } = self;
        drop(runtime.spawn(accept(listener, shared)));
        // It says nothing, it only goes away.
        drop(runtime.block_on(stop));
        // What is being answered may be cut off: whoever asks asks again.
        runtime.shutdown_background();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                drop(tokio::spawn(async move {
                    // Who is too slow is not told so.
                    drop(timeout(CONNECTION_TIME_MAX, answer(stream, shared)).await);
                    drop(slot);
                }));
            }
            Err(_) => sleep(AFTER_ERROR).await,
        }
    }
}

/// Answers who is at the other end of `stream`, as [`Server`] does with each connection.
#[doc(hidden)]
pub async fn answer<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_LINES_MAX)
        .keep_alive(false);
    // A connection that broke is the other side's matter.
    let service = TowerToHyperService::new(router(shared));
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}
