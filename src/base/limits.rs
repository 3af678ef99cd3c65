//! Every bound of the program that is not configurable, each with its reason.

/// Rows of one batch: large enough to spread the cost of a hand-over over many rows, small enough
/// for a batch and its documents (about 1 MiB) to stay in a core's cache.
pub const BATCH_ROWS_MAX: usize = 1024;

/// Raw bytes after which a batch is handed over even if it is short of rows, so that long lines
/// cannot make it grow. One line of `source.line_bytes_max` may come on top.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes asked of a file at once.
pub const READ_BYTES: usize = 256 << 10;

/// Bytes asked of a file at once when many files of one log are open together.
pub const READ_BYTES_CROWDED: usize = 32 << 10;

/// Rows of one batch when many files of one log are open together.
pub const BATCH_ROWS_CROWDED: usize = 64;

/// Files of one lane from which the two figures above apply.
pub const CROWD: usize = 16;

/// Files that one lane keeps open at once: five lanes together stay under the usual limit of 1,024
/// descriptors. Files beyond it wait for a free place.
pub const OPEN_FILES_MAX: usize = 192;

/// Batches that wait between a lane and the entity lane. Two keep both sides busy.
pub const LANE_QUEUE: usize = 2;

/// Blocks of documents that wait between the entity lane and a sink.
pub const SINK_QUEUE: usize = 4;

/// Bytes of documents handed to a sink at once.
pub const SINK_BLOCK_BYTES: usize = 1 << 20;

/// Bytes at the start of a file that decide which log it is: Zeek's headers take under 1 KiB,
/// foreign text in front of one should not hide it.
pub const IDENTIFY_BYTES: usize = 256 << 10;

/// Bytes of a rejected line that its dead letter keeps (contract: 64 KiB).
pub const DEAD_LETTER_BYTES: usize = 64 << 10;

/// Columns that a header may name: Zeek's widest log has under 100.
pub const COLUMNS_MAX: usize = 1024;

/// Members that a JSON record may have, for the same reason.
pub const MEMBERS_MAX: usize = 1024;

/// Depth of arrays and objects inside a JSON record: Zeek writes one level.
pub const JSON_DEPTH_MAX: usize = 32;

/// Reasons that one finding carries.
pub const REASONS_MAX: usize = 7;

/// Those of them that a stage may share a score among which finds any number.
pub const SHARES_MAX: usize = 5;

/// Records that one finding or one contribution points to.
pub const EVIDENCE_MAX: usize = 5;

/// Bytes of a text that a kept finding shows: a reason shows 256 of what a log says.
pub const EVIDENCE_TEXT_BYTES_MAX: usize = 256;

/// Bytes of findings kept so that a score can be explained, by their own estimate: those of some
/// 50,000 entities and modules, of 200,000 if each has one finding only.
pub const EVIDENCE_BYTES_MAX: usize = 64 << 20;

/// The same of findings whose minute is open still: what does not fit adds to the risk as ever, but
/// is no reason of it.
pub const EVIDENCE_OPEN_BYTES_MAX: usize = 16 << 20;

/// Bytes of cells (minute, stage, entity, subject) that wait for their minute to close.
pub const WINDOW_BYTES_MAX: usize = 64 << 20;

/// Entities and modules whose evidence waits for its minute to close: a sweep from forged addresses
/// must not fill the memory. Users get a quarter, those without a score half of their kind's room.
pub const PENDING_MAX: usize = 50_000;

/// Changes of scores handed out at once: at the end of an hour every entity has one.
pub const CHANGES_MAX: usize = 4096;

/// Findings remembered so that none alerts twice; those of users a quarter of them.
pub const SUBJECTS_MAX: usize = 500_000;

/// Bytes of a subject (a destination, a uid) that are kept: longer ones are cut and hashed.
pub const SUBJECT_BYTES_MAX: usize = 256;

/// Bytes of a uid that a finding carries: Zeek's have 18.
pub const UID_BYTES_MAX: usize = 64;

/// Bytes of a user's name that are kept: a login name has at most 64, an address of mail 254.
pub const USER_BYTES_MAX: usize = 256;

