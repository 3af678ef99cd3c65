//! IP addresses as one type: IPv4 and IPv4-mapped IPv6 are the same address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use ipnet::IpNet;

/// An address; IPv4 is kept in its mapped form, so that `::ffff:10.0.0.1` equals `10.0.0.1`.
///
/// Packed, since millions of keys and rows have one: a number's alignment costs each 8 to 15 bytes.
#[repr(Rust, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Addr(u128);

const MAPPED: u128 = 0xffff_0000_0000;

impl Default for Addr {
    /// `0.0.0.0`.
    fn default() -> Self {
        Self::v4(0)
    }
}

impl Addr {
    /// The IPv4 address with these 32 bits.
    #[must_use]
    pub const fn v4(bits: u32) -> Self {
        Self(MAPPED | bits as u128)
    }

    /// The address in `text`, or nothing: never a guess.
    ///
    /// A dotted quad in its shortest form, by far the most frequent, is read here; everything else
    /// goes to the standard library, and a property test holds the two together.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut window = [0; WINDOW];
        if let Some(start) = window.get_mut(..text.len()) {
            start.copy_from_slice(text);
            if let Some(bits) = dotted_quad(&window, text.len()) {
                return Some(Self::v4(bits));
            }
        }
        Self::parse_any(text)
    }

    /// The same for the text at `range` of `bytes`, faster where twenty bytes begin there.
    #[inline]
    #[must_use]
    pub fn parse_in(bytes: &[u8], range: std::ops::Range<usize>) -> Option<Self> {
        let Some(window) = bytes[range.start..].first_chunk() else {
            return Self::parse(&bytes[range]);
        };
        match dotted_quad(window, range.len()) {
            Some(bits) => Some(Self::v4(bits)),
            None => Self::parse_any(&bytes[range]),
        }
    }

    fn parse_any(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        Some(text.parse::<IpAddr>().ok()?.into())
    }

    /// The 32 bits of an IPv4 address.
    #[must_use]
    pub const fn as_v4(self) -> Option<u32> {
        if self.0 >> 32 == 0xffff { Some(self.0 as u32) } else { None }
    }

    /// The standard library's type, IPv4-mapped addresses as IPv4.
    #[must_use]
    pub fn to_ip(self) -> IpAddr {
        match self.as_v4() {
            Some(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            None => IpAddr::V6(Ipv6Addr::from_bits(self.0)),
        }
    }

    /// The /64 of an IPv6 address; an IPv4 address as it is.
    #[must_use]
    pub const fn network_64(self) -> Self {
        if self.as_v4().is_some() { self } else { Self(self.0 & !(u64::MAX as u128)) }
    }

    /// Its first `bits` bits, of 128; those of IPv4 are the last 32.
    #[must_use]
    pub const fn network(self, bits: u8) -> Self {
        if bits == 0 {
            return Self(0);
        }
        let mask = u128::MAX << 128_u32.saturating_sub(bits as u32);
        Self(self.0 & mask)
    }

    /// 16 bytes, for keys and hashes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The reverse of [`Addr::to_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Appends the text of RFC 5952.
    pub fn write(self, out: &mut Vec<u8>) {
        let Some(bits) = self.as_v4() else {
            out.extend_from_slice(self.to_ip().to_string().as_bytes());
            return;
        };
        let mut quad = [0_u8; 15];
        let mut len = 0;
        for (i, byte) in bits.to_be_bytes().into_iter().enumerate() {
            if i > 0 {
                quad[len] = b'.';
                len += 1;
            }
            if byte >= 100 {
                quad[len] = b'0' + byte / 100;
                len += 1;
            }
            if byte >= 10 {
                quad[len] = b'0' + byte / 10 % 10;
                len += 1;
            }
            quad[len] = b'0' + byte % 10;
            len += 1;
        }
        out.extend_from_slice(&quad[..len]);
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits()),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// Bytes that may be looked at to read a dotted quad: fifteen at most, and four from any of them.
const WINDOW: usize = 20;

/// The first `len` bytes of `window` as `a.b.c.d`, each number at most 255 and without leading
/// zeros. Without a branch on where the dots are: no two addresses of a log are alike in that.
#[inline]
fn dotted_quad(window: &[u8; WINDOW], len: usize) -> Option<u32> {
    if len > 15 {
        return None;
    }
    let (low, high) = (dots(window[..8].as_array()?), dots(window[8..16].as_array()?));
    // One bit for each dot, and one behind the text.
    let mut stops = (low | high << 8) & ((1 << len) - 1) | 1 << len;
    let (mut bits, mut start, mut bad) = (0, 0, 0);
    for _ in 0..4 {
        let stop = stops.trailing_zeros() & 15;
        let from = (start & 15) as usize;
        let text = u32::from_le_bytes(*window[from..from + 4].as_array()?);
        let (value, is_bad) = octet(text, stop.wrapping_sub(start));
        bits = bits << 8 | value;
        bad |= is_bad;
        start = stop + 1;
        stops &= stops.wrapping_sub(1);
    }
    (bad | stops == 0).then_some(bits)
}

/// Bit i: is byte i of `text` a dot?
#[inline]
fn dots(text: &[u8; 8]) -> u32 {
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    let others = u64::from_le_bytes(*text) ^ u64::from_le_bytes([b'.'; 8]);
    // A byte is zero where neither its low seven bits carry nor its high one is set.
    let zeros = !(((others & LOW) + LOW) | others | LOW) >> 7;
    (zeros.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// The number that the first `digits` bytes of `text` make, and zero if they are one of 0 to 255.
#[inline]
fn octet(text: u32, digits: u32) -> (u32, u32) {
    let unused = 32_u32.wrapping_sub(8 * (digits & 3)) & 31;
    let text = text ^ 0x3030_3030;
    let leading_zero = u32::from(text & 0xff == 0) & u32::from(digits != 1);
    let text = text << unused;
    let above_nine = (text.wrapping_add(0x7676_7676) | text) & 0x8080_8080;
    let value = (text >> 24) + 10 * (text >> 16 & 0xff) + 100 * (text >> 8 & 0xff);
    let wrong_length = u32::from(digits.wrapping_sub(1) > 2);
    (value, above_nine | value >> 8 | leading_zero | wrong_length)
}

/// A set of networks, for one question: is this address inside?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<(u128, u128)>);

impl Networks {
    /// The union of `nets`.
    #[must_use]
    pub fn new(nets: &[IpNet]) -> Self {
        let ranges = nets.iter().map(|net| match net {
            IpNet::V4(v4) => {
                let mask = MAPPED_MASK | u128::from(v4.netmask().to_bits());
                (Addr::v4(v4.network().to_bits()).0, mask)
            }
            IpNet::V6(v6) => (v6.network().to_bits(), v6.netmask().to_bits()),
        });
        Self(ranges.collect())
    }

    /// RFC 1918, IPv6 unique local (RFC 4193) and both link-local ranges.
    #[must_use]
    pub fn private() -> Self {
        const NETS: [&str; 6] = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ];
        Self::new(&NETS.map(|net| net.parse().expect("written above")))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them holds `addr`.
    #[must_use]
    pub fn contains(&self, addr: Addr) -> bool {
        self.0.iter().any(|&(network, mask)| addr.0 & mask == network)
    }
}

const MAPPED_MASK: u128 = !(u32::MAX as u128);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn std_parse(text: &str) -> Option<Addr> {
        text.parse::<IpAddr>().ok().map(|ip| match ip {
            IpAddr::V4(v4) => Addr::v4(v4.to_bits()),
            IpAddr::V6(v6) => Addr(v6.to_bits()),
        })
    }

    proptest! {
        #[test]
        fn parses_as_the_standard_library(text in "[0-9.]{0,16}|[0-9a-f:.]{0,40}|\\PC{0,20}") {
            prop_assert_eq!(Addr::parse(text.as_bytes()), std_parse(&text));
        }

        #[test]
        fn parses_within_a_line(before in "[0-9.]{0,4}", v4 in any::<u32>(), after in "[0-9.]{0,16}") {
            let text = Addr::v4(v4).to_string();
            let line = format!("{before}{text}{after}");
            let range = before.len()..before.len() + text.len();
            prop_assert_eq!(Addr::parse_in(line.as_bytes(), range), Some(Addr::v4(v4)));
        }

        #[test]
        fn parses_quads_as_the_standard_library(
            parts in proptest::collection::vec("0|[0-9]{1,3}|[0-9]?[1-9]|25[0-9]|[0-9/:]", 3..6),
        ) {
            let text = parts.join(".");
            prop_assert_eq!(Addr::parse(text.as_bytes()), std_parse(&text));
        }

        #[test]
        fn prints_as_the_standard_library(bits in any::<u128>(), v4 in any::<u32>()) {
            for addr in [Addr(bits), Addr::v4(v4)] {
                let mut out = Vec::new();
                addr.write(&mut out);
                prop_assert_eq!(String::from_utf8(out).unwrap(), addr.to_string());
                prop_assert_eq!(Addr::parse(addr.to_string().as_bytes()), Some(addr));
                prop_assert_eq!(Addr::from_bytes(addr.to_bytes()), addr);
            }
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert_eq!(Addr::parse(b"::ffff:10.0.0.1"), Addr::parse(b"10.0.0.1"));
        assert_eq!(Addr::parse(b"::ffff:10.0.0.1").unwrap().to_string(), "10.0.0.1");
        assert_eq!(Addr::parse(b"<bad IPv6 address conversion>"), None);
        assert_eq!(
            Addr::parse(b"2001:db8::1:2:3:4").unwrap().network_64().to_string(),
            "2001:db8::"
        );
    }

    #[test]
    fn networks() {
        let private = Networks::private();
        for (text, inside) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("::ffff:192.168.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(private.contains(Addr::parse(text.as_bytes()).unwrap()), inside, "{text}");
        }
        let all = Networks::new(&["0.0.0.0/0".parse().unwrap()]);
        assert!(all.contains(Addr::v4(u32::MAX)));
        assert!(!all.contains(Addr::parse(b"2001:db8::1").unwrap()));
    }
}
