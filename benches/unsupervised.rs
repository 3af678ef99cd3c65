//! What is measured of `learn`: docs/unsupervised.md has the figures.
//!
//! ```text
//! cargo bench --bench unsupervised -- groups FILE K SEED    groups of the rows of a file
//! cargo bench --bench unsupervised -- groups-speed          seconds of a core, of fits
//! cargo bench --bench unsupervised -- forest FILE SEED      scores of the rows of a file
//! cargo bench --bench unsupervised -- planted               what planted columns are named
//! cargo bench --bench unsupervised -- forest-speed          seconds of fits, rows a second
//! cargo bench --bench unsupervised -- refit                 how long groups of 100,000 hosts hold up
//! ```
//!
//! FILE has a row of integers on each line, with commas. K is the number of groups, or 0: then it is
//! chosen. What `groups` prints: `inertia,K` on the first line, then for each row the place of its
//! group and its values on the scale of distances. What `forest` prints is the score of each row, in
//! parts per million, by a forest grown from all of them.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::print_stderr, reason = "and its mistakes")]

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use zeek_ueba::base::address::Addr;
use zeek_ueba::base::random::Random;
use zeek_ueba::learn::Table;
use zeek_ueba::learn::forest::{Forest, Settings as Growth};
use zeek_ueba::learn::groups::{Groups, Settings};
use zeek_ueba::record::Entity;
use zeek_ueba::stage::activity::{Row, WIDTH};
use zeek_ueba::stage::profile::{Fit, Known, Outcome, Peers, Profile};

fn main() -> ExitCode {
    // Cargo adds --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["groups", file, k, seed] => groups(file, k, seed),
        ["groups-speed"] => {
            groups_speed();
            Ok(())
        }
        ["forest", file, seed] => forest(file, seed),
        ["planted"] => {
            planted();
            Ok(())
        }
        ["forest-speed"] => {
            forest_speed();
            Ok(())
        }
        ["refit"] => {
            refit();
            Ok(())
        }
        _ => Err("groups FILE K SEED | groups-speed | forest FILE SEED | planted | forest-speed \
                  | refit"
            .to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// The rows of a file.
fn read(file: &str) -> Result<Table, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let mut table: Option<Table> = None;
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("{file}:{}: not a row of integers of one width", number + 1);
        let row: Vec<i16> = line
            .split(',')
            .map(|it| it.trim().parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        if !table.get_or_insert_with(|| Table::new(row.len())).push(&row) {
            return Err(wrong());
        }
    }
    table.ok_or_else(|| format!("{file} is empty"))
}

// Peer groups.

fn groups(file: &str, k: &str, seed: &str) -> Result<(), String> {
    let table = read(file)?;
    let k: usize = k.parse().map_err(|_| format!("{k} is no number of groups"))?;
    let seed = seed.parse().map_err(|_| format!("{seed} is no seed"))?;
    let settings = match k {
        0 => Settings::default(),
        // Nothing is dissolved, since scikit-learn dissolves nothing.
        k => Settings { k_min: k, k_max: k, members_min: 1, ..Settings::default() },
    };
    let found = Groups::fit(&table, settings, seed, None);
    println!("{},{}", found.inertia(&table), found.len());
    for row in table.rows() {
        let scaled = found.scaled(row).into_iter().map(|value| value.to_string());
        println!("{},{}", found.nearest(row).0, scaled.collect::<Vec<_>>().join(","));
    }
    Ok(())
}

/// Humps in 24 columns of 256ths of a bit, as many as `k`, or noise without any.
fn humps(rows: u64, k: u64) -> Table {
    let mut random = Random::new(1);
    let mut table = Table::new(24);
    let middles: Vec<u64> = (0..24 * k).map(|_| random.below(2048)).collect();
    for row in 0..rows {
        // The sum of four dice is a hump.
        let hump = |random: &mut Random| (0..4).map(|_| random.below(512)).sum::<u64>();
        let middles = &middles[(row % k * 24) as usize..][..24];
        let values = middles.iter().map(|middle| (middle + hump(&mut random)) as i16);
        let values: Vec<i16> = values.collect();
        table.push(&values);
    }
    table
}

/// Seconds that this process has had a core, in all its threads, ended ones too.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("procfs");
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
    // Of the system and of the program itself, in hundredths.
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn groups_speed() {
    println!("| rows x columns | made | found | seconds | again, seconds |");
    println!("|---|---|---|---|---|");
    for (rows, k) in [(1000, 6), (10_000, 6), (100_000, 1), (100_000, 6), (100_000, 12)] {
        let table = humps(rows, k);
        let begin = cpu_seconds();
        let found = Groups::fit(&table, Settings::default(), 1, None);
        let between = cpu_seconds();
        let again = Groups::fit(&table, Settings::default(), 2, Some(&found));
        let end = cpu_seconds();
        println!(
            "| {rows} x 24 | {k} | {}, {} | {:.2} | {:.2} |",
            found.len(),
            again.len(),
            between - begin,
            end - between
        );
    }
}

/// How long the entity lane is held up when a day ends, and when new groups come in; and what is
/// done aside meanwhile.
fn refit() {
    const HOSTS: u32 = 100_000;
    let mut random = Random::new(1);
    let known = Known::of(|_| true);
    let mut profiles: BTreeMap<Entity, Box<Profile>> = BTreeMap::new();
    for n in 0..HOSTS {
        let mut profile = Box::new(Profile::new(0));
        let middle: i16 = 300 * (n % 6) as i16;
        for day in 0..4 {
            let row: Row = std::array::from_fn(|_| middle + random.below(512) as i16);
            let season = [0; WIDTH];
            let (row, season) = (&row, &season);
            let outcome =
                Outcome { row, season, known, apart: None, score: 0, is_suspicious: false };
            profile.learn_day(day, &outcome);
        }
        profiles.insert(Entity::Host(Addr::v4(0x0a00_0000 + n)), profile);
    }
    let peers = Peers::default();
    println!("| what | seconds of a core |");
    println!("|---|---|");
    let told = |what: &str, begin: f64, end: f64| println!("| {what} | {:.2} |", end - begin);
    let begin = cpu_seconds();
    let asked = profiles.iter().map(|(entity, profile)| (entity, profile.as_ref()));
    let fit = Fit::new(asked, &peers, 1).expect("enough hosts");
    let snapshot = cpu_seconds();
    told("a snapshot, in the entity lane", begin, snapshot);
    let fitted = fit.run();
    let found = cpu_seconds();
    told(&format!("{} groups, aside", fitted.peers.count()), snapshot, found);
    for (entity, group) in fitted.members {
        if let Some(profile) = profiles.get_mut(&entity) {
            profile.join(group);
        }
    }
    told("they come in, in the entity lane", found, cpu_seconds());
}

// The isolation forest.

fn forest(file: &str, seed: &str) -> Result<(), String> {
    let table = read(file)?;
    let seed = seed.parse().map_err(|_| format!("{seed} is no seed"))?;
    for score in Forest::fit(&table, Growth::default(), seed).scores(&table) {
        println!("{score}");
    }
    Ok(())
}

/// A normal number, nearly: the sum of twelve dice; 256 to a standard deviation.
fn normal(random: &mut Random) -> i32 {
    (0..12).map(|_| random.below(256) as i32).sum::<i32>() - 12 * 255 / 2
}

/// 2^(x / 256), 256 times.
fn power(x: i32) -> i32 {
    (f64::from(x + 2048) / 256.0).exp2() as i32
}

/// What tables the cases are planted into, each with whether the column has two ends to be beyond.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Even,
    Skewed,
    Tied,
    Mixed,
}

