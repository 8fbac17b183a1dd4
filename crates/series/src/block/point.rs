//! What goes into a block and comes out of it.

/// A decimal number as it is written: `1.5` and `1.50` are not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number<'a> {
    /// `mantissa` · 10^-`scale`.
    Decimal {
        /// The number without its point.
        mantissa: i64,
        /// Digits after the point.
        scale: u16,
    },
    /// The text of a number that does not fit; the block does not look into it.
    Text(&'a str),
}

/// One measurement of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point<'a> {
    /// Microseconds; since when is the caller's affair.
    pub at: i64,
    /// What was measured; `None` is a gap.
    pub value: Option<Number<'a>>,
    /// How sure the measurement is. It is kept bit for bit, whatever its range.
    pub confidence: Option<f64>,
    /// How good the data is. It is kept bit for bit, whatever its range.
    pub quality: Option<f64>,
    /// Unit of the value.
    pub unit: Option<&'a str>,
    /// More about the measurement, as JSON; the block does not look into it.
    pub tags: Option<&'a str>,
}
