//! A schedule: from its text, and from one moment to the next. Pure; a schedule that never comes true within five years has no next.

use crate::fields::{DAYS, HOURS, MINUTES, MONTHS, SECONDS, STAR, WEEKDAYS};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned, tz::TimeZone, tz::TimeZoneDatabase};
use std::time::Duration;

/// When something is due.
#[derive(Debug)]
pub enum Schedule {
    Every(Duration),
    At(Fields),
}

/// Sets of bits; `zone` is none for the local zone.
#[derive(Debug)]
pub struct Fields {
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    zone: Option<TimeZone>,
}

/// The zone of that name in the database that is built in.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        _ => TimeZoneDatabase::bundled().get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        let Some(named) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else { return Self::fields(text, None) };
        let (name, rest) = named.split_once(char::is_whitespace).unwrap_or((named, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(format!("no schedule after the timezone prefix: {text:?}"));
        }
        let zone = match name {
            "Local" => None,
            _ => Some(zone(name).map_err(|why| format!("provided bad location {name}: {why}"))?),
        };
        if rest.starts_with("@every") {
            return Err(format!("a timezone prefix cannot be used with an @every schedule: {rest:?}"));
        }
        Self::fields(rest, zone)
    }

    fn fields(text: &str, zone: Option<TimeZone>) -> Result<Self, String> {
        if let Some(duration) = text.strip_prefix("@every ") {
            let every = proa_sdk::properties::parse_duration(duration)
                .ok_or_else(|| format!("failed to parse duration {text}: time: invalid duration {duration:?}"))?;
            // A period of nothing would never let the application breathe.
            return Ok(Self::Every(every.max(Duration::from_millis(1))));
        }
        let line = match text {
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            "@monthly" => "0 0 0 1 * *",
            "@weekly" => "0 0 0 * * 0",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@hourly" => "0 0 * * * *",
            _ if text.starts_with('@') => return Err(format!("unrecognized descriptor: {text}")),
            _ => text,
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let (second, rest) = match words.as_slice() {
            rest @ [_, _, _, _, _] => ("0", rest),
            [second, rest @ ..] if rest.len() == 5 => (*second, rest),
            other => return Err(format!("expected 5 to 6 fields, found {}: [{}]", other.len(), other.join(" "))),
        };
        let [minute, hour, day, month, weekday] = rest else { return Err("expected 5 to 6 fields".into()) };
        Ok(Self::At(Fields {
            second: SECONDS.parse(second)?,
            minute: MINUTES.parse(minute)?,
            hour: HOURS.parse(hour)?,
            day: DAYS.parse(day)?,
            month: MONTHS.parse(month)?,
            weekday: WEEKDAYS.parse(weekday)?,
            zone,
        }))
    }

    /// The first moment after `after` at which the schedule is due.
    pub fn next(&self, after: Timestamp, local: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(period) => after.checked_add(*period).ok(),
            Self::At(fields) => fields.next(after, local),
        }
    }
}

fn has(set: u64, value: i8) -> bool {
    set & (1 << value) != 0
}

fn later(moment: &Zoned, seconds: i64) -> Option<Zoned> {
    moment.checked_add(SignedDuration::from_secs(seconds)).ok()
}

impl Fields {
    fn day_fits(&self, moment: &Zoned) -> bool {
        let day = has(self.day, moment.day());
        let weekday = has(self.weekday, moment.weekday().to_sunday_zero_offset());
        // Two restrictions are alternatives; one restriction is a condition.
        if (self.day | self.weekday) & STAR != 0 { day && weekday } else { day || weekday }
    }

