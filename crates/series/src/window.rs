//! Windows: stretches of time of one length, one after the other, of which a value's name or its settings tell how long
//! they are.

use std::fmt;
use std::str::FromStr;

/// Seconds of the longest window: 366 days.
pub const LONGEST_WINDOW: u32 = 366 * 86_400;

/// Units by their names, in seconds; `None` for those that are not always equally long.
const UNITS: [(&[&str], Option<u64>); 7] = [
    (&["s", "sec", "secs", "second", "seconds"], Some(1)),
    (&["m", "min", "mins", "minute", "minutes"], Some(60)),
    (&["h", "hr", "hrs", "hour", "hours"], Some(3600)),
    (&["d", "day", "days"], Some(86_400)),
    (&["w", "week", "weeks"], Some(604_800)),
    (&["mon", "mons", "month", "months"], None),
    (&["y", "yr", "yrs", "year", "years"], None),
];

/// What may stand between a name and the window at its end.
const SEPARATORS: [char; 6] = ['_', '.', '-', ':', '/', ' '];

/// The length of a window: 1 second to [`LONGEST_WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    seconds: u32,
}

/// Why something is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// It is not a number and a unit.
    Syntax,
    /// The number is not a whole one.
    Fraction,
    /// The number is 0.
    Zero,
    /// It is longer than [`LONGEST_WINDOW`].
    TooLong,
    /// The unit is a month or a year, which are not always equally long.
    Calendar,
}

impl fmt::Display for WindowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Syntax => "a window is a number and a unit, for example 5 min",
            Self::Fraction => "a window is a whole number of seconds, minutes, hours, days or weeks",
            Self::Zero => "a window is at least 1 second long",
            Self::TooLong => "a window is at most 366 days long",
            Self::Calendar => "months and years are not always equally long: give days or weeks",
        })
    }
}

impl std::error::Error for WindowError {}

impl Window {
    /// How long it is.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// The window that a name ends in, as `count_in_1min` and `density_5min` do: a whole number and a unit, at the
    /// beginning or after one of `_ . - : /` and a space. `None` where the name ends otherwise.
    ///
    /// # Errors
    /// Where it ends in a number and a unit that are no window: 0 minutes, a month, more than [`LONGEST_WINDOW`].
    pub fn of_name(name: &str) -> Result<Option<Self>, WindowError> {
        let Some((before, number, unit)) = split(name) else { return Ok(None) };
        let Ok(unit) = seconds_of(unit) else { return Ok(None) };
        if number.is_empty() || !(before.is_empty() || before.ends_with(SEPARATORS)) {
            return Ok(None);
        }
        if before.strip_suffix('.').is_some_and(|whole| whole.ends_with(|last: char| last.is_ascii_digit())) {
            return Err(WindowError::Fraction);
        }
        Self::new(number, unit).map(Some)
    }

    fn new(number: &str, unit: Option<u64>) -> Result<Self, WindowError> {
        let unit = unit.ok_or(WindowError::Calendar)?;
        let number: u64 = number.parse().map_err(|_| WindowError::TooLong)?;
        let seconds = number.checked_mul(unit).and_then(|seconds| u32::try_from(seconds).ok());
        match seconds {
            Some(0) => Err(WindowError::Zero),
            Some(seconds @ ..=LONGEST_WINDOW) => Ok(Self { seconds }),
            _ => Err(WindowError::TooLong),
        }
    }
}

/// A whole number and a unit, with or without spaces: `5 min`, `1h`.
impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let text = text.trim();
        let (before, number, unit) = split(text).ok_or(WindowError::Syntax)?;
        // Nothing but spaces may be between the number and the unit.
        let (before, number) = match number {
            "" => split_number(before.trim_end()),
            number => (before, number),
        };
        let unit = seconds_of(unit)?;
        match (before, number) {
            ("", "") => Err(WindowError::Syntax),
            ("", number) => Self::new(number, unit),
            (whole, _) if whole.trim_end_matches(['.', ',']).parse::<u64>().is_ok() => {
                Err(WindowError::Fraction)
            }
            _ => Err(WindowError::Syntax),
        }
    }
}

/// What comes before, a number of digits, and letters at the end; `None` without letters.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let before = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = &text[before.len()..];
    let (before, number) = split_number(before);
    (!unit.is_empty()).then_some((before, number, unit))
}

fn split_number(text: &str) -> (&str, &str) {
    let before = text.trim_end_matches(|character: char| character.is_ascii_digit());
    text.split_at(before.len())
}

fn seconds_of(unit: &str) -> Result<Option<u64>, WindowError> {
    let found = UNITS.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(unit)));
    found.map(|(_, seconds)| *seconds).ok_or(WindowError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_name(name: &str) -> Result<Option<u32>, WindowError> {
        Window::of_name(name).map(|window| window.map(Window::seconds))
    }

    fn parsed(text: &str) -> Result<u32, WindowError> {
        text.parse().map(Window::seconds)
    }

    #[test]
    fn names_end_in_their_window() {
        for (name, seconds) in [
            ("count_in_1min", 60),
            ("density_5min", 300),
            ("count_24h", 86_400),
            ("door.in.30s", 30),
            ("people-7days", 604_800),
            ("zone:2WEEKS", 1_209_600),
            ("người_1hour", 3600),
            ("15min", 900),
            ("count_366d", LONGEST_WINDOW),
        ] {
            assert_eq!(of_name(name), Ok(Some(seconds)), "{name}");
        }
    }

    #[test]
    fn other_names_have_none() {
        for name in [
            "",
            "count",
            "count_in",
            "zone1min",
            "count_5",
            "5_min",
            "count_5parsecs",
            "in_1min_total",
            "_min",
        ] {
            assert_eq!(of_name(name), Ok(None), "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_window_and_is_none_is_refused() {
        for (name, error) in [
            ("count_0min", WindowError::Zero),
            ("count_99999999999h", WindowError::TooLong),
            ("count_99999999999999999999999s", WindowError::TooLong),
            ("count_367d", WindowError::TooLong),
            ("count_1.5min", WindowError::Fraction),
            ("count_1month", WindowError::Calendar),
            ("count_2y", WindowError::Calendar),
        ] {
            assert_eq!(of_name(name), Err(error), "{name}");
        }
    }

    #[test]
    fn settings_are_a_number_and_a_unit() {
        for (text, seconds) in [("5 min", 300), (" 1h ", 3600), ("10  seconds", 10), ("1 Day", 86_400)] {
            assert_eq!(parsed(text), Ok(seconds), "{text}");
        }
        for (text, error) in [
            ("", WindowError::Syntax),
            ("min", WindowError::Syntax),
            ("5", WindowError::Syntax),
            ("five min", WindowError::Syntax),
            ("-5 min", WindowError::Syntax),
            ("count_5min", WindowError::Syntax),
            ("5 parsecs", WindowError::Syntax),
            ("1.5 min", WindowError::Fraction),
            ("0 min", WindowError::Zero),
            ("1 month", WindowError::Calendar),
            ("99999999999 h", WindowError::TooLong),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC*") {
            let _ = (of_name(&text), parsed(&text));
        }

        #[test]
        fn a_window_is_the_same_in_a_name_and_in_settings(number in 0u64..100_000, unit in "[a-z]{1,7}") {
            let (name, text) = (of_name(&format!("count_{number}{unit}")), parsed(&format!("{number} {unit}")));
            match text {
                Err(WindowError::Syntax) => prop_assert_eq!(name, Ok(None)),
                Err(error) => prop_assert_eq!(name, Err(error)),
                Ok(seconds) => prop_assert_eq!(name, Ok(Some(seconds))),
            }
        }
    }
}
