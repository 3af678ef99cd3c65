//! What is measured of `learn`: docs/unsupervised.md has the figures.
//!
//! ```text
//! cargo bench --bench unsupervised -- groups FILE K SEED    groups of the rows of a file
//! cargo bench --bench unsupervised -- groups-speed              seconds of a core, of fits
//! ```
//!
//! FILE has a row of integers on each line, with commas. K is the number of groups, or 0: then it is
//! chosen. What `groups` prints: `inertia,K` on the first line, then for each row the place of its
//! group and its values on the scale of distances.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::print_stderr, reason = "and its mistakes")]

use std::fs;
use std::process::ExitCode;

use zeek_ueba::base::random::Random;
use zeek_ueba::learn::Table;
use zeek_ueba::learn::groups::{Groups, Settings};

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
        _ => Err("groups FILE K SEED | groups-speed".to_owned()),
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
