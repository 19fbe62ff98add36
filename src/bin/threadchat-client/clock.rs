//! The time of day in the local time zone.

use std::time::{SystemTime, UNIX_EPOCH};

use tz::TimeZone;

/// Formats points in time as times of day.
#[derive(Clone)]
pub struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// Uses the time zone of the variable `TZ`, else that of the system, and UTC if neither is valid.
    pub fn from_env() -> Clock {
        let zone = match std::env::var("TZ") {
            Ok(zone) if !zone.is_empty() => TimeZone::from_posix_tz(&zone),
            _ => TimeZone::local(),
        };
        Clock {
            zone: zone.unwrap_or_else(|_| TimeZone::utc()),
        }
    }

    /// Formats milliseconds since the Unix epoch as hours and minutes.
    pub fn format(&self, milliseconds: u64) -> String {
        let seconds = i64::try_from(milliseconds / 1000).unwrap_or_default();
        let local = self.zone.find_local_time_type(seconds);
        let offset = local.map_or(0, |local| local.ut_offset());
        let minutes = (seconds + i64::from(offset)).rem_euclid(24 * 60 * 60) / 60;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Returns the current time in milliseconds since the Unix epoch.
pub fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is not set.
    since_epoch.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str) -> Clock {
        let zone = TimeZone::from_posix_tz(zone).expect("the zone is valid");
        Clock { zone }
    }

    #[test]
    fn time_of_day_follows_the_zone_and_its_daylight_saving_time() {
        const HOUR: u64 = 3_600_000;
        // 2026-01-01 and 2026-07-01, 00:00 UTC.
        let (winter, summer) = (1_767_225_600_000, 1_782_864_000_000);
        let berlin = clock("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(berlin.format(winter + 59_999), "01:00");
        assert_eq!(berlin.format(summer + 22 * HOUR + 60_000), "00:01");
        assert_eq!(clock("X5:30").format(winter), "18:30");
        assert_eq!(clock("X5:30").format(0), "18:30");
        // A server can claim any time.
        assert_eq!(clock("X5:30").format(u64::MAX).len(), 5);
    }
}
