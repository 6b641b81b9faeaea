//! Reads tar streams from anywhere: ustar, PAX, GNU long names and sparse files, old V7 headers.
//!
//! Headers are taken apart by the `tar` crate's types; the framing is ours because everything that is kept in memory
//! has to have a bound.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::tar_format::BLOCK;
use crate::{LayerError, Mtime};

/// The most that PAX records or a long name may take.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most that all of them in front of one entry may take.
const MAX_EXTENSIONS: u64 = 4 << 20;
/// The most pieces a sparse file may have.
const MAX_PIECES: usize = 1 << 18;

/// An entry as the stream has it; nothing in it has been checked.
#[derive(Clone, Debug)]
pub(crate) struct RawEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Mtime,
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tar stream. After [`TarReader::next_entry`] the entry's content is read from it by [`Read`].
pub(crate) struct TarReader<R> {
    input: R,
    offset: u64,
    limit: u64,
    /// Stored bytes of the entry that are left, and the padding behind them.
    stored: u64,
    padding: u64,
    /// For a sparse file: pieces that are left, and where its content is read and ends.
    sparse: Option<Sparse>,
}

/// The content of an entry.
pub(crate) trait EntryContent: Read {
    /// Skips the hole that comes next; its length, 0 if there is none.
    fn skip_hole(&mut self) -> u64;
}

struct Sparse {
    /// Offset and length, the last first.
    pieces: Vec<(u64, u64)>,
    at: u64,
    size: u64,
}

/// What headers in front of an entry's own say of it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    pieces: Vec<(u64, u64)>,
    /// What they took.
    bytes: u64,
}

impl<R: Read> TarReader<R> {
    /// A reader that fails after `limit` bytes.
    pub(crate) fn new(input: R, limit: u64) -> Self {
        Self { input, offset: 0, limit, stored: 0, padding: 0, sparse: None }
    }

