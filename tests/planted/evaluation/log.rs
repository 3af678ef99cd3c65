//! Records as Zeek writes them into `conn.log`.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::scenario::{DAY_0, Flow, Proto, SECOND, State};

/// A connection.
pub(super) struct Record<'a> {
    pub(super) flow: &'a Flow,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) uid: String,
    pub(super) orig: Ipv4Addr,
    pub(super) orig_port: u16,
    pub(super) resp: Ipv4Addr,
    pub(super) sent: u64,
    pub(super) received: u64,
}

const FIELDS: &str = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration \
    orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts \
    orig_ip_bytes resp_pkts resp_ip_bytes";
const TYPES: &str = "time string addr port addr port enum string interval count count string bool \
    bool count string count count count count";

pub(super) fn header() -> String {
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
         #open\t2024-03-04-00-00-00\n#fields\t{}\n#types\t{}\n",
        FIELDS.replace(' ', "\t"),
        TYPES.replace(' ', "\t"),
    )
}

/// Adds the line of a record.
pub(super) fn write(record: &Record<'_>, out: &mut String) {
    let Record { flow, start, end, uid, orig, orig_port, resp, sent, received } = record;
    let ts = DAY_0 + start;
    let interval = end - start;
    let is_unanswered = flow.state == State::S0;
    let or_unset = |text: String| if is_unanswered { "-".to_owned() } else { text };
    let duration = or_unset(format!("{}.{:06}", interval / SECOND, interval % SECOND));
    let (orig_bytes, resp_bytes) = (or_unset(sent.to_string()), or_unset(received.to_string()));
    let seen = |bytes: u64| bytes - bytes / 100 * flow.missed_percent;
    let missed = sent + received - seen(*sent) - seen(*received);
    let [(orig_pkts, orig_ip_bytes), (resp_pkts, resp_ip_bytes)] =
        packets(flow, seen(*sent), seen(*received));
    let flag = |address: &Ipv4Addr| if address.is_private() { 'T' } else { 'F' };
    writeln!(
        out,
        "{}.{:06}\t{uid}\t{orig}\t{orig_port}\t{resp}\t{}\t{}\t{}\t{duration}\t{orig_bytes}\t\
         {resp_bytes}\t{}\t{}\t{}\t{missed}\t{}\t{orig_pkts}\t{orig_ip_bytes}\t{resp_pkts}\t\
         {resp_ip_bytes}",
        ts / SECOND,
        ts % SECOND,
        flow.port,
        if flow.proto == Proto::Tcp { "tcp" } else { "udp" },
        flow.service,
        flow.state.name(),
        flag(orig),
        flag(resp),
        history(flow, *sent, *received),
    )
    .expect("a string takes everything");
}

/// Packets and their bytes, of the originator and of the responder.
fn packets(flow: &Flow, sent: u64, received: u64) -> [(u64, u64); 2] {
    match (flow.proto, flow.state) {
        (Proto::Udp, State::S0) => [(1, 28), (0, 0)],
        (Proto::Udp, _) => {
            [sent, received].map(|bytes| (bytes.div_ceil(1400), bytes + 28 * bytes.div_ceil(1400)))
        }
        (Proto::Tcp, State::S0) => [(3, 180), (0, 0)],
        (Proto::Tcp, State::Rej) => [(1, 60), (1, 40)],
        (Proto::Tcp, _) => [(sent, received, 4), (received, sent, 3)].map(|(own, other, frame)| {
            // Data, and an acknowledgement for every other segment.
            let packets = own.div_ceil(1448) + other.div_ceil(2 * 1448) + frame;
            (packets, own + 52 * packets)
        }),
    }
}

fn history(flow: &Flow, sent: u64, received: u64) -> String {
    let mut history = match (flow.proto, flow.state) {
        (Proto::Tcp, State::S0) => return "S".to_owned(),
        (Proto::Tcp, State::Rej) => return "Sr".to_owned(),
        (Proto::Tcp, _) => "ShA".to_owned(),
        (Proto::Udp, State::S0) => return "D".to_owned(),
        (Proto::Udp, _) => String::new(),
    };
    let is_tcp = flow.proto == Proto::Tcp;
    for (letters, applies) in [
        ("D", sent > 0),
        ("a", is_tcp && sent > 0),
        ("d", received > 0),
        ("G", flow.missed_percent > 0 && sent > 0),
        ("g", flow.missed_percent > 0 && received > 0),
        ("Ff", is_tcp && flow.state == State::Sf),
        ("R", flow.state == State::Rsto),
        ("r", flow.state == State::Rstr),
    ] {
        if applies {
            history.push_str(letters);
        }
    }
    history
}