impl Kind {
    const ALL: [(Self, &str); 5] = [
        (Self::Normal, "independent, normal"),
        (Self::Even, "independent, uniform"),
        (Self::Skewed, "independent, log-normal"),
        (Self::Tied, "correlated, three common factors"),
        (Self::Mixed, "mixed: a quarter each nine in ten zero, correlated, counts, normal"),
    ];

    /// A value of a column. `common` are the three factors of the row, `loads` what they are to
    /// the column.
    fn value(self, column: usize, common: [i32; 3], loads: [i32; 3], random: &mut Random) -> i32 {
        let tied = |random: &mut Random| {
            let sum: i32 = common.iter().zip(loads).map(|(factor, load)| factor * load / 256).sum();
            sum + normal(random) / 2
        };
        match (self, column % 4) {
            (Self::Normal, _) | (Self::Mixed, 3) => normal(random),
            (Self::Even, _) => random.below(1024) as i32,
            (Self::Skewed, _) => power(normal(random)),
            (Self::Tied, _) | (Self::Mixed, 1) => tied(random),
            (Self::Mixed, 2) => (normal(random) * 3 / 512).max(0) * 256,
            (Self::Mixed, _) if random.below(10) < 9 => 0,
            (Self::Mixed, _) => 768 + normal(random).abs(),
        }
    }

    const fn is_one_sided(self, column: usize) -> bool {
        matches!((self, column % 4), (Self::Skewed, _) | (Self::Mixed, 0 | 2))
    }
}

/// Rows of a kind, and one row after another.
struct Rows {
    kind: Kind,
    loads: Vec<[i32; 3]>,
    random: Random,
}

impl Rows {
    fn new(kind: Kind, width: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let loads = (0..width).map(|_| std::array::from_fn(|_| normal(&mut random))).collect();
        Self { kind, loads, random }
    }

