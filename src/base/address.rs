//! IP addresses as one type: IPv4 and IPv4-mapped IPv6 are the same address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An address; IPv4 is kept in its mapped form, so that `::ffff:10.0.0.1` equals `10.0.0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        if let Some(bits) = dotted_quad(text) {
            return Some(Self::v4(bits));
        }
        let text = std::str::from_utf8(text).ok()?;
        match text.parse::<IpAddr>().ok()? {
            IpAddr::V4(v4) => Some(Self::v4(v4.to_bits())),
            IpAddr::V6(v6) => Some(Self(v6.to_bits())),
        }
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

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// `a.b.c.d`, each number at most 255 and without leading zeros.
#[inline]
fn dotted_quad(text: &[u8]) -> Option<u32> {
    if text.len() > 15 {
        return None;
    }
    let mut bits = 0_u32;
    let mut rest = text;
    for part in 0..4 {
        let (octet, after) = octet(rest)?;
        bits = bits << 8 | octet;
        rest = match (part, after) {
            (3, []) => after,
            (0..3, [b'.', after @ ..]) => after,
            _ => return None,
        };
    }
    Some(bits)
}

/// One number of a dotted quad, and what comes after it.
#[inline]
fn octet(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |at: usize| {
        let digit = u32::from(text.get(at)?.wrapping_sub(b'0'));
        (digit <= 9).then_some(digit)
    };
    let first = digit(0)?;
    let Some(second) = digit(1) else { return Some((first, &text[1..])) };
    let Some(third) = digit(2) else {
        return (first > 0).then_some((first * 10 + second, &text[2..]));
    };
    let octet = first * 100 + second * 10 + third;
    (first > 0 && octet <= 255).then_some((octet, &text[3..]))
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
