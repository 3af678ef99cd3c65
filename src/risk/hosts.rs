//! How many hosts there are: distinct internal addresses that opened something in the last day,
//! estimated (HyperLogLog, 1,024 registers, 3 % standard error).
//!
//! Lanes say which registers their records raise ([`Noticed`]); the entity lane keeps the greatest
//! of each for every hour ([`HostCount`]), which commutes. The hash has no secret: who forges
//! addresses can make the number great, which only lets more alerts out.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::address::Addr;
use crate::base::codec::{Changes, Damaged, decode, encode};
use crate::base::random::mix;
use crate::base::time::Minute;

/// Registers, 2^10 of them: one byte each.
const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 10;

/// Hours that make a day.
const DAY_HOURS: i64 = 24;

/// A register that an address raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    hour: i64,
    index: u16,
    rank: u8,
}

/// What a lane said of one hour already: so that it says it once.
#[derive(Clone, Debug, Default)]
pub struct Noticed {
    hour: i64,
    registers: Vec<u8>,
}

impl Noticed {
    /// Takes an address that opened something in `minute`; what is new about it goes to `out`.
    pub fn see(&mut self, addr: Addr, minute: Minute, out: &mut Vec<Seen>) {
        let hour = hour(minute);
        if self.hour != hour || self.registers.is_empty() {
            self.hour = hour;
            self.registers.clear();
            self.registers.resize(REGISTERS, 0);
        }
        let (index, rank) = place(addr);
        let known = &mut self.registers[usize::from(index)];
        if *known < rank {
            *known = rank;
            out.push(Seen { hour, index, rank });
        }
    }
}

/// The hour that a minute is in.
pub(super) fn hour(minute: Minute) -> i64 {
    minute.0.div_euclid(60)
}

/// The register of an address, and how high it raises it: one in 2^n hashes begins with n zeros.
fn place(addr: Addr) -> (u16, u8) {
    let bits = u128::from_be_bytes(addr.to_bytes());
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    let hash = mix(mix(high ^ 0x9e37_79b9_7f4a_7c15) ^ low);
    let rest = hash << INDEX_BITS | 1 << (INDEX_BITS - 1);
    ((hash >> (64 - INDEX_BITS)) as u16, rest.leading_zeros() as u8 + 1)
}

/// The registers of each hour that may still count.
#[derive(Clone, Debug, Default)]
pub struct HostCount {
    hours: BTreeMap<i64, Vec<u8>>,
    /// What changed since the last [`HostCount::save`], if anybody saves.
    changed: Option<BTreeSet<i64>>,
}

impl HostCount {
    /// From now on remembers what changed.
    pub fn track(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Hands out what changed since the last call.
    pub fn save(&mut self, sink: &mut Changes<'_>) {
        for hour in self.changed.as_mut().map(std::mem::take).unwrap_or_default() {
            let key = [b"ih".as_slice(), &hour.to_be_bytes()].concat();
            sink(&key, self.hours.get(&hour).map(encode).as_deref());
        }
    }

    /// Takes back a key that [`HostCount::save`] handed out.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let hour = key.get(2..).and_then(|hour| hour.try_into().ok()).map(i64::from_be_bytes);
        let registers: Vec<u8> = decode(value)?;
        match hour {
            Some(hour) if registers.len() == REGISTERS => {
                self.hours.insert(hour, registers);
                Ok(())
            }
            _ => Err(Damaged("not an hour of hosts".to_owned())),
        }
    }

    /// Takes what a lane noticed while minutes from `open` on are open. Of hours that are over
    /// nothing is taken: a lane says a thing again after a restart, and that must not count then.
    pub fn see(&mut self, seen: Seen, open: Minute) {
        if seen.hour < hour(open) {
            return;
        }
        let registers = self.hours.entry(seen.hour).or_insert_with(|| vec![0; REGISTERS]);
        let known = &mut registers[usize::from(seen.index)];
        if *known < seen.rank {
            *known = seen.rank;
            if let Some(changed) = &mut self.changed {
                changed.insert(seen.hour);
            }
        }
    }

    /// About how many there were in the day before `hour` began; older ones are forgotten.
    pub(super) fn count_before(&mut self, hour: i64) -> u64 {
        let first = hour.saturating_sub(DAY_HOURS);
        let kept = self.hours.split_off(&first);
        let gone = std::mem::replace(&mut self.hours, kept);
        if let Some(changed) = &mut self.changed {
            changed.extend(gone.into_keys());
        }
        let mut all = [0_u8; REGISTERS];
        for registers in self.hours.range(..hour).map(|(_, registers)| registers) {
            for (known, rank) in all.iter_mut().zip(registers) {
                *known = (*known).max(*rank);
            }
        }
        estimate(&all)
    }
}

