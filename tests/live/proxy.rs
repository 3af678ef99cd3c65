//! A proxy before a server: it cuts connections, loses answers, refuses and stalls.
//!
//! Here belongs what happens to bytes; what has to come of it belongs to the tests.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

/// When it is closed the other side hears a reset.
pub(super) fn reset(stream: &TcpStream) {
    sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap_or_default();
}

/// What a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Pass,
    /// Nobody listens, and connections are reset.
    Refuse,
    /// Nothing passes, and nobody is told.
    Stall,
}

/// Stands before a server.
pub(super) struct Proxy {
    port: u16,
    inner: Arc<Between>,
    /// Bound, so that nobody else takes the port while nobody listens.
    _keeps_the_port: OwnedFd,
}

struct Between {
    /// Of the proxy itself, where the server is a Kafka broker: its answers say where it is, and are
    /// changed so that they lead here.
    kafka: Option<u16>,
    target: Mutex<String>,
    mode: Mutex<Mode>,
    /// Connections of an earlier one are reset.
    generation: AtomicUsize,
    /// Answers that are still to be lost, with their connection: of brokers those to a produce request.
    to_lose: AtomicUsize,
    is_over: AtomicBool,
}

/// What a thread needs to know of its connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
    generation: usize,
    /// Correlation ids of produce requests.
    produce: Mutex<BTreeSet<[u8; 4]>>,
    /// An answer was lost.
    is_cut: AtomicBool,
}

/// How often threads look at what is to be done.
const LOOK: Duration = Duration::from_millis(5);

impl Proxy {
    pub(super) fn before(target: &str) -> Self {
        Self::new(target, false)
    }

    pub(super) fn before_kafka(target: &str) -> Self {
        Self::new(target, true)
    }

    fn new(target: &str, is_kafka: bool) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = SocketAddrV4::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        let port = address.port();
        let inner = Arc::new(Between {
            kafka: is_kafka.then_some(port),
            target: Mutex::new(target.to_owned()),
            mode: Mutex::new(Mode::Pass),
            generation: AtomicUsize::new(0),
            to_lose: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let between = Arc::clone(&inner);
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let accept = move || between.accept(port, listener);
        drop(Builder::new().name("proxy".to_owned()).spawn(accept).unwrap());
        Self { port, inner, _keeps_the_port: socket }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.inner.mode.lock().unwrap() = mode;
        if mode == Mode::Refuse {
            self.cut();
            // Until nobody listens any more.
            while TcpStream::connect(self.address()).is_ok() {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Resets all connections that there are.
    pub(super) fn cut(&self) {
        self.inner.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// New connections go there.
    pub(super) fn turn_to(&self, target: &str) {
        target.clone_into(&mut self.inner.target.lock().unwrap());
        self.cut();
    }

    /// The next answers do not arrive; their connections are reset.
    pub(super) fn lose(&self, answers: usize) {
        self.inner.to_lose.store(answers, Ordering::Relaxed);
    }

    /// How many of them are still to come.
    pub(super) fn to_lose(&self) -> usize {
        self.inner.to_lose.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.is_over.store(true, Ordering::Relaxed);
        self.cut();
    }
}

impl Between {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn accept(self: Arc<Self>, port: u16, first: TcpListener) {
        let mut listener = Some(first);
        while !self.is_over.load(Ordering::Relaxed) {
            if self.mode() == Mode::Refuse {
                listener = None;
                std::thread::sleep(LOOK);
                continue;
            }
            let listener =
                listener.get_or_insert_with(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
            listener.set_nonblocking(true).unwrap();
            let Ok((client, _)) = listener.accept() else {
                std::thread::sleep(LOOK);
                continue;
            };
            let target = self.target.lock().unwrap().clone();
            let Ok(server) = TcpStream::connect(target) else {
                reset(&client);
                continue;
            };
            for stream in [&client, &server] {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(LOOK)).unwrap();
                stream.set_nodelay(true).unwrap();
            }
            let generation = self.generation.load(Ordering::Relaxed);
            let (produce, is_cut) = (Mutex::default(), AtomicBool::new(false));
            let link = Arc::new(Link { client, server, generation, produce, is_cut });
            for is_answer in [false, true] {
                let (between, link) = (Arc::clone(&self), Arc::clone(&link));
                let pump = move || between.pump(&link, is_answer);
                drop(Builder::new().name("proxy".to_owned()).spawn(pump).unwrap());
            }
        }
    }

    /// Carries bytes one way until there is an end.
    fn pump(&self, link: &Link, is_answer: bool) {
        let (mut from, mut to) = match is_answer {
            true => (&link.server, &link.client),
            false => (&link.client, &link.server),
        };
        let (mut piece, mut kept) = (vec![0; 64 << 10], Vec::new());
        loop {
            if !self.is_current(link) {
                return reset(&link.client);
            }
            let count = match from.read(&mut piece) {
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    continue;
                }
                Err(_) => 0,
            };
            if count == 0 {
                drop(to.shutdown(Shutdown::Write));
                return;
            }
            kept.extend_from_slice(&piece[..count]);
            while self.mode() == Mode::Stall && self.is_current(link) {
                std::thread::sleep(LOOK);
            }
            let Some(bytes) = self.passed(link, &mut kept, is_answer) else {
                // Both ways end, so that the other side hears of it.
                link.is_cut.store(true, Ordering::Relaxed);
                continue;
            };
            if to.write_all(&bytes).is_err() {
                drop(from.shutdown(Shutdown::Both));
                return;
            }
        }
    }

    fn is_current(&self, link: &Link) -> bool {
        let is_cut = link.is_cut.load(Ordering::Relaxed);
        !is_cut && self.generation.load(Ordering::Relaxed) == link.generation
    }

    /// What of the bytes that came may go on; nothing where an answer is lost.
    fn passed(&self, link: &Link, kept: &mut Vec<u8>, is_answer: bool) -> Option<Vec<u8>> {
        let Some(port) = self.kafka else {
            let is_lost = is_answer && self.loses();
            return (!is_lost).then(|| std::mem::take(kept));
        };
        // Messages of Kafka begin with their length; a request goes on with its kind, version and
        // number, an answer with that number.
        let mut passed = Vec::new();
        while let Some((length, rest)) = kept.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if rest.len() < length {
                break;
            }
            let mut message = kept.drain(..4 + length).collect::<Vec<u8>>();
            let number = |at: usize| message.get(at..at + 4)?.try_into().ok();
            if !is_answer && message[4..6] == [0, 0] {
                link.produce.lock().unwrap().extend::<Option<[u8; 4]>>(number(8));
            }
            if is_answer {
                let number: [u8; 4] = number(4).unwrap();
                if link.produce.lock().unwrap().remove(&number) && self.loses() {
                    return None;
                }
                self.lead_here(&mut message, port);
            }
            passed.extend_from_slice(&message);
        }
        Some(passed)
    }

    /// Whether this answer is one of those that are to be lost.
    fn loses(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Puts this proxy's port wherever a message names the server's.
    fn lead_here(&self, message: &mut [u8], port: u16) {
        let target = self.target.lock().unwrap().clone();
        let (host, server) = target.rsplit_once(':').unwrap();
        let server: u32 = server.parse().unwrap();
        let named = [host.as_bytes(), &server.to_be_bytes()].concat();
        let places: Vec<usize> = memchr::memmem::find_iter(message, &named).collect();
        for place in places {
            let at = place + host.len();
            message[at..at + 4].copy_from_slice(&u32::from(port).to_be_bytes());
        }
    }
}