    /// The next entry; what was not read of the one before is skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<RawEntry>, LayerError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = self.size_field(&header)?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let body = self.extension(size, &mut extensions)?;
                    self.records(&body, &mut extensions)?;
                }
                EntryType::GNULongName => {
                    extensions.path = Some(text(&self.extension(size, &mut extensions)?).to_vec());
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(text(&self.extension(size, &mut extensions)?).to_vec());
                }
                // Defaults for all entries; nobody who makes layers or archives for ADD uses them for names.
                EntryType::XGlobalHeader => self.begin(size),
                _ => return self.entry(&header, size, extensions).map(Some),
            }
        }
    }

    /// Reads on to the end of the stream, behind the tar's own end.
    pub(crate) fn drain(&mut self) -> Result<(), LayerError> {
        let mut buffer = vec![0; 64 * 1024];
        while self.read_input(&mut buffer).map_err(LayerError::Stream)? > 0 {}
        Ok(())
    }

    fn bad(&self, reason: impl Into<String>) -> LayerError {
        LayerError::BadTar { offset: self.offset.saturating_sub(BLOCK as u64), reason: reason.into() }
    }

    fn read_input(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(n) => {
                    self.offset += n as u64;
                    if self.offset > self.limit {
                        return Err(io::Error::other(format!("longer than {} bytes", self.limit)));
                    }
                    return Ok(n);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Fills a buffer; false if the stream ends before its first byte.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, LayerError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_input(&mut buffer[done..]).map_err(LayerError::Stream)? {
                0 if done == 0 => return Ok(false),
                0 => return Err(LayerError::Stream(io::ErrorKind::UnexpectedEof.into())),
                n => done += n,
            }
        }
        Ok(true)
    }

    fn header(&mut self) -> Result<Option<Header>, LayerError> {
        let mut header = Header::new_old();
        if !self.fill(header.as_mut_bytes())? || header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum = |range: &[u8]| range.iter().map(|b| u32::from(*b)).sum::<u32>();
        // The checksum's own field counts as blanks.
        let computed = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
        match header.cksum() {
            Ok(stated) if stated == computed => {
                fill_blank_numbers(&mut header);
                Ok(Some(header))
            }
            _ => Err(self.bad("the header's checksum doesn't match")),
        }
    }

    fn size_field(&self, header: &Header) -> Result<u64, LayerError> {
        header.entry_size().map_err(|_| self.bad("the size is no number"))
    }

    fn begin(&mut self, stored: u64) {
        self.stored = stored;
        self.padding = (BLOCK as u64 - stored % BLOCK as u64) % BLOCK as u64;
        self.sparse = None;
    }

    fn skip_content(&mut self) -> Result<(), LayerError> {
        self.sparse = None;
        let mut left = self.stored.saturating_add(self.padding);
        (self.stored, self.padding) = (0, 0);
        let mut buffer = [0; 16 * 1024];
        while left > 0 {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            if !self.fill(&mut buffer[..n])? {
                return Err(LayerError::Stream(io::ErrorKind::UnexpectedEof.into()));
            }
            left -= n as u64;
        }
        Ok(())
    }

    fn extension(&mut self, size: u64, before: &mut Extensions) -> Result<Vec<u8>, LayerError> {
        if size > MAX_EXTENSION {
            return Err(self.bad("extension records are longer than 1 MiB"));
        }
        before.bytes += size;
        if before.bytes > MAX_EXTENSIONS {
            return Err(self.bad("the extension records of one entry are longer than 4 MiB"));
        }
        self.begin(size);
        let mut body = vec![0; size as usize];
        if size > 0 && !self.fill(&mut body)? {
            return Err(LayerError::Stream(io::ErrorKind::UnexpectedEof.into()));
        }
        self.stored = 0;
        Ok(body)
    }

    /// PAX records: `LENGTH KEY=VALUE\n`.
    fn records(&self, mut body: &[u8], into: &mut Extensions) -> Result<(), LayerError> {
        let mut offset = 0;
        while !body.is_empty() {
            let (record, rest) = split_record(body).ok_or_else(|| self.bad("a PAX record is damaged"))?;
            body = rest;
            let (key, value) = record;
            match key {
                // These two come once for each piece of a sparse file.
                b"GNU.sparse.offset" => {
                    offset = decimal(value).ok_or_else(|| self.bad("a sparse map is damaged"))?;
                }
                b"GNU.sparse.numbytes" => {
                    let len = decimal(value).ok_or_else(|| self.bad("a sparse map is damaged"))?;
                    into.pieces.push((offset, len));
                    if into.pieces.len() > MAX_PIECES {
                        return Err(self.bad("a sparse map has too many pieces"));
                    }
                }
                _ => drop(into.records.insert(key.to_vec(), value.to_vec())),
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, size: u64, mut ext: Extensions) -> Result<RawEntry, LayerError> {
        let mut kind = header.entry_type();
        let mut path = ext.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let mut link = ext.link.take().unwrap_or(link);
        let number =
            |value: io::Result<u64>, what: &str| value.map_err(|_| self.bad(format!("{what} is no number")));
        let mut ids = [number(header.uid(), "the owner")?, number(header.gid(), "the group")?];
        let mode = header.mode().map_err(|_| self.bad("the mode is no number"))?;
        let mut mtime = self.mtime(header)?;
        let mut size = size;
        let mut xattrs = BTreeMap::new();
        for (key, value) in &ext.records {
            let parsed = || decimal(value).ok_or_else(|| self.bad("a PAX number is damaged"));
            match key.as_slice() {
                b"path" if !value.is_empty() => path.clone_from(value),
                b"linkpath" if !value.is_empty() => link.clone_from(value),
                b"size" => size = parsed()?,
                b"uid" => ids[0] = parsed()?,
                b"gid" => ids[1] = parsed()?,
                b"mtime" => mtime = pax_time(value).ok_or_else(|| self.bad("a PAX time is damaged"))?,
                other => {
                    if let Some(name) = other.strip_prefix(b"SCHILY.xattr.") {
                        xattrs.insert(name.to_vec(), value.clone());
                    }
                }
            }
        }
        if matches!(kind, EntryType::Regular | EntryType::Continuous) {
            kind = if path.ends_with(b"/") { EntryType::Directory } else { EntryType::Regular };
        }
        let bodyless = kind.is_hard_link()
            || kind.is_symlink()
            || kind.is_dir()
            || kind.is_fifo()
            || kind.is_block_special()
            || kind.is_character_special();
        self.begin(if bodyless { 0 } else { size });
        let device = |number: io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
        let device = (device(header.device_major()), device(header.device_minor()));
        let [uid, gid] = ids;
        let mut raw = RawEntry { path, link, kind, mode, uid, gid, mtime, size, device, xattrs };
        self.expand_sparse(header, &mut raw, ext)?;
        Ok(raw)
    }

    fn mtime(&self, header: &Header) -> Result<Mtime, LayerError> {
        let raw = header.mtime().map_err(|_| self.bad("the time is no number"))?;
        // GNU writes times before 1970 as negative binary numbers.
        Ok(Mtime { secs: raw.cast_signed(), nanos: 0 })
    }

    /// Recognises GNU's four ways of storing files with holes.
    fn expand_sparse(
        &mut self,
        header: &Header,
        raw: &mut RawEntry,
        mut ext: Extensions,
    ) -> Result<(), LayerError> {
        let collected = std::mem::take(&mut ext.pieces);
        let record = |name: &str| ext.records.get(format!("GNU.sparse.{name}").as_bytes());
        let (pieces, size) = if raw.kind == EntryType::GNUSparse {
            raw.kind = EntryType::Regular;
            self.old_sparse(header)?
        } else if record("major").is_some_and(|v| v == b"1") {
            let size = record("realsize").and_then(|v| decimal(v));
            (self.sparse_map()?, size.ok_or_else(|| self.bad("a sparse file has no size"))?)
        } else if let Some(size) = record("size") {
            let size = decimal(size).ok_or_else(|| self.bad("a sparse file has no size"))?;
            let map =
                record("map").map(|map| parse_map(map).ok_or_else(|| self.bad("a sparse map is damaged")));
            (map.unwrap_or(Ok(collected))?, size)
        } else {
            return Ok(());
        };
        if let Some(name) = record("name") {
            raw.path.clone_from(name);
        }
        raw.size = size;
        self.sparse = Some(self.check_pieces(pieces, size)?);
        Ok(())
    }

    fn check_pieces(&self, mut pieces: Vec<(u64, u64)>, size: u64) -> Result<Sparse, LayerError> {
        let mut end = 0u64;
        let mut total = 0u64;
        for (offset, len) in &pieces {
            let next = offset.checked_add(*len).filter(|next| *next <= size && *offset >= end);
            end = next.ok_or_else(|| self.bad("a sparse map is out of order"))?;
            total += len;
        }
        if total > self.stored || pieces.len() > MAX_PIECES {
            return Err(self.bad("a sparse map doesn't fit its file"));
        }
        // They say nothing; the one that some writers put at the end only repeats the size.
        pieces.retain(|(_, len)| *len > 0);
        pieces.reverse();
        Ok(Sparse { pieces, at: 0, size })
    }

    /// Four pieces in the header, more in blocks behind it.
    fn old_sparse(&mut self, header: &Header) -> Result<(Vec<(u64, u64)>, u64), LayerError> {
        let gnu = header.as_gnu().ok_or_else(|| self.bad("a sparse file without a GNU header"))?;
        let size = gnu.real_size().map_err(|_| self.bad("a sparse file has no size"))?;
        let mut pieces = Vec::new();
        let mut more = gnu.is_extended();
        self.add_pieces(&gnu.sparse, &mut pieces)?;
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if !self.fill(block.as_mut_bytes())? || pieces.len() > MAX_PIECES {
                return Err(self.bad("a sparse map is damaged"));
            }
            self.add_pieces(block.sparse(), &mut pieces)?;
            more = block.is_extended();
        }
        Ok((pieces, size))
    }

    fn add_pieces(&self, from: &[tar::GnuSparseHeader], to: &mut Vec<(u64, u64)>) -> Result<(), LayerError> {
        for piece in from.iter().filter(|p| !p.is_empty()) {
            match (piece.offset(), piece.length()) {
                (Ok(offset), Ok(len)) => to.push((offset, len)),
                _ => return Err(self.bad("a sparse map is damaged")),
            }
        }
        Ok(())
    }

    /// The map in front of the content: numbers in lines, filled up to a block.
    fn sparse_map(&mut self) -> Result<Vec<(u64, u64)>, LayerError> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut current: Option<u64> = None;
        while numbers.first().is_none_or(|count| ((numbers.len() - 1) as u64) < count.saturating_mul(2)) {
            let mut block = [0; BLOCK];
            if self.stored < BLOCK as u64 || !self.fill(&mut block)? || numbers.len() > 2 * MAX_PIECES {
                return Err(self.bad("a sparse map is damaged"));
            }
            self.stored -= BLOCK as u64;
            for byte in block {
                match byte {
                    b'0'..=b'9' => {
                        let digit = u64::from(byte - b'0');
                        let next = current.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
                        current = Some(next.ok_or_else(|| self.bad("a sparse map is damaged"))?);
                    }
                    b'\n' => numbers.extend(current.take()),
                    _ => break,
                }
            }
        }
        let count = usize::try_from(numbers[0]).unwrap_or(usize::MAX);
        Ok(numbers[1..].chunks_exact(2).take(count).map(|pair| (pair[0], pair[1])).collect())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &mut self.sparse else {
            let n = usize::try_from(self.stored).unwrap_or(usize::MAX).min(buffer.len());
            let n = self.read_input(&mut buffer[..n])?;
            if n == 0 && self.stored > 0 && !buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.stored -= n as u64;
            return Ok(n);
        };
        let left = loop {
            let next = sparse.pieces.last().copied().unwrap_or((sparse.size, 0));
            if sparse.at < next.0 {
                let hole = usize::try_from(next.0 - sparse.at).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..hole].fill(0);
                sparse.at += hole as u64;
                return Ok(hole);
            }
            let left = next.0 + next.1 - sparse.at;
            if left > 0 {
                break left;
            }
            if sparse.pieces.pop().is_none() {
                return Ok(0);
            }
        };
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.read_input(&mut buffer[..want])?;
        if n == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stored -= n as u64;
        if let Some(sparse) = &mut self.sparse {
            sparse.at += n as u64;
        }
        Ok(n)
    }
}

