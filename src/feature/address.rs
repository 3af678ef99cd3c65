//! Addresses as hosts of URLs, in every notation that a browser takes: four numbers or fewer, in
//! decimal, octal or hexadecimal (`inet_aton`, and the URL standard of WHATWG), and IPv6 in
//! brackets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Four decimal numbers.
    Dotted,
    /// Anything else that means an IPv4 address: nobody writes that by accident.
    Odd,
    /// IPv6.
    Six,
}

/// The address that `host` is; nothing where it is none, and a mistake where it ends in a number as
/// only addresses do, and is none.
pub(super) fn parse(host: &str) -> Result<Option<(IpAddr, Notation)>, ()> {
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside.strip_suffix(']').ok_or(())?;
        return six(inside).map(Some).ok_or(());
    }
    if host.matches(':').count() > 1 {
        return six(host).map(Some).ok_or(());
    }
    let bare = host.strip_suffix('.').unwrap_or(host);
    let last = bare.rsplit('.').next().unwrap_or_default();
    if last.is_empty()
        || !(last.bytes().all(|byte| byte.is_ascii_digit()) || number(last).is_some())
    {
        return Ok(None);
    }
    if let Ok(addr) = bare.parse::<Ipv4Addr>() {
        return Ok(Some((addr.into(), Notation::Dotted)));
    }
    four(bare).map(|addr| Some((addr.into(), Notation::Odd))).ok_or(())
}

fn six(text: &str) -> Option<(IpAddr, Notation)> {
    let zoneless = text.split('%').next().unwrap_or_default();
    let addr: Ipv6Addr = zoneless.parse().ok()?;
    Some((addr.to_canonical(), Notation::Six))
}

/// An address of one to four numbers, the last of which fills what is left.
fn four(text: &str) -> Option<Ipv4Addr> {
    let mut numbers = [0_u32; 4];
    let mut count = 0;
    for part in text.split('.') {
        *numbers.get_mut(count)? = number(part)?;
        count += 1;
    }
    let last = *numbers.get(count.checked_sub(1)?)?;
    let mut sum = u64::from(last);
    let room = 8 * (5 - u32::try_from(count).ok()?);
    if sum >> room != 0 {
        return None;
    }
    for (at, number) in numbers.iter().take(count - 1).enumerate() {
        if *number > 255 {
            return None;
        }
        sum += u64::from(*number) << (24 - 8 * at);
    }
    u32::try_from(sum).ok().map(Ipv4Addr::from_bits)
}

/// A number in decimal, in octal behind a zero, in hexadecimal behind `0x`.
fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        return if hex.is_empty() {
            Some(0)
        } else {
            is_hex.then(|| u32::from_str_radix(hex, 16).ok())?
        };
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let radix = if text.len() > 1 && text.starts_with('0') { 8 } else { 10 };
    u32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: &str) {
        let found = match parse(host) {
            Ok(None) => "none".to_owned(),
            Ok(Some((addr, notation))) => format!("{addr} {notation:?}"),
            Err(()) => "broken".to_owned(),
        };
        assert_eq!(found, expected, "{host}");
    }

    #[test]
    fn addresses_in_every_notation() {
        check("93.184.216.34", "93.184.216.34 Dotted");
        check("93.184.216.34.", "93.184.216.34 Dotted");
        check("1572395042", "93.184.216.34 Odd");
        check("0x5db8d822", "93.184.216.34 Odd");
        check("0135.0270.0330.042", "93.184.216.34 Odd");
        check("0x5d.0xb8.0xd8.0x22", "93.184.216.34 Odd");
        check("93.0xb8d822", "93.184.216.34 Odd");
        check("93.184.55330", "93.184.216.34 Odd");
        check("[::1]", "::1 Six");
        check("2001:db8::1", "2001:db8::1 Six");
        check("[::ffff:1.2.3.4]", "1.2.3.4 Six");
        check("[fe80::1%25eth0]", "fe80::1 Six");
    }

    #[test]
    fn names_and_broken_addresses() {
        check("example.com", "none");
        check("1.example", "none");
        check("face", "none");
        check("", "none");
        check("256.1.1.1", "broken");
        check("1.2.3.4.5", "broken");
        check("4294967296", "broken");
        check("09.1.1.1", "broken");
        check("a.b.1", "broken");
        check("[::1", "broken");
        check("[1.2.3.4]", "broken");
        check("1:2:3", "broken");
    }
}
