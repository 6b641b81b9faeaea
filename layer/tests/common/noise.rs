//! Bytes for tests, of the crate itself and of its public interface.

/// Bytes that compress neither too well nor too badly, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        match next() % 3 {
            0 => out.extend_from_slice(&next().to_le_bytes()),
            1 => out.extend_from_slice(b"the same words again and again "),
            _ => out.extend_from_slice(format!("{:x},", next() % 1000).as_bytes()),
        }
    }
    out.truncate(len);
    out
}
