//! Programs of other kinds of processor: which of them this machine can run, by an emulator that the kernel knows.

use std::path::{Path, PathBuf};

use garboard_registry::Platform;

/// Where the kernel shows the emulators.
pub(crate) const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Longest file of an emulator; they have a few short lines.
const MAX_FILE: u64 = 64 << 10;

/// Whether there is an emulator for a platform.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Emulator {
    /// It runs programs of every image.
    Ready,
    /// It runs programs of images that have this file.
    InImage(PathBuf),
    /// There is none, or it is switched off.
    Missing,
    /// The kernel doesn't show its emulators here, as in most containers.
    Unknown,
}

/// Looks for an emulator in a folder like [`BINFMT`].
pub(crate) fn find(folder: &Path, platform: &Platform) -> Emulator {
    let Some(header) = header(&platform.architecture) else { return Emulator::Missing };
    if !folder.join("status").exists() {
        return Emulator::Unknown;
    }
    if std::fs::read(folder.join("status")).is_ok_and(|text| text.trim_ascii() != b"enabled") {
        return Emulator::Missing;
    }
    let mut found = Emulator::Missing;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(handler) = Handler::read(&entry.path()) else { continue };
        if !handler.takes(&header) {
            continue;
        }
        if handler.fixed {
            return Emulator::Ready;
        }
        found = Emulator::InImage(handler.interpreter);
    }
    found
}

/// One emulator as the kernel shows it.
#[derive(Debug, Default)]
struct Handler {
    enabled: bool,
    interpreter: PathBuf,
    /// The flag F: the kernel holds the interpreter open, so that images needn't have it.
    fixed: bool,
    offset: usize,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Handler {
    fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        let file = std::fs::File::open(path).ok()?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_FILE), &mut text).ok()?;
        let mut handler = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "enabled" => handler.enabled = true,
                "interpreter" => handler.interpreter = value.into(),
                "flags:" => handler.fixed = value.contains('F'),
                "offset" => handler.offset = value.parse().ok()?,
                "magic" => handler.magic = bytes(value)?,
                "mask" => handler.mask = bytes(value)?,
                _ => {}
            }
        }
        // One that goes by the ends of names is for no kind of processor.
        (!handler.magic.is_empty()).then_some(handler)
    }

    fn takes(&self, header: &[u8]) -> bool {
        let masked = |at: usize, byte: u8| byte & self.mask.get(at).copied().unwrap_or(0xff);
        let Some(part) = header.get(self.offset..).and_then(|rest| rest.get(..self.magic.len())) else {
            return false;
        };
        let same = |(at, (a, b)): (usize, (&u8, &u8))| masked(at, *a) == masked(at, *b);
        self.enabled && part.iter().zip(&self.magic).enumerate().all(same)
    }
}

/// Reads hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// The first bytes of a program for an architecture, as its ELF file has them.
fn header(architecture: &str) -> Option<[u8; 20]> {
    const LITTLE: u8 = 1;
    const BIG: u8 = 2;
    let (bits, order, machine): (u8, u8, u16) = match architecture {
        "386" => (1, LITTLE, 3),
        "amd64" => (2, LITTLE, 62),
        "arm" => (1, LITTLE, 40),
        "arm64" => (2, LITTLE, 183),
        "loong64" => (2, LITTLE, 258),
        "mips64" => (2, BIG, 8),
        "mips64le" => (2, LITTLE, 8),
        "ppc64le" => (2, LITTLE, 21),
        "riscv64" => (2, LITTLE, 243),
        "s390x" => (2, BIG, 22),
        _ => return None,
    };
    let number = |value: u16| if order == LITTLE { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut header = [0; 20];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', bits, order, 1]);
    header[16..18].copy_from_slice(&number(2));
    header[18..].copy_from_slice(&number(machine));
    Some(header)
}

/// Why a program of another platform didn't start, and what to do about it; `None` where that isn't the reason.
pub(crate) fn explain(folder: &Path, platform: &Platform, host: &Platform) -> Option<(String, String)> {
    if platform.os != host.os {
        let why = format!("steps of {} images can't run on {}", platform.os, host.os);
        return Some((why, "build the files elsewhere, and COPY them".into()));
    }
    // The kernel runs programs of the 32-bit kind, too: something else is missing.
    let is_near = (host.architecture.as_str(), platform.architecture.as_str()) == ("amd64", "386");
    if platform.architecture == host.architecture || is_near {
        return None;
    }
    let get = format!(
        "get one by `docker run --privileged --rm tonistiigi/binfmt --install {}`, or by the package qemu-user-static \
         (Debian and Ubuntu); or run the step on the machine's own platform: `FROM --platform=$BUILDPLATFORM`",
        platform.architecture
    );
    match find(folder, platform) {
        Emulator::Ready => None,
        Emulator::Missing => Some((format!("no emulator for {platform} is registered on this machine"), get)),
        Emulator::Unknown => {
            Some((format!("this machine runs no programs for {platform} without an emulator"), get))
        }
        Emulator::InImage(path) => {
            let why = format!(
                "the emulator for {platform} is registered without the flag F, and the image doesn't have {}",
                path.display()
            );
            Some((why, get))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_kernel_shows() {
        let folder = tempfile::tempdir().unwrap();
        let arm64 = platform("linux/arm64");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let found = || find(folder.path(), &arm64);
        assert_eq!(found(), Emulator::Unknown);
        write("status", "enabled\n");
        write("register", "");
        write("python3", "enabled\ninterpreter /usr/bin/python3\nflags: \nextension .py\n");
        write("odd", "enabled\nmagic 7g\n");
        assert_eq!(found(), Emulator::Missing);
        write("qemu-aarch64", ARM64);
        assert_eq!(found(), Emulator::Ready);
        assert_eq!(find(folder.path(), &platform("linux/arm64/v8")), Emulator::Ready);
        for other in ["linux/amd64", "linux/arm/v7", "linux/riscv64", "linux/s390x", "linux/unheard-of"] {
            assert_eq!(find(folder.path(), &platform(other)), Emulator::Missing, "{other}");
        }
        write("qemu-aarch64", &ARM64.replace("OCF", "OC"));
        assert_eq!(found(), Emulator::InImage("/usr/bin/qemu-aarch64-static".into()));
        write("qemu-aarch64", &ARM64.replace("enabled", "disabled"));
        assert_eq!(found(), Emulator::Missing);
        write("qemu-aarch64", ARM64);
        write("status", "disabled\n");
        assert_eq!(found(), Emulator::Missing);
    }

    #[test]
    fn explanations_are_for_other_platforms() {
        let nowhere = Path::new("/nowhere");
        let host = platform("linux/amd64");
        assert_eq!(explain(nowhere, &platform("linux/amd64/v3"), &host), None);
        assert_eq!(explain(nowhere, &platform("linux/386"), &host), None);
        let (why, hint) = explain(nowhere, &platform("linux/arm64"), &host).unwrap();
        assert!(
            why.contains("linux/arm64")
                && hint.contains("--install arm64")
                && hint.contains("qemu-user-static")
        );
        assert!(explain(nowhere, &platform("windows/amd64"), &host).unwrap().0.contains("windows"));
    }
}
