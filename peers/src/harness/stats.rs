//! Medians and spreads.

use serde_json::{Value, json};

/// A median and the quartiles around it.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    /// A quarter of the values is below.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
}

impl Spread {
    /// Of these values; zeros when there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Self {
            low: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            high: quantile(&values, 0.75),
        }
    }

    /// For the results file.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({"low": self.low, "median": self.median, "high": self.high})
    }

    /// Half of the distance between the quartiles, as a share of the median.
    #[must_use]
    pub fn relative(self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median }
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = share * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few() {
        assert_eq!(Spread::of([]).median, 0.0);
        assert_eq!(Spread::of([3.0]).high, 3.0);
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
    }
}
