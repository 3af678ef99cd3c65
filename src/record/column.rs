//! One column of a batch: typed values and a validity bitmap, allocated once and used again.

use crate::base::address::Addr;
use crate::base::limits::BATCH_ROWS_MAX;

use super::schema::Kind;

/// Bytes of a batch's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// An element of a list that is unset (`-` in TSV, `null` in JSON).
    pub const UNSET: Self = Self { start: 0, len: u32::MAX };

    /// From `start` to before `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    /// As a range of the arena.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

#[derive(Debug)]
enum Values {
    /// The column is not wanted.
    None,
    Micros(Vec<i64>),
    Count(Vec<u64>),
    Addr(Vec<Addr>),
    Flag([u64; WORDS]),
    Text(Vec<Span>),
    List {
        rows: Vec<Span>,
        items: Vec<Span>,
    },
}

const WORDS: usize = BATCH_ROWS_MAX / 64;

/// The rows of a column whose type was asked once, to be filled one after another.
#[derive(Debug)]
pub struct Slots<'a, T> {
    values: &'a mut [T; BATCH_ROWS_MAX],
    valid: &'a mut [u64; WORDS],
}

impl<T> Slots<'_, T> {
    /// Sets the value of a row.
    #[inline]
    pub fn set(&mut self, row: usize, value: T) {
        self.values[row] = value;
        self.valid[row / 64] |= 1 << (row % 64);
    }
}

/// A column: the value of a row, or nothing where it is unset.
#[derive(Debug)]
pub struct Column {
    values: Values,
    valid: [u64; WORDS],
}

impl Column {
    /// A column nobody asked for: it holds nothing.
    #[must_use]
    pub fn absent() -> Self {
        Self { values: Values::None, valid: [0; WORDS] }
    }

