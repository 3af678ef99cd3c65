//! Frames of a spool as bytes: documents of one kind with consecutive numbers, compressed, under a
//! checksum. No IO here.

use crate::base::hash::crc32;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of its first document.
    pub(super) first: u64,
    /// How many there are.
    pub(super) count: u32,
    /// Bytes of the payload as it stands in the file.
    pub(super) packed: u32,
    /// Bytes of the payload.
    pub(super) raw: u32,
}

/// Bytes of a head: magic, CRC-32 of all behind it, packed and raw length, first number, count.
pub(super) const HEAD: usize = 4 + 4 + 4 + 4 + 8 + 4;
const MAGIC: [u8; 4] = *b"zus1";

/// Bytes of a payload at most: one document, which has at most 16 MiB, and those of a block.
pub(super) const RAW_MAX: usize = 32 << 20;

/// Numbers are smaller: nobody has had as many documents.
const NUMBER_MAX: u64 = 1 << 62;

/// Fast: the sink's thread must keep up with the lanes.
const LEVEL: i32 = 1;

impl Head {
    /// The number behind its last document.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Bytes of the whole frame.
    pub(super) fn length(&self) -> u64 {
        HEAD as u64 + u64::from(self.packed)
    }

    /// What the first bytes of a frame say, as far as it can be.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (packed, rest) = rest.split_first_chunk::<4>()?;
        let (raw, rest) = rest.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (count, _) = rest.split_first_chunk::<4>()?;
        let head = Self {
            first: u64::from_le_bytes(*first),
            count: u32::from_le_bytes(*count),
            packed: u32::from_le_bytes(*packed),
            raw: u32::from_le_bytes(*raw),
        };
        let is_possible = *magic == MAGIC
            && head.raw as usize <= RAW_MAX
            && head.packed as usize <= zstd::zstd_safe::compress_bound(RAW_MAX)
            && head.first < NUMBER_MAX
            && head.count > 0
            && head.count <= head.raw;
        is_possible.then_some(head)
    }
}

/// Writes frames, one after the other.
pub(super) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { compressor: zstd::bulk::Compressor::new(LEVEL)?, frame: Vec::new() })
    }

    /// The frame of `count` documents from number `first` on, whose bytes are `payload`.
    pub(super) fn pack(
        &mut self,
        first: u64,
        count: u32,
        payload: &[u8],
    ) -> std::io::Result<&[u8]> {
        let bound = zstd::zstd_safe::compress_bound(payload.len());
        self.frame.clear();
        self.frame.resize(HEAD + bound, 0);
        let packed = self.compressor.compress_to_buffer(payload, &mut self.frame[HEAD..])?;
        self.frame.truncate(HEAD + packed);
        let length = |length: usize| u32::try_from(length).map_err(std::io::Error::other);
        let (packed, raw) = (length(packed)?, length(payload.len())?);
        self.frame[..4].copy_from_slice(&MAGIC);
        self.frame[8..12].copy_from_slice(&packed.to_le_bytes());
        self.frame[12..16].copy_from_slice(&raw.to_le_bytes());
        self.frame[16..24].copy_from_slice(&first.to_le_bytes());
        self.frame[24..28].copy_from_slice(&count.to_le_bytes());
        let sum = crc32(&self.frame[8..]);
        self.frame[4..8].copy_from_slice(&sum.to_le_bytes());
        Ok(&self.frame)
    }

    /// In thousandths, what is left of `payload` where it is packed.
    pub(super) fn ratio(&mut self, payload: &[u8]) -> u64 {
        let packed = self.pack(0, 1, payload).map_or(payload.len(), <[u8]>::len);
        (packed as u64 * 1000).div_ceil(payload.len().max(1) as u64)
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// Whether a frame, which `bytes` must be whole, is as it was written.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let (Some(sum), Some(rest)) = (bytes.get(4..8), bytes.get(8..)) else { return false };
    crc32(rest).to_le_bytes() == *sum
}

/// The payload of a frame that is as it was written.
pub(super) fn unpack(head: &Head, bytes: &[u8]) -> Option<Vec<u8>> {
    if !is_whole(bytes) {
        return None;
    }
    let raw = zstd::bulk::decompress(bytes.get(HEAD..)?, head.raw as usize).ok()?;
    (raw.len() == head.raw as usize).then_some(raw)
}

/// Where the next frame may begin behind `from`.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr::memmem::find(rest, &MAGIC).map(|at| from + at)
}

/// The frames in `bytes` that are as they were written, each with its place, whatever is between
/// them.
pub(super) fn frames(bytes: &[u8]) -> Vec<(usize, Head)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(place) = find(bytes, at) {
        at = place + 1;
        let Some(head) = Head::read(&bytes[place..]) else { continue };
        let frame =
            usize::try_from(head.length()).ok().and_then(|it| bytes.get(place..)?.get(..it));
        if frame.is_some_and(is_whole) {
            found.push((place, head));
            at = place + head.length() as usize;
        }
    }
    found
}
