//! Gzip without compression: enough for a body that must not be read as it stands.

/// Wraps bytes in gzip, stored. Source: RFC 1951, section 3.2.4, and RFC 1952, section 2.3.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    const BLOCK_MAX: usize = 0xffff;

    let mut out = HEAD.to_vec();
    let blocks = bytes.len().div_ceil(BLOCK_MAX).max(1);
    for index in 0..blocks {
        let block = &bytes[index * BLOCK_MAX..bytes.len().min((index + 1) * BLOCK_MAX)];
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(index + 1 == blocks));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(bytes).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_gzip_reads() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // Source: CPython's gzip.compress(b"hello", 0, mtime=0), its operating system (03) set to
        // unknown (ff).
        let hello = "1f8b08000000000000ff010500faff68656c6c6f86a6103605000000";
        assert_eq!(hex::encode(gzip(b"hello")), hello);
        assert_eq!(gzip(&[7; 70_000]).len(), 70_000 + 10 + 2 * 5 + 8);
    }
}
