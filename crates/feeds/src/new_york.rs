//! When a day begins in New York, where the exchanges count nanoseconds from.
//!
//! The rule of the Energy Policy Act of 2005, in force since 2007: summer time from the second Sunday of March to
//! the first Sunday of November, from 2 in the morning. Days before 2007 had other rules, and no ITCH 5.0.

use std::str::FromStr;

/// A day, as a calendar in New York has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Date, String> {
        let wrong = || format!("'{text}' is not a date from 2007 on; write it as 2019-12-30");
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok())?
        };
        let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else {
            return Err(wrong());
        };
        let date = Date { year, month, day };
        // A day that the month does not have becomes another one.
        let is_day = (2007..=2200).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && civil(days(year, month, day)) == (year, month, day);
        if is_day && parts.next().is_none() { Ok(date) } else { Err(wrong()) }
    }
}

/// When the day begins: Unix time in nanoseconds.
pub fn midnight_ns(Date { year, month, day }: Date) -> u64 {
    let today = days(year, month, day);
    // At midnight of the first Sunday in November it is still summer, in March not yet.
    let is_summer = today > sunday(year, 3, 2) && today <= sunday(year, 11, 1);
    let hours = if is_summer { 4 } else { 5 };
    ((today * 24 + hours) * 3_600_000_000_000).unsigned_abs()
}

/// The day of the nth Sunday of a month.
fn sunday(year: i64, month: i64, nth: i64) -> i64 {
    let first = days(year, month, 1);
    // The first day of 1970 was a Thursday.
    let to_sunday = (7 - (first + 4) % 7) % 7;
    first + to_sunday + 7 * (nth - 1)
}

/// Days since the first of 1970, in the Gregorian calendar (Howard Hinnant's algorithm).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_in_new_york() {
        // As GNU date prints them with TZ=America/New_York and +%s.
        for (date, seconds) in [
            ("2019-12-30", 1_577_682_000_u64),
            ("2013-10-07", 1_381_118_400),
            ("2017-07-10", 1_499_659_200),
            ("2026-03-08", 1_772_946_000),
            ("2026-03-09", 1_773_028_800),
            ("2026-11-01", 1_793_505_600),
            ("2026-11-02", 1_793_595_600),
            ("2024-02-29", 1_709_182_800),
        ] {
            assert_eq!(midnight_ns(date.parse().unwrap()), seconds * 1_000_000_000, "{date}");
        }
        for wrong in [
            "",
            "2019-12-32",
            "2023-02-29",
            "2006-01-01",
            "2019-1-1",
            "2019-12-30-1",
            "20191230",
            "+019-12-30",
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}
