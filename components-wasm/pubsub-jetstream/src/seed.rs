//! The seed of a user's key, as `nsc` writes it: base32 of two bytes of prefix, the 32 bytes themselves and a checksum.

use ring::signature::Ed25519KeyPair;

const SEED: u8 = 18 << 3;

/// None for what is no seed.
pub fn key(text: &str) -> Option<Ed25519KeyPair> {
    let bytes = base32(text.trim())?;
    let (body, sum) = bytes.split_at_checked(34).filter(|(_, sum)| sum.len() == 2)?;
    let [first, ..] = body else { return None };
    if first & 0xF8 != SEED || crc16(body).to_le_bytes() != sum {
        return None;
    }
    Ed25519KeyPair::from_seed_unchecked(body.get(2..)?).ok()
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for c in text.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(digit);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0u16, |sum, byte| (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(base32("MZXW6YTB"), Some(b"fooba".to_vec()));
    }

    #[test]
    fn only_seeds_are_taken() {
        // The example of Dapr's manifest is made up: its checksum is wrong.
        assert!(key("SUAELX7XZIRRCNOQKCXQWFN6M3EBKUTBWK6YQKL4QFLKCUQJSEZL7ZCL7KQ").is_none());
        assert!(key("").is_none() && key("SU").is_none() && key("not base32").is_none());
    }
}