/// The number of addresses that raise registers so, in integers.
fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    /// 0.7213 / (1 + 1.079 / 1024), in millionths.
    const ALPHA: u128 = 720_540;
    /// Above the highest rank, so that no power of two is a fraction.
    const POINT: u32 = 56;
    const M: u128 = REGISTERS as u128;
    let sum: u128 = registers.iter().map(|rank| 1_u128 << (POINT - u32::from(*rank))).sum();
    let many = ((ALPHA * M * M) << POINT) / (1_000_000 * sum);
    let empty = registers.iter().filter(|rank| **rank == 0).count();
    if many * 2 > M * 5 || empty == 0 {
        return u64::try_from(many).unwrap_or(u64::MAX);
    }
    // So many it takes on average until no more than these are empty.
    let few: u64 =
        (empty + 1..=REGISTERS).map(|left| ((REGISTERS as u64) << 20) / left as u64).sum();
    (few + (1 << 19)) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(addresses: impl Iterator<Item = Addr>) -> u64 {
        let (mut noticed, mut out, mut hosts) =
            (Noticed::default(), Vec::new(), HostCount::default());
        for addr in addresses {
            noticed.see(addr, Minute(60), &mut out);
        }
        out.into_iter().for_each(|seen| hosts.see(seen, Minute(60)));
        hosts.count_before(2)
    }

    #[test]
    fn small_numbers_are_nearly_exact_and_great_ones_near() {
        for count in [0, 1, 2, 10, 100, 1000, 2500, 3000, 10_000, 100_000, 1_000_000_u32] {
            let found = counted((0..count).map(|n| Addr::v4(0x0a00_0000 + n)));
            let error = found.abs_diff(u64::from(count));
            // Four times the standard error.
            assert!(error * 1000 <= u64::from(count) * 130, "{count}: {found}");
            assert!(count > 10 || error == 0, "{count}: {found}");
        }
    }

    #[test]
    fn networks_of_ipv6_are_told_apart() {
        let net = |n: u128| Addr::from_bytes((0xfd00_u128 << 112 | n << 64).to_be_bytes());
        let found = counted((0..1000).map(net));
        assert!(found.abs_diff(1000) < 130, "{found}");
    }

    #[test]
    fn a_day_later_they_are_forgotten() {
        let mut hosts = HostCount::default();
        let (mut noticed, mut out) = (Noticed::default(), Vec::new());
        for number in 0..50 {
            noticed.see(Addr::v4(number), Minute(i64::from(number) * 60), &mut out);
        }
        out.into_iter().for_each(|seen| hosts.see(seen, Minute(0)));
        assert_eq!((hosts.count_before(24), hosts.count_before(40)), (24, 24));
        assert_eq!((hosts.count_before(70), hosts.count_before(74)), (4, 0));
        assert_eq!(hosts.hours.len(), 0);
    }

    proptest! {
        /// However the addresses are spread over lanes and in which order they come, also twice,
        /// and with a restart between.
        #[test]
        fn order_and_lanes_do_not_matter(
            addresses in proptest::collection::vec((0..500_u32, 0..3_i64, 0..4_usize), 0..200),
            restart in 0..200_usize,
        ) {
            let run = |items: &[(u32, i64, usize)], restart: usize| {
                let mut lanes = vec![Noticed::default(); 4];
                let mut hosts = HostCount::default();
                hosts.track();
                for (at, &(number, hour, lane)) in items.iter().enumerate() {
                    if at == restart {
                        let mut again = HostCount::default();
                        again.track();
                        hosts.save(&mut |key, value| again.load(key, value.unwrap()).unwrap());
                        (hosts, lanes) = (again, vec![Noticed::default(); 4]);
                    }
                    let mut out = Vec::new();
                    lanes[lane].see(Addr::v4(number), Minute(hour * 60), &mut out);
                    out.into_iter().for_each(|seen| hosts.see(seen, Minute(0)));
                }
                (1..5).map(|hour| hosts.clone().count_before(hour)).collect::<Vec<_>>()
            };
            let mut other: Vec<_> = addresses.iter().rev().copied().collect();
            other.extend(addresses.iter().map(|&(number, hour, lane)| (number, hour, 3 - lane)));
            prop_assert_eq!(run(&addresses, 200), run(&other, restart));
        }
    }
}
