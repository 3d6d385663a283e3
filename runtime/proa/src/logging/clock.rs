//! The time of a line: RFC 3339 in the host's time zone, with the fraction's trailing zeros left out.
//!
//! The calendar part is computed once per second and thread.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

struct Second {
    number: i64,
    date_time: String,
    zone: String,
}

thread_local! {
    static LAST: RefCell<Option<Second>> = const { RefCell::new(None) };
}

/// Now.
pub(super) fn now() -> String {
    // a clock before 1970 prints as 1970
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|second| second.number != number) {
            *last = Some(Second::new(number));
        }
        last.as_ref().map(|second| second.with_fraction(since.subsec_nanos())).unwrap_or_default()
    })
}

impl Second {
    fn new(number: i64) -> Self {
        Self::in_zone(number, offset_of(number))
    }

    /// `offset` is in seconds east of Greenwich.
    pub(super) fn in_zone(number: i64, offset: i64) -> Self {
        let local = number.saturating_add(offset);
        let (days, seconds) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let date_time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let zone = match offset {
            0 => "Z".to_owned(),
            _ => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.abs() / 60;
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        };
        Self { number, date_time, zone }
    }

    pub(super) fn with_fraction(&self, nanos: u32) -> String {
        let mut time = String::with_capacity(36);
        time.push_str(&self.date_time);
        if nanos > 0 {
            // writing to a String cannot fail
            let _infallible = write!(time, ".{nanos:09}");
            time.truncate(time.trim_end_matches('0').len());
        }
        time.push_str(&self.zone);
        time
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March,
/// so that the leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The zone's offset at a moment, in seconds east of Greenwich; 0 if the host does not know.
fn offset_of(number: i64) -> i64 {
    let moment = number as libc::time_t;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and localtime_r fills the struct it is given
    let known = unsafe { !libc::localtime_r(&moment, parts.as_mut_ptr()).is_null() };
    if !known {
        return 0;
    }
    // SAFETY: all-zero bytes are a valid tm, and the call above succeeded
    unsafe { parts.assume_init() }.tm_gmtoff
}

#[cfg(test)]
mod tests {
    use super::Second;

    #[test]
    fn dates_and_zones() {
        let at = |number, offset, nanos| Second::in_zone(number, offset).with_fraction(nanos);
        assert_eq!(at(0, 0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_795_181_753, 0, 901_148_269), "2026-11-20T13:35:53.901148269Z");
        assert_eq!(at(1_795_181_753, 3600, 902_732_900), "2026-11-20T14:35:53.9027329+01:00");
        assert_eq!(at(1_709_164_800, -12_600, 500_000_000), "2024-02-28T20:30:00.5-03:30");
        assert_eq!(at(1_709_251_199, 0, 1), "2024-02-29T23:59:59.000000001Z");
        assert_eq!(at(4_107_542_400, 0, 0), "2100-03-01T00:00:00Z");
    }
}