    /// An empty column for values of `kind`.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Time | Kind::Interval => Values::Micros(vec![0; BATCH_ROWS_MAX]),
            Kind::Count | Kind::Port => Values::Count(vec![0; BATCH_ROWS_MAX]),
            Kind::Addr => Values::Addr(vec![Addr::default(); BATCH_ROWS_MAX]),
            Kind::Flag => Values::Flag([0; WORDS]),
            Kind::Text => Values::Text(vec![Span::default(); BATCH_ROWS_MAX]),
            Kind::List => {
                Values::List { rows: vec![Span::default(); BATCH_ROWS_MAX], items: Vec::new() }
            }
        };
        Self { values, valid: [0; WORDS] }
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        self.valid = [0; WORDS];
        if let Values::List { items, .. } = &mut self.values {
            items.clear();
        }
    }

    /// Forgets one row.
    pub fn unset(&mut self, row: usize) {
        self.valid[row / 64] &= !(1 << (row % 64));
    }

    fn set_valid(&mut self, row: usize) {
        self.valid[row / 64] |= 1 << (row % 64);
    }

    /// Whether the row has a value.
    #[must_use]
    pub fn is_set(&self, row: usize) -> bool {
        self.valid[row / 64] >> (row % 64) & 1 == 1
    }

    /// Where times or intervals go, in microseconds; nothing if the column holds something else.
    #[inline]
    pub fn micros_mut(&mut self) -> Option<Slots<'_, i64>> {
        let Self { values: Values::Micros(values), valid } = self else { return None };
        Some(Slots { values: values.as_mut_array()?, valid })
    }

    /// Where counts or ports go.
    #[inline]
    pub fn counts_mut(&mut self) -> Option<Slots<'_, u64>> {
        let Self { values: Values::Count(values), valid } = self else { return None };
        Some(Slots { values: values.as_mut_array()?, valid })
    }

    /// Where addresses go.
    #[inline]
    pub fn addrs_mut(&mut self) -> Option<Slots<'_, Addr>> {
        let Self { values: Values::Addr(values), valid } = self else { return None };
        Some(Slots { values: values.as_mut_array()?, valid })
    }

    /// Where texts go.
    #[inline]
    pub fn texts_mut(&mut self) -> Option<Slots<'_, Span>> {
        let Self { values: Values::Text(values), valid } = self else { return None };
        Some(Slots { values: values.as_mut_array()?, valid })
    }

    /// Sets a time or an interval, in microseconds.
    pub fn set_micros(&mut self, row: usize, value: i64) {
        if let Some(mut slots) = self.micros_mut() {
            slots.set(row, value);
        }
    }

    /// Sets a count or a port.
    pub fn set_count(&mut self, row: usize, value: u64) {
        if let Some(mut slots) = self.counts_mut() {
            slots.set(row, value);
        }
    }

    /// Sets an address.
    pub fn set_addr(&mut self, row: usize, value: Addr) {
        if let Some(mut slots) = self.addrs_mut() {
            slots.set(row, value);
        }
    }

    /// Sets a flag.
    pub fn set_flag(&mut self, row: usize, value: bool) {
        if let Values::Flag(bits) = &mut self.values {
            let (word, bit) = (row / 64, row % 64);
            bits[word] = bits[word] & !(1 << bit) | u64::from(value) << bit;
            self.set_valid(row);
        }
    }

    /// Sets a text.
    pub fn set_text(&mut self, row: usize, value: Span) {
        if let Some(mut slots) = self.texts_mut() {
            slots.set(row, value);
        }
    }

    /// Sets an empty list; [`Column::push_item`] fills it.
    pub fn set_list(&mut self, row: usize) {
        if let Values::List { rows, items } = &mut self.values {
            rows[row] = Span { start: items.len() as u32, len: 0 };
            self.set_valid(row);
        }
    }

    /// Adds an element to the list of the row that was set last.
    pub fn push_item(&mut self, row: usize, item: Span) {
        if let Values::List { rows, items } = &mut self.values {
            items.push(item);
            rows[row].len += 1;
        }
    }

    /// Takes a row of another column of the same kind as row 0, and forgets the others.
    pub fn take_alone(&mut self, from: &Self, row: usize) {
        self.clear();
        match &from.values {
            _ if !from.is_set(row) => {}
            Values::None => {}
            Values::Micros(values) => self.set_micros(0, values[row]),
            Values::Count(values) => self.set_count(0, values[row]),
            Values::Addr(values) => self.set_addr(0, values[row]),
            Values::Flag(bits) => self.set_flag(0, bits[row / 64] >> (row % 64) & 1 == 1),
            Values::Text(values) => self.set_text(0, values[row]),
            Values::List { rows, items } => {
                self.set_list(0);
                items[rows[row].range()].iter().for_each(|&item| self.push_item(0, item));
            }
        }
    }

    /// A time or an interval, in microseconds.
    #[must_use]
    pub fn micros(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Micros(values) if self.is_set(row) => Some(values[row]),
            _ => None,
        }
    }

    /// A count or a port.
    #[must_use]
    pub fn count(&self, row: usize) -> Option<u64> {
        match &self.values {
            Values::Count(values) if self.is_set(row) => Some(values[row]),
            _ => None,
        }
    }

    /// An address.
    #[must_use]
    pub fn addr(&self, row: usize) -> Option<Addr> {
        match &self.values {
            Values::Addr(values) if self.is_set(row) => Some(values[row]),
            _ => None,
        }
    }

    /// A flag.
    #[must_use]
    pub fn flag(&self, row: usize) -> Option<bool> {
        match &self.values {
            Values::Flag(bits) if self.is_set(row) => Some(bits[row / 64] >> (row % 64) & 1 == 1),
            _ => None,
        }
    }

    /// Where a text stands.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<Span> {
        match &self.values {
            Values::Text(values) if self.is_set(row) => Some(values[row]),
            _ => None,
        }
    }

    /// The elements of a list; an unset element is [`Span::UNSET`].
    #[must_use]
    pub fn list(&self, row: usize) -> Option<&[Span]> {
        match &self.values {
            Values::List { rows, items } if self.is_set(row) => Some(&items[rows[row].range()]),
            _ => None,
        }
    }
}
