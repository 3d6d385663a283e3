//! The fields of a cron line as sets of bits. The grammar and the wording of its errors are those of the parser that Dapr uses.

/// Marks a field that was given as `*` or `?`.
pub const STAR: u64 = 1 << 63;

/// The values that a field may have, and their names.
pub struct Bounds {
    pub min: u32,
    pub max: u32,
    names: &'static [&'static str],
}

pub const SECONDS: Bounds = Bounds { min: 0, max: 59, names: &[] };
pub const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
pub const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
pub const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
pub const MONTHS: Bounds = Bounds { min: 1, max: 12, names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] };
pub const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Bounds {
    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|n| text.eq_ignore_ascii_case(n));
        named.map_or_else(|| number(text), |at| Ok(at as u32 + self.min))
    }

    /// A comma-separated list of ranges.
    pub fn parse(&self, field: &str) -> Result<u64, String> {
        field.split(',').filter(|r| !r.is_empty()).try_fold(0, |all, range| Ok(all | self.range(range)?))
    }

    /// `number`, `number-number`, `*` or `?`, each with an optional `/step`.
    fn range(&self, text: &str) -> Result<u64, String> {
        let (range, step) = match text.split_once('/') {
            Some((_, rest)) if rest.contains('/') => return Err(format!("too many slashes: {text}")),
            Some((range, step)) => (range, Some(number(step)?)),
            None => (text, None),
        };
        let mut ends = range.split('-');
        let low = ends.next().unwrap_or_default();
        let high = ends.next();
        let (start, mut end, mut star) = match low {
            "*" | "?" => (self.min, self.max, STAR),
            _ if ends.next().is_some() => return Err(format!("too many hyphens: {text}")),
            _ => {
                let start = self.value(low)?;
                (start, high.map_or(Ok(start), |h| self.value(h))?, 0)
            }
        };
        if let Some(step) = step {
            // `N/step` runs from N to the largest value.
            if high.is_none() {
                end = self.max;
            }
            if step > 1 {
                star = 0;
            }
        }
        let step = step.unwrap_or(1);
        if start < self.min {
            return Err(format!("beginning of range ({start}) below minimum ({}): {text}", self.min));
        }
        if end > self.max {
            return Err(format!("end of range ({end}) above maximum ({}): {text}", self.max));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        Ok(bits(start, end, step) | star)
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed = text.parse::<i64>().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    if parsed < 0 {
        return Err(format!("negative number ({parsed}) not allowed: {text}"));
    }
    Ok(u32::try_from(parsed).unwrap_or(u32::MAX))
}

fn bits(min: u32, max: u32, step: u32) -> u64 {
    (min..=max).step_by(step as usize).fold(0, |all, n| all | 1 << n)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn values(bounds: &Bounds, text: &str) -> Vec<u32> {
        let set = bounds.parse(text).unwrap();
        (0..63).filter(|n| set & (1 << n) != 0).collect()
    }

    #[test]
    fn lists_ranges_steps_names() {
        assert_eq!(values(&MINUTES, "5"), [5]);
        assert_eq!(values(&MINUTES, "5,10-12"), [5, 10, 11, 12]);
        assert_eq!(values(&MINUTES, "*/20"), [0, 20, 40]);
        assert_eq!(values(&MINUTES, "50/4"), [50, 54, 58]);
        assert_eq!(values(&MINUTES, "10-20/5"), [10, 15, 20]);
        assert_eq!(values(&MONTHS, "JAN,mar-may"), [1, 3, 4, 5]);
        assert_eq!(values(&WEEKDAYS, "sun,6"), [0, 6]);
        assert_eq!(values(&DAYS, ","), [] as [u32; 0]);
        assert_eq!(DAYS.parse("*").unwrap(), bits(1, 31, 1) | STAR);
        assert_eq!(DAYS.parse("?/1"), DAYS.parse("*"));
        assert_eq!(DAYS.parse("*/2").unwrap() & STAR, 0);
    }

    #[test]
    fn errors() {
        let says = |bounds: &Bounds, text: &str, why: &str| assert_eq!(bounds.parse(text).unwrap_err(), why);
        says(&MINUTES, "60", "end of range (60) above maximum (59): 60");
        says(&DAYS, "0", "beginning of range (0) below minimum (1): 0");
        says(&HOURS, "5-3", "beginning of range (5) beyond end of range (3): 5-3");
        says(&HOURS, "*/0", "step of range should be a positive number: */0");
        says(&HOURS, "1-2-3", "too many hyphens: 1-2-3");
        says(&HOURS, "1/2/3", "too many slashes: 1/2/3");
        says(&HOURS, "x", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
        says(&WEEKDAYS, "7", "end of range (7) above maximum (6): 7");
    }
}