/// Bytes of a user agent that a finding carries for allow-lists.
pub const NAME_BYTES_MAX: usize = 512;

/// Servers whose clients are counted, and addresses whose role was learned: more than a network
/// has, and a scan that is answered must not fill the memory.
pub const ROLE_SERVERS_MAX: usize = 10_000;

/// Servers whose clients of one minute are kept.
pub const SIGHTINGS_MAX: usize = 4096;

/// Bytes of the name of a server: DNS has none longer.
pub const HOST_BYTES_MAX: usize = 253;

/// Bytes of a name in DNS, and of one of its labels (RFC 1035).
pub const DNS_NAME_BYTES_MAX: usize = 253;
/// See above.
pub const DNS_LABEL_BYTES_MAX: usize = 63;

/// Bytes of a name in Unicode that IDNA is asked for: a name of DNS may be a few times as long in
/// UTF-8, and what is longer need not be looked at.
pub const IDN_BYTES_MAX: usize = 1024;

/// Bytes of one item in a file or stream of items for `features` and `score`; what is longer is
/// unusable, and passes by without being kept.
pub const ITEM_BYTES_MAX: usize = 64 << 10;

/// Connections whose target behind a proxy is remembered, some 25 MiB: those of a day for a hundred
/// busy hosts. The one whose last request is longest ago goes first.
pub const TARGETS_MAX: usize = 100_000;

/// The same of minutes that are open still: 150 new connections a second through the usual lateness
/// of five minutes.
pub const TARGETS_OPEN_MAX: usize = 50_000;

/// Gaps of a log that are remembered: the longest window looks back five days.
pub const GAPS_MAX: usize = 64;

/// Rows that a stage does not see after it panicked: enough that a hostile host cannot make it
/// panic often, few enough that a busy sensor misses it for seconds only.
pub const QUARANTINE_ROWS: u64 = 10_000;

/// Minutes with something in them that a window stage does not see after it panicked at one.
pub const QUARANTINE_MINUTES: u32 = 10;

/// Directories deep that `replay` follows below a path.
pub const DIRECTORY_DEPTH_MAX: usize = 16;

/// Files that one `replay` takes.
pub const FILES_MAX: usize = 1_000_000;

/// An allow-list beyond this is a mistake: 10,000 entries of usual length. Journal and state hold
/// its text.
pub const ALLOW_BYTES_MAX: u64 = 4 << 20;

/// Entries of an allow-list, each with a metric of its own.
pub const ALLOW_ENTRIES_MAX: usize = 10_000;

/// Bytes of one of our own documents that `explain` reads: an event of the longest line, each of
/// its bytes escaped, has fewer.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// A configuration file beyond this is a mistake.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Incidents that are open at once: some 50 MiB. The one that would close first closes early.
pub const INCIDENTS_MAX: usize = 100_000;

/// Alerts that may always go out in a day, whatever the number of hosts (contract).
pub const ALERTS_A_DAY_MIN: u64 = 20;
/// A file of criticalities beyond this is a mistake: a million lines with comments fit in.
pub const CRITICALITY_BYTES_MAX: u64 = 64 << 20;

/// Lines of criticality of all files: an inventory of a very large network, in about 100 MiB.
pub const CRITICALITY_LINES_MAX: usize = 1_000_000;

/// Patterns of names among them: every entity without a line of its own is held against each once.
pub const CRITICALITY_PATTERNS_MAX: usize = 1000;

/// Rows of one table that something is learned of: every entity of a very large network once, in
/// 48 MiB at the width of today's windows.
pub const TABLE_ROWS_MAX: usize = 1 << 20;

/// Columns of such a table: windows have some 24.
pub const TABLE_WIDTH_MAX: usize = 256;

/// Peer groups: more than anybody can keep apart, and each row is held against each.
pub const GROUPS_MAX: usize = 64;

/// Trees of a forest: ten times as many as change anything.
pub const TREES_MAX: usize = 1000;

/// Rows that a tree of a forest is grown from: more make it slower, not better.
pub const TREE_SAMPLE_MAX: usize = 4096;
