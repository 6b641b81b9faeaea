//! Reads a stream in a thread of its own, so that decompressing goes on while what came is written.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Size of a block. Well above what a pipe or a decoder gives at once, so that threads wake each other seldom.
const BLOCK: usize = 256 * 1024;
/// Blocks that are read and not yet taken. All that are there together take two more.
const AHEAD: usize = 6;

/// A reader whose source is read by another thread, at most 2 MiB ahead. That thread ends when the source does, at its
/// first error, and soon after this was dropped.
pub struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Blocks that were used go back to be filled again.
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    /// Starts to read.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn new(source: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(AHEAD);
        let (used, spare) = channel();
        let thread = std::thread::Builder::new().name("read-ahead".into());
        thread.spawn(move || read_all(source, &sender, &spare))?;
        Ok(Self { blocks, used, block: Vec::new(), at: 0 })
    }

    /// Gets the next block; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let Ok(block) = self.blocks.recv() else { return Ok(false) };
        let used = std::mem::replace(&mut self.block, block?);
        self.at = 0;
        // The thread may have come to its end.
        let _ = self.used.send(used);
        Ok(true)
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || (self.at == self.block.len() && !self.next()?) {
            return Ok(0);
        }
        let count = (&self.block[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

fn read_all(mut source: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>, spare: &Receiver<Vec<u8>>) {
    loop {
        let mut block = spare.try_recv().unwrap_or_default();
        block.resize(BLOCK, 0);
        let (length, ended) = fill(&mut source, &mut block);
        block.truncate(length);
        // Nobody takes them any more when whoever read them stopped.
        if length > 0 && blocks.send(Ok(block)).is_err() {
            return;
        }
        match ended {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                let _ = blocks.send(Err(error));
                return;
            }
        }
    }
}

/// Reads until a block is full; how much is in it, and whether that was all.
fn fill(source: &mut impl Read, block: &mut [u8]) -> (usize, io::Result<bool>) {
    let mut length = 0;
    while length < block.len() {
        match source.read(&mut block[length..]) {
            Ok(0) => return (length, Ok(true)),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Err(error)),
        }
    }
    (length, Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_source_gives() {
        for size in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7, 20 * BLOCK] {
            let content: Vec<u8> = (0..size).map(|n| (n * 31 / 7) as u8).collect();
            let mut read = Vec::new();
            ReadAhead::new(io::Cursor::new(content.clone())).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == content, "{size}");
        }
    }

    /// Gives one byte, then fails.
    struct Broken(bool);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            buffer[0] = 7;
            Ok(1)
        }
    }

    #[test]
    fn errors_come_behind_what_was_read() {
        let mut reader = ReadAhead::new(Broken(false)).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(reader.read(&mut buffer).unwrap(), 1);
        assert_eq!(reader.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }

    /// Has no end; that it was dropped shows at the other end of its channel.
    struct Endless(#[expect(dead_code, reason = "its end tells")] Sender<()>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
    }

    #[test]
    fn the_thread_ends_when_nobody_reads() {
        let (sender, ended) = channel::<()>();
        drop(ReadAhead::new(Endless(sender)).unwrap());
        assert!(ended.recv().is_err());
    }
}
