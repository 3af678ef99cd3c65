//! What happens in a run of chaos, and when: a function of the seed and the length alone.

use crate::emulator::actions::Action;
use crate::emulator::rows::Log;

/// A server that documents go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Kafka,
    Engine,
}

/// What its network does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Nobody listens, and connections are reset.
    Refused,
    /// Nothing passes, and nobody is told.
    Hung,
    /// A few KiB at a time.
    Slow,
    /// All connections are reset once so many more bytes have passed.
    CutAfter(u32),
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Zeek(Action),
    /// A line that is no record.
    Bad(Log),
    /// A record of which the search engine will not take the document.
    Odd,
    /// A request with a long URI that cannot be packed, made of this.
    Bulky(u64),
    /// A record in which a stage finds something.
    Risky(Log),
    /// The daemon is killed, and stays away until `Start`.
    Kill,
    /// The same with SIGTERM.
    Stop,
    Start,
    Network(Server, Fault),
    /// The disk is full until `Free`.
    Fill,
    Free,
}

/// What lies on the small disk, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    State,
    Spool,
    Output,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// A supervised Zeek with JSON logs, or one of zeekctl.
    pub(super) is_supervised: bool,
    /// Nothing that Zeek wrote is destroyed before it was read, so that everything can be expected.
    pub(super) keeps: bool,
    pub(super) disk: Disk,
    pub(super) commit_every_ms: u64,
    pub(super) spool_mib: u64,
    /// What happens, each at a time in milliseconds, in order.
    pub(super) acts: Vec<(u64, Act)>,
}

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).unwrap()].clone()
    }

    /// Whether it is so, in so many of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Time between two bursts of records.
const TICK_MS: u64 = 50;

impl Script {
    pub(super) fn new(seed: u64, seconds: u64) -> Self {
        let mut random = Random(seed);
        let mut script = Self {
            is_supervised: random.chance(50),
            keeps: !seed.is_multiple_of(4),
            disk: random.one(&[Disk::State, Disk::State, Disk::Spool, Disk::Output]),
            commit_every_ms: random.one(&[50, 100, 200]),
            spool_mib: random.one(&[1, 2, 8]),
            acts: vec![(0, Act::Start)],
        };
        let end = seconds * 1000;
        let mut streams = (0..6).map(|_| Random(random.next()));
        let mut stream = || streams.next().unwrap();
        script.records(&mut stream(), end);
        script.zeek(&mut stream(), end);
        script.daemon(&mut stream(), end);
        script.network(&mut stream(), end, Server::Kafka);
        script.network(&mut stream(), end, Server::Engine);
        script.disk(&mut stream(), end);
        script.acts.retain(|(at, _)| *at < end);
        // Stable: of one time, in the order of the streams.
        script.acts.sort_by_key(|(at, _)| *at);
        script
    }

    /// The size of a disk on which everything finds room as long as nobody else fills it.
    pub(super) fn disk_mib(&self, seconds: u64) -> u64 {
        match self.disk {
            Disk::State => 96 + seconds / 2,
            Disk::Spool => 32,
            Disk::Output => 96 + 4 * seconds,
        }
    }

    fn add(&mut self, at: u64, act: Act) {
        self.acts.push((at, act));
    }

    /// Records all the time, now more and now fewer, and among them strange ones.
    fn records(&mut self, random: &mut Random, end: u64) {
        let (mut rate, mut bulky, mut until) = (0, 0, 0);
        for at in (0..end).step_by(usize::try_from(TICK_MS).unwrap()) {
            if at >= until {
                rate = random.one(&[100, 200, 400, 1000]);
                bulky = random.one(&[0, 0, 1, 4]);
                until = at + random.within(1000..4000);
            }
            for _ in 0..2 {
                let records = u16::try_from(rate * TICK_MS / 2000 + 1).unwrap();
                let log = random.one(&Log::ALL);
                self.add(at, Act::Zeek(Action::Write { log, records }));
            }
            for _ in 0..bulky {
                self.add(at, Act::Bulky(random.next()));
            }
            if random.chance(20) {
                self.add(at, Act::Risky(random.one(&[Log::Conn, Log::Http])));
            }
            if random.chance(5) {
                self.add(at, Act::Bad(random.one(&Log::ALL)));
            }
            if random.chance(5) {
                self.add(at, Act::Odd);
            }
            if random.chance(10) {
                let (log, percent) = (random.one(&Log::ALL), random.one(&[1, 50, 99]));
                self.add(at, Act::Zeek(Action::WritePart { log, percent }));
            }
            // The emulated time goes faster than the real one.
            self.add(at, Act::Zeek(Action::Pause { milliseconds: 0 }));
        }
    }

