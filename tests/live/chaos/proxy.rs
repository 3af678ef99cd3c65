//! Stands before a real server, and does to its connections what networks do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::script::Fault;

/// See the module.
pub(super) struct Proxy {
    pub(super) port: u16,
    between: Arc<Between>,
    /// Bound, so that nobody else takes the port while nobody listens.
    _keeps_the_port: std::os::fd::OwnedFd,
}

struct Between {
    /// Where the server is.
    target: String,
    /// Of a Kafka broker, whose answers say where it is: they are made to lead here.
    is_kafka: bool,
    port: u16,
    fault: Mutex<Fault>,
    /// Bytes until all connections are reset.
    left: AtomicI64,
    /// Connections of an earlier one are reset.
    generation: AtomicUsize,
    is_over: AtomicBool,
}

struct Link {
    client: TcpStream,
    server: TcpStream,
    generation: usize,
}

/// How often threads look at what is to be done.
const LOOK: Duration = Duration::from_millis(5);

/// Bytes that a slow network takes at once, and the time it takes.
const SLOW_BYTES: usize = 4 << 10;
const SLOW: Duration = Duration::from_millis(30);

impl Proxy {
    pub(super) fn before(target: &str, is_kafka: bool) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        rustix::net::bind(&socket, &any).unwrap();
        let address = rustix::net::getsockname(&socket).unwrap();
        let port = std::net::SocketAddrV4::try_from(address).unwrap().port();
        let between = Arc::new(Between {
            target: target.to_owned(),
            is_kafka,
            port,
            fault: Mutex::new(Fault::None),
            left: AtomicI64::new(i64::MAX),
            generation: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&between);
        let accept = move || accepting.accept();
        drop(Builder::new().name("proxy".to_owned()).spawn(accept).unwrap());
        Self { port, between, _keeps_the_port: socket }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, fault: Fault) {
        let left = if let Fault::CutAfter(bytes) = fault { i64::from(bytes) } else { i64::MAX };
        self.between.left.store(left, Ordering::Relaxed);
        *self.between.fault.lock().unwrap() = fault;
        if fault == Fault::Refused {
            self.between.cut();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.between.is_over.store(true, Ordering::Relaxed);
        self.between.cut();
    }
}

impl Between {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    /// Resets all connections that there are.
    fn cut(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn accept(self: Arc<Self>) {
        let mut listener = None;
        while !self.is_over.load(Ordering::Relaxed) {
            if self.fault() == Fault::Refused {
                listener = None;
                std::thread::sleep(LOOK);
                continue;
            }
            let listening = listener.get_or_insert_with(|| {
                let listening = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
                listening.set_nonblocking(true).unwrap();
                listening
            });
            let Ok((client, _)) = listening.accept() else {
                std::thread::sleep(LOOK);
                continue;
            };
            let generation = self.generation.load(Ordering::Relaxed);
            let Ok(server) = TcpStream::connect(&self.target) else { continue };
            for stream in [&client, &server] {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(LOOK)).unwrap();
                stream.set_nodelay(true).unwrap();
            }
            let link = Arc::new(Link { client, server, generation });
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
        while self.generation.load(Ordering::Relaxed) == link.generation {
            let fault = self.fault();
            if fault == Fault::Hung {
                std::thread::sleep(LOOK);
                continue;
            }
            let most = if fault == Fault::Slow { SLOW_BYTES } else { piece.len() };
            let count = match from.read(&mut piece[..most]) {
                Ok(count) => count,
                Err(error) if is_timeout(&error) => continue,
                Err(_) => 0,
            };
            if count == 0 {
                drop(to.shutdown(Shutdown::Write));
                return;
            }
            kept.extend_from_slice(&piece[..count]);
            let mut bytes = if is_answer && self.is_kafka {
                self.led_here(&mut kept)
            } else {
                std::mem::take(&mut kept)
            };
            let length = i64::try_from(bytes.len()).unwrap();
            let left = self.left.fetch_sub(length, Ordering::Relaxed);
            bytes.truncate(usize::try_from(left).unwrap_or_default());
            if to.write_all(&bytes).is_err() {
                drop(from.shutdown(Shutdown::Both));
                return;
            }
            if left <= length {
                self.left.store(i64::MAX, Ordering::Relaxed);
                self.cut();
            }
            if fault == Fault::Slow {
                std::thread::sleep(SLOW);
            }
        }
        // When they are closed the other sides hear a reset.
        for stream in [&link.client, &link.server] {
            sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap_or_default();
        }
    }

    /// The whole messages of what came of a broker, with this proxy's port wherever one names the
    /// broker's.
    fn led_here(&self, kept: &mut Vec<u8>) -> Vec<u8> {
        let mut whole = 0;
        while let Some((length, rest)) = kept[whole..].split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if rest.len() < length {
                break;
            }
            whole += 4 + length;
        }
        let mut bytes: Vec<u8> = kept.drain(..whole).collect();
        let (host, port) = self.target.rsplit_once(':').unwrap();
        let port: u32 = port.parse().unwrap();
        let named = [host.as_bytes(), &port.to_be_bytes()].concat();
        let places: Vec<usize> = memchr::memmem::find_iter(&bytes, &named).collect();
        for place in places {
            let at = place + host.len();
            bytes[at..at + 4].copy_from_slice(&u32::from(self.port).to_be_bytes());
        }
        bytes
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
