//! The arguments.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Scores users and hosts by what Zeek's logs say of them.
#[derive(Debug, Parser)]
#[command(name = "zeek-ueba", version = VERSION, about, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Configuration file; without it ./pipeline.toml where it exists, else the defaults.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, as in --set stage.long-connection.weight=50; may be given many times.
    #[arg(long, global = true, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    /// How messages on standard error look.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Say more; twice, say all.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say errors only, and show no progress.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

pub(super) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ZEEK_UEBA_COMMIT"), ")");

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow Zeek's logs while it writes them, until SIGTERM or SIGINT.
    Run(Run),
    /// Run finished logs through the pipeline: events, alerts, risk and dead letters as NDJSON.
    Replay(Replay),
    /// Show every mistake of the configuration.
    Check(Check),
    /// Make what a sink needs on its servers; what is there stays as it is.
    #[command(subcommand)]
    Setup(Setup),
    /// Say why: of a score, an alert or an event, down to the lines of the logs.
    Explain(Explain),
    /// Show what is usual of entities.
    #[command(subcommand)]
    Profile(Profile),
    /// Show dead letters, send them again, or let them go.
    #[command(subcommand)]
    Dlq(Dlq),
    /// Write what a detector's model reads of each item: CSV, or an array for numpy.
    Features(Features),
    /// Score items by the model of a detector: one JSON object for each line.
    Score(Score),
    /// Show the stages: what each reads, finds and can be told.
    Stages,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Take over a state of another `sensor.id`: ids of events change.
    #[arg(long)]
    pub accept_new_sensor_id: bool,
    /// Give up a sink that is configured no longer: what its spool holds is discarded.
    #[arg(long, value_name = "SINK")]
    pub retire_sink: Vec<String>,
}

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Ask the servers of the sinks too.
    #[arg(long)]
    pub connect: bool,
}

/// What `setup` makes.
#[derive(Debug, Subcommand)]
pub enum Setup {
    /// The topics of events, alerts and risk.
    Kafka {
        /// Say what would be made, and make nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// The templates of events, alerts, risk and entities.
    Elasticsearch {
        /// Show what would be installed, and install nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Logs, or directories of logs: TSV, JSON, gz, any of Zeek's archive layouts, several days.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// A new or empty directory for the results.
    #[arg(short, long, default_value = "replay", value_name = "DIR")]
    pub output: PathBuf,
    /// A network that is internal; given, these alone decide. May be given many times.
    #[arg(long, value_name = "CIDR")]
    pub internal: Vec<IpNet>,
    /// Start from the state in DIR and leave it there; what it has read already is not read again,
    /// and hours and days that are not over stay open for what comes after.
    #[arg(long, value_name = "DIR", conflicts_with = "journal")]
    pub state: Option<PathBuf>,
    /// Follow the journal of a daemon (STATE/journal), whose logs are below PATH: what it wrote
    /// comes out to the byte.
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Send events, alerts and risk to this sink of the configuration too.
    #[arg(long, value_name = "SINK", value_enum)]
    pub emit: Vec<Emit>,
    /// Exit with 65 if any line or file could not be read.
    #[arg(long)]
    pub strict: bool,
}

/// What is done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Show them, one on a line.
    List {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Those too that were dealt with.
        #[arg(long)]
        all: bool,
        /// Each as a document of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one whole, with what it is of.
    Show {
        /// Its key, as `list` shows it.
        key: String,
    },
    /// Send documents that a sink rejected to it again, once what it rejected them for is mended.
    Replay {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// How long the sink may take for each hundred of them, in seconds.
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        within: u64,
    },
    /// Let letters go that nobody needs: the daemon makes room of them.
    Drop {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// All that are left.
        #[arg(long, conflicts_with_all = ["keys", "sink", "reason"])]
        all: bool,
    },
}

/// Which dead letters; all conditions that are given must hold.
#[derive(Debug, Default, clap::Args)]
pub struct Which {
    /// Their keys, as `list` shows them.
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Of documents that this sink rejected.
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,
    /// Of this reason.
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// An entity (host:10.0.0.5, 10.0.0.5, user:alice), or the id of an alert, a risk document or
    /// an event.
    #[arg(value_name = "ID")]
    pub id: String,
    /// What a replay wrote, or the state of a daemon; without it the daemon's state, else its
    /// outputs, else ./replay.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Where the logs are now; without it source.roots of the configuration.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub logs: Vec<PathBuf>,
    /// One document of JSON, with whole lines.
    #[arg(long)]
    pub json: bool,
}

/// What `profile` does.
#[derive(Debug, clap::Subcommand)]
pub enum Profile {
    /// Of whom anything is known: a line for each, the first ten thousand.
    List(ProfileList),
    /// What is usual of an entity.
    Show(ProfileShow),
}

/// Arguments of `profile list`.
#[derive(Debug, clap::Args)]
pub struct ProfileList {
    /// A state; without it the daemon's.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// A document of JSON on each line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `profile show`.
#[derive(Debug, clap::Args)]
pub struct ProfileShow {
    /// host:10.0.0.5, 10.0.0.5, user:alice.
    #[arg(value_name = "ENTITY")]
    pub entity: String,
    /// A state; without it the daemon's.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// One document of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `features`.
#[derive(Debug, clap::Args)]
pub struct Features {
    /// Whose model.
    #[arg(value_enum, value_name = "DETECTOR")]
    pub detector: Detector,
    /// Items, one on a line; without it standard input.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write the columns of all inputs side by side as one array of 32-bit floats to this file,
    /// which ends in .npy, instead of CSV to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `score`.
#[derive(Debug, clap::Args)]
pub struct Score {
    /// Whose model.
    #[arg(value_enum, value_name = "DETECTOR")]
    pub detector: Detector,
    /// Items, one on a line; without it standard input.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Say no reasons: faster, for many items.
    #[arg(long)]
    pub no_reasons: bool,
}

/// A detector with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Detector {
    /// Names that were generated by an algorithm; an item is a name.
    Dga,
    /// URLs and hosts that ask for what is somebody's secret; an item is a URL or a host.
    Phishing,
    /// URLs of malicious programs; an item is a URL or a host.
    MaliciousUrl,
    /// Malicious programs, by all that is known of a download; an item is a JSON object with any of
    /// url, filename, mime_type, user_agent, status_code, size.
    MaliciousDownload,
}

/// A sink beyond this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// `[sink.kafka]`.
    Kafka,
    /// `[sink.elasticsearch]`.
    Elasticsearch,
}

/// How messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A line of JSON.
    Json,
}