    /// Rotation, archiving, and the ends of Zeek's process.
    fn zeek(&mut self, random: &mut Random, end: u64) {
        let mut at = random.within(200..1000);
        while at < end {
            self.add(at, Act::Zeek(Action::Rotate));
            for _ in 0..random.within(0..7) {
                self.add(at + random.within(1..1500), Act::Zeek(Action::Archive));
            }
            if random.chance(15) {
                let then = at + random.within(1..500);
                let end = if self.keeps {
                    random.one(&[Action::MoveDirectory, Action::Repoint])
                } else {
                    let log = random.one(&Log::ALL);
                    random.one(&[
                        Action::MoveDirectory,
                        Action::Repoint,
                        Action::Stop,
                        Action::Remove,
                        Action::TruncateRestart { log },
                    ])
                };
                // A new process is part of the others; one more would cut its files.
                let is_gone = matches!(end, Action::MoveDirectory | Action::Stop);
                self.add(then, Act::Zeek(end));
                if is_gone {
                    self.add(then + random.within(1..300), Act::Zeek(Action::Restart));
                }
            }
            at += random.within(300..3000);
        }
    }

    /// Kills and stops, now and then while it starts.
    fn daemon(&mut self, random: &mut Random, end: u64) {
        let mut at = random.within(500..3000);
        while at < end {
            self.add(at, if random.chance(70) { Act::Kill } else { Act::Stop });
            at += random.within(1..1500);
            self.add(at, Act::Start);
            at +=
                if random.chance(30) { random.within(10..400) } else { random.within(1000..7000) };
        }
    }

    fn network(&mut self, random: &mut Random, end: u64, server: Server) {
        let mut at = random.within(0..3000);
        while at < end {
            let fault = match random.within(0..5) {
                0 => Fault::Refused,
                1 => Fault::Hung,
                2 => Fault::Slow,
                _ => {
                    let bytes = random.one(&[1, 100, 5000, 100_000, 1_000_000]);
                    Fault::CutAfter(u32::try_from(random.within(0..bytes)).unwrap())
                }
            };
            self.add(at, Act::Network(server, fault));
            at += random.within(200..6000);
            self.add(at, Act::Network(server, Fault::None));
            at += random.within(300..4000);
        }
    }

    fn disk(&mut self, random: &mut Random, end: u64) {
        let mut at = random.within(2000..8000);
        while at < end {
            self.add(at, Act::Fill);
            at += random.within(500..3000);
            self.add(at, Act::Free);
            at += random.within(4000..12_000);
        }
    }
}

#[test]
fn chaos_is_a_function_of_its_seed() {
    assert_eq!(Script::new(7, 60), Script::new(7, 60));
    assert_ne!(Script::new(7, 60).acts, Script::new(8, 60).acts);
    // A longer run begins like a shorter one, so that what failed late can be made to fail alone.
    let (short, long) = (Script::new(7, 20), Script::new(7, 60));
    let begins = long.acts.iter().filter(|(at, _)| *at < 20_000);
    assert!(short.acts.iter().eq(begins));
    let has = |what: &str| long.acts.iter().any(|(_, act)| format!("{act:?}").contains(what));
    for what in ["Bad", "Odd", "Risky", "Kill", "Stop", "Refused", "Hung", "Slow", "Cut", "Fill"] {
        assert!(has(what), "no {what}");
    }
}
