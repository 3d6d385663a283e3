//! Kubernetes resource quantities (`4Mi`, `4Ki`, `1.5G`, `100`, `1e3`) as whole numbers of bytes.
//!
//! Only values that come out as an integer within an `i64` are accepted: a body limit cannot be half a byte.

/// Why a text is not a usable quantity; the wording is the one Kubernetes tools use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not number plus suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Malformed,
    /// The number is followed by something that is no suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// A fraction of a byte, or more than 63 bits.
    #[error("cannot get bytes from resource quantity value '{0}'")]
    NotBytes(String),
}

/// The number of bytes that `text` stands for.
pub fn parse(text: &str) -> Result<i64, QuantityError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(QuantityError::Malformed);
    }
    let (multiplier, exponent) = scale(suffix)?;
    let not_bytes = || QuantityError::NotBytes(text.to_owned());
    let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| not_bytes())?;
    let exponent = exponent - i32::try_from(fraction.len()).map_err(|_| not_bytes())?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs()).ok_or_else(not_bytes)?;
    let scaled = mantissa.checked_mul(multiplier).ok_or_else(not_bytes)?;
    let value = if exponent >= 0 {
        scaled.checked_mul(power).ok_or_else(not_bytes)?
    } else if scaled % power == 0 {
        scaled / power
    } else {
        return Err(not_bytes());
    };
    i64::try_from(if negative { -value } else { value }).map_err(|_| not_bytes())
}

/// A suffix as a binary multiplier and a power of ten.
fn scale(suffix: &str) -> Result<(i128, i32), QuantityError> {
    let binary = |shift: u32| Ok((1_i128 << shift, 0));
    let decimal = |power: i32| Ok((1, power));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => match suffix.strip_prefix(['e', 'E']).map(str::parse::<i32>) {
            Some(Ok(power)) if (-30..=30).contains(&power) => decimal(power),
            _ => Err(QuantityError::Suffix),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_binary_decimal_and_plain_sizes() {
        for (text, bytes) in
            [("4Mi", 4 << 20), ("4Ki", 4 << 10), ("4096", 4096), ("1.5Ki", 1536), ("1k", 1000), ("1e3", 1000), ("0", 0), ("-1", -1), ("2000m", 2)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        assert_eq!(parse(""), Err(QuantityError::Malformed));
        assert_eq!(parse("Mi"), Err(QuantityError::Malformed));
        assert_eq!(parse("1.2.3"), Err(QuantityError::Malformed));
        assert_eq!(parse("4MB"), Err(QuantityError::Suffix));
        assert_eq!(parse("0.5"), Err(QuantityError::NotBytes("0.5".into())));
        assert_eq!(parse("99Ei"), Err(QuantityError::NotBytes("99Ei".into())));
    }
}
