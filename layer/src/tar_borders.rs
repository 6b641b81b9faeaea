//! Finds the borders between entries in a tar stream that comes in arbitrary pieces.
//!
//! Only block borders depend on what is found here, so a stream that is no tar does no harm: it is cut by size.

use crate::tar_format::BLOCK;

/// A piece of the stream.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// The first header of an entry.
    Entry {
        /// The header.
        header: &'a [u8],
        /// Depends on the entry's name alone.
        hash: u32,
        /// Size of the content that follows.
        size: u64,
    },
    /// Anything else.
    Data(&'a [u8]),
}

/// Splits a stream, see the module.
pub(crate) struct Borders {
    header: [u8; BLOCK],
    filled: usize,
    /// Bytes of content and padding that are still to come.
    body: u64,
    /// Whether the header before described the next entry (PAX records, GNU long names).
    extended: bool,
}

impl Borders {
    pub(crate) fn new() -> Self {
        Self { header: [0; BLOCK], filled: 0, body: 0, extended: false }
    }

    /// Hands the stream's next bytes on in pieces. Up to a header's worth is held back until it is complete.
    pub(crate) fn feed<E>(
        &mut self,
        mut data: &[u8],
        mut each: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !data.is_empty() {
            if self.body > 0 {
                let n = usize::try_from(self.body).unwrap_or(usize::MAX).min(data.len());
                each(Piece::Data(&data[..n]))?;
                self.body -= n as u64;
                data = &data[n..];
                continue;
            }
            let n = (BLOCK - self.filled).min(data.len());
            self.header[self.filled..self.filled + n].copy_from_slice(&data[..n]);
            self.filled += n;
            data = &data[n..];
            if self.filled == BLOCK {
                self.filled = 0;
                each(Self::classify(&self.header, &mut self.body, &mut self.extended))?;
            }
        }
        Ok(())
    }

    /// What is still held back.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.header[..self.filled]
    }

    fn classify<'h>(header: &'h [u8; BLOCK], body: &mut u64, extended: &mut bool) -> Piece<'h> {
        let continued = *extended;
        let kind = header[156];
        *extended = matches!(kind, b'x' | b'L' | b'K');
        let has_body = !matches!(kind, b'1'..=b'6');
        let size = if has_body { number(&header[124..136]).unwrap_or(0) } else { 0 };
        *body = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        if continued || header[0] == 0 {
            return Piece::Data(header);
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header[..100]);
        hasher.update(&header[345..500]);
        // A checksum of similar names is similar; spread it.
        let hash = hasher.finalize().wrapping_mul(0x9e37_79b1);
        Piece::Entry { header, hash: hash ^ (hash >> 15), size }
    }
}

/// A number field: octal text, or binary with the first bit set.
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (head, tail) = field.split_at(field.len().checked_sub(8)?);
        if head != [[0x80].as_slice(), &vec![0; head.len() - 1]].concat() {
            return None;
        }
        return Some(u64::from_be_bytes(tail.try_into().ok()?));
    }
    let text = field.split(|b| matches!(b, 0 | b' ')).find(|part| !part.is_empty()).unwrap_or(b"0");
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.checked_sub(b'0').filter(|d| *d < 8)?;
        n.checked_mul(8)?.checked_add(u64::from(digit))
    })
}