    fn next(&mut self) -> Vec<i16> {
        let Self { kind, loads, random } = self;
        let common = std::array::from_fn(|_| normal(random));
        let columns = loads.iter().enumerate();
        let value = |(column, loads): (usize, &[i32; 3])| {
            let value = kind.value(column, common, *loads, random);
            value.clamp(-12_000, 12_000) as i16
        };
        columns.map(value).collect()
    }
}

/// For each kind of table and how far beyond its range a value is planted, in quarters of the range:
/// how often its column has the greatest share, and which share of rows of the bulk scores less.
fn planted() {
    const ROWS: usize = 4000;
    const CASES: usize = 250;
    println!("| columns | | at the end of the range | 1/4 of it beyond | 1/2 beyond | 1 beyond |");
    println!("|---|---|---|---|---|---|");
    for (width, (kind, name)) in [10, 24].into_iter().flat_map(|n| Kind::ALL.map(|kind| (n, kind)))
    {
        let mut found = [(0, 0); 4];
        for seed in 0..4 {
            let mut rows = Rows::new(kind, width, seed);
            let mut table = Table::new(width);
            (0..ROWS).for_each(|_| assert!(table.push(&rows.next())));
            let forest = Forest::fit(&table, Growth::default(), seed);
            let mut usual: Vec<u32> = (0..1000).map(|_| forest.score(&rows.next())).collect();
            usual.sort_unstable();
            for (quarters, (named, below)) in [0, 1, 2, 4].into_iter().zip(&mut found) {
                for _ in 0..CASES {
                    let mut row = rows.next();
                    let place = rows.random.below(width as u64) as usize;
                    let column = || table.rows().map(|row| i32::from(row[place]));
                    let (low, high) = (column().min().unwrap_or(0), column().max().unwrap_or(0));
                    let beyond = (high - low) * quarters / 4;
                    let is_above = kind.is_one_sided(place) || rows.random.below(2) == 0;
                    let value = if is_above { high + beyond } else { low - beyond };
                    row[place] = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                    let shares = forest.attribution(&row);
                    *named += u32::from(shares.iter().all(|share| *share <= shares[place]));
                    *below += usual.partition_point(|score| *score < forest.score(&row));
                }
            }
        }
        let cells = found.map(|(named, below)| {
            format!("{:.1} %, {:.3}", f64::from(named) / 10.0, below as f64 / 1e6)
        });
        println!("| {width} | {name} | {} |", cells.join(" | "));
    }
}

/// Rows that are scored one by one.
const FEW: usize = 10_000;

/// Rows as windows have them: the mixed kind.
fn forest_speed() {
    println!(
        "| rows x columns | fit, seconds | rows/s | rows/s, one by one | attributions/s | bytes kept |"
    );
    println!("|---|---|---|---|---|---|");
    for (rows, width) in [(1000, 24), (100_000, 12), (100_000, 24), (100_000, 48)] {
        let mut made = Rows::new(Kind::Mixed, width, 1);
        let mut table = Table::new(width);
        (0..rows).for_each(|_| assert!(table.push(&made.next())));
        let mut turns: Vec<[f64; 4]> = (0..5).map(|seed| turn(&table, seed)).collect();
        let medians: [f64; 4] = std::array::from_fn(|place| {
            turns.sort_by(|one, two| one[place].total_cmp(&two[place]));
            turns[turns.len() / 2][place]
        });
        let [fit, batch, single, told] = medians;
        let bytes =
            zeek_ueba::base::codec::encode(&Forest::fit(&table, Growth::default(), 1)).len();
        println!(
            "| {rows} x {width} | {fit:.3} | {:.0} | {:.0} | {:.0} | {bytes} |",
            rows as f64 / batch,
            rows.min(FEW) as f64 / single,
            rows.min(FEW) as f64 / told
        );
    }
}

/// Seconds in which this thread had a core: others are at work on the machine.
fn seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
    nanos / 1e9
}

/// Seconds of a fit, of all scores at once, of some of them one by one, of as many attributions.
fn turn(table: &Table, seed: u64) -> [f64; 4] {
    let begin = seconds();
    let forest = Forest::fit(table, Growth::default(), seed);
    let fit = seconds();
    let all = forest.scores(table);
    let batch = seconds();
    let few = table.len().min(FEW);
    let same = table.rows().take(few).zip(&all).all(|(row, score)| forest.score(row) == *score);
    assert!(same, "rows scored together are as rows scored alone");
    let single = seconds();
    let told: i64 = table.rows().take(few).map(|row| forest.attribution(row)[0]).sum();
    std::hint::black_box(told);
    [fit - begin, batch - fit, single - batch, seconds() - single]
}