impl<R: Read> EntryContent for TarReader<R> {
    fn skip_hole(&mut self) -> u64 {
        let Some(sparse) = &mut self.sparse else { return 0 };
        while sparse.pieces.last().is_some_and(|(offset, len)| offset + len == sparse.at) {
            sparse.pieces.pop();
        }
        let end = sparse.pieces.last().map_or(sparse.size, |(offset, _)| *offset);
        let hole = end.saturating_sub(sparse.at);
        sparse.at += hole;
        hole
    }
}

/// Mode, owner, group, size and time: fields without any digit mean zero, to Go and GNU tar too.
fn fill_blank_numbers(header: &mut Header) {
    for field in [100..108, 108..116, 116..124, 124..136, 136..148] {
        let field = &mut header.as_mut_bytes()[field];
        if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            field.fill(b'0');
            field[field.len() - 1] = 0;
        }
    }
}

/// A field or extension up to its first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|b| *b == 0).map_or(bytes, |end| &bytes[..end])
}

/// A record's key and value, and what follows it.
type Record<'a> = ((&'a [u8], &'a [u8]), &'a [u8]);

fn split_record(body: &[u8]) -> Option<Record<'_>> {
    let blank = body.iter().take(20).position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&body[..blank])?).ok()?;
    let (record, rest) = body.split_at_checked(len)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), rest))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.checked_sub(b'0').filter(|d| *d < 10)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn parse_map(text: &[u8]) -> Option<Vec<(u64, u64)>> {
    let numbers: Option<Vec<u64>> = text.split(|b| *b == b',').map(decimal).collect();
    Some(numbers?.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Seconds with an optional sign and fraction.
fn pax_time(text: &[u8]) -> Option<Mtime> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |b| *b == b'.');
    let secs = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let mut digits = fraction[..fraction.len().min(9)].to_vec();
    digits.resize(9, b'0');
    let nanos = u32::try_from(decimal(&digits)?).ok()?;
    Some(match (negative, nanos) {
        (false, _) => Mtime { secs, nanos },
        (true, 0) => Mtime { secs: -secs, nanos },
        (true, _) => Mtime { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    })
}