    fn next(&self, after: Timestamp, local: &TimeZone) -> Option<Timestamp> {
        let zone = self.zone.as_ref().unwrap_or(local);
        let start = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
        let mut moment = start.to_zoned(zone.clone());
        let last_year = moment.year() + 5;
        // Each step moves the coarsest field that does not fit to its next value and starts over there.
        while moment.year() <= last_year {
            moment = if !has(self.month, moment.month()) {
                moment.date().first_of_month().checked_add(1.month()).ok()?.to_zoned(zone.clone()).ok()?
            } else if !self.day_fits(&moment) {
                moment.date().tomorrow().ok()?.to_zoned(zone.clone()).ok()?
            } else if !has(self.hour, moment.hour()) {
                let into = i64::from(moment.minute()) * 60 + i64::from(moment.second());
                later(&moment, 3600 - into)?
            } else if !has(self.minute, moment.minute()) {
                later(&moment, 60 - i64::from(moment.second()))?
            } else if !has(self.second, moment.second()) {
                later(&moment, 1)?
            } else {
                return Some(moment.timestamp());
            };
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// The moments that follow `from`, in the zone `local`.
    fn run(text: &str, local: &str, from: &str, count: usize) -> Vec<String> {
        let (schedule, zone) = (Schedule::parse(text).unwrap(), zone(local).unwrap());
        let first: Timestamp = from.parse().unwrap();
        std::iter::successors(Some(first), |t| schedule.next(*t, &zone)).skip(1).take(count).map(|t| t.to_string()).collect()
    }

    fn next(text: &str, from: &str) -> String {
        run(text, "UTC", from, 1).concat()
    }

    #[test]
    fn five_and_six_fields() {
        assert_eq!(run("*/15 * * * *", "UTC", "2026-01-01T00:07:30Z", 2), ["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]);
        assert_eq!(run("15 * * * * *", "UTC", "2026-01-01T00:00:15Z", 2), ["2026-01-01T00:01:15Z", "2026-01-01T00:02:15Z"]);
        assert_eq!(next("0 0 1 1 ?", "2026-06-30T12:00:00Z"), "2027-01-01T00:00:00Z");
        assert_eq!(next("* * * * * *", "2026-01-01T00:00:00.9Z"), "2026-01-01T00:00:01Z");
        assert_eq!(next("59 59 23 31 12 *", "2026-01-01T00:00:00Z"), "2026-12-31T23:59:59Z");
        assert_eq!(next("0 0 29 feb *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00Z");
    }

    #[test]
    fn days() {
        // 2026-01-01 is a Thursday. Both restricted: either.
        assert_eq!(run("0 0 15 * mon", "UTC", "2026-01-01T00:00:00Z", 3), ["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z", "2026-01-15T00:00:00Z"]);
        assert_eq!(next("0 0 * * sun", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        assert_eq!(next("0 0 31 * *", "2026-02-01T00:00:00Z"), "2026-03-31T00:00:00Z");
    }

    #[test]
    fn words() {
        assert_eq!(next("@hourly", "2026-01-01T00:00:00Z"), "2026-01-01T01:00:00Z");
        assert_eq!(next("@daily", "2026-01-01T00:00:00Z"), next("@midnight", "2026-01-01T00:00:00Z"));
        assert_eq!(next("@weekly", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        assert_eq!(next("@monthly", "2026-01-01T00:00:00Z"), "2026-02-01T00:00:00Z");
        assert_eq!(next("@yearly", "2026-01-01T00:00:00Z"), "2027-01-01T00:00:00Z");
        assert_eq!(next("@every 1h30m", "2026-01-01T00:00:00.25Z"), "2026-01-01T01:30:00.25Z");
        assert_eq!(next("@every 300ms", "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00.3Z");
    }

    #[test]
    fn zones() {
        assert_eq!(next("TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z");
        assert_eq!(next("CRON_TZ=America/New_York 0 9 * * *", "2026-07-01T00:00:00Z"), "2026-07-01T13:00:00Z");
        assert_eq!(run("0 9 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", 1), ["2026-01-01T08:00:00Z"]);
        assert!(Schedule::parse("TZ=Nowhere/At_All * * * * *").unwrap_err().starts_with("provided bad location Nowhere/At_All"));
        assert!(Schedule::parse("TZ=UTC @every 1s").is_err());
        assert!(Schedule::parse("TZ=UTC").is_err());
    }

    #[test]
    fn clocks_that_change() {
        // Berlin skips 02:30 on 2026-03-29 and has it twice on 2026-10-25.
        assert_eq!(run("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1), ["2026-03-30T00:30:00Z"]);
        assert_eq!(run("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]);
        // Sao Paulo skipped midnight on 2018-11-04.
        assert_eq!(run("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 1), ["2018-11-05T02:00:00Z"]);
    }

    #[test]
    fn never() {
        let schedule = Schedule::parse("0 0 30 feb *").unwrap();
        assert!(schedule.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none());
    }

    #[test]
    fn errors() {
        let says = |text: &str, why: &str| assert_eq!(Schedule::parse(text).unwrap_err(), why);
        says("", "empty spec string");
        says("* * * *", "expected 5 to 6 fields, found 4: [* * * *]");
        says("@fortnightly", "unrecognized descriptor: @fortnightly");
        says("@every soon", "failed to parse duration @every soon: time: invalid duration \"soon\"");
        assert!(Schedule::parse("61 * * * *").is_err());
    }
}
