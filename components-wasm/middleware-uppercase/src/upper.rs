//! Capitals for UTF-8 that arrives in pieces of any size. Costs one pass; ASCII pieces are changed in place.
//! Holds back at most three bytes, those of a character whose rest is still to come. Never fails: what is no UTF-8 becomes U+FFFD.

/// The state between two pieces of one body.
#[derive(Default)]
pub struct Upper {
    /// The beginning of a character that the last piece ended in; at most three bytes.
    held: Vec<u8>,
}

impl Upper {
    /// The capitals of `piece`, as far as its characters are complete.
    pub fn push(&mut self, mut piece: Vec<u8>) -> Vec<u8> {
        if self.held.is_empty() && piece.is_ascii() {
            piece.make_ascii_uppercase();
            return piece;
        }
        let mut input = std::mem::take(&mut self.held);
        input.append(&mut piece);
        let mut out = String::with_capacity(input.len() + input.len() / 2);
        let mut rest = input.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    capitals(text, &mut out);
                    break;
                }
                Err(e) => {
                    let (good, bad) = rest.split_at(e.valid_up_to());
                    // The split is at a boundary that from_utf8 has just confirmed, so this never takes the empty default.
                    capitals(std::str::from_utf8(good).unwrap_or_default(), &mut out);
                    if e.error_len().is_none() {
                        self.held = bad.to_vec();
                        break;
                    }
                    // One replacement a byte, as a reader of single runes makes it.
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = bad.get(1..).unwrap_or_default();
                }
            }
        }
        out.into_bytes()
    }

    /// What the end of the body leaves over: a replacement for each byte of an unfinished character.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held).iter().map(|_| char::REPLACEMENT_CHARACTER).collect::<String>().into_bytes()
    }
}

fn capitals(text: &str, out: &mut String) {
    out.extend(text.chars().map(capital));
}

/// The simple, one-to-one capital of a character; itself when there is none.
fn capital(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut full = c.to_uppercase();
    match (full.next(), full.next()) {
        (Some(one), None) => one,
        _ => greek_title(c).unwrap_or(c),
    }
}

/// Greek letters with iota subscript: their full capital is two letters, their simple one is a single title-case letter.
fn greek_title(c: char) -> Option<char> {
    let code = u32::from(c);
    let offset = match code {
        0x1F80..=0x1F87 | 0x1F90..=0x1F97 | 0x1FA0..=0x1FA7 => 8,
        0x1FB3 | 0x1FC3 | 0x1FF3 => 9,
        _ => return None,
    };
    char::from_u32(code + offset)
}

#[cfg(test)]
mod tests {
    use super::Upper;

    fn in_pieces(input: &[u8], size: usize) -> Vec<u8> {
        let mut upper = Upper::default();
        let mut out: Vec<u8> = input.chunks(size).flat_map(|c| upper.push(c.to_vec())).collect();
        out.extend(upper.finish());
        out
    }

    #[test]
    fn the_same_in_pieces_of_any_size() {
        let text = "hello, ché la diritta via 😀ciao👩‍👩‍👦 straße ǰ ᾳ ა ı";
        let expected = "HELLO, CHÉ LA DIRITTA VIA 😀CIAO👩‍👩‍👦 STRAßE ǰ ᾼ Ა I";
        for size in 1..=text.len() {
            assert_eq!(String::from_utf8(in_pieces(text.as_bytes(), size)).unwrap(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacements() {
        for size in 1..6 {
            assert_eq!(String::from_utf8(in_pieces(b"a\xffb\xe2\x82", size)).unwrap(), "A\u{fffd}B\u{fffd}\u{fffd}");
        }
    }

    #[test]
    fn holds_back_no_more_than_a_character() {
        let mut upper = Upper::default();
        assert_eq!(upper.push(vec![b'a', 0xf0, 0x9f, 0x98]), b"A");
        assert!(upper.held.len() <= 3);
        assert_eq!(upper.push(vec![0x80]), "😀".as_bytes());
        assert!(upper.finish().is_empty());
    }
}
